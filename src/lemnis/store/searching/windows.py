"""Which time to look at next: backwards, little at first, then more and more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from lemnis.store.delta import DataFile
from lemnis.store.index import Clauses, Index
from lemnis.store.lakes import Snapshot
from lemnis.store.query import Piece, Relation
from lemnis.store.spots import Spot

FIRST_ROWS = 250_000
_APART, _MOST_RANGES = 1_024, 100


@dataclass(frozen=True, slots=True)
class Part:
    """So many rows of a class that lie between two times (ms), both included."""

    name: str
    first: int
    last: int
    rows: int


class Tables:
    """What of some tables can have rows with ``time`` in [start, end) (ms) that hold what they must.

    ``clauses`` are those of each table; where there is an index, files and row groups that cannot meet them
    are left out.
    """

    def __init__(
        self,
        snapshots: Mapping[str, Snapshot],
        *,
        start: int | None = None,
        end: int | None = None,
        index: Index | None = None,
        clauses: Mapping[str, Clauses] = MappingProxyType({}),
    ) -> None:
        """Look up the files."""
        self.snapshots = snapshots
        self.parts: list[Part] = []
        self._files: dict[str, list[tuple[Part, Spot | Piece]]] = {}
        for name, snapshot in snapshots.items():
            files = snapshot.table.files(start=start, end=end) if snapshot.table else []
            found = self._files[name] = []
            for file in files:
                for one in _kept(name, snapshot, file, index, clauses.get(name, ())):
                    rows = one.rows if isinstance(one, Piece) else file.rows
                    found.append((Part(name, file.first, file.last, rows), one))
            self.parts += [part for part, _ in found]
            times = snapshot.spooled.column("time").to_numpy()
            if len(times):
                part = Part(name, int(times.min()), int(times.max()), len(times))
                if (start is None or part.last >= start) and (end is None or part.first < end):
                    self.parts.append(part)

    def files(self) -> set[Spot]:
        """Return all their files that may be read."""
        found = {one for some in self._files.values() for _, one in some}
        return {one.path if isinstance(one, Piece) else one for one in found}

    def relations(
        self, names: Collection[str], start: int | None, end: int | None, *, placed: bool = False
    ) -> dict[str, Relation]:
        """Return the tables of these names with what of them can have rows in [start, end)."""
        found = {}
        for name in names:
            snapshot = self.snapshots[name]
            files = [
                file
                for part, file in self._files[name]
                if (start is None or part.last >= start) and (end is None or part.first < end)
            ]
            spooled = _within(snapshot.spooled, start, end)
            found[name] = Relation(snapshot.schema, files, spooled, placed=placed)
        return found

    def placed(self, name: str, rows: Mapping[str | None, Sequence[int]]) -> list[Piece] | None:
        """Return the places of rows, by file and number; None where a file is none of this table any more."""
        there = {str(one.path if isinstance(one, Piece) else one): one for _, one in self._files[name]}
        found: list[Piece] = []
        for file, numbers in rows.items():
            if file is None:
                continue
            if file not in there:
                return None
            one = there[file]
            found.append(Piece(one.path if isinstance(one, Piece) else one, _ranges(sorted(numbers))))
        return found


def _ranges(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return [first, last) that hold these ascending numbers: few, and little else."""
    apart = _APART
    while True:
        found: list[tuple[int, int]] = []
        for number in numbers:
            if found and number - found[-1][1] < apart:
                found[-1] = (found[-1][0], number + 1)
            else:
                found.append((number, number + 1))
        if len(found) <= _MOST_RANGES:
            return tuple(found)
        apart *= 4


def _kept(
    name: str, snapshot: Snapshot, file: DataFile, index: Index | None, clauses: Clauses
) -> Sequence[Spot | Piece]:
    """Return what of a file may hold what it must."""
    if snapshot.table is None:
        return ()
    if index is None or not clauses:
        return (snapshot.table.absolute(file),)
    return index.pieces(name, snapshot.table, [file], clauses)


def backwards(
    some: list[Part], start: int | None, end: int | None, rows: int = FIRST_ROWS
) -> Iterator[tuple[int, int]]:
    """Yield [low, high) from the newest back, of about ``rows`` rows first and of twice as many each time.

    Rows are taken to be spread evenly over the time of their part: a window may hold more, or fewer.
    """
    if not some:
        return
    firsts = np.array([part.first for part in some], dtype=np.float64)
    lasts = np.array([part.last + 1 for part in some], dtype=np.float64)
    counts = np.array([part.rows for part in some], dtype=np.float64)
    rates = counts / (lasts - firsts)
    oldest = min(part.first for part in some)
    oldest = oldest if start is None else max(oldest, start)
    high = max(part.last for part in some) + 1
    high = high if end is None else min(high, end)

    def amount(low: int, top: int) -> float:
        covered = np.minimum(lasts, top) - np.maximum(firsts, low)
        return float(np.sum(np.maximum(covered, 0) * rates))

    while high > oldest:
        low = oldest
        if amount(oldest, high) > 1.5 * rows:
            few, many = high - 1, oldest  # the rows after `few` are too few, after `many` enough
            while few - many > 1:
                middle = (few + many) // 2
                few, many = (middle, many) if amount(middle, high) < rows else (few, middle)
            low = many
        if any(part.first < high and part.last >= low for part in some):
            yield low, high
        high, rows = low, 2 * rows


def _within(table: pa.Table, start: int | None, end: int | None) -> pa.Table:
    if start is None and end is None:
        return table
    times = table.column("time").to_numpy()
    kept = np.ones(len(times), dtype=bool)
    if start is not None:
        kept &= times >= start
    if end is not None:
        kept &= times < end
    return table if kept.all() else table.filter(pa.array(kept))
