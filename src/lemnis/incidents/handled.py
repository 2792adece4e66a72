"""How incidents are worked on: a pure fold over journal entries in their order, beside ``view``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lemnis.contracts import kinds as shared
from lemnis.contracts.alerts import IncidentStatus
from lemnis.contracts.handling import (
    Handling,
    Hold,
    Link,
    Phase,
    PhaseChange,
    Role,
    Said,
    Task,
    TaskState,
)
from lemnis.contracts.journal import Entry
from lemnis.incidents import entries as lifecycle
from lemnis.incidents import handling as kinds

NOTHING = Handling()
_OVER = frozenset({IncidentStatus.RESOLVED, IncidentStatus.CLOSED})
_STANDING = frozenset({*_OVER, IncidentStatus.ON_HOLD})


@dataclass(slots=True)
class _Building:
    """A handling while its entries are read."""

    phase: Phase = Phase.DETECT
    phases: list[PhaseChange] = field(default_factory=list)
    severity: Said | None = None
    priority: Said | None = None
    roles: dict[Role, str] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    acknowledged: int | None = None
    contained: int | None = None
    resolved: int | None = None
    told: set[str] = field(default_factory=set)


def handled(entries: Iterable[Entry]) -> dict[str, Handling]:
    """Return how each incident that the entries tell of is worked on.

    Phases move on by themselves, never back: to *respond* when a person takes an incident up, to *recover*
    when it is contained, to *improve* when it is resolved or closed. A person sets any phase, with a reason;
    an incident that is opened again is back in *respond*.
    """
    building: dict[str, _Building] = {}
    for entry in entries:
        if entry.kind in kinds.KINDS:
            _apply(building.setdefault(entry.subject, _Building()), entry, building)
    return {incident: _finish(one) for incident, one in building.items()}


def _apply(one: _Building, entry: Entry, building: Mapping[str, _Building]) -> None:
    payload: Mapping[str, Any] = entry.payload
    if entry.kind == lifecycle.MERGED:
        if other := building.get(payload.get("from", "")):
            _take_in(one, other, whole=bool(payload.get("continues")))
    elif entry.kind in _FOLDS:
        _FOLDS[entry.kind](one, entry, payload)


def _take_in(one: _Building, other: _Building, *, whole: bool) -> None:
    """Add the tasks, links and roles of a merged incident; ``whole`` if it is that one that goes on."""
    one.tasks |= other.tasks
    one.links |= other.links
    one.roles = {**other.roles, **one.roles}
    if whole:
        for name in ("phase", "severity", "priority", "acknowledged", "contained", "resolved"):
            setattr(one, name, getattr(other, name))
        one.phases, one.holds, one.told = [*other.phases], [*other.holds], {*other.told}


def _contained(one: _Building, entry: Entry, _payload: Mapping[str, Any]) -> None:
    one.contained = entry.at if one.contained is None else one.contained
    _on(one, entry, Phase.RECOVER)


def _phase(one: _Building, entry: Entry, payload: Mapping[str, Any]) -> None:
    to = Phase(payload["phase"])
    if to is Phase.RECOVER and one.contained is None:
        one.contained = entry.at
    _step(one, entry, to)


def _decided(one: _Building, entry: Entry, payload: Mapping[str, Any]) -> None:
    said = Said(entry.at, entry.actor, payload["value"], entry.reason) if payload["value"] else None
    if entry.kind == kinds.SEVERITY:
        one.severity = said
    else:
        one.priority = said


def _role(one: _Building, _entry: Entry, payload: Mapping[str, Any]) -> None:
    one.roles[Role(payload["role"])] = payload["name"]


def _link(one: _Building, entry: Entry, payload: Mapping[str, Any]) -> None:
    if payload.get("removed"):
        one.links.pop(payload["url"], None)
        return
    made = Link(entry.at, entry.actor, payload["url"], payload["kind"], payload["title"])
    one.links.setdefault(made.url, made)


def _breached(one: _Building, _entry: Entry, payload: Mapping[str, Any]) -> None:
    one.told.add(f"{payload['timer']}:{payload['due']}")


def _near(one: _Building, _entry: Entry, payload: Mapping[str, Any]) -> None:
    one.told.add(f"near:{payload['timer']}:{payload['due']}")


def _moved(one: _Building, entry: Entry, payload: Mapping[str, Any]) -> None:
    """Follow a change of status: holds begin and end, phases go on."""
    status = IncidentStatus(payload["status"])
    if one.acknowledged is None and entry.actor != "lemnis":
        one.acknowledged = entry.at
    if one.holds and one.holds[-1].end is None:
        one.holds[-1] = replace(one.holds[-1], end=entry.at)
    if status in _STANDING:
        one.holds.append(Hold(entry.at, None, entry.actor, entry.reason))
    again = one.resolved is not None and status not in _OVER
    if status in _OVER:
        one.resolved = entry.at if one.resolved is None else one.resolved
        _on(one, entry, Phase.IMPROVE)
    elif again:
        one.resolved = None
        _step(one, entry, Phase.RESPOND)
    else:
        _on(one, entry, Phase.RESPOND)


def _on(one: _Building, entry: Entry, to: Phase) -> None:
    """Go on to a phase, never back."""
    if to.place > one.phase.place:
        _step(one, entry, to)


def _step(one: _Building, entry: Entry, to: Phase) -> None:
    if to is not one.phase:
        one.phases.append(PhaseChange(entry.at, entry.actor, to, entry.reason))
        one.phase = to


def _task(one: _Building, entry: Entry, payload: Mapping[str, Any]) -> None:
    name = payload["task"]
    known = one.tasks.get(name)
    if known is None and "title" in payload:
        one.tasks[name] = Task(
            name, payload["title"], payload["assignee"], payload["due"], TaskState(payload["state"]),
            entry.at, entry.actor, entry.at,
        )  # fmt: skip
    elif known is not None:
        one.tasks[name] = replace(
            known,
            state=TaskState(payload.get("state", known.state)),
            assignee=payload.get("assignee", known.assignee),
            due=payload.get("due", known.due),
            changed=entry.at,
        )


_FOLDS: Mapping[str, Callable[[_Building, Entry, Mapping[str, Any]], None]] = {
    lifecycle.STATUS: _moved, shared.CONTAINED: _contained, kinds.PHASE: _phase, kinds.SEVERITY: _decided,
    kinds.PRIORITY: _decided, kinds.ROLE: _role, kinds.TASK: _task, kinds.LINK: _link,
    kinds.BREACHED: _breached, kinds.NEAR: _near,
}  # fmt: skip


def _finish(one: _Building) -> Handling:
    return Handling(
        phase=one.phase,
        phases=tuple(one.phases),
        severity=one.severity,
        priority=one.priority,
        roles={role: name for role, name in one.roles.items() if name},
        tasks=tuple(one.tasks.values()),
        links=tuple(one.links.values()),
        holds=tuple(one.holds),
        acknowledged=one.acknowledged,
        contained=one.contained,
        resolved=one.resolved,
        told=frozenset(one.told),
    )
