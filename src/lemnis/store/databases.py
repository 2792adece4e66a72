"""Databases in memory for searches: locked to the files of a lake, and kept for the next search.

To open one takes longer than to ask it a small question, and one that was used knows the footers of files.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import duckdb

from lemnis.store import spots
from lemnis.store.spots import Spot

SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "temp_directory": "",
    "preserve_insertion_order": False,
}
_KEEPS = ("SET parquet_metadata_cache = true", "SET enable_external_file_cache = false")
"""What a database keeps of files that it read: their footers, and none of their data."""
_LOCKS = ("SET enable_external_access = false", "SET lock_configuration = true")
_MOST_IDLE = 2
_Key = tuple[int, str, str]
_IDLE: list[tuple[_Key, duckdb.DuckDBPyConnection]] = []
_LOCK = threading.Lock()


class Database:
    """A database that can read some files of a lake, or those below a folder, and nothing else.

    Each query has views and a connection of its own, in any thread.
    """

    def __init__(self, reach: Path | Collection[Spot], memory: str) -> None:
        """Nothing is opened before it is used; ``memory`` is for all queries together."""
        self._reach, self._memory = reach, memory
        self._lock = threading.Lock()
        self._base: duckdb.DuckDBPyConnection | None = None

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection."""
        with self._lock:
            if self._base is None:
                self._base = _taken(self._key) or self._opened()
            return self._base.cursor()

    def close(self) -> None:
        """Leave it to who asks the same folder next, if it reaches one; it is opened again if it is used."""
        with self._lock:
            base, self._base = self._base, None
        if base is not None:
            _left(self._key, base)

    @property
    def _key(self) -> _Key | None:
        """What another has to ask for to be given this one; it is of no use to a process that was forked."""
        return (os.getpid(), str(self._reach), self._memory) if isinstance(self._reach, Path) else None

    def _opened(self) -> duckdb.DuckDBPyConnection:
        base = connect({**SETTINGS, "memory_limit": self._memory})
        for setting in _KEEPS:
            base.execute(setting)
        if not isinstance(self._reach, Path):
            spots.attach(base, self._reach)
        lock(base, self._reach)
        return base


def _taken(key: _Key | None) -> duckdb.DuckDBPyConnection | None:
    """Return an idle database, if there is one that is sound."""
    with _LOCK:
        place = next((n for n, (other, _) in enumerate(_IDLE) if other == key), None)
        base = _IDLE.pop(place)[1] if place is not None else None
    if base is not None:
        try:
            base.execute("SELECT 1").fetchall()
        except duckdb.Error:  # what broke it was told to whom it happened
            base.close()
            return None
    return base


def _left(key: _Key | None, base: duckdb.DuckDBPyConnection) -> None:
    """Keep a database for later, and close the one that was idle for longest if there are too many."""
    if key is None:
        base.close()
        return
    with _LOCK:
        _IDLE.append((key, base))
        gone = _IDLE.pop(0)[1] if len(_IDLE) > _MOST_IDLE else None
    if gone is not None:
        gone.close()


class Threads:
    """In how many threads a query of this process works; None: in as many as there are cores."""

    each: int | None = None


def connect(settings: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """Open a database in memory that says nothing on the standard output.

    In a process without a script, as those are that `multiprocessing` spawns, DuckDB draws how far it is.
    """
    threads = {} if Threads.each is None else {"threads": Threads.each}
    connection = duckdb.connect(config={**threads, **settings})
    connection.execute("SET enable_progress_bar = false")
    return connection


def lock(connection: duckdb.DuckDBPyConnection, reach: Path | Collection[Spot]) -> None:
    """Let a database read these files, or those below a folder, and nothing else, for good."""
    if isinstance(reach, Path):
        connection.execute("SET allowed_directories = ?", [[str(reach)]])
    else:
        connection.execute("SET allowed_paths = ?", [[str(file) for file in reach]])
    for one in _LOCKS:
        connection.execute(one)
