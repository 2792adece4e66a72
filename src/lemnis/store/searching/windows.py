"""Which time to look at next: backwards, little at first, then more and more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lemnis.store.lake import Snapshot
from lemnis.store.query import Relation

FIRST_ROWS = 250_000


@dataclass(frozen=True, slots=True)
class Part:
    """So many rows of a class that lie between two times (ms), both included."""

    name: str
    first: int
    last: int
    rows: int


def parts(snapshots: Mapping[str, Snapshot], start: int | None, end: int | None) -> list[Part]:
    """Return where there are rows with ``time`` in [start, end)."""
    found = []
    for name, snapshot in snapshots.items():
        files = snapshot.table.files(start=start, end=end) if snapshot.table else []
        found += [Part(name, file.first, file.last, file.rows) for file in files]
        times = snapshot.spooled.column("time").to_numpy()
        if len(times):
            found.append(Part(name, int(times.min()), int(times.max()), len(times)))
    return [p for p in found if (start is None or p.last >= start) and (end is None or p.first < end)]


def relations(
    snapshots: Mapping[str, Snapshot], names: frozenset[str], start: int | None, end: int | None
) -> dict[str, Relation]:
    """Return the tables of these names with what of them can have rows in [start, end)."""
    found = {}
    for name in names:
        snapshot = snapshots[name]
        files = snapshot.table.files(start=start, end=end) if snapshot.table else []
        paths = [snapshot.table.absolute(file) for file in files] if snapshot.table else []
        found[name] = Relation(snapshot.schema, paths, _within(snapshot.spooled, start, end))
    return found


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
