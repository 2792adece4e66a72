"""Incidents for elsewhere: one JSON document, or Markdown for a report. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lemnis.contracts.alerts import Alert
from lemnis.contracts.clock import span, to_iso
from lemnis.contracts.handling import Handling, Link, Task, Timer, Weighed
from lemnis.contracts.ids import Json
from lemnis.contracts.incidents import AlertGroup, Incident, Metrics, TimelineItem
from lemnis.incidents import sla


def summary(incident: Incident) -> dict[str, Json]:
    """Return what a list shows of an incident."""
    return {
        "id": incident.id,
        "title": incident.title,
        "severity": incident.severity.name.lower(),
        "severity_id": int(incident.severity),
        "status": incident.status.name.lower(),
        "status_id": int(incident.status),
        "verdict": incident.verdict.name.lower(),
        "verdict_id": int(incident.verdict),
        "owner": incident.owner,
        "alerts": sum(group.count for group in incident.groups),
        "rules": len({group.rule_id for group in incident.groups}),
        "risk": incident.risk,
        "first_event": to_iso(incident.first_event),
        "last_event": to_iso(incident.last_event),
        "opened": to_iso(incident.opened),
        "updated": to_iso(incident.updated),
        "merged_into": incident.merged_into,
    }


def standing(
    incident: Incident, handled: Handling, weighed: Weighed, timers: Iterable[Timer]
) -> dict[str, Json]:
    """Return what a list shows of an incident that is worked on: how urgent it is, and what is due next."""
    several = tuple(timers)
    due = sla.next_of(several) if incident.open else None
    return {
        **summary(incident),
        "severity": weighed.severity.name.lower(),
        "severity_id": int(weighed.severity),
        "priority": weighed.priority.name.lower(),
        "priority_id": int(weighed.priority),
        "phase": handled.phase.value,
        "breached": incident.open and bool(sla.breached(several)),
        "due": timer(due) if due else None,
        "open_tasks": sum(not one.state.over for one in handled.tasks),
    }


def handling(handled: Handling, weighed: Weighed, timers: Iterable[Timer]) -> dict[str, Json]:
    """Return everything about how an incident is worked on."""
    return {
        "severity": weighed.severity.name.lower(), "severity_because": weighed.severity_because,
        "priority": weighed.priority.name.lower(), "priority_because": weighed.priority_because,
        "points": weighed.points, "risk_with_live": weighed.risk, "live": list(weighed.live),
        "phase": handled.phase.value,
        "phases": [
            {"at": to_iso(one.at), "actor": one.actor, "phase": one.phase.value, "reason": one.reason}
            for one in handled.phases
        ],
        "roles": {which.value: name for which, name in handled.roles.items()},
        "timers": [timer(one) for one in timers],
        "holds": [
            {"from": to_iso(one.start), "until": None if one.end is None else to_iso(one.end),
             "actor": one.actor, "reason": one.reason}
            for one in handled.holds
        ],
        "tasks": [task(one) for one in handled.tasks],
        "links": [link(one) for one in handled.links],
    }  # fmt: skip


def timer(one: Timer) -> dict[str, Json]:
    """Return a timer; what is left, and how long it stood still, in ms."""
    return {
        "timer": one.name, "state": one.state, "due": to_iso(one.due),
        "done": None if one.done is None else to_iso(one.done), "left": one.left, "paused": one.paused,
    }  # fmt: skip


def task(one: Task) -> dict[str, Json]:
    """Return a task."""
    return {
        "id": one.id, "title": one.title, "assignee": one.assignee, "state": one.state.value,
        "due": None if one.due is None else to_iso(one.due), "added": to_iso(one.added), "by": one.by,
        "changed": to_iso(one.changed),
    }  # fmt: skip


def link(one: Link) -> dict[str, Json]:
    """Return a link."""
    return {
        "url": one.url, "kind": one.kind, "title": one.title, "at": to_iso(one.at), "actor": one.actor,
    }  # fmt: skip


def document(incident: Incident, metrics: Metrics) -> dict[str, Json]:
    """Return everything about an incident but its timeline."""
    return {
        **summary(incident),
        "because": incident.because,
        "content_digest": incident.content_digest,
        "alert_ids": list(incident.alert_ids),
        "groups": [_group(group) for group in incident.groups],
        "fingerprints": [_told_once(group) for group in incident.by_fingerprint],
        "entities": [
            {"entity": str(entity), "kind": entity.kind.value, "value": entity.value, "alerts": count}
            for entity, count in incident.entities.items()
        ],
        "transitions": [
            {"at": to_iso(c.at), "actor": c.actor, "status": c.status.name.lower(), "reason": c.reason}
            for c in incident.transitions
        ],
        "notes": [{"at": to_iso(n.at), "actor": n.actor, "text": n.text} for n in incident.notes],
        "evidence": [
            {"at": to_iso(e.at), "actor": e.actor, "digest": e.digest, "title": e.title}
            for e in incident.evidence
        ],
        "merged_from": list(incident.merged_from),
        "split_into": list(incident.split_into),
        "metrics": times(metrics),
    }


def alert(one: Alert) -> dict[str, Json]:
    """Return everything about an alert, as it stands."""
    return {
        "id": one.id, "rule_id": one.rule_id, "title": one.title, "severity": one.severity.name.lower(),
        "time": to_iso(one.time), "count": one.count, "first": to_iso(one.began), "last": to_iso(one.ended),
        "window": one.window, "fingerprint": one.fingerprint or None, "source": one.source,
        "entities": [str(entity) for entity in one.entities],
        "matched": [matched._asdict() for matched in one.matched], "event_uids": list(one.event_uids),
        "tags": list(one.tags), "confidence": one.confidence or None, "revision": one.revision,
        "withdrawn": one.withdrawn, "rule_digest": one.rule_digest or None,
        "content_digest": one.content_digest, "event": one.event,
    }  # fmt: skip


def times(metrics: Metrics) -> dict[str, Json]:
    """Return the instants as text, the durations in milliseconds."""
    instants = ("first_event", "decisive", "detected", "acknowledged", "contained", "closed")
    spans = ("time_to_detect", "lag", "recorded", "time_to_acknowledge", "time_to_contain", "time_to_close")
    found: dict[str, Json] = {}
    for name in instants:
        value = getattr(metrics, name)
        found[name] = None if value is None else to_iso(value)
    return found | {name: getattr(metrics, name) for name in spans}


def item(one: TimelineItem) -> dict[str, Json]:
    """Return one item of a timeline."""
    return {
        "time": to_iso(one.time), "recorded": to_iso(one.recorded), "kind": one.kind, "title": one.title,
        "severity": one.severity.name.lower(), "actor": one.actor, "reference": one.reference,
        "detail": one.detail,
    }  # fmt: skip


def markdown(
    incident: Incident,
    metrics: Metrics,
    timeline: Iterable[TimelineItem],
    worked: tuple[Handling, Weighed, Sequence[Timer]] | None = None,
) -> str:
    """Return a report that people can read, keep and send; ``worked`` is how it was worked on, if known."""
    facts = [
        ("id", incident.id),
        *(_weighed(*worked[:2]) if worked else [("severity", incident.severity.name.lower())]),
        ("status", incident.status.name.replace("_", " ").lower()),
        ("verdict", incident.verdict.name.replace("_", " ").lower()),
        ("owner", incident.owner or "nobody"),
        ("risk", incident.because),
        ("first event", to_iso(incident.first_event)),
        ("last event", to_iso(incident.last_event)),
        ("content", incident.content_digest),
    ]
    parts = [
        f"# {inline(incident.title)}",
        table(("", ""), facts),
        "## Times",
        table(("", "when", "took"), time_rows(metrics)),
        "## Alerts",
        table(
            ("severity", "rule", "times", "first", "why it is in"),
            [
                (g.severity.name.lower(), g.title, g.count, to_iso(g.first), "; ".join(g.reasons))
                for g in incident.briefly
            ],
        ),
        "## Entities",
        table(
            ("kind", "value", "alerts"), [(e.kind.value, e.value, n) for e, n in incident.entities.items()]
        ),
        "## Timeline",
        table(
            ("time", "what", "", "by"),
            [(to_iso(one.time), one.kind, one.title, one.actor) for one in timeline],
        ),
    ]
    if worked:
        parts += _worked(worked[0], worked[2])
    if incident.notes:
        parts += [
            "## Notes",
            *(f"{to_iso(n.at)}, {inline(n.actor)}: {inline(n.text)}" for n in incident.notes),
        ]
    if incident.evidence:
        rows = [(e.digest, e.title, e.actor, to_iso(e.at)) for e in incident.evidence]
        parts += ["## Evidence", table(("digest", "what", "by", "when"), rows)]
    return "\n\n".join(parts) + "\n"


def _weighed(handled: Handling, weighed: Weighed) -> list[tuple[str, str]]:
    return [
        ("severity", f"{weighed.severity.name.lower()}: {weighed.severity_because}"),
        ("priority", f"{weighed.priority.name.lower()}: {weighed.priority_because}"),
        ("phase", handled.phase.value),
        *((which.value, name) for which, name in handled.roles.items()),
    ]


def _worked(handled: Handling, timers: Sequence[Timer]) -> list[str]:
    """Return the parts of a report about how an incident was worked on, those that there are."""
    parts: list[str] = []
    if timers:
        rows = [(t.name, t.state, to_iso(t.due), "" if t.done is None else to_iso(t.done)) for t in timers]
        parts += ["## Timers", table(("", "", "due", "done"), rows)]
    if handled.holds:
        held = [(to_iso(h.start), "" if h.end is None else to_iso(h.end), h.actor, h.reason)
                for h in handled.holds]  # fmt: skip
        parts += ["## Time that did not count", table(("from", "until", "by", "why"), held)]
    if handled.tasks:
        tasks = [
            (one.state.value, one.title, one.assignee, "" if one.due is None else to_iso(one.due))
            for one in handled.tasks
        ]
        parts += ["## Tasks", table(("", "what", "who", "due"), tasks)]
    if handled.links:
        parts += [
            "## Links",
            table(("what", "", "where"), [(o.kind, o.title, o.url) for o in handled.links]),
        ]
    return parts


def time_rows(metrics: Metrics) -> list[tuple[str, str, str]]:
    """Return the times for people: what, when, how long it took."""
    m = metrics
    lag = "the age of the recording" if m.recorded else f"{span(m.lag)} after the deciding event"
    rows = [
        ("first event", to_iso(m.first_event), ""),
        ("deciding event", to_iso(m.decisive), f"{span(m.time_to_detect)} after the first"),
        ("detected", to_iso(m.detected), lag),
    ]
    for name, at, took in (
        ("acknowledged", m.acknowledged, m.time_to_acknowledge),
        ("contained", m.contained, m.time_to_contain),
        ("closed", m.closed, m.time_to_close),
    ):
        when = "not yet" if at is None else to_iso(at)
        rows.append((name, when, "" if took is None else f"{span(took)} after detection"))
    return rows


def _told_once(group: AlertGroup) -> dict[str, Json]:
    return {
        "fingerprint": group.fingerprint or None, "rule_id": group.rule_id, "title": group.title,
        "severity": group.severity.name.lower(), "count": group.count, "first": to_iso(group.first),
        "last": to_iso(group.last), "entities": [str(entity) for entity in group.entities],
    }  # fmt: skip


def _group(group: AlertGroup) -> dict[str, Json]:
    return {
        "fingerprint": group.fingerprint or None,
        "rule_id": group.rule_id,
        "title": group.title,
        "severity": group.severity.name.lower(),
        "source": group.source,
        "tags": list(group.tags),
        "entities": [str(entity) for entity in group.entities],
        "count": group.count,
        "first": to_iso(group.first),
        "last": to_iso(group.last),
        "alerts": [alert for alert, _ in group.alerts],
        "reasons": list(group.reasons),
    }


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown; cells are text, whatever they hold."""
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(inline(str(cell)) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def inline(text: str) -> str:
    """Write foreign text as text: no markup, no line breaks, no cells of its own, nothing unseen."""
    text = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in " ".join(text.split()))
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return text
