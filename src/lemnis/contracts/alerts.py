"""Alerts, incidents and what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import NamedTuple

from lemnis.contracts.ids import Json


class Severity(IntEnum):
    """OCSF ``severity_id``."""

    UNKNOWN = 0
    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5
    FATAL = 6


class EntityKind(StrEnum):
    """The kinds of entity that alerts share and the graph connects.

    An identity's kind says what it is where that is known: ``user`` (a human's account), ``service_account``,
    ``principal`` (of a cloud), ``credential`` (a key); else it is an ``identity``.
    """

    USER = "user"
    HOST = "host"
    ADDRESS = "address"
    PROCESS = "process"
    FILE = "file"
    HASH = "hash"
    CONTAINER = "container"
    WORKLOAD = "workload"
    IMAGE = "image"
    BUILD = "build"
    COMMIT = "commit"
    SOURCE_LINE = "source_line"
    OWNER = "owner"
    PRINCIPAL = "principal"
    CREDENTIAL = "credential"
    REPOSITORY = "repository"
    DOMAIN = "domain"
    PERSON = "person"
    TEAM = "team"
    IDENTITY = "identity"
    SERVICE_ACCOUNT = "service_account"
    ROLE = "role"
    PULL_REQUEST = "pull_request"
    WORKFLOW_RUN = "workflow_run"
    ARTIFACT = "artifact"
    PACKAGE = "package"
    MODULE = "module"
    PATTERN = "pattern"
    VULNERABILITY = "vulnerability"
    FINDING = "finding"
    IAC_RESOURCE = "iac_resource"
    CLOUD_RESOURCE = "cloud_resource"
    CLUSTER_OBJECT = "cluster_object"
    ENDPOINT = "endpoint"
    DATA_SET = "data_set"
    THREAT = "threat"
    CONTROL = "control"
    DETECTION = "detection"
    POLICY = "policy"
    ALERT = "alert"
    INCIDENT = "incident"
    LESSON = "lesson"

    __hash__ = str.__hash__  # an enumeration's own is ten times slower


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A resolved thing to pivot on; ``str()`` gives ``kind:value``, which is also its key in the graph."""

    kind: EntityKind
    value: str

    def __str__(self) -> str:
        """Render as ``kind:value``."""
        return f"{self.kind}:{self.value}"

    def __hash__(self) -> int:
        """Hash the value: a kind more makes it dearer, and hardly ever says more."""
        return hash(self.value)

    @classmethod
    def parse(cls, text: str) -> Entity:
        """Read ``kind:value``; raises ValueError for an unknown kind."""
        kind, _, value = text.partition(":")
        return cls(EntityKind(kind), value)


class MatchedField(NamedTuple):
    """What a rule asked of a field and held, and the value that was there, cut if it is long."""

    field: str
    asks: str
    value: str


class Written(dict[str, Json]):
    """A JSON object that was serialised before: ``text`` is its canonical form. Not to be changed."""

    __slots__ = ("text",)

    def __init__(self, value: Mapping[str, Json], text: bytes) -> None:
        """``text`` is ``canonical(value)``."""
        super().__init__(value)
        self.text = text


