"""Lessons as they stand, read from git and the journal: apart from their making, which loads far more."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lemnis import app
from lemnis.app import shelf
from lemnis.app.shelf import Written
from lemnis.contracts.journal import Entry

PROPOSED, PROVED, MERGED = "lesson.proposed", "lesson.proved", "lesson.merged"


@dataclass(frozen=True, slots=True)
class State:
    """A lesson and how far it is: ``proposed``, ``proven`` as it stands now, or ``merged``.

    ``proved`` is the last verdict on exactly what stands there now; git merges what was not proven, too.
    """

    written: Written
    state: str
    proposed: Entry | None
    proved: Entry | None

    @property
    def proven(self) -> bool:
        """Say whether the lesson as it stands was proven: only then is it closed."""
        return self.proved is not None and bool(self.proved.payload["proven"])


def show(workspace: app.Workspace, lesson: str) -> State:
    """Return one lesson; raises NotFoundError."""
    written = shelf.find(workspace, lesson)
    journal = app.journal(workspace)
    proposed = list(journal.entries(kind=PROPOSED, subject=lesson))
    verdicts = journal.entries(kind=PROVED, subject=lesson)
    if written.merged:
        files = shelf.files_digest(workspace, written)
        proved = [one for one in verdicts if one.payload["files"] == files]
    else:
        proved = [one for one in verdicts if one.payload["commit"] == written.commit]
    found = State(written, "merged", proposed[-1] if proposed else None, proved[-1] if proved else None)
    return found if written.merged else replace(found, state="proven" if found.proven else "proposed")


def list_(workspace: app.Workspace) -> list[State]:
    """Return all lessons."""
    return [show(workspace, name) for name in shelf.names(workspace)]
