"""Alerts as OCSF Detection Findings (class 2004), and what all findings of ours have in common. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from lemnis.contracts.alerts import Alert, Entity, EntityKind, FindingStatus, Severity
from lemnis.contracts.ids import Json, canonical, stable_id
from lemnis.ocsf import schema

DETECTION = 2004
SOURCE = "lemnis"
CREATE, UPDATE, CLOSE = 1, 2, 3
ACTIVITIES = {CREATE: "Create", UPDATE: "Update", CLOSE: "Close"}
MAX_EVENTS = 1000  # of an alert that stands for more; the journal names them all
_RULE, _OTHER = 1, 99
_TECHNIQUE = re.compile(r"attack\.(t\d{4})(\.\d{3})?", re.IGNORECASE)
_TACTIC = re.compile(r"attack\.([a-z]{2,}(?:[-_][a-z]+)+|[a-z]{6,})")
_TACTICS: Mapping[str, str] = MappingProxyType(
    {
        "Reconnaissance": "TA0043", "Resource Development": "TA0042", "Initial Access": "TA0001",
        "Execution": "TA0002", "Persistence": "TA0003", "Privilege Escalation": "TA0004",
        "Defense Evasion": "TA0005", "Credential Access": "TA0006", "Discovery": "TA0007",
        "Lateral Movement": "TA0008", "Collection": "TA0009", "Command And Control": "TA0011",
        "Exfiltration": "TA0010", "Impact": "TA0040",
    }
)  # fmt: skip
_CONFIDENCES: Mapping[str, tuple[int, str]] = MappingProxyType(
    {"low": (1, "Low"), "medium": (2, "Medium"), "high": (3, "High")}
)
_RISKS: Mapping[str, int] = MappingProxyType(
    {"unknown": 10, "informational": 2, "low": 10, "medium": 30, "high": 60, "critical": 100, "fatal": 100}
)
"""What an alert of a severity weighs, unless the content says otherwise."""
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


def alert_finding(
    alert: Alert,
    recorded: int,
    *,
    risks: Mapping[str, int] = _RISKS,
    sequence: int = 0,
    repeated: bool = False,
    event: Mapping[str, Json] | None = None,
    exceptions: Sequence[str] = (),
) -> dict[str, Json]:
    """Return an alert as a Detection Finding; ``recorded`` is when it was written down.

    ``sequence`` is the number of the journal's entry that says so, if one does; ``risks`` says what a
    severity weighs; ``event`` is the alert's, where the alert was read without. A revision, or an alert that
    was ``repeated``, is an update with an id of its own; ``finding_info.uid`` stays the alert's.
    One that ``exceptions`` held back is suppressed, and no alert.
    """
    activity = CLOSE if alert.withdrawn else UPDATE if alert.revision or repeated else CREATE
    uid = uid_of(alert, sequence if repeated else 0)
    status = FindingStatus.RESOLVED if alert.withdrawn else FindingStatus.NEW
    labels = [f"content:{alert.content_digest}", f"source:{alert.source}"]
    if alert.fingerprint:
        labels.append(f"fingerprint:{alert.fingerprint}")
    if exceptions:
        uid, status = stable_id("ev", alert.id, "suppressed"), FindingStatus.SUPPRESSED
        labels += [f"exception:{name}" for name in exceptions]
    found: dict[str, Json] = {
        **base(DETECTION, activity, alert.severity),
        "time": alert.time,
        "start_time": alert.began,
        "end_time": alert.ended,
        "count": alert.count,
        "message": alert.title,
        "is_alert": not exceptions,
        "risk_score": risks.get(alert.severity.name.lower(), 0),
        "status_id": int(status),
        "status": status.name.title(),
        "metadata": {
            **metadata(uid, recorded, labels, sequence),
            "correlation_uid": alert.id,
        },
        "finding_info": {
            "uid": alert.id,
            "title": alert.title,
            "created_time": recorded,
            "first_seen_time": alert.began,
            "last_seen_time": alert.ended,
            "analytic": analytic(alert.rule_id, alert.title, alert.rule_digest),
            "attacks": attacks(frozenset(alert.tags)),
            "related_events": [{"uid": one} for one in alert.event_uids[:MAX_EVENTS]],
            "data_sources": [alert.source],
        },
        "observables": observables(alert.entities),
        "evidences": _evidences(alert, alert.event if event is None else event),
    }
    if alert.matched:
        found["unmapped"] = matched(alert)
    if alert.confidence:
        found["confidence_id"], found["confidence"] = _CONFIDENCES[alert.confidence]
    if exceptions:
        found["status_detail"] = f"held back by the exception {', '.join(exceptions)}"
    if alert.withdrawn:
        found["comment"] = "withdrawn: later events say that it does not hold"
    return found


def uid_of(alert: Alert, repeated: int = 0) -> str:
    """Return the id of an alert's finding: its own, unless that was told before.

    ``repeated`` is the number of the journal's entry that says that it was repeated.
    """
    if alert.revision or alert.withdrawn or repeated:
        return stable_id("ev", alert.id, str(alert.revision), str(repeated))
    return alert.id


def matched(alert: Alert) -> str | None:
    """Return the fields in which an alert's rule held, as JSON; None if it does not say."""
    if not alert.matched:
        return None
    return canonical({"matched": [one._asdict() for one in alert.matched]}).decode()