@dataclass(frozen=True, slots=True)
class Alert:
    """A detection finding that asks for triage (OCSF Detection Finding, ``is_alert``).

    ``id`` is deterministic: rule id and event uids (ADR 0013). ``time`` is the event's time; ``event`` is
    the event that fired as the lake holds it, for people; ``content_digest`` names the content that decided.

    One alert may stand for several events: ``count`` says for how many occurrences, ``first`` and ``last``
    when they began and ended (0: at ``time``). A late event amends it: the same id, the next ``revision``;
    ``withdrawn`` says that what it told no longer holds. ``window`` is the length of the window in which
    alerts of the rule about the same are one (0: each stands alone).

    ``rule_digest`` pins what the rule asked; ``matched`` are the fields in which it held; ``confidence`` is
    ``low``, ``medium`` or ``high`` where the rule states it. Alerts with one ``fingerprint`` say the same of
    the same (empty: nobody said what counts).
    """

    id: str
    rule_id: str
    title: str
    severity: Severity
    time: int
    source: str
    event_uids: tuple[str, ...]
    entities: tuple[Entity, ...]
    content_digest: str
    tags: tuple[str, ...] = ()
    event: Mapping[str, Json] = field(default_factory=dict)
    revision: int = 0
    withdrawn: bool = False
    count: int = 1
    first: int = 0
    last: int = 0
    rule_digest: str = ""
    matched: tuple[MatchedField, ...] = ()
    confidence: str = ""
    window: int = 0
    fingerprint: str = ""

    @property
    def began(self) -> int:
        """The time of the first event that it stands for."""
        return self.first or self.time

    @property
    def ended(self) -> int:
        """The time of the last event that it stands for."""
        return self.last or self.time


def merged(*alerts: Alert) -> Alert:
    """Return one alert for all occurrences of it: in any order, and if some come twice, the same.

    It is told by the earliest event; the evidence of all is kept and counted.
    """
    told = min(alerts, key=lambda alert: (alert.time, alert.event_uids[:1]))
    uids = {uid for alert in alerts for uid in alert.event_uids}
    return replace(
        told,
        event_uids=(told.event_uids[0], *sorted(uids - {told.event_uids[0]})),
        entities=tuple(sorted({entity for alert in alerts for entity in alert.entities})),
        count=len(uids),
        first=min(alert.began for alert in alerts),
        last=max(alert.ended for alert in alerts),
    )


class IncidentStatus(IntEnum):
    """OCSF Incident Finding ``status_id``. Not the same list as a finding's."""

    UNKNOWN = 0
    NEW = 1
    IN_PROGRESS = 2
    ON_HOLD = 3
    RESOLVED = 4
    CLOSED = 5


class FindingStatus(IntEnum):
    """OCSF Findings ``status_id``. Not the same list as an incident's."""

    UNKNOWN = 0
    NEW = 1
    IN_PROGRESS = 2
    SUPPRESSED = 3
    RESOLVED = 4
    ARCHIVED = 5


class Verdict(IntEnum):
    """OCSF Incident Finding ``verdict_id``."""

    UNKNOWN = 0
    FALSE_POSITIVE = 1
    TRUE_POSITIVE = 2
    DISREGARD = 3
    SUSPICIOUS = 4
    BENIGN = 5
    TEST = 6
    INSUFFICIENT_DATA = 7
    SECURITY_RISK = 8
    MANAGED_EXTERNALLY = 9
    DUPLICATE = 10


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """What correlation says of an incident: it exists, and these alerts joined it, for these reasons.

    ``incident_id`` is deterministic: derived from the earliest alert of the group. ``reasons`` maps an alert
    id to the entities and the other alerts through which it joined. ``risk`` is the group's, ``because``
    says how it came about, ``decisive`` is the event time at which it was enough to open the incident.
    ``continues`` is one of ``merged_from`` that goes on under this id, for an earlier alert became known.
    """

    incident_id: str
    alerts: tuple[Alert, ...]
    reasons: Mapping[str, tuple[str, ...]]
    merged_from: tuple[str, ...] = ()
    risk: int = 0
    because: str = ""
    decisive: int = 0
    continues: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """Alerts (``times``: each with its event time) that someone parted from the others of their incident.

    ``into`` is the incident that they are then. ``ignored`` are the entities that both sides had: they tie
    those alerts to nothing any more. ``rest`` is the earliest alert that stays; ``time`` and ``alert`` are of
    the one that named the incident, ``name``.
    """

    times: tuple[tuple[str, int], ...]
    into: str
    ignored: frozenset[Entity]
    rest: str = ""
    time: int = 0
    alert: str = ""
    name: str = ""

    @property
    def alerts(self) -> tuple[str, ...]:
        """Return the ids of the alerts."""
        return tuple(alert for alert, _ in self.times)
