"""What is written of incidents: changes and decisions as journal entries, idempotent by their keys. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any, Protocol, cast

import orjson

from lemnis.contracts.alerts import (
    Alert,
    Entity,
    IncidentChange,
    IncidentStatus,
    MatchedField,
    Severity,
    Verdict,
    Written,
)
from lemnis.contracts.errors import RefusedError, UsageError
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.incidents import Incident
from lemnis.contracts.journal import Entry, NewEntry

ALERT = "alert"
REPEATED = "alert.repeated"
SUPPRESSED = "alert.suppressed"
REOPENED = "alert.reopened"
OPENED = "incident.opened"
JOINED = "incident.joined"
MERGED = "incident.merged"
SPLIT = "incident.split"
UNMERGED = "incident.unmerged"
STATUS = "incident.status"
NOTE = "incident.note"
OWNER = "incident.owner"
EVIDENCE = "evidence"
KINDS = (OPENED, JOINED, MERGED, SPLIT, UNMERGED, STATUS, NOTE, OWNER, EVIDENCE)
"""The kinds that an incident is folded from."""
_EXCEPTIONS = "exceptions"
_ALERTS_AN_ENTRY = 1000
_EVENTS_AN_ENTRY = 1000
_STATED = ("revision", "withdrawn", "count", "first", "last", "rule_digest", "confidence", "window")
_FURTHER = frozenset({*_STATED, "matched", "fingerprint"})
_UNSTATED = {one.name: one.default for one in fields(Alert)}
_SEVERITIES = tuple(Severity)
parse_entity = lru_cache(maxsize=100_000)(Entity.parse)
"""Reads ``kind:value``; the same few entities come again and again."""
_NEXT: Mapping[IncidentStatus, frozenset[IncidentStatus]] = {
    IncidentStatus.NEW: frozenset(
        {IncidentStatus.IN_PROGRESS, IncidentStatus.ON_HOLD, IncidentStatus.RESOLVED, IncidentStatus.CLOSED}
    ),
    IncidentStatus.IN_PROGRESS: frozenset(
        {IncidentStatus.ON_HOLD, IncidentStatus.RESOLVED, IncidentStatus.CLOSED}
    ),
    IncidentStatus.ON_HOLD: frozenset(
        {IncidentStatus.IN_PROGRESS, IncidentStatus.RESOLVED, IncidentStatus.CLOSED}
    ),
    IncidentStatus.RESOLVED: frozenset({IncidentStatus.IN_PROGRESS, IncidentStatus.CLOSED}),
    IncidentStatus.CLOSED: frozenset({IncidentStatus.IN_PROGRESS}),
}
_QUIET = frozenset(
    {Verdict.FALSE_POSITIVE, Verdict.DISREGARD, Verdict.BENIGN, Verdict.TEST, Verdict.DUPLICATE}
)


def alert_entry(alert: Alert) -> NewEntry:
    """Write an alert down; the same alert is written once."""
    payload: dict[str, Json] = {
        **_summary(alert),
        "time": alert.time,
        "event_uids": list(alert.event_uids[:_EVENTS_AN_ENTRY]),
        "content_digest": alert.content_digest,
        "event": _written(alert.event),
    }
    for name in _STATED:
        if (value := getattr(alert, name)) != _UNSTATED[name]:
            payload[name] = value
    if alert.matched:
        payload["matched"] = [[*one] for one in alert.matched]
    key = alert_key(alert.id, alert.revision)
    return NewEntry(ALERT, alert.id, key, payload, reason=alert.title)


def suppressed_entry(alert: Alert, exceptions: Iterable[str]) -> NewEntry:
    """Write down an alert that exceptions held back: it is no alert, and can become one."""
    names = sorted(exceptions)
    entry = alert_entry(alert)
    payload: dict[str, Json] = {**entry.payload, _EXCEPTIONS: names}
    return NewEntry(
        SUPPRESSED, alert.id, f"{SUPPRESSED}:{alert.id}", payload, reason=f"held back by {', '.join(names)}"
    )


def exceptions_of(entry: Entry) -> tuple[str, ...]:
    """Return the exceptions that held an alert back, of its entry."""
    return _texts(entry.payload[_EXCEPTIONS])


def reopened_entries(entry: Entry, *, actor: str, reason: str) -> list[NewEntry]:
    """Write down that a suppressed alert (its ``entry``) is one: as it would have been without exceptions."""
    payload = {name: value for name, value in entry.payload.items() if name != _EXCEPTIONS}
    told: dict[str, Json] = {"exceptions": list(exceptions_of(entry))}
    return [
        NewEntry(REOPENED, entry.subject, f"{REOPENED}:{entry.subject}", told, actor, reason),
        NewEntry(ALERT, entry.subject, entry.subject, payload, reason=str(entry.payload["title"])),
    ]


def alert_key(alert: str, revision: int = 0) -> str:
    """Return the key of an alert's entry, or of that of one of its revisions."""
    return f"{alert}:{revision}" if revision else alert


