"""Whether lessons prevent anything, from the journal's entries: pure functions, no opinion.

A gate's block is *wrong* where it was overruled: the same subject passed the same stage later (by an
exception, or because the gate was changed). It is *right* where it stood and work went on: something later
passed this stage of this repository. Until then it is *open*, and counts for neither. What a developer spent
on a block is the time from it to what passed next, a working day at most: a night is no work.

Where causes are seen is told by stages, from left (the editor) to right (what runs). A cause *escapes* if it
is seen only where it runs; how far it *travelled* is the number of stages between where it could be seen
first and where it was seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal, NamedTuple

from lemnis.contracts.journal import Entry

STAGES = ("editor", "commit", "pull_request", "build", "release", "deploy", "runtime")
"""From left to right; ``playbook`` is a stage of gates, but none of a change's way."""
RUNTIME = STAGES[-1]
WORKING_DAY = 480.0
"""Minutes: so much a block costs at most."""
_ENOUGH = 5
_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Block:
    """A subject that a gate stopped: at which stage, when (ms), what became of it, the minutes until then."""

    gate: str
    subject: str
    stage: str
    at: int
    repository: str
    outcome: Literal["right", "wrong", "open"]
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One time that a cause was seen: when (ms), at which stage, what saw it."""

    cause: str
    at: int
    stage: str
    what: str


@dataclass(frozen=True, slots=True)
class Escape:
    """How often a cause was seen, how often only where it runs, and the stages it travelled on average."""

    seen: int = 0
    escaped: int = 0
    travelled: float | None = None


@dataclass(frozen=True, slots=True)
class Taught:
    """A lesson as it is measured.

    ``opened``: when its incident was (ms); ``enforced``: when its gate came into the content, None if it is
    not, or was merged by git, which the journal does not know. ``visible`` is the earliest stage at which its
    gate sees the cause; ``again`` are incidents that came of the same cause although it was merged, by when.
    """

    lesson: str
    incident: str
    cause: str
    gate: str
    state: str
    opened: int | None = None
    proven: int | None = None
    enforced: int | None = None
    visible: str = "commit"
    again: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Measures:
    """What a lesson did: see the module."""

    taught: Taught
    blocks: tuple[Block, ...] = ()
    before: Escape = Escape()
    after: Escape = Escape()
    days: float = 0.0
    """Days since it was enforced."""
    exposed_before: int | None = None
    exposed_now: int | None = None
    seen: tuple[Seen, ...] = field(default=())

    @property
    def to_gate(self) -> int | None:
        """Milliseconds from the incident to its enforced gate."""
        one = self.taught
        return None if one.opened is None or one.enforced is None else one.enforced - one.opened

    @property
    def right(self) -> int:
        """Blocks that stood."""
        return sum(one.outcome == "right" for one in self.blocks)

    @property
    def wrong(self) -> int:
        """Blocks that were overruled."""
        return sum(one.outcome == "wrong" for one in self.blocks)

    @property
    def open(self) -> int:
        """Blocks of which nothing came yet."""
        return sum(one.outcome == "open" for one in self.blocks)

    @property
    def developer_minutes(self) -> float:
        """Minutes that developers spent on its blocks, as far as that is known."""
        return sum(one.minutes or 0.0 for one in self.blocks)

    @property
    def removed(self) -> int | None:
        """How many are not exposed to the cause any more; below 0 if more are. None if that is not known."""
        if self.exposed_before is None or self.exposed_now is None:
            return None
        return self.exposed_before - self.exposed_now


def minutes_an_alert(worked: Iterable[tuple[int, int]]) -> float | None:
    """Return the median of minutes an alert, over incidents: how long they took (ms), how many alerts.

    None for fewer than five: the settings know better than so few.
    """
    each = [took / _MINUTE / alerts for took, alerts in worked if alerts > 0 and took > 0]
    return round(median(each), 3) if len(each) >= _ENOUGH else None


def blocks(decisions: Iterable[Entry], gates: Collection[str]) -> dict[str, list[Block]]:
    """Return what each of these gates stopped, of the journal's decisions in their order."""
    lanes: dict[tuple[str, str], list[_Decided]] = {}
    for entry in decisions:
        payload: Mapping[str, Any] = entry.payload
        if payload.get("decision") != "unknown":
            lane = str(payload.get("stage", "")), str(payload.get("repository", ""))
            lanes.setdefault(lane, []).append(_Decided(entry.subject, entry.at, _refusing(payload)))
    found: dict[str, list[Block]] = {gate: [] for gate in gates}
    for (stage, repository), decided in lanes.items():
        for gate in found:
            found[gate] += _blocks(gate, stage, repository, decided)
    return {gate: sorted(some, key=lambda one: (one.at, one.subject)) for gate, some in found.items()}


