"""``lemnis lesson report``: whether what was learnt prevents anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit, show_table


def register(app: typer.Typer) -> None:
    """Add the command to the group ``lesson``."""
    group(app, "lesson").command("report")(report)


def report(
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown, to keep and send.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the Markdown to this file.")] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Tell what lessons prevent: what came again, how far causes travel, how right gates are, what it costs.

    Counted from the journal, by lesson and over all, with limits of 95 %. Exposure is what the graph knows
    to run of the commit that brought the cause in, when the incident began and now; `?` where it knows none.

    Example: lemnis lesson report --markdown --out lessons.md
    """
    from lemnis import app
    from lemnis.app import lesson_report
    from lemnis.contracts.errors import UsageError

    if json and (markdown or out is not None):
        raise UsageError("--json is no Markdown", fix="leave out --json, or --markdown and --out")
    whole = lesson_report.report(app.open_workspace(workspace))
    if json:
        emit(lesson_report.document(whole))
    elif out is not None:
        out.write_text(lesson_report.markdown(whole), encoding="utf-8")
    elif markdown:
        typer.echo(lesson_report.markdown(whole), nl=False)
    elif not whole.rows:
        console.print("no lesson yet: `lemnis lesson propose INCIDENT` writes one", markup=False)
    else:
        show_table("lessons", lesson_report.COLUMNS, (lesson_report.cells(one) for one in whole.rows))
        for line in lesson_report.summary(whole):
            console.print(line, markup=False)
