"""``lemnis incident metrics``: how well incidents are handled, from the journal."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit


def register(app: typer.Typer) -> None:
    """Add the command to the group ``incident``."""
    group(app, "incident").command("metrics")(metrics)


def metrics(
    by: Annotated[
        Literal["detection", "team", "service"] | None,
        typer.Option(help="A row for each detection, team or service; one for all unless given."),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Opened since then: 2026-03-01, or ago: 90d, 12w.")
    ] = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show times to detect, acknowledge, contain and recover by percentiles, verdicts, and what came again.

    With --json one object a row; its `repeats` name the incidents that came although a lesson was closed.

    Example: lemnis incident metrics --by detection --since 90d
    """
    from lemnis import app
    from lemnis.app import incidents_metrics
    from lemnis.incidents.statistics import document
    from lemnis.interfaces.cli.incident_metrics_view import metrics_table

    opened = app.open_workspace(workspace)
    begin = incidents_metrics.begin(since, opened.clock.now()) if since else None
    rows, repeats = incidents_metrics.table(opened, by=by or "", since=begin)
    if json:
        for row in rows:
            emit(document(row))
        return
    console.print(metrics_table(rows, repeats, by or "all"))
