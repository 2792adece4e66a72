"""What people decide of how alerts belong together, as entries: merged, parted, taken apart again. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lemnis.contracts.alerts import Entity, Split
from lemnis.contracts.errors import RefusedError, UsageError
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.incidents import AlertGroup, Incident
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.incidents import summary
from lemnis.incidents.entries import MERGED, OPENED, SPLIT, UNMERGED


def chosen(
    incident: Incident, alerts: Collection[str], rules: Collection[str], entities: Collection[Entity]
) -> tuple[AlertGroup, ...]:
    """Return what of an incident is to be parted: these alerts, all of these rules, all about these entities.

    Raises UsageError for an alert that is not in it, or if that is nothing, or all.
    """
    unknown = set(alerts) - set(incident.alert_ids)
    if unknown:
        raise UsageError(
            f"{', '.join(sorted(unknown))}: not in {incident.id}", fix="`lemnis incident show ID`"
        )
    found = []
    for group in incident.groups:
        every = {group.rule_id, group.title} & set(rules) or set(group.entities) & set(entities)
        inside = group.alerts if every else tuple(pair for pair in group.alerts if pair[0] in alerts)
        if inside:
            found.append(replace(group, alerts=inside))
    count = sum(group.count for group in found)
    if not count:
        raise UsageError(f"nothing of {incident.id} is chosen", fix="give --alert, --rule or --entity")
    if count == sum(group.count for group in incident.groups):
        raise UsageError(f"that is all of {incident.id}", fix="choose a part of it")
    return tuple(found)


def shared(incident: Incident, out: Sequence[AlertGroup]) -> frozenset[Entity]:
    """Return the entities that alerts to be parted have in common with the others."""
    gone = {alert for group in out for alert, _ in group.alerts}
    stay = {
        entity
        for group in incident.groups
        if any(alert not in gone for alert, _ in group.alerts)
        for entity in group.entities
    }
    return frozenset(stay & {entity for group in out for entity in group.entities})


def split(
    incident: Incident,
    named: tuple[int, str],
    out: Sequence[AlertGroup],
    facts: Mapping[str, Json],
    *,
    actor: str,
    reason: str,
    at: int,
) -> list[NewEntry]:
    """Part alerts from an incident: they are a new one, of which ``facts`` says what it weighs.

    ``named`` are time and id of the alert that names the incident, which keeps its id.
    """
    _needs(reason)
    alerts = sorted(alert for group in out for alert, _ in group.alerts)
    into = stable_id("in", "split", incident.id, str(at), *alerts)
    groups: list[Json] = [
        {**summary.group(group), "reasons": [f"parted from {incident.id} by {actor}: {reason}"]}
        for group in out
    ]
    opened = {**facts, "groups": groups}
    return [
        _split(incident, named, out, into, actor=actor, reason=reason, at=at),
        NewEntry(OPENED, into, f"{OPENED}:{into}", opened, actor, f"parted from {incident.id}: {reason}"),
    ]


def unmerge(
    incident: Incident, named: tuple[int, str], other: Incident, *, actor: str, reason: str, at: int
) -> list[NewEntry]:
    """Take an incident out again of the one that it was merged into; its alerts are those it had then.

    ``named`` are time and id of the alert that names the incident, which keeps its id.
    """
    _needs(reason)
    if other.merged_into != incident.id:
        raise RefusedError(f"{other.id} was not merged into {incident.id}", fix="`lemnis incident show ID`")
    there = set(incident.alert_ids)
    out = tuple(
        replace(group, alerts=inside)
        for group in other.groups
        if (inside := tuple(pair for pair in group.alerts if pair[0] in there))
    )
    if not out or sum(group.count for group in out) == len(there):
        raise RefusedError(f"{incident.id} is nothing but {other.id}", fix="it goes on under that id")
    key = f"{UNMERGED}:{other.id}:{incident.id}:{at}"
    return [
        _split(incident, named, out, other.id, actor=actor, reason=reason, at=at),
        NewEntry(UNMERGED, other.id, key, {"out_of": incident.id}, actor, reason),
    ]


def merge(into: Incident, other: Incident, *, actor: str, reason: str, at: int) -> list[NewEntry]:
    """Merge an incident into another, whatever alerts say."""
    _needs(reason)
    for one in (into, other):
        if one.merged_into:
            raise RefusedError(f"{one.id} was merged into {one.merged_into}", fix="act on that one")
    if into.id == other.id:
        raise UsageError(f"{into.id} cannot be merged into itself")
    facts: dict[str, Json] = {
        "risk": max(into.risk, other.risk), "because": into.because,
        "decisive": min(into.decisive, other.decisive), "content_digest": into.content_digest,
    }  # fmt: skip
    key = f"{MERGED}:{into.id}:{other.id}:{at}"
    return [
        NewEntry(MERGED, into.id, key, {"from": other.id, **facts}, actor, reason),
        NewEntry(MERGED, other.id, f"{key}:into", {"into": into.id}, actor, reason),
    ]


def split_of(entry: Entry) -> Split:
    """Read back what was parted."""
    payload: Mapping[str, Any] = entry.payload
    rest, time, alert = payload["rest"]
    return Split(
        tuple((str(one), int(at)) for one, at in payload["alerts"]), str(payload["into"]),
        frozenset(map(Entity.parse, payload["ignored"])), rest, time, alert, entry.subject,
    )  # fmt: skip


def _split(
    incident: Incident, named: tuple[int, str], out: Sequence[AlertGroup], into: str, *, actor: str,
    reason: str, at: int,
) -> NewEntry:  # fmt: skip
    alerts = sorted((alert, time) for group in out for alert, time in group.alerts)
    gone = {alert for alert, _ in alerts}
    rest = next(alert for alert in incident.alert_ids if alert not in gone)
    payload: dict[str, Json] = {
        "alerts": alerts, "into": into, "ignored": sorted(map(str, shared(incident, out))),
        "rest": [rest, *named],
    }  # fmt: skip
    return NewEntry(SPLIT, incident.id, f"{SPLIT}:{incident.id}:{into}:{at}", payload, actor, reason)


def _needs(reason: str) -> None:
    if not reason.strip():
        raise UsageError("a decision about an incident needs a reason", fix="give --reason")
