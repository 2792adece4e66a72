"""Alerts as a table of Detection Findings: what ``findings.alert_finding`` says of each, made by columns.

Most of a finding is the same for all alerts of a rule: it is made once, and only what differs is written in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import pyarrow as pa

from lemnis.contracts.alerts import Alert
from lemnis.contracts.ids import Json
from lemnis.ocsf import findings, schema


class Told(NamedTuple):
    """An alert, when it was written down, by which entry of the journal, and the event that fired as JSON."""

    alert: Alert
    recorded: int
    sequence: int
    evidence: str


def alert_table(told: Sequence[Told], risks: Mapping[str, int]) -> pa.Table:
    """Return alerts as Detection Findings; ``risks`` says what an alert of a severity weighs."""
    patterns: list[dict[str, Json]] = []
    alike: dict[tuple[object, ...], int] = {}
    places: list[int] = []
    for alert, recorded, _, _ in told:
        common = (
            alert.rule_id, alert.title, int(alert.severity), alert.source, alert.content_digest, alert.tags,
            alert.rule_digest, alert.fingerprint, alert.confidence, alert.revision > 0, alert.withdrawn,
        )  # fmt: skip
        place = alike.setdefault(common, len(patterns))
        if place == len(patterns):
            patterns.append(findings.alert_finding(alert, recorded, risks=risks, event={}))
        places.append(place)
    whole = schema.arrow_schema(findings.DETECTION)
    filled = pa.RecordBatch.from_pylist(patterns, schema=whole).take(pa.array(places, pa.int64()))
    columns = dict(zip(whole.names, filled.columns, strict=True))
    return pa.Table.from_arrays(list((columns | _own(columns, told)).values()), schema=whole)


def _own(columns: Mapping[str, pa.Array[Any]], told: Sequence[Told]) -> dict[str, pa.Array[Any]]:
    """Return the columns in which alerts of a rule differ."""
    alerts = [one.alert for one in told]
    ids = [alert.id for alert in alerts]
    began, ended = [alert.began for alert in alerts], [alert.ended for alert in alerts]
    recorded = [one.recorded for one in told]
    info: Any = columns["finding_info"].type
    return {
        "time": pa.array([alert.time for alert in alerts], pa.int64()),
        "start_time": pa.array(began, pa.int64()),
        "end_time": pa.array(ended, pa.int64()),
        "count": pa.array([alert.count for alert in alerts], pa.int64()),
        "unmapped": pa.array([findings.matched(alert) for alert in alerts], pa.string()),
        "metadata": _with(columns["metadata"], {
            "uid": [findings.uid_of(alert) for alert in alerts],
            "logged_time": recorded, "correlation_uid": ids,
            "sequence": [one.sequence or None for one in told],
        }),
        "finding_info": _with(columns["finding_info"], {
            "uid": ids, "created_time": recorded, "first_seen_time": began, "last_seen_time": ended,
            "related_events": _events(alerts, info.field("related_events").type),
        }),
        "observables": _observables(alerts, columns["observables"].type),
        "evidences": _evidences(told, columns["evidences"].type),
    }  # fmt: skip


def _with(array: pa.Array[Any], own: Mapping[str, Any]) -> pa.Array[Any]:
    """Return structs with other values in some of their fields."""
    parts: Any = array
    fields = list(array.type)
    made = [
        pa.array(own[field.name], field.type) if field.name in own else parts.field(place)
        for place, field in enumerate(fields)
    ]
    return pa.StructArray.from_arrays(made, fields=fields)


def _lists(counts: Sequence[int], values: pa.Array[Any], kind: Any) -> pa.Array[Any]:
    """Return lists of so many values each."""
    offsets = pa.array(accumulate(counts, initial=0), pa.int32())
    return pa.ListArray.from_arrays(offsets, values, type=kind)


def _events(alerts: Sequence[Alert], kind: Any) -> pa.Array[Any]:
    uids = [alert.event_uids[: findings.MAX_EVENTS] for alert in alerts]
    flat = [uid for some in uids for uid in some]
    return _lists([len(some) for some in uids], _structs(kind.value_type, {"uid": flat}, len(flat)), kind)


def _observables(alerts: Sequence[Alert], kind: Any) -> pa.Array[Any]:
    """Return what alerts are about: each thing is made once."""
    known: dict[object, int] = {}
    every = [known.setdefault(entity, len(known)) for alert in alerts for entity in alert.entities]
    distinct = pa.array(findings.observables(known), kind.value_type)  # type: ignore[arg-type]
    return _lists([len(alert.entities) for alert in alerts], distinct.take(pa.array(every, pa.int64())), kind)


def _evidences(told: Sequence[Told], kind: Any) -> pa.Array[Any]:
    some = [one for one in told if one.evidence]
    fields = {
        "uid": [one.alert.event_uids[0] for one in some],
        "name": [one.alert.source for one in some],
        "data": [one.evidence for one in some],
    }
    counts = [1 if one.evidence else 0 for one in told]
    return _lists(counts, _structs(kind.value_type, fields, len(some)), kind)


def _structs(kind: Any, own: Mapping[str, Sequence[Json]], count: int) -> pa.Array[Any]:
    """Return structs of which only some fields have values."""
    made = [
        pa.array(own[field.name], field.type) if field.name in own else pa.nulls(count, field.type)
        for field in kind
    ]
    return pa.StructArray.from_arrays(made, fields=list(kind))
