"""How well incidents are handled: times by percentiles, verdicts by share, what came again. Pure.

Percentiles are by nearest rank: each is a time that was measured. Shares have Wilson's interval of 95 %, so
that two verdicts of two are not taken for certainty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from lemnis.contracts.alerts import Verdict
from lemnis.contracts.handling import Asset, Handling
from lemnis.contracts.ids import Json
from lemnis.contracts.incidents import Incident

TIMES = ("detect", "acknowledge", "contain", "recover")
RANKS = (50, 90, 95)
NOBODY = "unknown"
_TRUE = frozenset({Verdict.TRUE_POSITIVE, Verdict.SECURITY_RISK})
_FALSE = frozenset({Verdict.FALSE_POSITIVE})
_BENIGN = frozenset({Verdict.BENIGN, Verdict.TEST, Verdict.DISREGARD})
_NO_REPEAT = frozenset({*_FALSE, *_BENIGN, Verdict.DUPLICATE})
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Measured:
    """One incident's times (ms; None: not yet), verdict and what it is counted under."""

    incident: Incident
    times: Mapping[str, int | None]
    teams: tuple[str, ...]
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A share of what was judged: how many of how many, and the interval that it lies in (0 to 1)."""

    count: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        """Return the share; None if nothing was judged."""
        return self.count / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one detection, team or service; ``times``: how many, and percentiles by rank (ms)."""

    name: str
    title: str
    incidents: int
    open: int
    times: Mapping[str, tuple[int, Mapping[int, int]]]
    verdicts: Mapping[str, Share]
    repeats: tuple[Repeat, ...] = ()

    @property
    def again(self) -> int:
        """Return how many of its incidents came although a lesson was closed."""
        return len({one.incident for one in self.repeats})


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson that was closed: when (ms), of which incident, the rules that saw it, its cause."""

    id: str
    closed: int
    incident: str
    rules: frozenset[str]
    cause: str


@dataclass(frozen=True, slots=True)
class Repeat:
    """An incident that came although a lesson was closed, and what is the same: ``rule`` or ``cause``."""

    incident: str
    lesson: str
    same: str
    what: str


def measured(incident: Incident, handling: Handling, assets: Iterable[Asset]) -> Measured:
    """Return an incident as it is counted. Detection is by the events' clock, the rest from detection on."""
    known = list(assets)
    times = {
        "detect": incident.decisive - incident.first_event,
        "acknowledge": _since(incident.opened, handling.acknowledged),
        "contain": _since(incident.opened, handling.contained),
        "recover": _since(incident.opened, handling.resolved),
    }
    teams = tuple(dict.fromkeys(one.team for one in known if one.team))
    services = tuple(dict.fromkeys(name for one in known for name in one.services))
    return Measured(incident, times, teams, services)


def rows(found: Iterable[Measured], by: str, repeats: Sequence[Repeat] = ()) -> list[Row]:
    """Return a row for each detection, team or service (``by``), the one with most incidents first.

    An incident counts for each of its detections, teams and services. ``by`` may be empty: one row for all.
    """
    groups: dict[str, list[Measured]] = {}
    titles: dict[str, str] = {}
    for one in found:
        for name, title in _KEYS[by](one):
            groups.setdefault(name, []).append(one)
            titles.setdefault(name, title)
    made = [_row(name, titles[name], some, repeats) for name, some in groups.items()]
    return sorted(made, key=lambda row: (-row.incidents, row.name))


def repeated(lessons: Iterable[Lesson], found: Iterable[Incident], causes: Mapping[str, str]) -> list[Repeat]:
    """Return the incidents that came after a lesson about their rule, or their cause, was closed.

    ``causes`` has what was found out of incidents' causes, by their ids. What was judged harmless is none.
    """
    known, repeats = list(found), []
    for lesson in lessons:
        for one in known:
            after = one.opened > lesson.closed and one.id != lesson.incident
            if not after or one.merged_into or one.verdict in _NO_REPEAT:
                continue
            if lesson.cause and causes.get(one.id) == lesson.cause:
                repeats.append(Repeat(one.id, lesson.id, "cause", lesson.cause))
            elif same := sorted(lesson.rules & {group.rule_id for group in one.groups}):
                repeats.append(Repeat(one.id, lesson.id, "rule", ", ".join(same)))
    return repeats


def percentiles(values: Iterable[int]) -> dict[int, int]:
    """Return the percentiles by nearest rank; nothing of nothing."""
    ordered = sorted(values)
    return {rank: ordered[ceil(rank * len(ordered) / 100) - 1] for rank in RANKS} if ordered else {}


def share(count: int, of: int) -> Share:
    """Return a share with Wilson's score interval of 95 %."""
    if of == 0:
        return Share(0, 0, 0.0, 1.0)
    ratio, spread = count / of, _Z * _Z / of
    middle = (ratio + spread / 2) / (1 + spread)
    reach = _Z * sqrt(ratio * (1 - ratio) / of + spread / (4 * of)) / (1 + spread)
    return Share(count, of, max(0.0, middle - reach), min(1.0, middle + reach))


def document(row: Row) -> dict[str, Json]:
    """Return a row as JSON: times in ms, shares from 0 to 1."""
    return {
        "name": row.name, "title": row.title, "incidents": row.incidents, "open": row.open,
        "times": {
            name: {"count": count, **{f"p{rank}": value for rank, value in ranks.items()}}
            for name, (count, ranks) in row.times.items()
        },
        "verdicts": {
            name: {"count": one.count, "of": one.of, "share": one.share, "low": one.low, "high": one.high}
            for name, one in row.verdicts.items()
        },
        "repeats": [
            {"incident": one.incident, "lesson": one.lesson, "same": one.same, "what": one.what}
            for one in row.repeats
        ],
    }  # fmt: skip


def _row(name: str, title: str, some: Sequence[Measured], repeats: Sequence[Repeat]) -> Row:
    times = {}
    for kind in TIMES:
        values = [value for one in some if (value := one.times[kind]) is not None]
        times[kind] = (len(values), percentiles(values))
    judged, mine = [one.incident.verdict for one in some], {one.incident.id for one in some}
    counts = {
        "true": sum(one in _TRUE for one in judged),
        "false": sum(one in _FALSE for one in judged),
        "benign": sum(one in _BENIGN for one in judged),
    }
    total = sum(counts.values())
    return Row(
        name, title, len(some), sum(one.incident.open for one in some), times,
        {kind: share(count, total) for kind, count in counts.items()},
        tuple(repeat for repeat in repeats if repeat.incident in mine),
    )  # fmt: skip


def _rules(one: Measured) -> list[tuple[str, str]]:
    return list({group.rule_id: group.title for group in one.incident.groups}.items())


def _named(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in names or (NOBODY,)]


_KEYS: Mapping[str, Callable[[Measured], list[tuple[str, str]]]] = {
    "": lambda _: [("all", "all incidents")],
    "detection": _rules,
    "team": lambda one: _named(one.teams),
    "service": lambda one: _named(one.services),
}


def _since(start: int, instant: int | None) -> int | None:
    return None if instant is None else instant - start
