"""Alerts and incidents as OCSF Detection and Incident Findings, for the lake and for others. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

import pyarrow as pa

from lemnis.contracts.alerts import Alert, Entity, EntityKind, FindingStatus, IncidentStatus, Severity
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import Json, canonical, stable_id
from lemnis.contracts.incidents import AlertGroup, Incident
from lemnis.ocsf import schema

DETECTION, INCIDENT = 2004, 2005
SOURCE = "lemnis"
_CREATE, _UPDATE, _CLOSE = 1, 2, 3
_RULE, _OTHER = 1, 99
_GROUPS = 1000
_TECHNIQUE = re.compile(r"attack\.(t\d{4})(\.\d{3})?", re.IGNORECASE)
_TACTIC = re.compile(r"attack\.([a-z]{2,}(?:[-_][a-z]+)+|[a-z]{6,})")
_OBSERVABLES: Mapping[EntityKind, tuple[int, str]] = MappingProxyType(
    {
        EntityKind.HOST: (1, "Hostname"),
        EntityKind.DOMAIN: (1, "Hostname"),
        EntityKind.ADDRESS: (2, "IP Address"),
        EntityKind.USER: (4, "User Name"),
        EntityKind.FILE: (7, "File Name"),
        EntityKind.HASH: (8, "Hash"),
        EntityKind.PROCESS: (9, "Process Name"),
        EntityKind.CONTAINER: (10, "Resource UID"),
        EntityKind.WORKLOAD: (10, "Resource UID"),
        EntityKind.PRINCIPAL: (10, "Resource UID"),
    }
)


def alert_finding(alert: Alert, recorded: int) -> dict[str, Json]:
    """Return an alert as a Detection Finding; ``recorded`` is when it was written down."""
    labels = [f"content:{alert.content_digest}", f"source:{alert.source}"]
    return {
        **_base(DETECTION, _CREATE, "Create", alert.severity),
        "time": alert.time,
        "message": alert.title,
        "is_alert": True,
        "status_id": int(FindingStatus.NEW),
        "status": FindingStatus.NEW.name.title(),
        "metadata": _metadata(alert.id, recorded, labels),
        "finding_info": {
            "uid": alert.id,
            "title": alert.title,
            "created_time": recorded,
            "first_seen_time": alert.time,
            "last_seen_time": alert.time,
            "analytic": {"uid": alert.rule_id, "name": alert.title, "type_id": _RULE, "type": "Rule"},
            "attacks": _attacks(frozenset(alert.tags)),
            "related_events": [{"uid": uid} for uid in alert.event_uids],
            "data_sources": [alert.source],
        },
        "observables": _observables(alert.entities),
    }


def incident_finding(incident: Incident, seq: int) -> dict[str, Json]:
    """Return an incident as it stands after journal entry ``seq`` as an Incident Finding."""
    activity, name = _UPDATE, "Update"
    if incident.status is IncidentStatus.CLOSED:
        activity, name = _CLOSE, "Close"
    elif incident.updated == incident.opened and not incident.transitions:
        activity, name = _CREATE, "Create"
    uid = stable_id("ev", incident.id, str(seq))
    tags = frozenset(tag for group in incident.groups for tag in group.tags)
    found: dict[str, Json] = {
        **_base(INCIDENT, activity, name, incident.severity),
        "time": incident.updated,
        "start_time": incident.first_event,
        "end_time": incident.last_event,
        "count": sum(group.count for group in incident.groups),
        "message": incident.title,
        "desc": incident.because,
        "status_id": int(incident.status),
        "status": incident.status.name.replace("_", " ").title(),
        "verdict_id": int(incident.verdict),
        "verdict": incident.verdict.name.replace("_", " ").title(),
        "metadata": {
            **_metadata(uid, incident.updated, [f"content:{incident.content_digest}"]),
            "correlation_uid": incident.id,
        },
        "attacks": _attacks(tags),
        "finding_info_list": [_group(group) for group in incident.by_rule[:_GROUPS]],
        "observables": _observables(incident.entities),
    }
    if incident.owner:
        found["assignee"] = {"name": incident.owner}
    else:
        found["assignee_group"] = {"name": "unassigned"}
    return found


def batches(findings: Iterable[Mapping[str, Json]]) -> list[EventBatch]:
    """Return findings as batches of events, one a class."""
    by_class: dict[int, list[Mapping[str, Json]]] = {}
    for finding in findings:
        by_class.setdefault(int(str(finding["class_uid"])), []).append(finding)
    return [
        EventBatch(number, SOURCE, "journal", pa.Table.from_pylist(rows, schema=schema.arrow_schema(number)))
        for number, rows in sorted(by_class.items())
    ]


def _base(class_uid: int, activity: int, name: str, severity: Severity) -> dict[str, Json]:
    kind = schema.event_class(class_uid)
    return {
        "class_uid": class_uid, "class_name": kind.caption, "category_uid": kind.category_uid,
        "category_name": kind.category, "activity_id": activity, "activity_name": name,
        "type_uid": class_uid * 100 + activity, "type_name": f"{kind.caption}: {name}",
        "severity_id": int(severity), "severity": severity.name.title(),
    }  # fmt: skip


def _metadata(uid: str, at: int, labels: Sequence[str]) -> dict[str, Json]:
    return {
        "uid": uid, "version": schema.version(), "log_name": SOURCE, "logged_time": at, "labels": labels,
        "product": {"name": "Lemnis", "vendor_name": "Lemnis", "uid": SOURCE},
    }  # fmt: skip


def _group(group: AlertGroup) -> dict[str, Json]:
    return {
        "uid": group.alerts[0][0],
        "title": group.title,
        "desc": canonical({"count": group.count, "reasons": list(group.reasons)}).decode(),
        "first_seen_time": group.first,
        "last_seen_time": group.last,
        "analytic": {"uid": group.rule_id, "name": group.title, "type_id": _RULE, "type": "Rule"},
        "attacks": _attacks(frozenset(group.tags)),
    }


@lru_cache(maxsize=4096)
def _attacks(tags: frozenset[str]) -> list[Json]:
    found: dict[str, Json] = {}
    for tag in tags:
        technique = _TECHNIQUE.fullmatch(tag)
        tactic = _TACTIC.fullmatch(tag)
        if technique is not None:
            one: dict[str, Json] = {"technique": {"uid": technique[1].upper()}}
            if technique[2]:
                one["sub_technique"] = {"uid": (technique[1] + technique[2]).upper()}
            found[tag] = one
        elif tactic is not None:
            found[tag] = {"tactic": {"name": tactic[1].replace("_", " ").replace("-", " ").title()}}
    return [found[tag] for tag in sorted(found)]


def _observables(entities: Iterable[Entity]) -> list[Json]:
    return [_observable(entity) for entity in entities]


@lru_cache(maxsize=100_000)
def _observable(entity: Entity) -> Mapping[str, Json]:
    name = entity.kind.value
    number, caption = _OBSERVABLES.get(entity.kind, (_OTHER, name))
    kind = number if number in schema.shape_of("observable").attributes["type_id"].enum else _OTHER
    return {"name": name, "type_id": kind, "type": caption, "value": entity.value}
