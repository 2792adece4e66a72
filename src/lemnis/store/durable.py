"""Files that survive a power cut: the bytes are synced before the name, the name before we return."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from lemnis.store.spots import Spot

PRIVATE_FOLDER = 0o700
UNFINISHED = ".new-"
"""How the name of a file that is being written begins; a crash can leave one behind."""


def sync(path: Spot) -> None:
    """Push a file's or folder's contents to the device (``fsync``); object storage has done so already."""
    if not isinstance(path, Path):
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Spot) -> None:
    """Make a folder, and the ones above it, readable by its owner only; each new name is synced.

    Object storage needs none.
    """
    if not isinstance(path, Path) or path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    sync(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write; it is put at ``path`` in one step when the block ends, or not at all.

    The folder must exist. The file is readable by its owner only, and synced with its name.
    """
    with named_last(path.parent, lambda: path.name) as file:
        yield file


@contextmanager
def named_last(folder: Path, name: Callable[[], str]) -> Iterator[BinaryIO]:
    """Give a file to write in a folder, as ``replacing`` does; what it is called is asked at its end."""
    handle, temporary = tempfile.mkstemp(prefix=UNFINISHED, dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(folder / name())
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync(folder)


def write(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` in one step, with its folders: the whole file, or no change."""
    make_folder(path.parent)
    with replacing(path) as file:
        file.write(data)


def write_ahead(database: sqlite3.Connection, seconds: float) -> None:
    """Give a SQLite file a write-ahead log, unless it has one; wait so many seconds for who holds the file.

    A reader becomes a writer for this. SQLite calls no busy handler there, so that of several who make a file
    at once all but one are told that it is locked. Raises sqlite3.OperationalError when time is out.
    """
    until, wait = time.monotonic() + seconds, 0.001
    while True:
        try:
            database.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= until:
                raise
        else:
            return
        time.sleep(wait)
        wait = min(2 * wait, 0.05)


def is_busy(error: sqlite3.Error) -> bool:
    """Say whether others held what was asked for, rather than that something is wrong with the file."""
    code: int = getattr(error, "sqlite_errorcode", 0)  # those that Python raises have none
    return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``: one holder on this machine; it is free again when the holder dies."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
