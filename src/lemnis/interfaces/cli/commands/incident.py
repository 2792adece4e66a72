"""``lemnis incident``: incidents, from the first look to the last word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit

if TYPE_CHECKING:
    from lemnis import app
    from lemnis.contracts.incidents import Incident

IncidentArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The incident's id, how it begins, or an alert's.")
]
VerdictName = Literal[
    "false_positive", "true_positive", "disregard", "suspicious", "benign", "test", "insufficient_data",
    "security_risk", "managed_externally", "duplicate",
]  # fmt: skip
StatusName = Literal["in_progress", "on_hold", "resolved"]


def register(app: typer.Typer) -> None:
    """Add the commands about incidents."""
    incident = group(app, "incident")
    incident.command("list")(list_)
    for command in (show, alerts, timeline, acknowledge, assign, note, move, close, export):
        incident.command(command.__name__)(command)


def list_(
    every: Annotated[bool, typer.Option("--all", help="Closed and merged ones too.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the incidents, worst first; with --json one object a line.

    Example: lemnis incident list
    """
    from lemnis import app
    from lemnis.app import incidents
    from lemnis.incidents.export import summary
    from lemnis.interfaces.cli.incident_view import incident_table

    opened = app.open_workspace(workspace)
    found = incidents.incidents(opened)
    shown = [one for one in found if every or (one.open and not one.merged_into)]
    shown.sort(key=lambda one: (-one.severity, -one.risk, one.opened, one.id))
    if json:
        for one in shown:
            emit(summary(one))
        return
    loose = incidents.loose(opened, found)
    console.print(incident_table(shown, hidden=len(found) - len(shown), loose=loose))


