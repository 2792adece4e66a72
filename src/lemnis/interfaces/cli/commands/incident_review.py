"""``lemnis incident review``: what is to be learnt of an incident, in a form that is filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.commands.incident import IncidentArgument
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, counted, emit


def register(app: typer.Typer) -> None:
    """Add the command to the group ``incident``."""
    group(app, "incident").command("review")(review)


def review(
    incident: IncidentArgument,
    source: Annotated[
        Path | None,
        typer.Option("--from", exists=True, dir_okay=False, help="The form, filled in: record it."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the draft here; else stdout.")
    ] = None,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Draft the review of an incident, or record it: facts, what went well and badly, causes, actions.

    The draft is YAML, with a timeline of facts from the journal; once a review is recorded, it is that one,
    to be amended. Recorded actions become the incident's tasks. With --json: the review that is recorded.

    Example: lemnis incident review in-0123456789abcdef --out review.yaml
    """
    from lemnis import app
    from lemnis.app import incidents, incidents_review
    from lemnis.contracts.errors import Location, UsageError

    opened = app.open_workspace(workspace)
    if source is not None:
        if out is not None:
            raise UsageError("--from records a review, --out writes a draft", fix="give one of them")
        made = incidents_review.record(opened, incident, source, actor=actor_name(actor))
        if not json:
            causes = counted(len(made.contributing_causes), "contributing cause")
            count = f"{causes}, {counted(len(made.actions), 'action')}"
            console.print(f"the review of {made.incident} is recorded: {count}", markup=False)
            return
    if json:
        one = incidents.get(opened, incident)
        emit({"incident": one.id, "review": incidents_review.told(opened, one)})
        return
    text = incidents_review.draft(opened, incident)
    if out is None:
        typer.echo(text, nl=False)
        return
    if out.exists():
        raise UsageError("there is a file already", at=Location(str(out)), fix="choose another name")
    out.write_text(text, encoding="utf-8")
    console.print(f"{out}: fill it in, then `lemnis incident review {incident} --from {out}`", markup=False)
