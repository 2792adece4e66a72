"""How soon an incident must be answered: timers by priority, which stand still while it is on hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lemnis.content.schemas.handling import Handling as Policy
from lemnis.content.schemas.handling import Within
from lemnis.contracts.handling import Handling, Hold, Priority, Timer
from lemnis.contracts.incidents import Incident

NAMES = ("acknowledge", "contain", "resolve")


def timers(
    incident: Incident, handling: Handling, priority: Priority, policy: Policy, now: int
) -> tuple[Timer, ...]:
    """Return an incident's timers as they stand now (ms); none for one that was merged into another.

    Each runs from detection on. Time on hold, and time in which it was resolved before it was opened again,
    does not count; it is taken up by a person only once, so nothing pauses that. What was resolved needs no
    containing any more.
    """
    if incident.merged_into or priority is Priority.UNKNOWN:
        return ()
    spans: Mapping[Any, Within] = policy.sla
    within = spans[priority.name.lower()]
    first = [at for at in (handling.contained, handling.resolved) if at is not None]
    done = (handling.acknowledged, min(first, default=None), handling.resolved)
    found = []
    for name, end in zip(NAMES, done, strict=True):
        holds = handling.holds if name != "acknowledge" else ()
        span: int = getattr(within, name)
        found.append(_timer(name, (incident.opened, span, policy.near_percent), end, now, holds))
    return tuple(found)


def next_of(timers: Iterable[Timer]) -> Timer | None:
    """Return the timer that is due next of those that still run; one that ran out comes first."""
    waiting = [one for one in timers if one.done is None]
    return min(waiting, key=lambda one: (one.due, NAMES.index(one.name)), default=None)


def breached(timers: Iterable[Timer]) -> list[Timer]:
    """Return the timers that ran out while nobody has done what they wait for."""
    return [one for one in timers if one.state == "breached"]


def near(timers: Iterable[Timer]) -> list[Timer]:
    """Return the timers that run and have little time left."""
    return [one for one in timers if one.state == "near"]


def _timer(
    name: str, terms: tuple[int, int, int], done: int | None, now: int, holds: Sequence[Hold] = ()
) -> Timer:
    """Return a timer by its terms: its start, its span, and how many percent of that are near the end."""
    start, span, percent = terms
    end = now if done is None else done
    paused = sum(max(0, min(end, one.end or end) - max(start, one.start)) for one in holds)
    standing = done is None and any(one.end is None for one in holds)
    due = start + span + paused
    left, near = due - end, due - span * percent // 100
    if done is not None:
        state = "met" if left >= 0 else "missed"
    elif left < 0:
        state = "breached"
    else:
        state = "paused" if standing else "near" if now >= near else "running"
    return Timer(name, due, done, state, left, paused, near)