def _written(event: Mapping[str, Json]) -> Json:
    """Return an event as it is written: text that is there already is not made again."""
    return cast("Json", orjson.Fragment(event.text)) if type(event) is Written else event


def repeat_entries(alert: Alert, entries: Iterable[Entry]) -> list[NewEntry]:
    """Write down the events of a folded alert that its ``entries`` do not name yet."""
    named = {uid for entry in entries for uid in _texts(entry.payload.get("event_uids", ()))}
    uids = sorted(set(alert.event_uids) - named)
    found = []
    for start in range(0, len(uids), _EVENTS_AN_ENTRY):
        some = uids[start : start + _EVENTS_AN_ENTRY]
        payload: dict[str, Json] = {"event_uids": some, "first": alert.began, "last": alert.ended}
        reason = f"{len(some)} more of {alert.title}"
        found.append(NewEntry(REPEATED, alert.id, stable_id("ar", alert.id, *some), payload, reason=reason))
    return found


def tell(entries: Iterable[Entry], *, whole: bool = True) -> Alert | None:
    """Return an alert as all entries about it say: its latest revision, with what repeated it.

    None if there is none among them. In whatever order repeats came, they count and name the same events.
    """
    latest: Entry | None = None
    uids: list[str] = []
    times: list[int] = []
    for entry in entries:
        if entry.kind == ALERT:
            if latest is None or _revision(entry) >= _revision(latest):
                latest = entry
        elif entry.kind == REPEATED:
            uids += _texts(entry.payload["event_uids"])
            times += [_int(entry.payload["first"]), _int(entry.payload["last"])]
    if latest is None:
        return None
    alert = read_alert(latest, whole=whole)
    if not uids:
        return alert
    first, *others = alert.event_uids
    every = (first, *sorted({*others, *uids} - {first}))
    first_time, last_time = min(alert.began, *times), max(alert.ended, *times)
    return replace(alert, event_uids=every, count=len(every), first=first_time, last=last_time)


def _revision(entry: Entry) -> int:
    return _int(entry.payload.get("revision", 0))


def read_alert(entry: Entry, *, whole: bool = True) -> Alert:
    """Read an alert back from its entry, with the event unless not ``whole``."""
    p = entry.payload
    further = {} if _FURTHER.isdisjoint(p) else _further(p)
    return Alert(
        id=entry.subject, rule_id=str(p["rule_id"]), title=str(p["title"]),
        severity=_SEVERITIES[_int(p["severity"])],
        time=_int(p["time"]), source=str(p["source"]), event_uids=_texts(p["event_uids"]),
        entities=tuple(map(parse_entity, _texts(p["entities"]))),
        content_digest=str(p["content_digest"]), tags=_texts(p["tags"]),
        event=event_of(entry) if whole else {}, **further,
    )  # fmt: skip


def _further(p: Mapping[str, Json]) -> dict[str, Any]:
    """Read what an alert's entry says only where there is something to say."""
    return {
        "revision": _int(p.get("revision", 0)), "withdrawn": bool(p.get("withdrawn")),
        "count": _int(p.get("count", 1)), "first": _int(p.get("first", 0)), "last": _int(p.get("last", 0)),
        "rule_digest": str(p.get("rule_digest", "")), "matched": _matched(p.get("matched", ())),
        "confidence": str(p.get("confidence", "")), "window": _int(p.get("window", 0)),
        "fingerprint": str(p.get("fingerprint", "")),
    }  # fmt: skip


def event_of(entry: Entry) -> Mapping[str, Json]:
    """Return the event that an alert's entry has."""
    return _object(entry.payload["event"])


