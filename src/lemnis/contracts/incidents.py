"""Incidents as people and other rooms see them: a view over the journal's entries."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from lemnis.contracts.alerts import Entity, IncidentStatus, Severity, Verdict
from lemnis.contracts.ids import Json


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """Alerts of one rule about the same entities in one incident: told once, and counted.

    ``alerts`` are their ids and event times, earliest first; ``reasons`` say why they are in the incident.
    Where only the first and the last of many are named, ``total`` says how many there are. ``fingerprint``
    says which groups are the same for the content, though they differ in what does not count.
    """

    rule_id: str
    title: str
    severity: Severity
    source: str
    tags: tuple[str, ...]
    entities: tuple[Entity, ...]
    alerts: tuple[tuple[str, int], ...]
    reasons: tuple[str, ...]
    total: int = 0
    fingerprint: str = ""

    @property
    def count(self) -> int:
        """Return how many alerts there are."""
        return self.total or len(self.alerts)

    @property
    def first(self) -> int:
        """Return the earliest event time."""
        return self.alerts[0][1]

    @property
    def last(self) -> int:
        """Return the latest event time."""
        return self.alerts[-1][1]


_KIND_AND_VALUE = attrgetter("kind", "value")
"""How entities order themselves, without a call of Python for each two of them."""
TOLD = 200
"""So many groups of alerts are told by their fingerprints; of more, one is told a rule."""


def _told_once(groups: Iterable[AlertGroup], key: Callable[[AlertGroup], Hashable]) -> tuple[AlertGroup, ...]:
    """Return one group for all that have a key in common, by their first alerts."""
    found: dict[Hashable, list[AlertGroup]] = {}
    for group in groups:
        found.setdefault(key(group), []).append(group)
    merged = [some[0] if len(some) == 1 else _one_of(some) for some in found.values()]
    return tuple(sorted(merged, key=lambda group: (group.first, group.rule_id, group.fingerprint)))


def _one_of(some: Sequence[AlertGroup]) -> AlertGroup:
    """Return one group for several of a rule."""
    return replace(
        some[0],
        severity=max(group.severity for group in some),
        entities=tuple(sorted({entity for group in some for entity in group.entities}, key=_KIND_AND_VALUE)),
        alerts=tuple(sorted((a for group in some for a in group.alerts), key=lambda a: (a[1], a[0]))),
        total=sum(group.count for group in some),
        fingerprint=some[0].fingerprint if len({group.fingerprint for group in some}) == 1 else "",
    )


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A transition: when, by whom, to which status, why."""

    at: int
    actor: str
    status: IncidentStatus
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """What someone wrote down."""

    at: int
    actor: str
    text: str


@dataclass(frozen=True, slots=True)
class EvidenceReference:
    """Evidence in the vault: its digest, what it is, who collected it and when."""

    at: int
    actor: str
    digest: str
    title: str


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as it stands: a fold over its entries, in their order.

    ``first_event`` and ``last_event`` are event times; ``decisive`` is the event time of the alert with
    which the group's risk reached what opens an incident; ``opened`` is when Lemnis wrote that down.
    ``merged_into`` names the incident that took this one in, ``split_into`` those that were parted from it.
    """

    id: str
    title: str
    severity: Severity
    status: IncidentStatus
    verdict: Verdict
    owner: str
    opened: int
    updated: int
    first_event: int
    last_event: int
    decisive: int
    risk: int
    because: str
    groups: tuple[AlertGroup, ...]
    transitions: tuple[StatusChange, ...] = ()
    notes: tuple[Note, ...] = ()
    evidence: tuple[EvidenceReference, ...] = ()
    merged_from: tuple[str, ...] = ()
    merged_into: str = ""
    split_into: tuple[str, ...] = ()
    content_digest: str = ""

    @property
    def by_rule(self) -> tuple[AlertGroup, ...]:
        """Return one group a rule, with all its entities and the reasons of the first alert: for people."""
        return _told_once(self.groups, lambda group: group.rule_id)

    @property
    def by_fingerprint(self) -> tuple[AlertGroup, ...]:
        """Return one group for alerts of a rule with one fingerprint, or without about the same entities."""
        return _told_once(self.groups, lambda group: (group.rule_id, group.fingerprint or group.entities))

    @property
    def briefly(self) -> tuple[AlertGroup, ...]:
        """Return its alerts as they are told to people: by fingerprint, or by rule if there are too many."""
        told = self.by_fingerprint
        return told if len(told) <= TOLD else self.by_rule

    @property
    def alert_ids(self) -> tuple[str, ...]:
        """Return every alert's id, by event time."""
        pairs = sorted((time, alert) for group in self.groups for alert, time in group.alerts)
        return tuple(alert for _, alert in pairs)

    @property
    def entities(self) -> Mapping[Entity, int]:
        """Return the entities and in how many alerts each is, the most frequent first."""
        counts: dict[Entity, int] = {}
        for group in self.groups:
            for entity in group.entities:
                counts[entity] = counts.get(entity, 0) + group.count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0].kind, item[0].value)))

    @property
    def open(self) -> bool:
        """Say whether someone still has to do something."""
        return self.status not in _OVER

    @property
    def changed(self) -> int:
        """Return how often its status changed."""
        return len(self.transitions)

    def has(self, rule: str) -> bool:
        """Say whether a rule gave an alert that is in it."""
        return any(group.rule_id == rule for group in self.groups)


_OVER = (IncidentStatus.RESOLVED, IncidentStatus.CLOSED)


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One line of an incident's timeline.

    ``time`` is when it happened; ``recorded`` is when Lemnis learnt of it or did it. ``kind`` is what it
    is: ``event``, ``alert``, ``opened``, ``status``, ``note``, ``action`` …; ``reference`` is its id.
    """

    time: int
    recorded: int
    kind: str
    title: str
    reference: str = ""
    actor: str = ""
    severity: Severity = Severity.UNKNOWN
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metrics:
    """When things happened, and how long they took, in milliseconds; None where it has not happened.

    Two clocks, never mixed in one difference. By the events' clock: ``first_event`` → ``decisive``, which
    is ``time_to_detect``: how long the attack went on before what was seen of it was enough. By Lemnis'
    clock: ``detected`` (the incident was opened) → ``acknowledged`` → ``contained`` → ``closed``, and the
    times from ``detected`` to each. ``lag`` joins the two: how long after the decisive event it was
    detected. ``recorded`` says that this is the age of a recording, not a delay (more than an hour).
    """

    first_event: int
    decisive: int
    detected: int
    acknowledged: int | None
    contained: int | None
    closed: int | None
    time_to_detect: int
    lag: int
    recorded: bool
    time_to_acknowledge: int | None
    time_to_contain: int | None
    time_to_close: int | None
