"""``lemnis incident``: incidents, from the first look to the last word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, counted, emit, messages, warn

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
PriorityName = Literal["low", "medium", "high", "critical"]
FormName = Literal["json", "markdown", "ocsf", "stix"]
TlpName = Literal["clear", "green", "amber", "red"]


def register(app: typer.Typer) -> None:
    """Add the commands about incidents."""
    incident = group(app, "incident")
    incident.command("list")(list_)
    for command in (show, alerts, timeline, acknowledge, assign, note, move, close, export):
        incident.command(command.__name__)(command)


def list_(
    every: Annotated[bool, typer.Option("--all/--open", help="Closed and merged ones too.")] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Only those that you own or have a role in.")] = False,
    priority: Annotated[
        PriorityName | None, typer.Option(help="Only those of this priority or a higher one.")
    ] = None,
    breached: Annotated[
        bool, typer.Option("--breached", help="Only those with a timer that ran out.")
    ] = False,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the incidents, the most urgent first; with --json one object a line.

    Example: lemnis incident list --mine --priority high
    """
    from lemnis import app
    from lemnis.app import incidents, incidents_handling
    from lemnis.contracts.handling import Priority
    from lemnis.incidents.export import standing
    from lemnis.interfaces.cli.incident_view import incident_table

    opened = app.open_workspace(workspace)
    found = incidents.incidents(opened)
    wanted = (one for one in found if every or (one.open and not one.merged_into))
    shown = incidents_handling.chosen(
        incidents_handling.standings(opened, wanted), breached=breached,
        mine=actor_name(actor) if mine else "", least=Priority[priority.upper()] if priority else None,
    )  # fmt: skip
    if json:
        for one in shown:
            emit(standing(one.incident, one.handling, one.weighed, one.timers))
        return
    loose = incidents.loose(opened)
    console.print(incident_table(shown, hidden=len(found) - len(shown), loose=loose))


