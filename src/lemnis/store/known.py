"""The uids that a lake knows, as sorted 64-bit numbers: for every batch it is asked which are new.

Those that came last lie in the spool's file as one block a transaction, written with the events. A flush
folds blocks into a run: a file of numbers in ascending order, on the device before the spool's file names it.
Runs of like size become one, so that there are few however many uids are known. Neither blocks nor runs ever
change; a process keeps the blocks, maps the runs into memory, and has only to ask which there are.

A run that is gone or cut (the spool's file came from a copy, say) is made again from what it told of: the
tables and the segments.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lemnis.contracts.errors import Location, ServiceError
from lemnis.store import durable
from lemnis.store.columns import Keys

SCHEMA = """
CREATE TABLE IF NOT EXISTS uid_blocks (id INTEGER PRIMARY KEY AUTOINCREMENT, uids BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS uid_runs (file TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""
FOLDED = 1 << 18
"""So many uids are in blocks before a flush folds them."""
_ALIKE = 2
_AT_ONCE = 1 << 22
_NUMBER = np.dtype("<i8")


@dataclass(frozen=True, slots=True)
class Run:
    """A file of so many numbers; its name says what is in it."""

    file: str
    count: int


class Known:
    """What one process has read of the known uids; it is asked within transactions that exclude writers."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is that of the runs."""
        self.folder = folder
        self._blocks: dict[int, Keys] = {}
        self._merged: list[Keys] = []
        self._runs: dict[str, Keys] = {}

    def unknown(self, keys: Keys) -> Keys:
        """Return those of the distinct, ascending ``keys`` that no committed transaction has stored."""
        for numbers in [*self._merged, *self._runs.values()]:
            keys = keys[~found(numbers, keys)]
        return keys

    def refresh(self, db: sqlite3.Connection) -> None:
        """Read what other transactions have stored or folded since the last one of this process."""
        there = {number for (number,) in db.execute("SELECT id FROM uid_blocks")}
        if gone := self._blocks.keys() - there:
            for number in gone:
                del self._blocks[number]
            self._merged = []
            for block in self._blocks.values():
                _push(self._merged, block)
        for number in sorted(there - self._blocks.keys()):
            (data,) = db.execute("SELECT uids FROM uid_blocks WHERE id = ?", (number,)).fetchone()
            self._blocks[number] = block = np.frombuffer(data, dtype=_NUMBER)
            _push(self._merged, block)
        named = {run.file: run for run in runs(db)}
        self._runs = {file: old for file, old in self._runs.items() if file in named}
        for file, run in named.items():
            if file not in self._runs:
                self._runs[file] = self._mapped(run)

    def lost(self, db: sqlite3.Connection) -> list[Run]:
        """Return the runs that are named and not there, or not whole."""
        return [run for run in runs(db) if not self._whole(run)]

    def write(self, parts: Sequence[Keys]) -> Run:
        """Write sorted numbers as one run, which is on the device when this returns."""
        durable.make_folder(self.folder)
        digest, count = hashlib.sha256(), 0
        with durable.named_last(self.folder, digest.hexdigest) as file:
            for numbers in _ascending(parts):
                data = np.ascontiguousarray(numbers, dtype=_NUMBER).data
                digest.update(data)
                file.write(data)
                count += len(numbers)
        return Run(digest.hexdigest(), count)

    def read(self, chosen: Iterable[Run]) -> list[Keys]:
        """Return the numbers of runs, as they lie on the disk."""
        return [self._mapped(run) for run in chosen]

    def sweep(self, named: Collection[str]) -> None:
        """Remove the files that are no run, or no longer one."""
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            if path.name not in named:
                path.unlink()

    def _whole(self, run: Run) -> bool:
        try:
            return (self.folder / run.file).stat().st_size == run.count * _NUMBER.itemsize
        except FileNotFoundError:
            return False

    def _mapped(self, run: Run) -> Keys:
        if not self._whole(run):
            raise ServiceError(
                "a list of known uids is gone or cut",
                at=Location(str(self.folder / run.file)),
                fix="it is made anew from the tables when the lake is opened or flushed next",
            )
        return np.memmap(self.folder / run.file, dtype=_NUMBER, mode="r").view(np.ndarray)


def found(numbers: Keys, keys: Keys) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Say of each of the ascending ``keys`` whether it is among the ascending ``numbers``."""
    if not len(numbers):
        return np.zeros(len(keys), dtype=np.bool_)
    places = np.searchsorted(numbers, keys)
    there: np.ndarray[tuple[int], np.dtype[np.bool_]] = numbers[np.minimum(places, len(numbers) - 1)] == keys
    return there


def runs(db: sqlite3.Connection) -> list[Run]:
    """Return the runs that there are, the smallest first."""
    return [Run(*row) for row in db.execute("SELECT file, count FROM uid_runs ORDER BY count, file")]


def blocks(db: sqlite3.Connection) -> dict[int, Keys]:
    """Return the oldest blocks, by number, as many as are folded at once."""
    taken: dict[int, Keys] = {}
    count = 0
    for number, data in db.execute("SELECT id, uids FROM uid_blocks ORDER BY id"):
        taken[number] = np.frombuffer(data, dtype=_NUMBER)
        count += len(taken[number])
        if count >= _AT_ONCE:
            break
    return taken


def waiting(db: sqlite3.Connection) -> int:
    """Return how many uids are in blocks."""
    (size,) = db.execute("SELECT coalesce(sum(length(uids)), 0) FROM uid_blocks").fetchone()
    return int(size) // _NUMBER.itemsize


def add(db: sqlite3.Connection, keys: Keys) -> None:
    """Store numbers as a block."""
    if len(keys):
        data = np.sort(keys).astype(_NUMBER, copy=False).data
        db.execute("INSERT INTO uid_blocks (uids) VALUES (?)", (data,))


def replace(db: sqlite3.Connection, folded: Iterable[int], merged: Iterable[Run], run: Run) -> None:
    """Put a run in the place of what is in it: blocks, by number, and runs."""
    db.executemany("DELETE FROM uid_blocks WHERE id = ?", ((number,) for number in folded))
    db.executemany("DELETE FROM uid_runs WHERE file = ?", ((one.file,) for one in merged))
    db.execute("INSERT OR REPLACE INTO uid_runs VALUES (?, ?)", (run.file, run.count))


def forget(db: sqlite3.Connection, lost: Iterable[Run]) -> None:
    """Forget runs that are gone."""
    db.executemany("DELETE FROM uid_runs WHERE file = ?", ((run.file,) for run in lost))


def alike(there: Sequence[Run], count: int) -> list[Run]:
    """Return which of the runs, the smallest first, are to be merged with so many new numbers."""
    chosen: list[Run] = []
    for run in there:
        if run.count > _ALIKE * count:
            break
        chosen.append(run)
        count += run.count
    return chosen


def adopt_former(db: sqlite3.Connection) -> None:
    """Take over what versions before these lists kept in a table of one row a uid."""
    names = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for table in sorted(names & {"fresh", "seen"}):
        rows = db.execute(f"SELECT uid FROM {table} ORDER BY uid")  # noqa: S608 - constant text
        while some := rows.fetchmany(_AT_ONCE // 4):
            add(db, np.fromiter((uid for (uid,) in some), dtype=np.int64, count=len(some)))
        db.execute(f"DROP TABLE {table}")


def _push(merged: list[Keys], block: Keys) -> None:
    """Add a sorted block to sorted arrays; those of like size become one, so that they stay few."""
    merged.append(block)
    while len(merged) > 1 and len(merged[-2]) <= _ALIKE * len(merged[-1]):
        both = np.concatenate([merged.pop(), merged.pop()])
        both.sort()
        merged.append(both)


def _ascending(parts: Sequence[Keys]) -> Iterator[Keys]:
    """Yield the numbers of sorted arrays in ascending order, in pieces of bounded size."""
    largest = max(parts, key=len)
    starts = [0] * len(parts)
    for bound in [*largest[_AT_ONCE::_AT_ONCE].tolist(), None]:
        stops = [len(part) if bound is None else int(np.searchsorted(part, bound)) for part in parts]
        slices = [part[start:stop] for part, start, stop in zip(parts, starts, stops, strict=True)]
        piece = np.concatenate(slices)
        piece.sort()
        yield piece
        starts = stops
