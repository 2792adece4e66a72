"""Alerts and incidents as OCSF Detection and Incident Findings, for the lake and for others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from lemnis.contracts.alerts import IncidentStatus
from lemnis.contracts.events import EventBatch
from lemnis.contracts.handling import Weighed
from lemnis.contracts.ids import Json, canonical, stable_id
from lemnis.contracts.incidents import AlertGroup, Incident
from lemnis.ocsf import findings as ours
from lemnis.ocsf import schema

INCIDENT = 2005
SOURCE = ours.SOURCE
_GROUPS = 1000
alert_finding = ours.alert_finding


def incident_finding(incident: Incident, seq: int, weighed: Weighed | None = None) -> dict[str, Json]:
    """Return an incident as it stands after journal entry ``seq`` as an Incident Finding.

    Two states of one instant are told apart by ``metadata.sequence``, which is ``seq``.
    ``weighed`` says how severe and urgent it is; without, it is as severe as its worst alert.
    """
    activity = ours.UPDATE
    if incident.status is IncidentStatus.CLOSED:
        activity = ours.CLOSE
    elif incident.updated == incident.opened and not incident.transitions:
        activity = ours.CREATE
    uid = stable_id("ev", incident.id, str(seq))
    tags = frozenset(tag for group in incident.groups for tag in group.tags)
    found: dict[str, Json] = {
        **ours.base(INCIDENT, activity, weighed.severity if weighed else incident.severity),
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
            **ours.metadata(uid, incident.updated, [f"content:{incident.content_digest}"], seq),
            "correlation_uid": incident.id,
        },
        "attacks": ours.attacks(tags),
        "finding_info_list": [_group(group) for group in incident.by_rule[:_GROUPS]],
        "observables": ours.observables(incident.entities),
    }
    if weighed:
        found["priority_id"], found["priority"] = int(weighed.priority), weighed.priority.name.title()
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


def _group(group: AlertGroup) -> dict[str, Json]:
    return {
        "uid": group.alerts[0][0],
        "title": group.title,
        "desc": canonical({"count": group.count, "reasons": list(group.reasons)}).decode(),
        "first_seen_time": group.first,
        "last_seen_time": group.last,
        "analytic": ours.analytic(group.rule_id, group.title),
        "attacks": ours.attacks(frozenset(group.tags)),
    }
