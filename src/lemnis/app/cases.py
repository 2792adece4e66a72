"""Cases of a workspace: opened, filled with incidents, told, closed."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import incidents
from lemnis.app.incidents_handling import Standing, standing
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.handling import Case
from lemnis.contracts.journal import NewEntry
from lemnis.incidents import cases as writing

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal


def cases(workspace: app.Workspace) -> list[Case]:
    """Return every case, in the order in which they were opened."""
    journal = app.journal(workspace)
    streams = [journal.entries(kind=kind) for kind in writing.KINDS]
    return list(writing.fold(heapq.merge(*streams, key=lambda entry: entry.seq)).values())


def get(workspace: app.Workspace, case: str) -> Case:
    """Return a case by its id or a beginning of it that no other has; raises NotFoundError."""
    return _get(app.journal(workspace), case)


def create(workspace: app.Workspace, title: str, *, actor: str, reason: str = "") -> Case:
    """Begin a case; it is owned by who begins it."""
    journal = app.journal(workspace)
    entry = writing.create(title, actor=actor, at=workspace.clock.now(), reason=reason)
    journal.append(entry)
    return _get(journal, entry.subject)


def add(workspace: app.Workspace, case: str, incident: str, *, actor: str, reason: str = "") -> Case:
    """Put an incident into a case; it may be in several."""
    journal, known = _known(workspace, case)
    one = incidents.get(workspace, incident)
    incidents.refuse_merged(one)
    now = workspace.clock.now()
    return _write(journal, known, *writing.add(known, one.id, actor=actor, at=now, reason=reason))


def remove(workspace: app.Workspace, case: str, incident: str, *, actor: str, reason: str) -> Case:
    """Take an incident out of a case."""
    journal, known = _known(workspace, case)
    one = incidents.get(workspace, incident)
    now = workspace.clock.now()
    return _write(journal, known, *writing.remove(known, one.id, actor=actor, at=now, reason=reason))


def note(workspace: app.Workspace, case: str, text: str, *, actor: str) -> Case:
    """Write a note to a case."""
    journal, known = _known(workspace, case)
    return _write(journal, known, writing.note(known, text, actor=actor, at=workspace.clock.now()))


def assign(workspace: app.Workspace, case: str, name: str, *, actor: str) -> Case:
    """Give a case an owner."""
    journal, known = _known(workspace, case)
    return _write(journal, known, writing.owner(known, name, actor=actor, at=workspace.clock.now()))


def close(workspace: app.Workspace, case: str, *, actor: str, reason: str) -> Case:
    """Close a case; raises RefusedError while incidents in it are open."""
    journal, known = _known(workspace, case)
    left = [one.incident.id for one in held(workspace, known) if one.incident.open]
    now = workspace.clock.now()
    return _write(journal, known, writing.close(known, still_open=left, actor=actor, at=now, reason=reason))


def reopen(workspace: app.Workspace, case: str, *, actor: str, reason: str) -> Case:
    """Open a closed case again."""
    journal, known = _known(workspace, case)
    entry = writing.reopen(known, actor=actor, at=workspace.clock.now(), reason=reason)
    return _write(journal, known, entry)


def held(workspace: app.Workspace, case: Case) -> list[Standing]:
    """Return how the incidents of a case stand; one that was merged stands for what it was merged into."""
    found: dict[str, Standing] = {}
    for name in case.incidents:
        one = incidents.get(workspace, name)
        while one.merged_into:
            one = incidents.get(workspace, one.merged_into)
        found.setdefault(one.id, standing(workspace, one))
    return list(found.values())


def _known(workspace: app.Workspace, case: str) -> tuple[SqlJournal, Case]:
    journal = app.journal(workspace)
    return journal, _get(journal, case)


def _get(journal: SqlJournal, case: str) -> Case:
    found = journal.subjects([writing.OPENED], beginning=case) if case else []
    found = [case] if case in found else found
    if len(found) != 1:
        what = f"{len(found)} cases begin with {case!r}" if found else f"no case {case!r}"
        raise NotFoundError(what, fix="`lemnis case list` shows them")
    return writing.fold(journal.entries(subject=found[0]))[found[0]]


def _write(journal: SqlJournal, known: Case, *entries: NewEntry) -> Case:
    journal.append_all(entries)
    return _get(journal, known.id)
