"""What Sigma's temporal types ask of each window: which rules matched in it, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from lemnis.contracts.correlations import Correlation, Expression
from lemnis.correlate.sigma_counts import COMPARE, Measured
from lemnis.correlate.windows import Flags, Numbers, Reals, Track

_NEVER = -(2**62)
Way = tuple[tuple[int, ...], tuple[int, ...]]


def temporal(one: Correlation, track: Track) -> Measured:
    """Ask which rules matched; a plain condition is about how many of them did."""
    there = [_last(track, ref)[track.steps] > track.key[track.steps] - track.span for ref in _refs(one)]
    count = np.sum(there, axis=0).astype(np.float64)
    if one.expression is None:
        return COMPARE[one.op](count, one.threshold), count
    return _held(one.expression, there), count


def temporal_ordered(one: Correlation, track: Track) -> Measured:
    """Ask whether the rules matched in their order; of one moment, any order is taken to be theirs.

    One after the other they are different events. With a condition, the rules of one of the ways to meet it
    must be in order, and those that it excludes must not be there.
    """
    refs = _refs(one)
    ways = [(tuple(refs), ())] if one.expression is None else ways_to_hold(one.expression)
    edge = track.key - track.span
    seen: Mapping[int, Numbers] = {ref: _last(track, ref) for ref in refs}
    held = np.zeros(len(track.steps), bool)
    for inside, outside in ways:
        chain = _chain(track, inside) > edge
        for ref in outside:
            chain &= seen[ref] <= edge
        held |= chain[track.steps]
    count: Reals = np.sum([(seen[ref] > edge)[track.steps] for ref in refs], axis=0).astype(np.float64)
    return held, count


def _refs(one: Correlation) -> range:
    return range(len(one.references))


def _last(track: Track, ref: int) -> Numbers:
    """Return for each row the key of the last signal of a reference up to it."""
    last: Numbers = np.maximum.accumulate(np.where(track.rows.ref == ref, track.key, _NEVER))
    return last


def _held(expression: Expression, there: Sequence[Flags]) -> Flags:
    if isinstance(expression, int):
        return there[expression]
    parts = [_held(part, there) for part in expression[1:]]
    if expression[0] == "not":
        return ~parts[0]
    held: Flags = (np.logical_and if expression[0] == "and" else np.logical_or).reduce(parts)
    return held


def _chain(track: Track, refs: Sequence[int]) -> Numbers:
    """Return for each row the latest begin of a chain of these references, in order, that ended by then."""
    ref, key, uid = track.rows.ref, track.key, track.rows.uid
    start: Numbers = np.maximum.accumulate(np.where(ref == refs[0], key, _NEVER))
    twice = _twice(track, refs)
    for one in refs[1:]:
        start = np.maximum.accumulate(np.where(ref == one, start, _NEVER))
    if not twice.any() and len(set(refs)) == len(refs):
        return start
    # Where one event matched two of them, or a rule stands twice, the chain is followed event by event.
    edges = track.edges
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if twice[first:last].any() or len(set(refs)) < len(refs):
            some = slice(first, last)
            start[some] = _followed(ref[some].tolist(), key[some].tolist(), uid[some].tolist(), refs)
    return start


def _twice(track: Track, refs: Sequence[int]) -> Flags:
    """Say which rows are of an event that matched two of the references."""
    rows = track.rows
    mine = np.isin(rows.ref, np.array(refs))
    order = np.lexsort((~mine, rows.uid, rows.group))
    group, uid, of = rows.group[order], rows.uid[order], mine[order]
    pair = (group[1:] == group[:-1]) & (uid[1:] == uid[:-1]) & of[1:] & of[:-1]
    again = np.zeros(len(rows), bool)
    again[order[1:][pair]] = True
    return again


def _followed(ref: Sequence[int], key: Sequence[int], uid: Sequence[int], refs: Sequence[int]) -> list[int]:
    """Do as ``_chain`` for one group, with different events for one reference and the next.

    For each place in the chain the two latest begins are kept whose last events differ: one of them will do
    for any next event. The rows of one moment come by reference; a reference that comes again later in the
    chain is looked at from the end, so that no event follows itself.
    """
    best: list[list[tuple[int, int]]] = [[] for _ in refs]
    found, at, count = [], 0, len(key)
    while at < count:
        end = at
        while end < count and key[end] == key[at]:
            end += 1
        changed = True
        while changed:  # of one moment, any order
            changed = False
            for place in range(at, end):
                for number, one in enumerate(refs):
                    if ref[place] != one:
                        continue
                    begin = _begin(best, number, key[place], uid[place])
                    if begin is not None and _keep(best[number], begin, uid[place]):
                        changed = True
        found += [best[-1][0][0] if best[-1] else _NEVER] * (end - at)
        at = end
    return found


def _begin(best: Sequence[Sequence[tuple[int, int]]], number: int, key: int, uid: int) -> int | None:
    if number == 0:
        return key
    return next((begin for begin, last in best[number - 1] if last != uid), None)


def _keep(best: list[tuple[int, int]], begin: int, uid: int) -> bool:
    """Keep the two latest begins with different last events; say whether that changed anything."""
    before = list(best)
    merged: dict[int, int] = {}
    for start, last in (*best, (begin, uid)):
        merged[last] = max(start, merged.get(last, start))
    best[:] = sorted(((start, last) for last, start in merged.items()), key=lambda p: (-p[0], p[1]))[:2]
    return best != before


def ways_to_hold(expression: Expression) -> list[Way]:
    """Return the ways to meet a condition: the references that must be there, and those that must not."""
    found = [way for way in _ways(expression, positive=True) if not set(way[0]) & set(way[1])]
    return list(dict.fromkeys(found))


def _ways(expression: Expression, *, positive: bool) -> list[Way]:
    if isinstance(expression, int):
        return [((expression,), ())] if positive else [((), (expression,))]
    if expression[0] == "not":
        return _ways(expression[1], positive=not positive)
    parts = [_ways(part, positive=positive) for part in expression[1:]]
    if (expression[0] == "or") == positive:
        return [way for part in parts for way in part]
    return [_both(combination) for combination in product(*parts)]


def _both(ways: Sequence[Way]) -> Way:
    inside = sorted({ref for way in ways for ref in way[0]})
    outside = sorted({ref for way in ways for ref in way[1]})
    return tuple(inside), tuple(outside)
