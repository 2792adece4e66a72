"""``lemnis incident``: how it is worked on: phase, severity, priority, roles, tasks, links, timers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.commands.incident import IncidentArgument
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit

if TYPE_CHECKING:
    from lemnis.app.incidents_handling import Standing

PhaseName = Literal["detect", "respond", "recover", "improve"]
SeverityName = Literal["informational", "low", "medium", "high", "critical", "fatal", "computed"]
PriorityName = Literal["low", "medium", "high", "critical", "computed"]
RoleName = Literal["commander", "analyst", "developer", "communications"]
TaskStateName = Literal["open", "doing", "done", "dropped"]
LinkName = Literal["ticket", "pull_request", "commit", "document", "chat", "other"]
ReasonOption = Annotated[str, typer.Option(help="Why.")]
DueOption = Annotated[
    str, typer.Option(metavar="TIME", help="Until when: 2026-03-01T12:00:00Z, or from now on: 4h, 3d, 2w.")
]
AssigneeOption = Annotated[str | None, typer.Option(metavar="NAME", help="Who does it; '' for nobody.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group ``incident``."""
    incident = group(app, "incident")
    for command in (phase, severity, priority, role, link, sla):
        incident.command(command.__name__)(command)
    tasks = typer.Typer(help="What is to be done about an incident.", no_args_is_help=True)
    tasks.command("add")(add_task)
    tasks.command("set")(set_task)
    incident.add_typer(tasks, name="task")