def show(incident: IncidentArgument, json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Show an incident: what it is, what is due, why, whom and what it is about, how long things took.

    Example: lemnis incident show in-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import incidents, incidents_handling, incidents_review
    from lemnis.incidents.export import document, handling
    from lemnis.interfaces.cli.incident_review_view import review_panel
    from lemnis.interfaces.cli.incident_view import incident_panels

    opened = app.open_workspace(workspace)
    one = incidents.get(opened, incident)
    metrics = incidents.metrics(opened, one)
    known = incidents_handling.known_entities(opened, one)
    stands = incidents_handling.standing(opened, one)
    review = incidents_review.told(opened, one)
    if json:
        told = [{"kind": e.kind.value, "value": e.value, **found.document()} for e, found in known.items()]
        worked = handling(stands.handling, stands.weighed, stands.timers)
        emit(document(one, metrics) | worked | {"review": review} | ({"known": told} if told else {}))
        return
    lines = {entity: found.line() for entity, found in known.items()}
    now = opened.clock.now()
    for part in incident_panels(stands, metrics, incidents.firsts(opened, one), lines, now=now):
        console.print(part)
    if review is not None:
        console.print(review_panel(review))


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


def timeline(
    incident: IncidentArgument,
    page: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="So many entries on a page.")
    ] = 1000,
    after: Annotated[str, typer.Option(metavar="PLACE", help="Go on where an earlier page ended.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="From then on, as 2026-03-01T12:00:00Z.")] = "",
    kind: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Only these kinds; may be repeated.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--every", help="Each alert and event; repeats are told once without it.")
    ] = False,
    newest: Annotated[bool, typer.Option("--newest", help="The last first.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what happened, was seen, built, decided and done, in the order of time.

    With --json one object a line: `time` is when it happened, `recorded` when Lemnis learnt of it. If there
    is more, a last object says by `after` where to go on.

    Example: lemnis incident timeline in-0123456789abcdef --kind action --kind note --page 50
    """
    from lemnis import app
    from lemnis.app import incidents, incidents_timeline
    from lemnis.app.instants import instant
    from lemnis.contracts.errors import UsageError
    from lemnis.incidents.export import item
    from lemnis.interfaces.cli.incident_view import timeline_table

    opened = app.open_workspace(workspace)
    one = incidents.get(opened, incident)
    with incidents_timeline.opened(opened, one) as found:
        shown = found.page(
            limit=page, after=after, since=instant(since) if since else None,
            kinds=kind or (), whole=every, newest=newest,
        )  # fmt: skip
        there = found.kinds
    for name in set(kind or ()) - set(there):
        raise UsageError(f"no entries of kind {name!r}", fix=f"there are: {', '.join(there)}")
    if json:
        for part in shown.items:
            emit(item(part))
        if shown.after:
            emit({"after": shown.after, "total": shown.total})
        return
    console.print(timeline_table(one, shown))


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

    A true positive without a review is told on stderr; with `incidents.review: require` in the settings it is
    refused. `lemnis incident review` drafts one.

    Example: lemnis incident close in-0123456789abcdef --verdict true_positive --reason "contained, fixed"
    """
    from lemnis import app
    from lemnis.app import incidents, incidents_review
    from lemnis.contracts.alerts import Verdict

    opened = app.open_workspace(workspace)
    closed = incidents.close(
        opened, incident, Verdict[verdict.upper()], actor=actor_name(actor), reason=reason
    )
    _tell(opened, closed, json=json)
    if incidents_review.missing(opened, closed, closed.verdict):
        warn(f"{closed.id} has no review: `lemnis incident review {closed.id}` drafts what is to be learnt")


def export(
    incident: IncidentArgument,
    form: Annotated[FormName, typer.Option("--format", "-f", help="json, markdown, ocsf or stix.")] = "json",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write; else stdout.")] = None,
    tlp: Annotated[TlpName, typer.Option(help="How far a STIX bundle may go: clear to red.")] = "amber",
    package: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a signed evidence package instead.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; a package needs it.")] = "",
    to: Annotated[str, typer.Option(help="For whom a package is.")] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Export an incident whole: JSON, a Markdown report, an OCSF Incident Finding, a STIX 2.1 bundle.

    With --package all of them, its evidence with the chain of custody, and the journal's entries with their
    proof, in one signed file that `lemnis incident verify` checks anywhere.

    Example: lemnis incident export in-0123456789abcdef --format markdown --out incident.md
    """
    from lemnis import app
    from lemnis.app import incidents

    opened = app.open_workspace(workspace)
    if package is not None:
        _pack(opened, incident, package, actor_name(actor), reason, to, json=json)
        return
    text = incidents.export(opened, incident, "json" if json else form, tlp=tlp)
    if out is not None:
        out.write_text(text, encoding="utf-8")
        messages.print(f"{out}: {counted(len(text.encode()), 'byte')}", markup=False)
    else:
        typer.echo(text, nl=not text.endswith("\n"))


def _pack(
    workspace: app.Workspace, incident: str, file: Path, actor: str, reason: str, to: str, *, json: bool
) -> None:
    """Write a package, and say what is in it and whose key signed it."""
    from lemnis.app import incidents_evidence

    made = incidents_evidence.pack(workspace, incident, file, actor=actor, reason=reason, to=to)
    if json:
        emit({"package": str(made.path), "bytes": made.size, "evidence": made.evidence,
              "entries": made.entries, "key": made.keyid})  # fmt: skip
        return
    pieces = f"{counted(made.evidence, 'piece')} of evidence"
    what = f"{pieces}, {counted(made.entries, 'entry')}, {counted(made.size, 'byte')}"
    console.print(f"{made.path}: {what}", markup=False)
    console.print(f"signed by {made.keyid}: tell whoever gets it, on another way", markup=False)


def _tell(workspace: app.Workspace, one: Incident, *, json: bool) -> None:
    """Say how an incident stands now."""
    from lemnis.app import incidents
    from lemnis.incidents.export import document
    from lemnis.interfaces.cli.incident_view import one_line

    if json:
        emit(document(one, incidents.metrics(workspace, one)))
    else:
        console.print(one_line(one))
