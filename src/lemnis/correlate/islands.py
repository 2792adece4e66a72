"""Islands: alerts under one set of entities without a gap longer than its window, by their ends only. Pure.

What lies between the ends of an island need not be kept: whatever comes within the window of one of them, or
between them, is within the window of some alert of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

Row = tuple[int, int, int, int]
_LOW = attrgetter("low")


@dataclass(slots=True)
class Island:
    """Between two times: numbers of its first and its last alert."""

    low: int
    high: int
    first: int
    last: int

    def nearest(self, time: int) -> int:
        """Return which of the two alerts at its ends is told as the neighbour of what comes at ``time``."""
        return self.last if time >= self.high else self.first


@dataclass(slots=True)
class Track:
    """The islands of one set of entities, ascending, and which of those that are stored no longer are so."""

    islands: list[Island] = field(default_factory=list)
    stored: Mapping[tuple[int, int], tuple[int, int]] | None = None

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Track:
        """Begin with what is stored."""
        return cls(
            [Island(*row) for row in rows], {(low, first): (high, last) for low, high, first, last in rows}
        )

    def changes(self) -> tuple[Sequence[tuple[int, int]], Sequence[Island]]:
        """Return what is to be forgotten, and what is to be written."""
        if not self.stored:
            return (), self.islands
        now = {(one.low, one.first): one for one in self.islands}
        gone = [place for place in self.stored if place not in now]
        new = [one for place, one in now.items() if self.stored.get(place) != (one.high, one.last)]
        return gone, new

    def _after(self, time: int) -> int:
        """Return how many islands begin up to a time: most often all do, for alerts come by time."""
        islands = self.islands
        if not islands or islands[-1].low <= time:
            return len(islands)
        return bisect_right(islands, time, key=_LOW)

    def put(self, window: int, time: int, number: int) -> tuple[tuple[int, ...], int | None]:
        """File an alert among islands that are whole; return the alerts that it joins, and its neighbour."""
        islands = self.islands
        if islands and time >= islands[-1].high:  # most alerts come after all that lie there
            end = islands[-1]
            if time - end.high > window:
                islands.append(Island(time, time, number, number))
                return (), None
            other = end.last
            end.high, end.last = time, number
            return (other,), other
        place = self._after(time)
        before = islands[place - 1] if place else None
        after = islands[place] if place < len(islands) else None
        right = after is not None and after.low - time <= window
        if before is not None and time - before.high <= window:
            last = before.last
            other = before.nearest(time)
            if time >= before.high:
                before.high, before.last = time, number
            if after is not None and right:
                before.high, before.last = after.high, after.last
                del islands[place]
                return (last, after.first), other
            return (last,), other
        if after is not None and right:
            other = after.first
            after.low, after.first = time, number
            return (other,), other
        islands.insert(place, Island(time, time, number, number))
        return (), None

    def near(self, window: int, time: int) -> list[Island]:
        """Return the islands that reach within the window of a moment, descending; they do not overlap."""
        found = []
        for place in range(self._after(time + window) - 1, -1, -1):
            one = self.islands[place]
            if one.high < time - window:
                break
            found.append(one)
        return found

    def pieces(self, window: int, time: int) -> list[Island]:
        """Return the pieces that reach within the window of a moment; each is no longer than the window."""
        found = []
        for place in range(self._after(time + window) - 1, -1, -1):
            one = self.islands[place]
            if one.low < time - 2 * window:
                break
            if one.high >= time - window:
                found.append(one)
        return found[::-1]

    def add_piece(self, window: int, time: int, number: int, same: Callable[[int], bool]) -> None:
        """File an alert with a piece that is ``same`` as it and stays short enough, or by itself."""
        for one in self.pieces(window, time):
            low, high = min(one.low, time), max(one.high, time)
            if high - low <= window and same(one.last):
                if time >= one.high:
                    one.high, one.last = time, number
                if time < one.low:
                    self.islands.remove(one)
                    one.low, one.first = time, number
                    self._insert(one)
                return
        self._insert(Island(time, time, number, number))

    def _insert(self, one: Island) -> None:
        self.islands.insert(self._after(one.low), one)
