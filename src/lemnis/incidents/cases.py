"""Cases: the human work file over one or more incidents, as journal entries and a fold over them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from lemnis.contracts.errors import RefusedError, UsageError
from lemnis.contracts.handling import Case, CaseNote
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import Entry, NewEntry

OPENED, ADDED, REMOVED = "case.opened", "case.added", "case.removed"
NOTE, OWNER, CLOSED, REOPENED = "case.note", "case.owner", "case.closed", "case.reopened"
KINDS = (OPENED, ADDED, REMOVED, NOTE, OWNER, CLOSED, REOPENED)
"""The kinds that a case is folded from."""
TOLD = "incident.case"
"""What an incident is told by: it was put into a case, or taken out of one."""


def create(title: str, *, actor: str, at: int, reason: str = "") -> NewEntry:
    """Begin a case; raises UsageError without a title."""
    if not title.strip():
        raise UsageError("a case needs a title")
    name = stable_id("case", title, actor, str(at))
    return NewEntry(OPENED, name, name, {"title": title, "owner": actor}, actor, reason or title)


def add(case: Case, incident: str, *, actor: str, at: int, reason: str) -> list[NewEntry]:
    """Put an incident into a case; raises RefusedError if it is in it, or the case is closed."""
    _still_open(case)
    if incident in case.incidents:
        raise RefusedError(f"{incident} is in {case.id} already")
    return _pair(ADDED, case, incident, actor=actor, at=at, reason=reason or f"put into {case.title}")


def remove(case: Case, incident: str, *, actor: str, at: int, reason: str) -> list[NewEntry]:
    """Take an incident out of a case; raises RefusedError if it is not in it, UsageError without a reason."""
    if incident not in case.incidents:
        raise RefusedError(f"{incident} is not in {case.id}")
    if not reason.strip():
        raise UsageError("taking an incident out of a case needs a reason")
    return _pair(REMOVED, case, incident, actor=actor, at=at, reason=reason)


def note(case: Case, text: str, *, actor: str, at: int) -> NewEntry:
    """Write a note to a case."""
    if not text.strip():
        raise UsageError("the note is empty")
    return NewEntry(NOTE, case.id, stable_id("cn", case.id, actor, str(at), text), {"text": text}, actor)


def owner(case: Case, name: str, *, actor: str, at: int) -> NewEntry:
    """Give a case an owner."""
    key = stable_id("co", case.id, name, actor, str(at))
    return NewEntry(OWNER, case.id, key, {"owner": name}, actor, f"assigned to {name}")


def close(case: Case, *, still_open: Iterable[str], actor: str, at: int, reason: str) -> NewEntry:
    """Close a case; raises RefusedError while incidents in it are open, UsageError without a reason."""
    _still_open(case)
    left = sorted(still_open)
    if left:
        raise RefusedError(
            f"{len(left)} of its incidents are open: {', '.join(left[:5])}",
            fix="close them, or take them out",
        )
    if not reason.strip():
        raise UsageError("closing a case needs a reason")
    return NewEntry(CLOSED, case.id, stable_id("cc", case.id, actor, str(at)), {}, actor, reason)


def reopen(case: Case, *, actor: str, at: int, reason: str) -> NewEntry:
    """Open a closed case again."""
    if case.open:
        raise RefusedError(f"{case.id} is open")
    if not reason.strip():
        raise UsageError("opening a case again needs a reason")
    return NewEntry(REOPENED, case.id, stable_id("cr", case.id, actor, str(at)), {}, actor, reason)


def fold(entries: Iterable[Entry]) -> dict[str, Case]:
    """Return the cases that the entries tell of, in the order in which they were opened."""
    found: dict[str, Case] = {}
    for entry in entries:
        if entry.kind == OPENED:
            title, holder = str(entry.payload["title"]), str(entry.payload["owner"])
            found[entry.subject] = Case(entry.subject, title, holder, entry.at, entry.actor, entry.at)
        elif entry.kind in _FOLDS and entry.subject in found:
            one = _FOLDS[entry.kind](found[entry.subject], entry)
            found[entry.subject] = replace(one, updated=entry.at)
    return found


def document(case: Case) -> dict[str, Json]:
    """Return a case as JSON; instants in ms since 1970."""
    return {
        "id": case.id, "title": case.title, "owner": case.owner, "open": case.open,
        "incidents": list(case.incidents), "opened": case.opened, "by": case.by, "updated": case.updated,
        "closed": case.closed, "closed_by": case.closed_by or None,
        "closed_because": case.closed_because or None,
        "notes": [{"at": one.at, "actor": one.actor, "text": one.text} for one in case.notes],
    }  # fmt: skip


def _pair(kind: str, case: Case, incident: str, *, actor: str, at: int, reason: str) -> list[NewEntry]:
    """Tell the case and the incident of the same step."""
    key = stable_id("ci", kind, case.id, incident, str(at))
    told = {"case": case.id, "title": case.title, "what": kind.rpartition(".")[2]}
    return [
        NewEntry(kind, case.id, key, {"incident": incident}, actor, reason),
        NewEntry(TOLD, incident, f"{key}:told", told, actor, f"{told['what']}, case {case.title}: {reason}"),
    ]


def _still_open(case: Case) -> None:
    if not case.open:
        raise RefusedError(f"{case.id} is closed", fix="`lemnis case reopen` opens it again")


_FOLDS: Mapping[str, Callable[[Case, Entry], Case]] = {
    ADDED: lambda case, entry: replace(
        case, incidents=tuple(dict.fromkeys([*case.incidents, str(entry.payload["incident"])]))
    ),
    REMOVED: lambda case, entry: replace(
        case, incidents=tuple(one for one in case.incidents if one != entry.payload["incident"])
    ),
    NOTE: lambda case, entry: replace(
        case, notes=(*case.notes, CaseNote(entry.at, entry.actor, str(entry.payload["text"])))
    ),
    OWNER: lambda case, entry: replace(case, owner=str(entry.payload["owner"])),
    CLOSED: lambda case, entry: replace(
        case, closed=entry.at, closed_by=entry.actor, closed_because=entry.reason
    ),
    REOPENED: lambda case, _entry: replace(case, closed=None, closed_by="", closed_because=""),
}