class _Decided(NamedTuple):
    """A decision: about what, when (ms), and which policies refused it."""

    subject: str
    at: int
    by: frozenset[str]


def _blocks(gate: str, stage: str, repository: str, lane: Sequence[_Decided]) -> list[Block]:
    """Return what one gate stopped at one stage of one repository; read from the last decision back."""
    found: dict[str, Block] = {}
    passed: dict[str, int] = {}
    ended: int | None = None
    for one in reversed(lane):
        if gate not in one.by:
            passed[one.subject] = ended = one.at
            continue
        overruled = passed.get(one.subject)
        until = ended if overruled is None else overruled
        found[one.subject] = Block(  # of several about the same subject, the first is read last
            gate, one.subject, stage, one.at, repository,
            "wrong" if overruled is not None else "open" if until is None else "right",
            None if until is None else min(WORKING_DAY, (until - one.at) / _MINUTE),
        )  # fmt: skip
    return list(found.values())


def escape(seen: Iterable[Seen], visible: str) -> Escape:
    """Return how far a cause came before it was seen; ``visible`` is where it could have been seen first."""
    stages = [one.stage for one in seen if one.stage in STAGES]
    if not stages:
        return Escape()
    begin = STAGES.index(visible) if visible in STAGES else 0
    way = [max(0, STAGES.index(stage) - begin) for stage in stages]
    return Escape(len(stages), stages.count(RUNTIME), sum(way) / len(way))


def sightings(taught: Taught, stopped: Iterable[Block]) -> list[Seen]:
    """Return each time that a lesson's cause was seen: its incident, what came again, what the gate stopped.

    What the gate stopped wrongly was not the cause.
    """
    found = [Seen(taught.cause, at, RUNTIME, name) for name, at in taught.again]
    if taught.opened is not None:
        found.append(Seen(taught.cause, taught.opened, RUNTIME, taught.incident))
    found += [Seen(taught.cause, one.at, one.stage, one.subject) for one in stopped if one.outcome != "wrong"]
    return sorted(found, key=lambda one: (one.at, one.what))


def measure(
    taught: Taught,
    stopped: Sequence[Block],
    now: int,
    *,
    exposed: tuple[int | None, int | None] = (None, None),
) -> Measures:
    """Measure one lesson as of ``now`` (ms); ``exposed`` is how many were and are, as the graph knows."""
    seen = sightings(taught, stopped)
    since = taught.enforced
    return Measures(
        taught, tuple(stopped),
        before=escape((one for one in seen if since is None or one.at < since), taught.visible),
        after=escape((one for one in seen if since is not None and one.at >= since), taught.visible),
        days=0.0 if since is None else max(0, now - since) / 86_400_000,
        exposed_before=exposed[0], exposed_now=exposed[1], seen=tuple(seen),
    )  # fmt: skip


def recurrence(measures: Iterable[Measures]) -> dict[str, tuple[int, float]]:
    """Return for each cause how often it came again, and for how many days its gates have been enforced.

    The days are those of the oldest gate against it; an incident counts once for its cause.
    """
    again: dict[str, set[str]] = {}
    days: dict[str, float] = {}
    for one in measures:
        if one.taught.enforced is not None:
            again.setdefault(one.taught.cause, set()).update(name for name, _ in one.taught.again)
            days[one.taught.cause] = max(days.get(one.taught.cause, 0.0), one.days)
    return {cause: (len(found), days[cause]) for cause, found in again.items()}


def _refusing(payload: Mapping[str, Any]) -> frozenset[str]:
    """Return the policies that refused in a decision."""
    if payload.get("decision") != "deny":
        return frozenset()
    return frozenset(
        str(reason.get("policy", ""))
        for reason in payload.get("reasons", ())
        if reason.get("effect") == "deny"
    )
