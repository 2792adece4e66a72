"""The timeline of an incident: what happened, what was seen, decided and done, on one axis. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lemnis.contracts import kinds as shared
from lemnis.contracts.alerts import Alert, Severity
from lemnis.contracts.incidents import AlertGroup, Incident, TimelineItem
from lemnis.contracts.journal import Entry
from lemnis.incidents import entries as kinds

_ENTITIES = 50
_KINDS = {
    kinds.OPENED: "opened", kinds.JOINED: "joined", kinds.MERGED: "merged", kinds.STATUS: "status",
    kinds.NOTE: "note", kinds.OWNER: "owner", kinds.EVIDENCE: "evidence", shared.CONTAINED: "contained",
    shared.PLANNED: "plan", shared.APPROVED: "approval", shared.STARTED: "run",
    shared.FINISHED: "run", shared.INTENT: "intent", shared.RESULT: "action",
}  # fmt: skip


def timeline(
    incident: Incident,
    alerts: Mapping[str, tuple[Alert, int]],
    entries: Iterable[Entry],
    context: Iterable[TimelineItem] = (),
) -> list[TimelineItem]:
    """Return an incident's timeline, earliest first.

    ``alerts`` has the first alert of each rule with when it was recorded; ``entries`` are the journal's
    about the incident; ``context`` are further items, such as deployments of what it is about.
    """
    items = [_alerts(group, alerts.get(group.alerts[0][0])) for group in incident.by_rule]
    items += [item for group in incident.by_rule if (item := _last(group)) is not None]
    items += [_entry(entry) for entry in entries if entry.kind != kinds.ALERT]
    items += context
    return sorted(items, key=lambda item: (item.time, item.recorded))


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
            "count": group.count,
            "last": group.last,
            "events": list(alert.event_uids) if alert else [],
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
        reference=group.alerts[-1][0], severity=group.severity, detail={"rule_id": group.rule_id, "count": 1},
    )  # fmt: skip


def _entry(entry: Entry) -> TimelineItem:
    text = entry.payload.get("text") if entry.kind == kinds.NOTE else ""
    return TimelineItem(
        time=entry.at,
        recorded=entry.at,
        kind=_KINDS.get(entry.kind, entry.kind.rpartition(".")[2]),
        title=str(text) or entry.reason or entry.kind,
        reference=str(entry.payload.get("digest") or entry.key),
        actor=entry.actor,
        severity=Severity.UNKNOWN,
        detail={
            "entry": entry.seq,
            "kind": entry.kind,
            **{k: v for k, v in entry.payload.items() if isinstance(v, str | int | float | bool)},
        },
    )
