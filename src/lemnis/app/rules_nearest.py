"""The nearest miss of a correlation: of all groups and moments the one that was closest to an alert. Pure.

What counts is measured by the evaluation itself; only which of the misses is the nearest is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lemnis.contracts.clock import to_iso
from lemnis.contracts.correlations import SEPARATOR, Correlation, split
from lemnis.contracts.counting import counted
from lemnis.correlate import sigma_counts
from lemnis.correlate.held import Held
from lemnis.correlate.incremental import Correlator, Told
from lemnis.correlate.sigma_counts import Measured
from lemnis.correlate.windows import Rows, Track, tracks
from lemnis.detect.explain import Step

_WORDS = {
    "gte": "at least",
    "gt": "more than",
    "lte": "at most",
    "lt": "less than",
    "eq": "exactly",
    "neq": "not",
}
_COUNTS: Mapping[str, tuple[str, Callable[[Correlation, Track], Measured]]] = {
    "event_count": ("events", sigma_counts.event_count),
    "value_count": ("different values", sigma_counts.value_count),
    "value_sum": ("as the sum", sigma_counts.value_sum),
    "value_avg": ("as the mean", sigma_counts.value_avg),
    "value_percentile": ("as the percentile", sigma_counts.value_percentile),
    "value_median": ("as the median", sigma_counts.value_percentile),
}
_ONCE = {"event_count": "uid", "baseline": "uid"}
_SHOWN, _FEW = 20, 3
_WINDOWS, _TIED = 20_000, 1_000
"""So many windows are looked at for the nearest miss of steps."""
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the signals: a name for each event (a record's number), and how far sources came."""

    names: Mapping[str, str]
    clocks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Look:
    """One correlation with its signals."""

    one: Correlation
    held: Held
    rows: Rows
    correlator: Correlator
    known: Known

    def group(self, code: int) -> str:
        """Name a group."""
        values = split(self.held.groups[code], len(self.one.group_by))
        return ", ".join(f"{name} is {value}" for name, value in zip(self.one.group_by, values, strict=True))

    def events(self, rows: Rows, places: Sequence[int]) -> str:
        """Name the events of some rows."""
        keys = dict.fromkeys(int(rows.uid[place]) for place in places)
        names = [self.known.names.get(text, text) for text in map(self.correlator.uids.text, keys)]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return ", ".join(names[:_SHOWN]) + more

    def between(self, rows: Rows, start: int, stop: int) -> str:
        """Name the events of a window, and when it was."""
        if start >= stop:
            return ""
        when = f"{to_iso(int(rows.time[start]))} to {to_iso(int(rows.time[stop - 1]))}"
        return f"{self.events(rows, range(start, stop))}; {when}"


def nearest(one: Correlation, correlator: Correlator, told: Sequence[Told], known: Known) -> Step:
    """Say of each part of a correlation whether it held, and where it came nearest; ``told`` are episodes."""
    held = correlator.held[one.digest]
    look = _Look(one, held, held.rows(), correlator, known)
    parts = [_reference(look, place) for place in range(len(one.references))]
    mine = [episode for episode in told if episode.correlation.digest == one.digest]
    if mine:
        parts += (_episode(look, episode) for episode in mine[:_SHOWN])
    elif len(look.rows):
        parts += _missed(look)
    return Step(asked(one), bool(mine), counted(len(mine), "time") if mine else "", tuple(parts))


def asked(one: Correlation) -> str:
    """Say what a correlation asks."""
    by = f", the same {' and '.join(one.group_by)}" if one.group_by else ""
    return f"{_what(one)} within {spelled(one.timespan)}{by}"


