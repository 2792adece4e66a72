"""``lemnis init``: make a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lemnis.interfaces.cli.output import JsonOption, console, emit


def register(app: typer.Typer) -> None:
    """Add the commands about workspaces."""
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to make it.")],
    name: Annotated[str, typer.Option(help="Its name; the folder's unless given.")] = "",
    json: JsonOption = False,
) -> None:
    """Make a workspace: settings, your own content, and a place for state.

    Example: lemnis init soc
    """
    from lemnis import app

    workspace = app.init(folder, name=name)
    if json:
        emit({"workspace": str(workspace.root)})
    else:
        console.print(f"workspace made in {workspace.root}")