class Stands(Protocol):
    """What of an incident a change to it depends on."""

    @property
    def open(self) -> bool: ...  # noqa: D102 - as ``Incident`` has it
    @property
    def status(self) -> IncidentStatus: ...  # noqa: D102 - as ``Incident`` has it
    @property
    def verdict(self) -> Verdict: ...  # noqa: D102 - as ``Incident`` has it
    @property
    def changed(self) -> int: ...  # noqa: D102 - as ``Incident`` has it
    def has(self, rule: str) -> bool: ...  # noqa: D102 - as ``Incident`` has it


def change_entries(change: IncidentChange, known: Stands | None, content_digest: str) -> list[NewEntry]:
    """Write down what correlation found: opened or joined, merged, and opened again where that is due.

    ``known`` is how the incident stands, None if this opens it; one that goes on under another id opens
    that, and is merged into it: ``known`` is how it stood.
    """
    opens = known is None or bool(change.continues)
    incident, entries = change.incident_id, []
    facts: dict[str, Json] = {
        "risk": change.risk, "because": change.because, "decisive": change.decisive,
        "content_digest": content_digest,
    }  # fmt: skip
    for number, groups in enumerate(_chunks(change)):
        ids = sorted(alert for group in groups for alert in _ids(group))
        payload: dict[str, Json] = {**facts, "groups": groups}
        if opens and number == 0:
            entries.append(NewEntry(OPENED, incident, f"{OPENED}:{incident}", payload, reason=change.because))
        else:
            key = f"{JOINED}:{stable_id('ij', incident, *ids)}"
            reason = f"{len(ids)} alert{'s' if len(ids) > 1 else ''} joined"
            entries.append(NewEntry(JOINED, incident, key, payload, reason=reason))
    if opens and not entries:
        opened: dict[str, Json] = {**facts, "groups": []}
        entries.append(NewEntry(OPENED, incident, f"{OPENED}:{incident}", opened, reason=change.because))
    for other in sorted(change.merged_from, key=lambda one: one != change.continues):
        goes_on = other == change.continues
        key = f"{MERGED}:{incident}:{other}:{stable_id('im', *sorted(alert.id for alert in change.alerts))}"
        reason = "it goes on under the id of its earliest alert" if goes_on else "alerts tie them together"
        continues: dict[str, Json] = {"continues": True} if goes_on else {}
        entries += [
            NewEntry(MERGED, incident, key, {"from": other, **continues, **facts}, reason=reason),
            NewEntry(MERGED, other, f"{key}:into", {"into": incident, **continues}, reason=reason),
        ]
    if known is not None and not known.open:
        why = _why_again(change, known)
        if why:
            entries.append(_status(incident, known, IncidentStatus.IN_PROGRESS, known.verdict, "lemnis", why))
    return entries


Group = Mapping[str, Any]
"""Alerts of one rule about the same entities, as an entry has them."""


def groups_of(entry: Entry | NewEntry) -> Sequence[Group]:
    """Return the groups of alerts that joined an incident by an entry; none for other entries."""
    groups: Any = entry.payload.get("groups", ()) if entry.kind in {OPENED, JOINED} else ()
    found: Sequence[Group] = groups
    return found


def status_of(entry: Entry) -> tuple[IncidentStatus, Verdict]:
    """Return status and verdict from an entry of a transition."""
    return IncidentStatus(_int(entry.payload["status"])), Verdict(_int(entry.payload["verdict"]))


def transition(
    incident: Incident, to: IncidentStatus, *, actor: str, reason: str, verdict: Verdict | None = None
) -> NewEntry:
    """Write a transition down; raises RefusedError if it is not legal, UsageError for what is missing."""
    if incident.merged_into:
        raise RefusedError(f"{incident.id} was merged into {incident.merged_into}", fix="act on that one")
    if to not in _NEXT.get(incident.status, frozenset()):
        legal = ", ".join(sorted(s.name.lower() for s in _NEXT.get(incident.status, ())))
        raise RefusedError(
            f"{incident.id} is {incident.status.name.lower()} and cannot become {to.name.lower()}",
            fix=f"from there it can become: {legal}",
        )
    decided = verdict if verdict is not None else incident.verdict
    if not reason.strip():
        raise UsageError("a transition needs a reason")
    if to is IncidentStatus.CLOSED and decided is Verdict.UNKNOWN:
        raise UsageError("an incident is closed with a verdict", fix="give one, such as true_positive")
    return _status(incident.id, incident, to, decided, actor, reason)


