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
    kind: Annotated[
        str, typer.Option("--ci", metavar="SYSTEM", help="Also ask the gates in CI: github, gitlab, script.")
    ] = "",
    hook: Annotated[bool, typer.Option("--hook", help="Also ask the gate before every git commit.")] = False,
    json: JsonOption = False,
) -> None:
    """Make a workspace: settings, your own content, and a place for state.

    With --ci or --hook in a repository of your own it is set up there too, or added to the workspace that is
    there. Nothing that lies there is changed.

    Example: lemnis init . --ci github --hook
    """
    from lemnis import app
    from lemnis.app import ci

    written = ci.write(folder, kind=kind, hook=hook) if kind or hook else []
    if (kind or hook) and (folder / app.SETTINGS).exists():
        workspace = app.open_workspace(folder)
    else:
        workspace = app.init(folder, name=name)
    if json:
        emit({"workspace": str(workspace.root), "written": [str(path) for path in written]})
        return
    console.print(f"workspace in {workspace.root}")
    for path in written:
        console.print(f"written: {path}")
    if kind == "gitlab":
        console.print("include it from .gitlab-ci.yml:  include: [{local: .gitlab/lemnis.yml}]", markup=False)
    if kind or hook:
        console.print("then: git add the files, commit, and see what `lemnis gate commit` says")
