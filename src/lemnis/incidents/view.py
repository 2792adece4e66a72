"""Incidents as they stand: a pure fold over journal entries in their order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lemnis.contracts.alerts import IncidentStatus, Severity, Verdict
from lemnis.contracts.incidents import AlertGroup, EvidenceReference, Incident, Note, StatusChange
from lemnis.contracts.journal import Entry, Journal
from lemnis.incidents import entries as kinds

_Key = tuple[str, tuple[str, ...], int, str]
_SEVERITIES = tuple(Severity)


@dataclass(slots=True)
class _Group:
    """Alerts of one rule about the same entities, being gathered."""

    facts: Mapping[str, Any]
    alerts: dict[str, int] = field(default_factory=dict)
    total: int = 0


@dataclass(slots=True)
class _Building:
    """An incident while its entries are read."""

    opened: int
    updated: int
    facts: Mapping[str, Any]
    status: IncidentStatus = IncidentStatus.NEW
    verdict: Verdict = Verdict.UNKNOWN
    owner: str = ""
    groups: dict[_Key, _Group] = field(default_factory=dict)
    transitions: list[StatusChange] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    evidence: list[EvidenceReference] = field(default_factory=list)
    merged_from: list[str] = field(default_factory=list)
    merged_into: str = ""
    before: tuple[IncidentStatus, Verdict] = (IncidentStatus.NEW, Verdict.UNKNOWN)
    split_into: list[str] = field(default_factory=list)


def fold(entries: Iterable[Entry]) -> dict[str, Incident]:
    """Return the incidents that the entries tell of, in the order in which they were opened.

    Entries of other kinds are passed over. To have an incident whole, give the entries of those merged
    into it too.
    """
    building: dict[str, _Building] = {}
    for entry in entries:
        if entry.kind == kinds.OPENED:
            made = building[entry.subject] = _Building(entry.at, entry.at, entry.payload)
            _gather(made, entry.payload)
        elif entry.subject in building and entry.kind in kinds.KINDS:
            one = building[entry.subject]
            one.updated = entry.at
            _apply(one, entry, building)
    return {incident: _finish(incident, one) for incident, one in building.items() if one.groups}


def views(journal: Journal) -> dict[str, Incident]:
    """Return every incident as it stands, in the order in which they were opened."""
    streams = [journal.entries(kind=kind) for kind in kinds.KINDS]
    return fold(heapq.merge(*streams, key=lambda entry: entry.seq))


def _apply(one: _Building, entry: Entry, building: Mapping[str, _Building]) -> None:
    payload: Mapping[str, Any] = entry.payload
    if entry.kind == kinds.JOINED:
        one.facts = payload
        _gather(one, payload)
    elif entry.kind in {kinds.MERGED, kinds.SPLIT, kinds.UNMERGED}:
        _regroup(one, entry.kind, payload, building)
    elif entry.kind == kinds.STATUS:
        one.status, one.verdict = IncidentStatus(payload["status"]), Verdict(payload["verdict"])
        one.transitions.append(StatusChange(entry.at, entry.actor, one.status, entry.reason))
    elif entry.kind == kinds.NOTE:
        one.notes.append(Note(entry.at, entry.actor, payload["text"]))
    elif entry.kind == kinds.OWNER:
        one.owner = payload["owner"]
    elif entry.kind == kinds.EVIDENCE:
        title = str(payload.get("title") or entry.reason)
        one.evidence.append(EvidenceReference(entry.at, entry.actor, str(payload.get("digest", "")), title))


def _regroup(
    one: _Building, kind: str, payload: Mapping[str, Any], building: Mapping[str, _Building]
) -> None:
    """Merge, part, or take apart again."""
    if kind == kinds.SPLIT:
        _let_go(one, payload)
    elif kind == kinds.UNMERGED:
        one.merged_into = ""
        one.status, one.verdict = one.before
    elif "into" in payload:
        one.merged_into = payload["into"]
        one.before = one.status, one.verdict
        one.status, one.verdict = IncidentStatus.CLOSED, Verdict.DUPLICATE
    else:
        one.facts = payload
        if payload["from"] not in one.merged_from:
            one.merged_from.append(payload["from"])
        if other := building.get(payload["from"]):
            _take_in(one, other)
            if payload.get("continues"):
                _go_on(one, other)


def _gather(one: _Building, payload: Mapping[str, Any]) -> None:
    for facts in payload["groups"]:
        key = facts["rule_id"], tuple(facts["entities"]), facts["severity"], facts.get("fingerprint", "")
        group = one.groups.setdefault(key, _Group(facts))
        group.alerts |= dict(facts["alerts"])
        group.total += facts.get("total", 0)


def _take_in(one: _Building, other: _Building) -> None:
    """Add what a merged incident had: its alerts, notes and evidence. Its transitions stay its own."""
    for key, theirs in other.groups.items():
        group = one.groups.setdefault(key, _Group(theirs.facts))
        group.alerts |= theirs.alerts
        group.total += theirs.total
    one.notes = sorted(dict.fromkeys([*one.notes, *other.notes]), key=lambda note: note.at)
    both = dict.fromkeys([*one.evidence, *other.evidence])
    one.evidence = sorted(both, key=lambda evidence: evidence.at)
    one.merged_from += [incident for incident in other.merged_from if incident not in one.merged_from]


def _let_go(one: _Building, payload: Mapping[str, Any]) -> None:
    """Let alerts go that someone parted from the others."""
    gone = frozenset(alert for alert, _ in payload["alerts"])
    for key, group in list(one.groups.items()):
        group.alerts = {alert: time for alert, time in group.alerts.items() if alert not in gone}
        if not group.alerts:
            del one.groups[key]
    one.split_into.append(payload["into"])
    one.merged_from = [other for other in one.merged_from if other != payload["into"]]


def _go_on(one: _Building, other: _Building) -> None:
    """Go on as another incident, under the id of an earlier alert."""
    one.opened, one.status, one.verdict = other.opened, other.status, other.verdict
    one.owner, one.transitions = other.owner, [*other.transitions, *one.transitions]


def _finish(incident: str, one: _Building) -> Incident:
    groups = tuple(sorted(map(_group, one.groups.values()), key=lambda g: (g.first, g.rule_id, g.entities)))
    return Incident(
        id=incident,
        title=_title(groups),
        severity=max(group.severity for group in groups),
        status=one.status,
        verdict=one.verdict,
        owner=one.owner,
        opened=one.opened,
        updated=one.updated,
        first_event=min(group.first for group in groups),
        last_event=max(group.last for group in groups),
        decisive=one.facts["decisive"],
        risk=one.facts["risk"],
        because=one.facts["because"],
        groups=groups,
        transitions=tuple(one.transitions),
        notes=tuple(one.notes),
        evidence=tuple(one.evidence),
        merged_from=tuple(one.merged_from),
        merged_into=one.merged_into,
        split_into=tuple(one.split_into),
        content_digest=one.facts["content_digest"],
    )


def _group(group: _Group) -> AlertGroup:
    facts = group.facts
    return AlertGroup(
        rule_id=facts["rule_id"],
        title=facts["title"],
        severity=_SEVERITIES[facts["severity"]],
        source=facts["source"],
        tags=tuple(facts["tags"]),
        entities=tuple(map(kinds.parse_entity, facts["entities"])),
        alerts=tuple(
            sorted(group.alerts.items(), key=_by_time) if len(group.alerts) > 1 else group.alerts.items()
        ),
        reasons=tuple(facts["reasons"]),
        total=group.total,
        fingerprint=facts.get("fingerprint", ""),
    )


def _by_time(alert: tuple[str, int]) -> tuple[int, str]:
    return alert[1], alert[0]


def _title(groups: tuple[AlertGroup, ...]) -> str:
    """Name an incident by its worst rule, the earliest of them, and say how many others there are."""
    worst = min(groups, key=lambda g: (-g.severity, g.first, g.rule_id))
    others = len({group.rule_id for group in groups}) - 1
    return worst.title + (f", and {others} more" if others else "")