def note(incident: str, text: str, *, actor: str, at: int) -> NewEntry:
    """Write a note down."""
    if not text.strip():
        raise UsageError("the note is empty")
    return NewEntry(NOTE, incident, stable_id("nt", incident, actor, str(at), text), {"text": text}, actor)


def owner(incident: str, name: str, *, actor: str, at: int) -> NewEntry:
    """Write down who owns the incident from now on."""
    key = stable_id("ow", incident, name, actor, str(at))
    return NewEntry(OWNER, incident, key, {"owner": name}, actor, f"assigned to {name}")


def evidence(incident: str, digest: str, title: str, *, actor: str, reason: str = "") -> NewEntry:
    """Write down that the vault has evidence of the incident; the same evidence is written once."""
    payload = {"digest": digest, "title": title}
    return NewEntry(EVIDENCE, incident, f"{EVIDENCE}:{incident}:{digest}", payload, actor, reason or title)


def _status(  # noqa: PLR0917 - of an entry
    incident: str, known: Stands, to: IncidentStatus, verdict: Verdict, actor: str, reason: str
) -> NewEntry:
    payload = {"status": int(to), "verdict": int(verdict), "from": int(known.status)}
    return NewEntry(STATUS, incident, f"{STATUS}:{incident}:{known.changed + 1}", payload, actor, reason)


def _why_again(change: IncidentChange, known: Stands) -> str:
    """Say why a closed incident is opened again; empty if it stays closed.

    What was judged harmless stays closed while only the same rules go on about it.
    """
    new = next((alert for alert in change.alerts if not known.has(alert.rule_id)), None)
    if new is not None:
        return f"{new.id} ({new.title}) joined after it was {known.status.name.lower()}"
    merged = [other for other in change.merged_from if other != change.continues]
    if merged:
        return f"{', '.join(merged)} was merged into it"
    if change.alerts and known.verdict not in _QUIET:
        return f"{change.alerts[0].id} joined after it was {known.status.name.lower()}: it goes on"
    return ""


def _chunks(change: IncidentChange) -> Iterator[list[Json]]:
    """Part a change's alerts into groups of the same rule and entities, a bounded number of alerts a time."""
    for start in range(0, len(change.alerts), _ALERTS_AN_ENTRY):
        groups: list[Json] = []
        members: dict[tuple[object, ...], list[Json]] = {}
        for alert in change.alerts[start : start + _ALERTS_AN_ENTRY]:
            key = (alert.rule_id, alert.entities, alert.title, int(alert.severity), alert.source, alert.tags,
                   alert.fingerprint)  # fmt: skip
            alerts = members.get(key)
            if alerts is None:
                alerts = members[key] = []
                told = list(change.reasons.get(alert.id, ()))
                groups.append({**_summary(alert), "reasons": told, "alerts": alerts})
            alerts.append([alert.id, alert.time])
        yield groups


def _ids(group: Json) -> list[str]:
    alerts = group["alerts"] if isinstance(group, Mapping) else []
    return [str(pair[0]) for pair in alerts if isinstance(pair, list)] if isinstance(alerts, list) else []


def _summary(alert: Alert) -> dict[str, Json]:
    found: dict[str, Json] = {
        "rule_id": alert.rule_id, "title": alert.title, "severity": int(alert.severity),
        "source": alert.source, "tags": list(alert.tags), "entities": [str(e) for e in alert.entities],
    }  # fmt: skip
    if alert.fingerprint:
        found["fingerprint"] = alert.fingerprint
    return found


def _int(value: Json) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a number is expected, not {value!r}")
    return value


def _matched(value: Json) -> tuple[MatchedField, ...]:
    if not value:
        return ()
    found = () if isinstance(value, str) or not isinstance(value, Sequence) else value
    return tuple(MatchedField(*_texts(one)) for one in found)


def _texts(value: Json) -> tuple[str, ...]:
    if type(value) is list:
        return tuple(map(str, value))
    return () if isinstance(value, str) or not isinstance(value, Sequence) else tuple(map(str, value))


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
