"""``lemnis demo``: the whole loop on recorded data."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.panel import Panel

from lemnis.interfaces.cli.output import JsonOption, console, emit


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="Where to play; a new temporary folder if not given."),
    ] = None,
    recording: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Another recording of the shop than the one that ships."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Play the whole loop on a recorded attack, in a fresh workspace, by the commands that you have too.

    With --json one object a stage: `stage`, `ok` and its facts. Exit code 1 if a stage is not ok.

    Example: lemnis demo --dir /tmp/lemnis-demo
    """
    from lemnis.interfaces.demo import play

    ended: dict[str, object] = {}
    chosen = folder or Path(tempfile.mkdtemp(prefix="lemnis-demo-"))
    for facts in play(chosen, console=console, quiet=json, recording=recording):
        ended = facts
        if json:
            emit(facts)
    if not json:
        colour, text = (
            ("green", "The loop is closed.") if ended.get("ok") else ("red", "The story ends here.")
        )
        console.print(
            Panel(f"{text} Everything is in {chosen}; look around with the commands above.", style=colour)
        )
    if not ended.get("ok"):
        raise typer.Exit(1)
