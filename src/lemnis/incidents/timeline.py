"""The timeline of an incident: what happened, what was seen, decided and done, on one axis. Pure.

Each function turns one kind of thing into entries; where they lie ready to be paged is ``store.timelines``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lemnis.contracts import kinds as shared
from lemnis.contracts.alerts import Alert, Severity
from lemnis.contracts.ids import Json
from lemnis.contracts.incidents import AlertGroup, Incident, TimelineItem
from lemnis.contracts.journal import Entry
from lemnis.incidents import entries as kinds
from lemnis.incidents import handling

_ENTITIES = 50
_KINDS = {
    kinds.OPENED: "opened", kinds.JOINED: "joined", kinds.MERGED: "merged", kinds.SPLIT: "split",
    kinds.UNMERGED: "unmerged", kinds.STATUS: "status",
    kinds.NOTE: "note", kinds.OWNER: "owner", kinds.EVIDENCE: "evidence", shared.CONTAINED: "contained",
    shared.PLANNED: "plan", shared.APPROVED: "approval", shared.STARTED: "run",
    shared.FINISHED: "run", shared.INTENT: "intent", shared.RESULT: "action",
    handling.PHASE: "phase", handling.SEVERITY: "severity", handling.PRIORITY: "priority",
    handling.ROLE: "role", handling.TASK: "task", handling.LINK: "link", handling.BREACHED: "breach",
    handling.NEAR: "near",
    "evidence.custody": "custody", "attestation": "attestation", "decision": "gate", "incident.case": "case",
    "incident.review": "review",
    "lesson.proposed": "lesson", "lesson.proved": "lesson", "lesson.merged": "lesson",
}  # fmt: skip
OF_EVIDENCE = frozenset({"evidence", "custody"})
"""Kinds of entries that name evidence: told to who may read evidence."""
_TOLD: tuple[tuple[str, ...], ...] = (
    ("message",), ("process", "cmd_line"), ("api", "operation"), ("http_request", "url", "url_string"),
    ("http_request", "url", "path"), ("file", "path"), ("query", "hostname"), ("dst_endpoint", "ip"),
    ("type_name",), ("class_name",),
)  # fmt: skip
"""What tells an event best, in this order."""
_LONGEST = 400


def brief(incident: Incident, alerts: Mapping[str, tuple[Alert, int]]) -> list[TimelineItem]:
    """Return an incident's alerts for people: of those that repeat the first, how many there are, the last.

    ``alerts`` has the first ones with when they were recorded.
    """
    told = incident.briefly
    items = [_alerts(group, alerts.get(group.alerts[0][0])) for group in told]
    return items + [item for group in told if (item := _last(group)) is not None]


def each(alert: Alert, recorded: int) -> TimelineItem:
    """Return one alert."""
    return TimelineItem(
        time=alert.time, recorded=recorded, kind="alert", title=alert.title, reference=alert.id,
        severity=alert.severity,
        detail={
            "rule_id": alert.rule_id, "source": alert.source, "fingerprint": alert.fingerprint,
            "count": alert.count, "last": alert.ended,
            "events": list(alert.event_uids[:_ENTITIES]),
            "entities": [str(entity) for entity in alert.entities[:_ENTITIES]],
        },
    )  # fmt: skip


def event(found: Mapping[str, Any], recorded: int, alert: str) -> TimelineItem:
    """Return the event of an alert; ``recorded`` is when it was known at latest."""
    about = found.get("metadata") or {}
    level = found.get("severity_id")
    severity = Severity(level) if isinstance(level, int) and level in tuple(Severity) else Severity.UNKNOWN
    return TimelineItem(
        time=int(found["time"]), recorded=max(recorded, int(found["time"])), kind="event",
        title=_says(found), reference=str(about.get("uid", "")),
        severity=severity,
        detail={
            "source": str(about.get("log_name", "")), "class_uid": found.get("class_uid"), "alert": alert,
        },
    )  # fmt: skip


def entry(one: Entry, *, title: str = "") -> TimelineItem:
    """Return an entry of the journal: a decision, an action, a note, a step of the pipeline."""
    text = one.payload.get("text") if one.kind == kinds.NOTE else ""
    return TimelineItem(
        time=one.at,
        recorded=one.at,
        kind=_KINDS.get(one.kind, one.kind.rpartition(".")[2]),
        title=str(text) or title or one.reason or one.kind,
        reference=str(one.payload.get("digest") or one.key),
        actor=one.actor,
        severity=Severity.UNKNOWN,
        detail={
            "entry": one.seq,
            "kind": one.kind,
            "subject": one.subject,
            **{k: v for k, v in one.payload.items() if isinstance(v, str | int | float | bool)},
        },
    )


def _alerts(group: AlertGroup, known: tuple[Alert, int] | None) -> TimelineItem:
    alert, recorded = known or (None, group.first)
    return TimelineItem(
        time=group.first,
        recorded=recorded,
        kind="alert",
        title=group.title,
        reference=group.alerts[0][0],
        severity=group.severity,
        detail={
            "rule_id": group.rule_id,
            "source": group.source,
            "fingerprint": group.fingerprint,
            "count": group.count,
            "last": group.last,
            "events": list(alert.event_uids[:_ENTITIES]) if alert else [],
            "entities": [str(entity) for entity in group.entities[:_ENTITIES]],
            "reasons": list(group.reasons),
        },
    )


def _last(group: AlertGroup) -> TimelineItem | None:
    """Say when repeated alerts ended, if that was not at once."""
    if group.last == group.first:
        return None
    return TimelineItem(
        time=group.last, recorded=group.last, kind="alert", title=f"{group.title} (last of {group.count})",
        reference=group.alerts[-1][0], severity=group.severity,
        detail={"rule_id": group.rule_id, "fingerprint": group.fingerprint, "count": 1},
    )  # fmt: skip


def _says(found: Mapping[str, Any]) -> str:
    """Return what an event says of itself, on a line."""
    for path in _TOLD:
        value: Json | Any = found
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value.strip():
            text = " ".join(value.split())
            return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "an event"