def show(incident: IncidentArgument, json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Show an incident: what it is, why, whom and what it is about, how long things took.

    Example: lemnis incident show in-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import assets, incidents
    from lemnis.incidents.export import document
    from lemnis.interfaces.cli.incident_view import incident_panels

    opened = app.open_workspace(workspace)
    one = incidents.get(opened, incident)
    metrics = incidents.metrics(opened, one)
    known = assets.of_entities(opened, one.entities, one.first_event)
    if json:
        told = [{"kind": e.kind.value, "value": e.value, **found.document()} for e, found in known.items()]
        emit(document(one, metrics) | ({"known": told} if told else {}))
        return
    lines = {entity: found.line() for entity, found in known.items()}
    for part in incident_panels(one, metrics, incidents.firsts(opened, one), lines):
        console.print(part)


def alerts(incident: IncidentArgument, json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Show an incident's alerts, or one alert: what matched, in which events; --json has one object a line.

    An alert that folds repeats says how often, and names every event that it stands for.

    Example: lemnis incident alerts in-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import incidents
    from lemnis.incidents.export import alert
    from lemnis.interfaces.cli.incident_view import alert_table

    found = incidents.alerts_of(app.open_workspace(workspace), incident)
    if json:
        for one in found:
            emit(alert(one))
        return
    console.print(alert_table(found))


def timeline(incident: IncidentArgument, json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Show what happened, was seen, decided and done, in the order of time; with --json one object a line.

    `time` is when it happened, `recorded` when Lemnis learnt of it.

    Example: lemnis incident timeline in-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import incidents
    from lemnis.incidents.export import item
    from lemnis.interfaces.cli.incident_view import timeline_table

    opened = app.open_workspace(workspace)
    one = incidents.get(opened, incident)
    items = incidents.timeline(opened, one)
    if json:
        for part in items:
            emit(item(part))
        return
    console.print(timeline_table(one, items))


def acknowledge(
    incident: IncidentArgument,
    reason: Annotated[str, typer.Option(help="Why, or what is done next.")] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Take an incident into work; it is yours if nobody has it.

    Example: lemnis incident acknowledge in-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import incidents

    opened = app.open_workspace(workspace)
    _tell(opened, incidents.acknowledge(opened, incident, actor=actor_name(actor), reason=reason), json=json)


def assign(
    incident: IncidentArgument,
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Who owns it from now on.")],
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Give an incident an owner.

    Example: lemnis incident assign in-0123456789abcdef maria
    """
    from lemnis import app
    from lemnis.app import incidents

    opened = app.open_workspace(workspace)
    _tell(opened, incidents.assign(opened, incident, owner, actor=actor_name(actor)), json=json)


def note(
    incident: IncidentArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to write down.")] = "",
    evidence: Annotated[
        list[Path] | None, typer.Option(exists=True, dir_okay=False, help="A file to keep as evidence.")
    ] = None,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a note to an incident, keep files as evidence, or both.

    Example: lemnis incident note in-0123456789abcdef "the address is our scanner's" --evidence mail.eml
    """
    from lemnis import app
    from lemnis.app import incidents
    from lemnis.contracts.errors import UsageError

    files = evidence or []
    if not text and not files:
        raise UsageError("nothing to note", fix="give a text or --evidence FILE")
    opened = app.open_workspace(workspace)
    for file in files:
        incidents.add_evidence(opened, incident, file.read_bytes(), file.name, actor=actor_name(actor))
    if text:
        incidents.note(opened, incident, text, actor=actor_name(actor))
    _tell(opened, incidents.get(opened, incident), json=json)


def move(
    incident: IncidentArgument,
    status: Annotated[StatusName, typer.Argument(metavar="STATUS", help="in_progress, on_hold or resolved.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    verdict: Annotated[VerdictName | None, typer.Option(help="What it was, if that is known.")] = None,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Move an incident to another status; a closed one is opened again by `in_progress`.

    Example: lemnis incident move in-0123456789abcdef on_hold --reason "waits for the owner"
    """
    from lemnis import app
    from lemnis.app import incidents
    from lemnis.contracts.alerts import IncidentStatus, Verdict

    opened = app.open_workspace(workspace)
    moved = incidents.transition(
        opened, incident, IncidentStatus[status.upper()], actor=actor_name(actor), reason=reason,
        verdict=Verdict[verdict.upper()] if verdict else None,
    )  # fmt: skip
    _tell(opened, moved, json=json)


def close(
    incident: IncidentArgument,
    verdict: Annotated[VerdictName, typer.Option(help="What it was.")],
    reason: Annotated[str, typer.Option(help="Why it can be closed.")],
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Close an incident with a verdict and a reason.

    Example: lemnis incident close in-0123456789abcdef --verdict true_positive --reason "contained, fixed"
    """
    from lemnis import app
    from lemnis.app import incidents
    from lemnis.contracts.alerts import Verdict

    opened = app.open_workspace(workspace)
    closed = incidents.close(
        opened, incident, Verdict[verdict.upper()], actor=actor_name(actor), reason=reason
    )
    _tell(opened, closed, json=json)


def export(
    incident: IncidentArgument,
    form: Annotated[
        Literal["json", "markdown", "ocsf"], typer.Option("--format", "-f", help="json, markdown or ocsf.")
    ] = "json",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write; else stdout.")] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Export an incident whole: JSON, a Markdown report, or an OCSF Incident Finding.

    Example: lemnis incident export in-0123456789abcdef --format markdown --out incident.md
    """
    from lemnis import app
    from lemnis.app import incidents

    text = incidents.export(app.open_workspace(workspace), incident, "json" if json else form)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    else:
        typer.echo(text, nl=not text.endswith("\n"))


def _tell(workspace: app.Workspace, one: Incident, *, json: bool) -> None:
    """Say how an incident stands now."""
    from lemnis.app import incidents
    from lemnis.incidents.export import document
    from lemnis.interfaces.cli.incident_view import one_line

    if json:
        emit(document(one, incidents.metrics(workspace, one)))
    else:
        console.print(one_line(one))