def _what(one: Correlation) -> str:
    names = [ref.name for ref in one.references]
    if one.kind in _COUNTS:
        return f"{_WORDS[one.op]} {one.threshold:g} {_COUNTS[one.kind][0]}"
    if one.kind in {"temporal_ordered", "sequence"}:
        ended = f", not {' or '.join(names[one.others :])} in between" if one.kind == "sequence" else ""
        return " then ".join(names[: one.others] if one.kind == "sequence" else names) + (
            ended if len(names) > one.others else ""
        )
    if one.kind == "temporal":
        return f"{_WORDS[one.op]} {one.threshold:g} of " + ", ".join(names)
    if one.kind == "absence":
        return f"{', '.join(names[: one.others])} without {', '.join(names[one.others :])}"
    return {
        "new_terms": "a value that was not there before",
        "baseline": f"a count {one.sigma:g} deviations off the {one.buckets} before (and {one.threshold:g})",
        "entity_risk": f"risk of at least {one.threshold:g}, halved in {spelled(one.half_life)},",
    }[one.kind]


def spelled(milliseconds: int) -> str:
    """Write a time span as Sigma does."""
    for size, unit in _UNITS:
        if milliseconds >= size and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds / 1000:g}s"


def _reference(look: _Look, place: int) -> Step:
    """Say how often a reference matched, in whatever group."""
    ref = look.one.references[place]
    mine = np.flatnonzero(look.rows.ref == place)
    count = len(np.unique(look.rows.uid[mine]))
    value = f"{counted(count, 'time')}: {look.events(look.rows, mine.tolist())}" if count else "never"
    ends = " (ends it)" if place >= look.one.others else ""
    return Step(f"{ref.name} matched{ends}", count > 0, value)


def _episode(look: _Look, episode: Told) -> Step:
    names = [look.known.names.get(one.uid, one.uid) for one in episode.evidence]
    group = dict(zip(look.one.group_by, episode.group, strict=True))
    asks = ", ".join(f"{name} is {value}" for name, value in group.items()) or "all together"
    value = f"{episode.value:g}" if look.one.kind in _COUNTS or look.one.kind == "entity_risk" else ""
    when = f"{to_iso(episode.first)} to {to_iso(episode.last)}"
    return Step(asks, holds=True, value=f"{value} {', '.join(names[:_SHOWN])}; {when}".strip())


def _missed(look: _Look) -> Iterator[Step]:
    kind = look.one.kind
    if kind in _COUNTS:
        yield _counted(look)
    elif kind in {"temporal", "temporal_ordered", "sequence"}:
        yield _stepped(look)
    elif kind == "absence":
        yield from _answered(look)
    elif kind == "new_terms":
        yield from _old(look)
    elif kind == "entity_risk":
        yield _risk(look)
    else:
        yield _bucket(look)


def _counted(look: _Look) -> Step:
    """Find the window that comes nearest to the threshold."""
    one = look.one
    best: tuple[float, Track, int, float] | None = None
    everywhere = replace(one, op="neq")  # with an order, only groups that may meet it are measured
    for track in tracks(look.rows, one.timespan, once=_ONCE.get(one.kind, "value")):
        _, values = _COUNTS[one.kind][1](everywhere, track)
        off = np.abs(values - one.threshold)
        step = int(off.argmin())
        if best is None or off[step] < best[0]:
            best = (float(off[step]), track, step, float(values[step]))
    assert best is not None  # noqa: S101 - there are rows
    short, track, step, value = best
    start, stop = int(track.low[step]), int(track.steps[step]) + 1
    missing = f"{short:g} {'short' if one.op in {'gte', 'gt'} else 'off'}"
    return Step(
        _titled("the nearest window", look.group(int(track.rows.group[start]))), holds=False,
        value=f"{value:g}, {missing}: {look.between(track.rows, start, stop)}",
    )  # fmt: skip


def _titled(what: str, group: str) -> str:
    return f"{what}: {group}" if group else what


@dataclass(frozen=True, slots=True)
class _Window:
    """A window of one group, and the places of the steps that it has (of ordered ones, from the first)."""

    track: Track
    start: int
    stop: int
    chain: tuple[int, ...]

    @property
    def group(self) -> int:
        """The code of its group."""
        return int(self.track.rows.group[self.start])


