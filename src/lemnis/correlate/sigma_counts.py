"""What Sigma's counting types measure in each window: how many, how many different, sum, mean, percentile."""

from __future__ import annotations

import operator
import sys
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from lemnis.contracts.correlations import Correlation
from lemnis.correlate.windows import Flags, Numbers, Reals, Track

COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
    "eq": operator.eq, "neq": operator.ne,
}  # fmt: skip
_EXACT = 2.0**53
Measured = tuple[Flags, Reals]


def event_count(one: Correlation, track: Track) -> Measured:
    """Count the events."""
    count = (track.steps - track.low + 1).astype(np.float64)
    return COMPARE[one.op](count, one.threshold), count


def value_count(one: Correlation, track: Track) -> Measured:
    """Count the different values."""
    return _each(one, track, _distinct, _may_differ(one, track))


def value_sum(one: Correlation, track: Track) -> Measured:
    """Add the numbers up, exactly; what is told is the nearest number to it."""
    whole = _whole_sums(track)
    if whole is not None:
        return COMPARE[one.op](whole, one.threshold), whole
    return _each(one, track, _sums, None)


def value_avg(one: Correlation, track: Track) -> Measured:
    """Take the mean, of the exact sum."""
    whole = _whole_sums(track)
    if whole is not None:
        mean = whole / (track.steps - track.low + 1)
        return COMPARE[one.op](mean, one.threshold), mean
    return _each(one, track, _means, _may_reach(one, track))


def value_percentile(one: Correlation, track: Track) -> Measured:
    """Take a percentile, between the two numbers beside it; the median is the fiftieth."""

    def measure(rows: Track, start: int, first: int, last: int) -> list[float]:
        return _percentiles(rows, start, first, last, one.percentile / 100)

    return _each(one, track, measure, _may_reach(one, track))


def _each(
    one: Correlation,
    track: Track,
    measure: Callable[[Track, int, int, int], list[float]],
    wanted: Flags | None,
) -> Measured:
    """Measure group by group, those that can meet the condition only."""
    value = np.zeros(len(track.steps))
    looked = np.zeros(len(track.steps), bool)
    edges = track.edges
    bounds = np.searchsorted(track.steps, edges)
    for number in range(len(edges) - 1) if wanted is None else np.flatnonzero(wanted).tolist():
        first, last = int(bounds[number]), int(bounds[number + 1])
        value[first:last] = measure(track, int(edges[number]), first, last)
        looked[first:last] = True
    return looked & COMPARE[one.op](value, one.threshold), value


def _may_differ(one: Correlation, track: Track) -> Flags | None:
    """Say which groups have enough different values in all; None: that rules out none."""
    if one.op not in {"gt", "gte", "eq"}:
        return None
    rows, edges = track.rows, track.edges
    order = np.lexsort((rows.value, rows.group))
    group, value = rows.group[order], rows.value[order]
    fresh = np.ones(len(rows), bool)
    fresh[1:] = (group[1:] != group[:-1]) | (value[1:] != value[:-1])
    many: Flags = COMPARE["gt" if one.op == "gt" else "gte"](
        np.add.reduceat(fresh, edges[:-1]), one.threshold
    )
    return many


def _may_reach(one: Correlation, track: Track) -> Flags | None:
    """Say which groups have a number on the right side of the threshold: a mean has, too, then only."""
    furthest = {"gt": np.maximum, "gte": np.maximum, "lt": np.minimum, "lte": np.minimum}.get(one.op)
    if furthest is None:
        return None
    reach: Flags = COMPARE[one.op](furthest.reduceat(track.rows.value, track.edges[:-1]), one.threshold)
    return reach


def _whole_sums(track: Track) -> Reals | None:
    """Add up whole numbers in one go; None where that would not be exact."""
    value = track.rows.value
    if not (value == np.trunc(value)).all() or float(np.abs(value).sum()) >= _EXACT:
        return None
    upto: Numbers = np.concatenate(([0], np.cumsum(value.astype(np.int64))))
    return (upto[track.steps + 1] - upto[track.low]).astype(np.float64)


def _distinct(track: Track, start: int, first: int, last: int) -> list[float]:
    value, times = track.rows.value, dict[int, int]()
    found, low, at = [], start, start
    for step in range(first, last):
        for place in range(at, int(track.steps[step]) + 1):
            one = int(value[place])
            times[one] = times.get(one, 0) + 1
        at = int(track.steps[step]) + 1
        for place in range(low, int(track.low[step])):
            one = int(value[place])
            left = times[one] - 1
            if left:
                times[one] = left
            else:
                del times[one]
        low = int(track.low[step])
        found.append(float(len(times)))
    return found


def _exact_sums(track: Track, start: int, first: int, last: int) -> list[tuple[Fraction, int]]:
    total, found, low, at = Fraction(0), [], start, start
    value = track.rows.value
    for step in range(first, last):
        end, new = int(track.steps[step]) + 1, int(track.low[step])
        total += sum((Fraction(float(value[place])) for place in range(at, end)), Fraction(0))
        total -= sum((Fraction(float(value[place])) for place in range(low, new)), Fraction(0))
        at, low = end, new
        found.append((total, at - low))
    return found


def _sums(track: Track, start: int, first: int, last: int) -> list[float]:
    return [nearest(total) for total, _ in _exact_sums(track, start, first, last)]


def _means(track: Track, start: int, first: int, last: int) -> list[float]:
    return [nearest(total / count) for total, count in _exact_sums(track, start, first, last)]


def nearest(exact: Fraction) -> float:
    """Return the nearest number there is."""
    try:
        return float(exact)
    except OverflowError:
        return sys.float_info.max if exact > 0 else -sys.float_info.max


def _percentiles(track: Track, start: int, first: int, last: int, part: float) -> list[float]:
    value, inside = track.rows.value, list[float]()
    found, low, at = [], start, start
    for step in range(first, last):
        for place in range(at, int(track.steps[step]) + 1):
            insort(inside, float(value[place]))
        at = int(track.steps[step]) + 1
        for place in range(low, int(track.low[step])):
            del inside[bisect_left(inside, float(value[place]))]
        low = int(track.low[step])
        found.append(percentile(inside, part))
    return found


def percentile(inside: list[float], part: float) -> float:
    """Return what lies at a part of the way through sorted numbers, between the two beside it."""
    place = part * (len(inside) - 1)
    below = int(place)
    if below + 1 >= len(inside):
        return inside[-1]
    rest = place - below
    return inside[below] * (1 - rest) + inside[below + 1] * rest
