"""How fast an incident was contained, and the playbook that its lesson drafts where that was slow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lemnis import app
from lemnis.app import incidents, respond
from lemnis.app.incidents_handling import standing
from lemnis.app.lesson_beside import slow
from lemnis.app.playbook_tests import TESTS
from lemnis.app.respond_triggers import TRIGGERED
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.playbook import Playbook
from lemnis.content.schemas.playbook_tests import PlaybookTests
from lemnis.contracts import kinds
from lemnis.contracts.errors import LemnisError
from lemnis.lessons.response import Response, cases_of, compile_response


@dataclass(frozen=True, slots=True)
class Drafted:
    """The files of the drafted playbook, none if there is nothing to draft, and a sentence for the review."""

    says: str
    files: Mapping[str, bytes] = field(default_factory=dict)


def draft(workspace: app.Workspace, incident: str, lesson: str, library: Library) -> Drafted:
    """Draft the playbook of a lesson over this content; what cannot be looked at is said, and not drafted."""
    try:
        return _draft(workspace, incident, lesson, library)
    except LemnisError as error:
        return Drafted(f"playbooks: none is drafted, not looked at: {error}")


def contained(workspace: app.Workspace, incident: str) -> Response:
    """Return how an incident was contained; raises NotFoundError."""
    one = incidents.get(workspace, incident)
    late = dict(slow(standing(workspace, one).timers)).get("contain", 0)
    journal = app.journal(workspace)
    runs = {run.id: run for run in respond.runs(workspace, one.id) if not run.undoes}
    effects = journal.entries(kind=kinds.CONTAINED, subject=one.id)
    first = next((run for entry in effects if (run := runs.get(str(entry.payload["run"])))), None)
    if first is None:
        return Response(late)
    began = {entry.payload["plan"] for entry in journal.entries(kind=TRIGGERED, subject=one.id)}
    return Response(late, first.playbook, first.plan not in began)


def _draft(workspace: app.Workspace, incident: str, lesson: str, library: Library) -> Drafted:
    response = contained(workspace, incident)
    if not response.slow:
        return Drafted(f"playbooks: none is drafted: {response.told}")
    item = library.get("playbooks", response.playbook)
    called, file = yaml.load(item.manifest, Playbook), item.folder / TESTS
    cases = cases_of(yaml.load(file, PlaybookTests)) if file.is_file() else []
    if not cases:
        why = "it has no test whose inputs all come from the incident"
        return Drafted(f"playbooks: none is drafted: {response.told}, but {why}")
    return Drafted(
        f"playbooks: {response.told}; the one drafted begins it with the lesson's alert, about what that "
        "alert names, after the same approval: is that right, and is it to be turned on (`playbooks.start`)?",
        compile_response(lesson, incident, response, called, cases),
    )
