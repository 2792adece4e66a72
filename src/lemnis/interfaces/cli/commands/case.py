"""``lemnis case``: the work file over one or more incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.commands.incident import IncidentArgument
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit

if TYPE_CHECKING:
    from lemnis.contracts.handling import Case

CaseArgument = Annotated[str, typer.Argument(metavar="CASE", help="The case's id, or how it begins.")]
ReasonOption = Annotated[str, typer.Option(help="Why.")]


def register(app: typer.Typer) -> None:
    """Add the commands about cases."""
    case = group(app, "case")
    case.command("list")(list_)
    for command in (create, add, remove, show, note, assign, close, reopen):
        case.command(command.__name__)(command)


def list_(
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the cases; with --json one object a line.

    Example: lemnis case list
    """
    from lemnis import app
    from lemnis.app import cases
    from lemnis.incidents.cases import document
    from lemnis.interfaces.cli.incident_work_view import case_table

    found = [one for one in cases.cases(app.open_workspace(workspace)) if every or one.open]
    if json:
        for one in found:
            emit(document(one))
        return
    console.print(case_table(found))


def create(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What it is about.")],
    incident: Annotated[
        list[str] | None, typer.Option("--incident", metavar="ID", help="Put it in at once; may be repeated.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why they belong together.")] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Begin a case.

    Example: lemnis case create "Phishing of the finance team" --incident in-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import cases

    opened, who = app.open_workspace(workspace), actor_name(actor)
    made = cases.create(opened, title, actor=who, reason=reason)
    for one in incident or ():
        made = cases.add(opened, made.id, one, actor=who, reason=reason)
    _tell(made, json=json)


def add(
    case: CaseArgument,
    incident: IncidentArgument,
    reason: Annotated[str, typer.Option(help="Why it belongs to it.")] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Put an incident into a case.

    Example: lemnis case add case-0123456789abcdef in-0123456789abcdef --reason "the same mail"
    """
    from lemnis import app
    from lemnis.app import cases

    opened = app.open_workspace(workspace)
    _tell(cases.add(opened, case, incident, actor=actor_name(actor), reason=reason), json=json)


def remove(
    case: CaseArgument,
    incident: IncidentArgument,
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Take an incident out of a case; that it was in it stays in the journal.

    Example: lemnis case remove case-0123456789abcdef in-0123456789abcdef --reason "another sender"
    """
    from lemnis import app
    from lemnis.app import cases

    opened = app.open_workspace(workspace)
    _tell(cases.remove(opened, case, incident, actor=actor_name(actor), reason=reason), json=json)


def show(case: CaseArgument, json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Show a case: its incidents with what is due, their open tasks, notes.

    Example: lemnis case show case-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import cases
    from lemnis.incidents.cases import document
    from lemnis.incidents.export import standing, task
    from lemnis.interfaces.cli.incident_work_view import case_panels

    opened = app.open_workspace(workspace)
    one = cases.get(opened, case)
    held = cases.held(opened, one)
    if json:
        told = [
            {
                **standing(each.incident, each.handling, each.weighed, each.timers),
                "tasks": [task(part) for part in each.handling.tasks],
            }
            for each in held
        ]
        emit({**document(one), "incidents": told})
        return
    for part in case_panels(one, held, opened.clock.now()):
        console.print(part)


def note(
    case: CaseArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to write down.")],
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a note to a case.

    Example: lemnis case note case-0123456789abcdef "the sender is known to the police"
    """
    from lemnis import app
    from lemnis.app import cases

    _tell(cases.note(app.open_workspace(workspace), case, text, actor=actor_name(actor)), json=json)


def assign(
    case: CaseArgument,
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Who owns it from now on.")],
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Give a case an owner.

    Example: lemnis case assign case-0123456789abcdef maria
    """
    from lemnis import app
    from lemnis.app import cases

    _tell(cases.assign(app.open_workspace(workspace), case, owner, actor=actor_name(actor)), json=json)


def close(
    case: CaseArgument,
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Close a case; its incidents must be over.

    Example: lemnis case close case-0123456789abcdef --reason "all are closed, the lesson is merged"
    """
    from lemnis import app
    from lemnis.app import cases

    opened = app.open_workspace(workspace)
    _tell(cases.close(opened, case, actor=actor_name(actor), reason=reason), json=json)


def reopen(
    case: CaseArgument,
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Open a closed case again.

    Example: lemnis case reopen case-0123456789abcdef --reason "the same sender wrote again"
    """
    from lemnis import app
    from lemnis.app import cases

    opened = app.open_workspace(workspace)
    _tell(cases.reopen(opened, case, actor=actor_name(actor), reason=reason), json=json)


def _tell(case: Case, *, json: bool) -> None:
    from lemnis.incidents.cases import document
    from lemnis.interfaces.cli.incident_work_view import case_table

    if json:
        emit(document(case))
    else:
        console.print(case_table([case]))
