"""Which row held for a key at a time: intervals made disjoint once, then looked up by columns.

Where intervals of one key overlap, the one that began last holds, and what it covered holds again after it;
of those that began together, the one whose row comes later. So a machine that takes over an address has it
from then on, even if nobody closed the entry of the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
NOTHING = -1


def places(rows: Ints) -> Any:
    """Return row numbers as Arrow takes them."""
    return pa.array(rows, pa.int64())


@dataclass(frozen=True, slots=True)
class Timeline:
    """Disjoint intervals [start, end) by key, in order: those of key ``k`` are ``first[k]:first[k + 1]``.

    ``rows`` says what holds in each. ``begins`` are all starts there are, once each; ``order`` is key and
    start as one number, by which one search finds the interval of a key and a time.
    """

    first: Ints
    starts: Ints
    ends: Ints
    rows: Ints
    begins: Ints
    order: Ints

    @classmethod
    def of(cls, keys: Ints, starts: Ints, ends: Ints, rows: Ints, count: int) -> Timeline:
        """Resolve intervals of keys below ``count``; those that end before they begin are left out."""
        good = np.flatnonzero(ends > starts)
        keys, starts, ends, rows = (one[good] for one in (keys, starts, ends, rows))
        order = np.lexsort((rows, starts, keys))
        keys, starts, ends, rows = (one[order] for one in (keys, starts, ends, rows))
        crossed = np.unique(keys[1:][(keys[1:] == keys[:-1]) & (starts[1:] < ends[:-1])])
        if len(crossed):
            keys, starts, ends, rows = _resolved(keys, starts, ends, rows, crossed)
        begins = np.unique(starts)
        places = keys * (len(begins) + 1) + np.searchsorted(begins, starts, side="right")
        first = np.searchsorted(keys, np.arange(count + 1))
        return cls(first.astype(np.int64), starts, ends, rows, begins, places)

    def at(self, keys: Ints, times: Ints) -> Ints:
        """Return the row that holds for each key at its time; NOTHING for a key below 0, or if none does."""
        found = np.full(len(keys), NOTHING, np.int64)
        if not len(self.rows):
            return found
        asked = np.flatnonzero(keys >= 0)
        if len(asked) == len(keys):
            mine, then = keys, times
        else:
            mine, then = keys[asked], times[asked]
        place = self.first[mine]
        count = self.first[mine + 1] - place
        several = np.flatnonzero(count > 1)
        if len(several):
            some, when = mine[several], then[several]
            rank = np.searchsorted(self.begins, when, side="right")
            last = np.searchsorted(self.order, some * (len(self.begins) + 1) + rank, side="right") - 1
            place[several] = np.maximum(last, place[several])  # before the first: refused by its start
        place = np.minimum(place, len(self.rows) - 1)
        holds = (count > 0) & (self.starts[place] <= then) & (then < self.ends[place])
        found[asked[holds]] = self.rows[place[holds]]
        return found


def _resolved(keys: Ints, starts: Ints, ends: Ints, rows: Ints, crossed: Ints) -> tuple[Ints, ...]:
    """Make the intervals of some keys disjoint; the others are so already."""
    apart = np.isin(keys, crossed)
    made: list[tuple[int, int, int, int]] = []
    places = np.flatnonzero(apart)
    edges = np.flatnonzero(np.diff(keys[places])) + 1
    for some in np.split(places, edges):
        key = int(keys[some[0]])
        made += [(key, start, end, row) for start, end, row in _sweep(starts[some], ends[some], rows[some])]
    new = np.array(made, np.int64).reshape(-1, 4)
    together = [
        np.concatenate([old[~apart], new[:, number]]) for number, old in enumerate((keys, starts, ends, rows))
    ]
    order = np.lexsort((together[1], together[0]))
    return tuple(one[order] for one in together)


def _sweep(starts: Ints, ends: Ints, rows: Ints) -> list[tuple[int, int, int]]:
    """Return the disjoint parts of one key's intervals, which come in the order in which they take over."""
    made: list[tuple[int, int, int]] = []
    open_: list[int] = []
    begun: Any = starts.tolist()
    until: Any = ends.tolist()
    now = 0

    def on_to(limit: int | None) -> None:
        """Tell what holds from ``now`` to a limit, and forget what has ended by then."""
        nonlocal now
        while open_ and (limit is None or now < limit):
            top = open_[-1]
            stop = until[top] if limit is None else min(until[top], limit)
            if stop > now:
                made.append((now, stop, int(rows[top])))
                now = stop
            if until[top] > now:
                return
            open_.pop()

    for number, start in enumerate(begun):
        on_to(start)
        now = start
        open_.append(number)
    on_to(None)
    return made
