"""``lemnis lesson check``: what CI asks of lessons whenever the content changes."""

from __future__ import annotations

from typing import Annotated

import typer

from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit


def register(app: typer.Typer) -> None:
    """Add the command to the group ``lesson``."""
    group(app, "lesson").command("check")(check)


def check(
    again: Annotated[bool, typer.Option("--again", help="Look again at what is unchanged, too.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="What cannot be looked at here counts as broken.")
    ] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Check that merged lessons still hold with the content as it is now; exit 1 and name what broke.

    Of each: its test on the samples, its gate on the commit that brought the cause in, its detection on the
    incident's events, its signed proof. What a CI runner does not have (events, journal, the repository of
    the cause) is told as unknown. With --json one object a lesson.

    Example: lemnis lesson check
    """
    from lemnis import app
    from lemnis.app import lesson_check

    bad = 0
    for one in lesson_check.check(app.open_workspace(workspace), again=again):
        wrong = bool(one.broken or (strict and one.unknown))
        bad += wrong
        if json:
            emit(lesson_check.document(one))
            continue
        about = f"lesson {one.lesson} of incident {one.incident or 'unknown'}"
        if not wrong:
            same = ", unchanged" if one.unchanged else ""
            console.print(f"✓ {about} holds{same}", style="green", markup=False)
        else:
            console.print(f"✗ {about} does not hold any more", style="bold red", markup=False)
        for part in one.parts:
            if part.state != "holds":
                console.print(f"    {part.name}: {part.state}: {part.says}", markup=False)
    if bad:
        raise typer.Exit(1)
