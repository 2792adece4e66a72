"""Incidents and alerts, and what is done with them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from lemnis.interfaces.api.models.base import (
    Given,
    PersonName,
    Reason,
    SeverityName,
    StatusName,
    Text,
    Told,
    VerdictName,
)


class Timer(Told):
    """Until when something is due."""

    timer: str
    state: str
    due: str
    done: str | None = None


class IncidentSummary(Told):
    """An incident in a list."""

    id: str
    title: str
    severity: SeverityName
    priority: str
    status: StatusName
    verdict: VerdictName
    owner: str
    phase: str
    alerts: int
    rules: int
    risk: int
    breached: bool
    open_tasks: int
    due: Timer | None = None
    first_event: str
    last_event: str
    opened: str
    updated: str
    merged_into: str = ""


class EntityCount(Told):
    """An entity of an incident, and in how many of its alerts it is."""

    entity: str
    kind: str
    value: str
    alerts: int


class Incident(Told):
    """An incident, whole but for its timeline. ``version`` grows with each change of it."""

    id: str
    title: str
    version: int
    status: StatusName
    verdict: VerdictName
    severity: SeverityName
    priority: str
    phase: str
    owner: str
    because: str
    alert_ids: list[str]
    entities: list[EntityCount]
    notes: list[dict[str, Any]]
    transitions: list[dict[str, Any]]
    evidence: list[dict[str, Any]]
    timers: list[Timer]
    tasks: list[dict[str, Any]]
    metrics: dict[str, Any]


class TimelineItem(Told):
    """One line of a timeline: ``time`` is when it happened, ``recorded`` when Lemnis learnt of it."""

    time: str
    recorded: str
    kind: str
    title: str
    severity: SeverityName
    actor: str
    reference: str


class AlertSummary(Told):
    """An alert in a list."""

    id: str
    rule_id: str
    title: str
    severity: SeverityName
    time: str
    count: int
    source: str
    entities: list[str]
    tags: list[str]


class Alert(AlertSummary):
    """An alert with the event that fired, as the reader may see it."""

    incident: str | None = None
    matched: list[dict[str, Any]]
    event_uids: list[str]
    content_digest: str
    event: dict[str, Any]


class Assigning(Given):
    """Who owns an incident from now on."""

    owner: PersonName


class Acknowledging(Given):
    """That one takes an incident into work."""

    reason: Annotated[str, pydantic.Field(max_length=2000)] = ""


class Moving(Given):
    """To which status an incident moves, and why. Closing is another request: it needs a verdict."""

    status: Literal["in_progress", "on_hold", "resolved"]
    reason: Reason


class Closing(Given):
    """That an incident is over: what it was, and why."""

    verdict: Literal[
        "false_positive", "true_positive", "disregard", "suspicious", "benign", "test", "insufficient_data",
        "security_risk", "managed_externally", "duplicate",
    ]  # fmt: skip
    reason: Reason


class Noting(Given):
    """What is written down of an incident."""

    text: Text
