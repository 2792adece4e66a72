"""Alarms about sources as OCSF Detection Findings (class 2004): opened, and closed. Pure."""

from __future__ import annotations

from lemnis.contracts.alerts import Entity, EntityKind, FindingStatus, Severity
from lemnis.contracts.ids import Json, canonical, stable_id
from lemnis.contracts.journal import Entry
from lemnis.ocsf import findings as ours

_STATISTICAL = 3


def finding(entry: Entry, *, closed: bool) -> dict[str, Json]:
    """Return an alarm that a journal entry opens or closes as a finding; its id is ``finding_info.uid``."""
    said = entry.payload
    source, host, kind = (str(said.get(name, "")) for name in ("source", "host", "kind"))
    since = int(str(said.get("since", entry.at)))
    title = f"{source} on {host} is {kind}" if host else f"{source} is {kind}"
    techniques = said.get("techniques")
    named = [str(one) for one in techniques] if isinstance(techniques, list) else []
    tags = frozenset(f"attack.{one.lower()}" for one in named)
    status = FindingStatus.RESOLVED if closed else FindingStatus.NEW
    activity = ours.CLOSE if closed else ours.CREATE
    uid = stable_id("ev", entry.subject, "closed") if closed else entry.subject
    made: dict[str, Json] = {
        **ours.base(ours.DETECTION, activity, Severity(int(str(said.get("severity", 0))))),
        "time": entry.at,
        "start_time": since,
        "message": f"{title}: {said.get('why', '')}",
        "is_alert": True,
        "status_id": int(status),
        "status": status.name.title(),
        "metadata": {
            **ours.metadata(uid, entry.at, ["watch", f"source:{source}"], entry.seq),
            "correlation_uid": entry.subject,
        },
        "finding_info": {
            "uid": entry.subject,
            "title": title,
            "desc": entry.reason,
            "created_time": entry.at,
            "first_seen_time": since,
            "analytic": {
                "uid": f"lemnis-watch-{kind}", "name": f"a source is {kind}", "type_id": _STATISTICAL,
                "type": "Statistical",
            },
            "attacks": ours.attacks(tags),
            "data_sources": [source],
        },
        "observables": ours.observables([Entity(EntityKind.HOST, host)] if host else []),
        "unmapped": canonical({"blind": said.get("blind", []), "why": said.get("why", "")}).decode(),
    }  # fmt: skip
    if closed:
        made["end_time"] = entry.at
    return made
