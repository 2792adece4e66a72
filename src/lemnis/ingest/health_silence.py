"""How long a source may say nothing before that is silence, learnt from the pauses that it made. Pure.

A pause is measured in the active steps of five minutes that were due in it by the season: a night in which
the source never speaks is no pause at all, an hour of its busiest time is a long one. A source is silent
when a pause is longer than twice the longest usual one, whatever hour it falls into. Regular and bursty
sources are told by the same rule, because the pauses learnt are their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lemnis.contracts.watching import DAY, HOUR, STEP, Beat
from lemnis.ingest.health_seasons import Activity, Floats, Hours

LEARNING = DAY
"""A source younger than this has taught too little."""
PAUSES = 6
"""As has one that made fewer pauses."""
_TIMES = 2.0
_LEAST = 15 * 60_000
_THREE_WEEKS = 3 * 168
_NEVER = 21 * DAY
_SOME = 20
"""Of so many pauses, in three weeks and more, the longest one is left out as unusual: it was an outage."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A pause and what was learnt of pauses, in active steps that were due.

    ``pause`` is the one that lasts, ``usual`` the longest usual one, ``alarm`` the one that is silence.
    ``since`` (ms) is the last sign of life, ``due`` (ms) when it is silent if nothing comes. ``pauses`` is
    how many were learnt from; ``learnt`` says that it is enough to judge, ``heard`` that Lemnis listens,
    ``broken`` that the last sign of life has just ended a silence, though the source speaks often.
    """

    pause: float
    usual: float
    alarm: float
    since: int
    due: int
    pauses: int
    learnt: bool
    heard: bool
    broken: bool = False

    def silent(self, now: int, *, was: bool = False) -> bool:
        """Say whether it is silent; one that ``was`` is so until more than a single sign of life came."""
        if not (self.learnt and self.heard):
            return was
        return (self.pause > self.alarm and now - self.since >= _LEAST) or (was and self.broken)


def silence(spoke: Sequence[Beat], listening: Sequence[Beat], first: int, now: int) -> Silence:
    """Measure the pause that lasts against those that were; ``spoke`` are active beats, at least one.

    It is learnt from ``first`` (ms) up to the last of them.
    """
    points = _points(spoke)
    since = int(points[-1])
    hours = Hours.of(spoke, listening, first, since + HOUR)
    activity = Activity.learn(hours)
    clock = _Due(activity, listening)
    pauses = np.diff(clock.at(points))
    usual = _longest(pauses[:-1], len(hours)) if len(pauses) > 1 else 0.0  # the last one is judged, too
    pause = float(np.diff(clock.at(np.array([since, max(since, now)], dtype=np.float64)))[0])
    alarm = _TIMES * max(usual, min(1.0, activity.share(since)))
    due = max(activity.until(since, alarm, limit=_NEVER), since + _LEAST)
    learnt = len(hours) * HOUR >= LEARNING and len(pauses) >= PAUSES
    often = activity.share(since) > STEP / HOUR
    broken = bool(len(pauses) and often and float(pauses[-1]) > alarm)
    return Silence(pause, usual, alarm, since, due, len(pauses), learnt, clock.listens(now), broken)


def _longest(pauses: Floats, hours: int) -> float:
    """Return the longest usual pause."""
    known = len(pauses) >= _SOME and hours >= _THREE_WEEKS
    return float(np.sort(pauses)[-2 if known else -1])


def _points(spoke: Sequence[Beat]) -> Floats:
    """Return when the active steps of beats were: where only their number is known, evenly spread."""
    at, step, active = np.array([(beat.at, beat.step, beat.active) for beat in spoke]).T
    counts = np.minimum(active, step // STEP)
    numbers = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    found: Floats = np.repeat(at, counts) + (numbers + 0.5) * np.repeat(step / counts, counts)
    return found


class _Due:
    """How many active steps were due up to an instant, of those that Lemnis would have heard."""

    def __init__(self, activity: Activity, listening: Sequence[Beat]) -> None:
        edges, due = [0.0], [0.0]
        for beat in sorted(listening, key=lambda one: one.at):
            begin, end = max(edges[-1], float(beat.at)), float(beat.at + beat.step)
            if end > begin:  # of beats that overlap, what was counted is not counted again
                gain = activity.share(beat.at) * beat.active * (end - begin) / beat.step
                edges += [begin, end]
                due += [due[-1], due[-1] + gain]
        self._edges, self._due = np.array(edges), np.array(due)

    def at(self, instants: Floats) -> Floats:
        """Return how many were due up to each instant."""
        found: Floats = np.interp(instants, self._edges, self._due)
        return found

    def listens(self, now: int) -> bool:
        """Say whether Lemnis listens at present, so that nothing coming means something."""
        return now - float(self._edges[-1]) <= 2 * STEP
