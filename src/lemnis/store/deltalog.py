"""A Delta table's log, read as what it is: one JSON file a version, each line an action.

The library reads the state that the log ends in; this reads how it came to be, for history, for what may be
swept from the disk, and to see whether the log is whole. Format: the Delta protocol's `Delta log entries`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from lemnis.contracts.errors import IntegrityError, Location
from lemnis.store.spots import S, Spot

FOLDER = "_delta_log"
OPERATION = "lemnis.operation"
"""The key in a commit's facts under which Lemnis says what it did: flush, commit, compact, retain, schema."""
_DIGITS = 20
_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint.*\.parquet")
_FOREIGN = {"CREATE TABLE": "create", "VACUUM START": "sweep", "VACUUM END": "sweep", "WRITE": "write"}


@dataclass(frozen=True, slots=True)
class Added:
    """A data file that an entry names: its path below the table, and what the entry says of it."""

    path: str
    day: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One version: when (ms), what was done, which files came and which went (with when, ms)."""

    version: int
    at: int
    operation: str
    added: tuple[Added, ...] = ()
    removed: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def now() -> int:
    """Return the time (ms) as the log has it: the machine's, as every writer of Delta notes it."""
    return time.time_ns() // 1_000_000


def versions(folder: S) -> list[tuple[int, S]]:
    """Return a table's entries as (version, file), in order; none where there is no table."""
    return _numbered(folder, _ENTRY)


def newest(folder: Spot) -> int:
    """Return the number of a table's last entry; -1 where there is none."""
    if not isinstance(folder, Path):
        return max((version for version, _ in versions(folder)), default=-1)
    try:
        names = os.listdir(folder / FOLDER)  # noqa: PTH208 - paths of all of them would take as long again
    except (FileNotFoundError, NotADirectoryError):
        return -1
    return max((int(name[:_DIGITS]) for name in names if _ENTRY.fullmatch(name)), default=-1)


def entry(folder: Path, version: int) -> Path:
    """Return where an entry of a table is."""
    return folder / FOLDER / f"{version:0{_DIGITS}}.json"


def checkpoints(folder: S) -> list[tuple[int, S]]:
    """Return a table's checkpoints as (version, file), in order."""
    return _numbered(folder, _CHECKPOINT)


def _numbered(folder: S, form: re.Pattern[str]) -> list[tuple[int, S]]:
    log = folder / FOLDER
    if not log.is_dir():
        return []
    found = ((form.fullmatch(path.name), path) for path in log.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def read(path: Spot) -> Entry:
    """Read one entry; raises IntegrityError if it is not what an entry is."""
    try:
        actions = [orjson.loads(line) for line in path.read_bytes().splitlines() if line]
        if not actions:
            raise ValueError("it is empty")  # noqa: TRY301 - told as what else is wrong with it
        return _entry(int(path.name[:20]), actions)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"this entry of a table's log cannot be read: {error}", at=Location(str(path)),
            fix="restore it from a copy; it is needed to read the table",
        ) from error  # fmt: skip


def _entry(version: int, actions: list[dict[str, Any]]) -> Entry:
    info: dict[str, Any] = next((one["commitInfo"] for one in actions if "commitInfo" in one), {})
    added, removed = [], {}
    for action in actions:
        if add := action.get("add"):
            stats = orjson.loads(add.get("stats") or "{}")
            day = str(next(iter(add["partitionValues"].values()), ""))
            rows = int(stats.get("numRecords", 0))
            added.append(Added(unquote(add["path"]), day, rows, int(add["size"])))
        if remove := action.get("remove"):
            removed[unquote(remove["path"])] = int(remove.get("deletionTimestamp") or 0)
    done = str(info.get(OPERATION) or _FOREIGN.get(str(info.get("operation")), info.get("operation") or ""))
    facts = {key: value for key, value in info.items() if key.startswith("lemnis.")}
    return Entry(version, int(info.get("timestamp") or 0), done, tuple(added), removed, facts)


def entries(folder: Spot) -> Iterator[Entry]:
    """Yield a table's entries that are still there, in order; raises IntegrityError as ``read`` does."""
    for _, path in versions(folder):
        yield read(path)


def version_at(folder: Spot, at: int) -> int | None:
    """Return the last version that there was at a time (ms); None if it is before the first one kept."""
    found = None
    for entry in entries(folder):
        if entry.at > at:
            break
        found = entry.version
    return found
