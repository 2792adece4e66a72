"""How a source, or a host of one, does: measured against what it taught, with the numbers that say so. Pure.

A trouble begins when a measure passes one bound and ends when it is back within a closer one, so that nothing
flickers at a bound. What has too little history is judged by nothing but what needs none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lemnis.contracts.clock import span
from lemnis.contracts.watching import ALL, HOUR, STEP, Beat, History, slot_bounds
from lemnis.ingest.health_fields import Drift, Drifting, drift
from lemnis.ingest.health_seasons import Band, Hours, band
from lemnis.ingest.health_silence import Silence, silence

SILENT, REJECTING, LAGGING, DRIFTING, QUIET = "silent", "rejecting", "lagging", "drifting", "quiet"
LOUD, LIVING = "loud", "living"
TROUBLES = (SILENT, REJECTING, LAGGING, DRIFTING, QUIET, LOUD)
"""What can be wrong, the worst first."""
_SPARK_HOURS = 24
_WINDOW = HOUR
_HEARD = 0.75
"""Lemnis must have listened for this part of what is usual in an hour to judge a rate by it."""
_BUSY = 10.0
"""A source with fewer events an hour is not judged by its rate."""
_REJECTS, _REJECTED, _TIMES_REJECTED = 10, 0.02, 3.0
_LATE, _TIMES_LATE, _LAG_HOURS = 5 * 60_000, 2.0, 6
_MEDIAN, _HIGH = 0.5, 0.99
_OF_DEPLOYS = frozenset({SILENT, DRIFTING, QUIET, LOUD})
"""What a deploy that changed what is logged may look like; records that cannot be read are no such thing."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Quantiles of how late (ms) events are in the lake, now and as learnt; None where nothing is known."""

    p50: int | None
    p99: int | None
    learnt_p50: int | None
    learnt_p99: int | None
    waited_p99: int | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong: what, since when (ms), and in words with numbers why."""

    kind: str
    since: int
    why: str


@dataclass(frozen=True, slots=True)
class Health:
    """How a source does, or a host of it.

    ``rate`` are events an hour, by the last hour; ``band`` is what is usual at this hour. ``last`` is the
    newest event's time, ``received`` when events came last (ms, by five minutes). ``rejected`` is the share
    of the last hour's records that were not taken; ``spark`` are the events of the last 24 hours.
    ``learning`` says that its history is too short to judge silence by; ``fresh`` (ms) that nothing from
    before then was learnt from, 0: all was.
    """

    source: str
    host: str
    rate: float
    band: Band | None
    lag: Lag
    last: int | None
    received: int | None
    events: int
    rejects: int
    rejected: float
    silence: Silence | None
    drift: Drifting
    spark: tuple[int, ...]
    learning: bool
    troubles: tuple[Trouble, ...]
    fresh: int = 0

    @property
    def state(self) -> str:
        """Return the worst that is wrong, else that it lives."""
        return next((kind for kind in TROUBLES if any(one.kind == kind for one in self.troubles)), LIVING)


def judge_after(
    history: History,
    listening: Sequence[Beat],
    now: int,
    troubled: frozenset[str] = frozenset(),
    *,
    deployed: int,
) -> Health:
    """Measure a source or host whose service was deployed at an instant (ms).

    What went on as before is still measured by all that was learnt. What changed with the deploy (silence,
    rates, fields) is learnt anew from then on. What was wrong before stays so: a deploy excuses nothing old.
    """
    whole = judge(history, listening, now, troubled)
    explained = [
        _explained(one, whole, deployed, was=one.kind in troubled)
        for one in whole.troubles
        if one.kind in _OF_DEPLOYS
    ]
    if not explained or not all(explained):
        return whole
    return judge(history, listening, now, troubled - _OF_DEPLOYS, fresh=deployed)


def _explained(one: Trouble, health: Health, deployed: int, *, was: bool) -> bool:
    """Say whether a trouble can have begun with a deploy: silence, if it was not due before that."""
    if one.kind == SILENT:
        return health.silence is not None and health.silence.due >= deployed
    if one.kind == DRIFTING:
        return one.since + HOUR > deployed  # it is told by the hour
    return not was  # rates are of the last hour: whether they were so before is told by the last look


def history_since(history: History, at: int) -> History:
    """Return what of a history is from an instant (ms) on; what spans it is left out."""
    return replace(
        history,
        first=max(history.first, at),
        beats=tuple(beat for beat in history.beats if beat.at >= at),
        fields=tuple(one for one in history.fields if one.at >= at),
        sampled={begin: rows for begin, rows in history.sampled.items() if begin >= at},
    )


def judge(
    history: History,
    listening: Sequence[Beat],
    now: int,
    troubled: frozenset[str] = frozenset(),
    *,
    fresh: int = 0,
) -> Health:
    """Measure a source or host; ``troubled`` is what was wrong with it when it was looked at last.

    Pauses, rates and fields from before ``fresh`` (ms) teach nothing.
    """
    beats = history.beats
    learnt = history_since(history, fresh) if fresh else history
    hours = Hours.of(learnt.beats, listening, learnt.first, now)
    spoke = [beat for beat in learnt.beats if beat.active]
    since = now - _WINDOW - (now - _WINDOW) % STEP
    window = [beat for beat in beats if beat.at >= since]
    events, rejects = sum(b.events for b in window), sum(b.rejects for b in window)
    rate = events * _WINDOW / (now - since)
    heard = sum(beat.active for beat in listening if beat.at >= since) >= _HEARD * hours.usually_heard
    bands = [one for at in (now, now - _WINDOW) if (one := band(hours, at)) is not None]
    usual = min(bands, key=lambda one: one.low, default=None)  # the last hour may lie in two of the clock
    most = max(bands, key=lambda one: one.high, default=None)
    quiet_for = silence(spoke, listening, learnt.first, now) if spoke else None
    lag = _lag(history, now)
    whole = history.host == ALL
    drifting = drift(learnt.fields, learnt.sampled, now) if whole else Drifting((), learnt=False)
    found = [
        _silent(quiet_for, now, was=SILENT in troubled),
        _rejecting(beats, events, rejects, window, was=REJECTING in troubled),
        _lagging(lag, now, was=LAGGING in troubled),
        _drifting(drifting.found),
        _quiet(rate, usual, quiet_for, now, was=QUIET in troubled) if heard else None,
        _loud(rate, most, now, was=LOUD in troubled),
    ]
    troubles = tuple(one for one in found if one is not None)
    if troubles and troubles[0].kind == SILENT:
        troubles = tuple(one for one in troubles if one.kind != QUIET)
    return Health(
        history.source, history.host, rate, usual, lag,
        max((beat.last for beat in beats), default=0) or None,
        max((beat.at for beat in beats if beat.active), default=None),
        sum(beat.events for beat in beats), sum(beat.rejects for beat in beats),
        rejects / max(1, events + rejects), quiet_for, drifting, _spark(beats, now),
        quiet_for is None or not quiet_for.learnt, troubles, fresh,
    )  # fmt: skip


def _silent(one: Silence | None, now: int, *, was: bool) -> Trouble | None:
    if one is None or not one.silent(now, was=was):
        return None
    why = (
        f"nothing for {span(now - one.since)}, in which it speaks {one.pause:.1f} times as a rule; "
        f"its longest usual pause is {one.usual:.1f}, silence begins at {one.alarm:.1f} "
        f"({one.pauses:,} pauses learnt)"
    )
    return Trouble(SILENT, one.since, why)


def _quiet(rate: float, usual: Band | None, paused: Silence | None, now: int, *, was: bool) -> Trouble | None:
    if usual is None or usual.middle < _BUSY or paused is None or not paused.learnt or not paused.heard:
        return None
    bound = usual.calm if was else usual.low
    if rate >= bound:
        return None
    why = (
        f"{rate:,.0f} events in the last hour; usual are {usual.middle:,.0f}, at least {usual.low:,.0f} "
        f"(by the {usual.season}, {usual.samples} hours learnt)"
    )
    return Trouble(QUIET, now - now % HOUR, why)


def _loud(rate: float, usual: Band | None, now: int, *, was: bool) -> Trouble | None:
    """Say that there is more than is usual: what floods, repeats itself, or is attacked."""
    if usual is None or rate < _BUSY:
        return None
    bound = usual.eased if was else usual.high
    if rate <= bound:
        return None
    why = (
        f"{rate:,.0f} events in the last hour; usual are {usual.middle:,.0f}, at most {usual.high:,.0f} "
        f"(by the {usual.season}, {usual.samples} hours learnt)"
    )
    return Trouble(LOUD, now - now % HOUR, why)


def _rejecting(
    beats: Sequence[Beat], events: int, rejects: int, window: Sequence[Beat], *, was: bool
) -> Trouble | None:
    share = rejects / max(1, events + rejects)
    old = [beat for beat in beats if beat.at < (window[0].at if window else 0)]
    refused, taken = sum(b.rejects for b in old), sum(b.events for b in old)
    learnt = refused / max(1, refused + taken)
    bound = max(_REJECTED, _TIMES_REJECTED * learnt)
    if rejects < _REJECTS or share <= (bound / 2 if was else min(bound, 0.9)):
        return None
    first = next(beat.at for beat in window if beat.rejects)
    why = (
        f"{rejects:,} of {events + rejects:,} records of the last hour were not taken ({share:.1%}); "
        f"usual: {learnt:.1%}"
    )
    return Trouble(REJECTING, first, why)


def _lagging(lag: Lag, now: int, *, was: bool) -> Trouble | None:
    if lag.p50 is None or lag.learnt_p99 is None:
        return None
    bound = max(_LATE, lag.learnt_p99 if was else _TIMES_LATE * lag.learnt_p99)
    if lag.p50 <= bound:
        return None
    why = (
        f"half of the events are in the lake more than {span(lag.p50)} after their time; "
        f"usual are {span(lag.learnt_p50 or 0)}, at most {span(lag.learnt_p99)}"
    )
    return Trouble(LAGGING, now - now % HOUR, why)


def _drifting(found: Sequence[Drift]) -> Trouble | None:
    if not found:
        return None
    counts = {one.change: sum(1 for other in found if other.change == one.change) for one in found}
    why = ", ".join(f"{count} {change}" for change, count in counts.items())
    named = ", ".join(one.field for one in found[:5]) + (" …" if len(found) > 5 else "")  # noqa: PLR2004
    return Trouble(DRIFTING, min(one.since for one in found), f"fields: {why} ({named})")


def _lag(history: History, now: int) -> Lag:
    """Return the lag of this hour and the one before, and what was usual in the hours before those."""
    recent = now - now % HOUR - HOUR
    mine = _quantiles([slots for at, slots in history.lags.items() if at >= recent])
    waits = _quantiles([slots for at, slots in history.waits.items() if at >= recent])
    old = [_quantiles([slots]) for at, slots in sorted(history.lags.items()) if at < recent]
    if len(old) < _LAG_HOURS:
        return Lag(*mine, None, None, waits[1])
    middles, highs = (sorted(one[place] or 0 for one in old) for place in (0, 1))
    return Lag(*mine, middles[len(middles) // 2], highs[len(highs) // 2], waits[1])


def _quantiles(hours: Sequence[Mapping[int, int]]) -> tuple[int | None, int | None]:
    """Return the median and the 99th hundredth of lags counted by slots, each within its slot's bounds."""
    counts: dict[int, int] = {}
    for slots in hours:
        for slot, count in slots.items():
            counts[slot] = counts.get(slot, 0) + count
    if not counts:
        return None, None
    return _quantile(counts, _MEDIAN), _quantile(counts, _HIGH)


def _quantile(counts: Mapping[int, int], part: float) -> int:
    rest = part * sum(counts.values())
    for slot in sorted(counts):
        if counts[slot] >= rest:
            low, high = slot_bounds(slot)
            return round(low + (high - low) * rest / counts[slot])
        rest -= counts[slot]
    return slot_bounds(max(counts))[1]


def _spark(beats: Sequence[Beat], now: int) -> tuple[int, ...]:
    """Return the events of the last 24 hours, this one the last."""
    hours = [0] * _SPARK_HOURS
    for beat in beats:
        ago = now // HOUR - beat.at // HOUR
        if 0 <= ago < _SPARK_HOURS:
            hours[_SPARK_HOURS - 1 - ago] += beat.events
    return tuple(hours)