def _stepped(look: _Look) -> Step:
    """Find the window with the most of the steps, and say where the others were."""
    windows = list(_windows(look))
    most = max(len(window.chain) for window in windows)
    tied = [window for window in windows if len(window.chain) == most][:_TIED]
    best = min(tied, key=lambda window: _distance(look, window))
    rows, refs = best.track.rows, _steps(look.one)
    there = {int(rows.ref[place]): place for place in best.chain}
    parts = []
    for ref in refs:
        name = look.one.references[ref].name
        if ref in there:
            place = there[ref]
            value = f"{look.events(rows, [place])}; {to_iso(int(rows.time[place]))}"
            parts.append(Step(name, holds=True, value=value))
        else:
            parts.append(Step(name, holds=False, value=_elsewhere(look, best, ref)))
    parts += _ended(look, best)
    value = f"{len(there)} of {len(refs)}"
    return Step(
        _titled("the nearest window", look.group(best.group)), holds=False, value=value, parts=tuple(parts)
    )


def _ended(look: _Look, window: _Window) -> Iterator[Step]:
    """Say what ended a sequence that has its steps."""
    if look.one.kind != "sequence" or len(window.chain) < look.one.others:
        return
    rows, (first, *_, last) = window.track.rows, window.chain
    for place in range(first, last):
        ref = int(rows.ref[place])
        if ref >= look.one.others:
            value = f"{look.events(rows, [place])}; {to_iso(int(rows.time[place]))}"
            yield Step(f"ended by {look.one.references[ref].name}", holds=False, value=value)


def _distance(look: _Look, window: _Window) -> float:
    """Return how far from a window, in time, the first of its missing steps came in its group."""
    rows = window.track.rows
    there = {int(rows.ref[place]) for place in window.chain}
    missing = next((ref for ref in _steps(look.one) if ref not in there), None)
    times = look.rows.time[(look.rows.ref == missing) & (look.rows.group == window.group)]
    last = int(rows.time[window.chain[-1] if window.chain else window.start])
    if look.one.kind != "temporal":
        times = times[times >= last]
    return float(np.abs(times - last).min()) if len(times) else float("inf")


def _steps(one: Correlation) -> range:
    return range(one.others if one.kind == "sequence" else len(one.references))


def _windows(look: _Look) -> Iterator[_Window]:
    ordered, refs = look.one.kind != "temporal", _steps(look.one)
    for track in tracks(look.rows, look.one.timespan, once="ref"):
        ref = track.rows.ref.tolist()
        steps = zip(track.low.tolist(), track.steps.tolist(), strict=True)
        for start, last in list(steps)[:_WINDOWS]:
            chain: list[int] = []
            seen: set[int] = set()
            for place in range(start, last + 1):
                if ref[place] in seen or ref[place] not in refs:
                    continue
                if not ordered or ref[place] == refs[len(chain)]:
                    seen.add(ref[place])
                    chain.append(place)
            yield _Window(track, start, last + 1, tuple(chain))


def _elsewhere(look: _Look, window: _Window, ref: int) -> str:
    """Say where the signal of a missing step is that is nearest to a window."""
    rows = look.rows
    mine = np.flatnonzero(rows.ref == ref)
    if not len(mine):
        return "never"
    same = mine[rows.group[mine] == window.group]
    if not len(same):
        groups = dict.fromkeys(look.group(int(code)) for code in rows.group[mine][:_FEW])
        return f"only where {' or '.join(groups)}: {look.events(rows, mine.tolist())}"
    first = int(window.track.rows.time[window.start])
    last = int(window.track.rows.time[window.chain[-1]]) if window.chain else first
    after = same[rows.time[same] - first >= look.one.timespan]
    place = int(
        after[rows.time[after].argmin()] if len(after) else same[np.abs(rows.time[same] - last).argmin()]
    )
    at = int(rows.time[place])
    event = f"{look.events(rows, [place])}; {to_iso(at)}"
    if at - first >= look.one.timespan:
        return f"{spelled(at - first - look.one.timespan)} too late: {event}"
    return f"{spelled(last - at)} before that: {event}" if at < last else f"not after that: {event}"