@lru_cache(maxsize=256)
def base(class_uid: int, activity: int, severity: Severity) -> Mapping[str, Json]:
    """Return what says which class and activity a finding is of, and how severe it is."""
    kind, name = schema.event_class(class_uid), ACTIVITIES[activity]
    return {
        "class_uid": class_uid, "class_name": kind.caption, "category_uid": kind.category_uid,
        "category_name": kind.category, "activity_id": activity, "activity_name": name,
        "type_uid": class_uid * 100 + activity, "type_name": f"{kind.caption}: {name}",
        "severity_id": int(severity), "severity": severity.name.title(),
    }  # fmt: skip


def metadata(uid: str, at: int, labels: Sequence[str], sequence: int = 0) -> dict[str, Json]:
    """Return a finding's metadata; it was written down at ``at``.

    ``sequence`` is the number of the journal's entry that it comes from: of two of one instant, the later has
    the larger one.
    """
    made: dict[str, Json] = {
        "uid": uid, "version": schema.version(), "log_name": SOURCE, "logged_time": at, "labels": labels,
        "product": {"name": "Lemnis", "vendor_name": "Lemnis", "uid": SOURCE},
    }  # fmt: skip
    return {**made, "sequence": sequence} if sequence else made


def analytic(rule: str, title: str, digest: str = "") -> dict[str, Json]:
    """Return the rule that found it; its version is the digest of what it asks."""
    made: dict[str, Json] = {"uid": rule, "name": title, "type_id": _RULE, "type": "Rule"}
    return {**made, "version": digest} if digest else made


@lru_cache(maxsize=4096)
def attacks(tags: frozenset[str]) -> list[Json]:
    """Return the ATT&CK tactics and techniques that Sigma tags name."""
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
            name = tactic[1].replace("_", " ").replace("-", " ").title()
            named: dict[str, Json] = {"name": name}
            found[tag] = {"tactic": {**named, "uid": _TACTICS[name]} if name in _TACTICS else named}
    return [found[tag] for tag in sorted(found)]


def observables(entities: Iterable[Entity]) -> list[Json]:
    """Return entities as observables."""
    return [_observable(entity) for entity in entities]


@lru_cache(maxsize=100_000)
def _observable(entity: Entity) -> Mapping[str, Json]:
    name = entity.kind.value
    number, caption = _OBSERVABLES.get(entity.kind, (_OTHER, name))
    kind = number if number in schema.shape_of("observable").attributes["type_id"].enum else _OTHER
    return {"name": name, "type_id": kind, "type": caption, "value": entity.value}


def _evidences(alert: Alert, event: Mapping[str, Json]) -> list[Json]:
    data = evidence(alert, event)
    return [{"uid": alert.event_uids[0], "name": alert.source, "data": data}] if data else []


def evidence(alert: Alert, event: Mapping[str, Json]) -> str:
    """Return the event that fired, as the lake has it but for its raw record, which the lake keeps once.

    Empty if there is none.
    """
    if not event or not alert.event_uids:
        return ""
    told = (
        {name: value for name, value in event.items() if name != "raw_data"} if "raw_data" in event else event
    )
    return canonical(told).decode()