def phase(
    incident: IncidentArgument,
    to: Annotated[PhaseName, typer.Argument(metavar="PHASE", help="detect, respond, recover or improve.")],
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Set the phase that an incident is in; `recover` says that it is contained.

    Phases go on by themselves: to respond when a person takes it up, to recover when an action contained it,
    to improve when it is resolved.

    Example: lemnis incident phase in-0123456789abcdef recover --reason "the cable is pulled"
    """
    from lemnis import app
    from lemnis.app import incidents_handling
    from lemnis.contracts.handling import Phase

    opened = app.open_workspace(workspace)
    _tell(
        incidents_handling.set_phase(opened, incident, Phase(to), actor=actor_name(actor), reason=reason),
        json=json,
    )


def severity(
    incident: IncidentArgument,
    to: Annotated[SeverityName, typer.Argument(metavar="SEVERITY", help="A severity, or `computed`.")],
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Decide how severe an incident is; `computed` lets it follow from alerts and assets again.

    Example: lemnis incident severity in-0123456789abcdef critical --reason "customer data is out"
    """
    from lemnis import app
    from lemnis.app import incidents_handling
    from lemnis.contracts.alerts import Severity

    chosen = None if to == "computed" else Severity[to.upper()]
    opened = app.open_workspace(workspace)
    _tell(
        incidents_handling.set_severity(opened, incident, chosen, actor=actor_name(actor), reason=reason),
        json=json,
    )


def priority(
    incident: IncidentArgument,
    to: Annotated[PriorityName, typer.Argument(metavar="PRIORITY", help="A priority, or `computed`.")],
    reason: ReasonOption,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Decide how urgent an incident is, and with that what its timers are; `computed` takes that back.

    Example: lemnis incident priority in-0123456789abcdef low --reason "a test system, cut off from all"
    """
    from lemnis import app
    from lemnis.app import incidents_handling
    from lemnis.contracts.handling import Priority

    chosen = None if to == "computed" else Priority[to.upper()]
    opened = app.open_workspace(workspace)
    _tell(
        incidents_handling.set_priority(opened, incident, chosen, actor=actor_name(actor), reason=reason),
        json=json,
    )


def role(
    incident: IncidentArgument,
    which: Annotated[
        RoleName, typer.Argument(metavar="ROLE", help="commander, analyst, developer or communications.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who has it from now on; '' for nobody.")],
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Give someone a role in an incident. Roles are written down; they allow and forbid nothing.

    Example: lemnis incident role in-0123456789abcdef commander maria
    """
    from lemnis import app
    from lemnis.app import incidents_handling
    from lemnis.contracts.handling import Role

    opened = app.open_workspace(workspace)
    _tell(
        incidents_handling.set_role(opened, incident, Role(which), name, actor=actor_name(actor)), json=json
    )


def link(
    incident: IncidentArgument,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where more about it is.")],
    title: Annotated[str, typer.Option(help="What it is called.")] = "",
    kind: Annotated[LinkName | None, typer.Option(help="What it is; by its address unless given.")] = None,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Link a ticket, a pull request, a page or a channel to an incident.

    Example: lemnis incident link in-0123456789abcdef https://github.com/example/shop/pull/7 --title "the fix"
    """
    from lemnis import app
    from lemnis.app import incidents_handling

    opened = app.open_workspace(workspace)
    _tell(
        incidents_handling.add_link(
            opened, incident, url, actor=actor_name(actor), kind=kind or "", title=title
        ),
        json=json,
    )


def add_task(
    incident: IncidentArgument,
    title: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be done.")],
    assignee: AssigneeOption = None,
    due: DueOption = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write down something to do.

    Example: lemnis incident task add in-0123456789abcdef "rotate the key" --assignee elif --due 4h
    """
    from lemnis import app
    from lemnis.app import incidents_handling

    opened = app.open_workspace(workspace)
    when = incidents_handling.due(due, opened.clock.now()) if due else None
    _tell(
        incidents_handling.add_task(
            opened, incident, title, actor=actor_name(actor), assignee=assignee or "", due=when
        ),
        json=json,
    )


def set_task(
    incident: IncidentArgument,
    task: Annotated[str, typer.Argument(metavar="TASK", help="Its number in `incident show`, or its id.")],
    state: Annotated[TaskStateName | None, typer.Option(help="How far it is.")] = None,
    assignee: AssigneeOption = None,
    due: DueOption = "",
    reason: Annotated[str, typer.Option(help="Why; a task that is dropped needs it.")] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Change a task: how far it is, who does it, until when.

    Example: lemnis incident task set in-0123456789abcdef 1 --state done
    """
    from lemnis import app
    from lemnis.app import incidents_handling
    from lemnis.contracts.handling import TaskState

    opened = app.open_workspace(workspace)
    when = incidents_handling.due(due, opened.clock.now()) if due else None
    _tell(
        incidents_handling.change_task(
            opened, incident, task, actor=actor_name(actor), state=TaskState(state) if state else None,
            assignee=assignee, due=when, reason=reason,
        ),
        json=json,
    )  # fmt: skip


def sla(
    due: Annotated[bool, typer.Option("--due", help="Show what is due next; nothing is written.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write down which timers ran out or are near, each once; exit 1 if one ran out since the last time.

    For a scheduler, to tell whoever is on call; `lemnis serve` does it by itself. With --json one object a
    timer; its `state` is `breached` or `near`. With --due the timers of all open incidents, the next first.

    Example: lemnis incident sla --due
    """
    from lemnis import app
    from lemnis.app import incidents_sla
    from lemnis.incidents.export import timer as document
    from lemnis.interfaces.cli.incident_work_view import breach_line, due_table

    opened = app.open_workspace(workspace)
    waiting = incidents_sla.waiting(opened)
    found = waiting if due else incidents_sla.tell(opened, waiting)
    if json:
        for one, timer in found:
            who = {"id": one.incident.id, "title": one.incident.title, "owner": one.incident.owner}
            emit({**who, "priority": one.weighed.priority.name.lower(), **document(timer)})
    elif due and found:
        console.print(due_table(found))
    else:
        for one, timer in found:
            console.print(breach_line(one, timer))
        if not found:
            console.print("nothing is due" if due else "nothing ran out since the last time")
    if not due and any(timer.state == "breached" for _, timer in found):
        raise typer.Exit(1)


def _tell(one: Standing, *, json: bool) -> None:
    """Say how an incident stands now."""
    from lemnis.incidents.export import handling
    from lemnis.interfaces.cli.incident_work_view import standing_line

    if json:
        emit({"id": one.incident.id, **handling(one.handling, one.weighed, one.timers)})
    else:
        console.print(standing_line(one))