def _answered(look: _Look) -> Iterator[Step]:
    """Say of each event that waits for an answer when that came, or until when it can."""
    rows, one = look.rows, look.one
    for place in np.flatnonzero(rows.ref < one.others)[:_SHOWN].tolist():
        group, at = rows.group[place], int(rows.time[place])
        later = (rows.ref >= one.others) & (rows.group == group) & (rows.time >= at)
        answers = np.flatnonzero(later & (rows.time <= at + one.timespan))
        if len(answers):
            answer = int(answers[rows.time[answers].argmin()])
            value = f"answered {spelled(int(rows.time[answer]) - at)} later: {look.events(rows, [answer])}"
        else:
            told = max(look.known.clocks.values(), default=at)
            value = f"not known before {to_iso(at + one.timespan)}; the logs end at {to_iso(told)}"
        asks = f"{look.events(rows, [place])}; {to_iso(at)}"
        yield Step(_titled(asks, look.group(int(group))), holds=False, value=value)


def _old(look: _Look) -> Iterator[Step]:
    """Say of each value when its group had it before, or how long the group is known."""
    rows = look.rows
    order = np.lexsort((rows.time, rows.value, rows.group)).tolist()
    begun: dict[int, int] = {}
    for group, time in zip(rows.group.tolist(), rows.time.tolist(), strict=True):
        begun[group] = min(time, begun.get(group, time))
    last: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for place in order:
        key = int(rows.group[place]), int(rows.value[place])
        at, known = int(rows.time[place]), begun[int(rows.group[place])]
        if key in last:
            gap, value = (
                at - last[key],
                f"there {spelled(at - last[key])} before: {look.events(rows, [place])}",
            )
        else:
            gap, value = at - known, f"new, but its group is only known for {spelled(at - known)}"
            value += f": {look.events(rows, [place])}"
        if key not in found or gap > found[key][0]:
            found[key] = gap, value
        last[key] = at
    nearest_first = sorted(found.items(), key=lambda item: -item[1][0])
    for (group, code), (_, value) in nearest_first[:_SHOWN]:
        term = ", ".join(look.held.terms.get(code, "").split(SEPARATOR))
        yield Step(_titled(f"{term!r}", look.group(group)), holds=False, value=value)


def _risk(look: _Look) -> Step:
    """Find the entity whose risk was highest."""
    rows, one = look.rows, look.one
    best, level, at, before = (-1.0, 0, 0), 0.0, 0, -1
    for place in np.lexsort((rows.time, rows.group)).tolist():
        group, time = int(rows.group[place]), int(rows.time[place])
        level = level * 2.0 ** (-(time - at) / one.half_life) if group == before else 0.0
        level += one.scores[int(rows.ref[place])]
        at, before = time, group
        if level > best[0]:
            best = (level, group, time)
    level, group, at = best
    mine = np.flatnonzero((rows.group == group) & (rows.time <= at)).tolist()
    return Step(
        _titled("the highest risk", look.group(group)), holds=False,
        value=f"{level:.1f}, {one.threshold - level:.1f} short at {to_iso(at)}: {look.events(rows, mine)}",
    )  # fmt: skip


def _bucket(look: _Look) -> Step:
    """Find the bucket whose count was nearest to what its group's baseline allows."""
    rows, one = look.rows, look.one
    best: tuple[float, str, str] = (-1.0, "", "")
    for group in np.unique(rows.group).tolist():
        which, counts = np.unique(rows.time[rows.group == group] // one.timespan, return_counts=True)
        count_of = dict(zip(which.tolist(), counts.tolist(), strict=True))
        for bucket, count in count_of.items():
            before = np.array([count_of.get(bucket - back, 0) for back in range(1, one.buckets + 1)])
            limit = max(one.threshold, float(before.mean()) + one.sigma * float(before.std()))
            seen = any(bucket - 2 * one.buckets <= other <= bucket - one.buckets for other in count_of)
            value = f"{count} at {to_iso(bucket * one.timespan)}, {limit:.1f} is the limit"
            if not seen:
                value += "; nothing is said of a group that is not known long enough"
            best = max(best, (count / limit + seen, look.group(group), value))
    return Step(_titled("the nearest count", best[1]), holds=False, value=best[2])
