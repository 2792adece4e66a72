"""``lemnis playbook export`` and ``import``: CACAO 2.0."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit


def register(app: typer.Typer) -> None:
    """Add the commands."""
    playbook = group(app, "playbook")
    playbook.command("export")(export)
    playbook.command("import")(import_)


def export(
    name: Annotated[str, typer.Argument(metavar="PLAYBOOK", help="The playbook's name.")],
    cacao: Annotated[bool, typer.Option("--cacao", help="As CACAO 2.0, the one form there is.")] = True,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a playbook as CACAO 2.0 JSON; what was imported comes out as it came in.

    Example: lemnis playbook export contain_compromised_workload --cacao > playbook.json
    """
    from lemnis import app
    from lemnis.app import playbook_cacao

    del (
        cacao,
        json,
    )  # it is JSON in any case; there is no other form yet, but whoever asks for one should say which
    around = app.around(workspace)
    emit(playbook_cacao.export(app.library(around), name, at=app.default_clock().now()))


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CACAO 2.0 playbook, as JSON.")],
    name: Annotated[str, typer.Option("--name", help="What it is called here; else as its title.")] = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Take a CACAO 2.0 playbook into the workspace; exit 2, with the place, if it is none.

    Its commands become steps that an action has yet to be found for: `lemnis playbook lint` says which.

    Example: lemnis playbook import playbook.json --name from_a_partner
    """
    from lemnis import app
    from lemnis.app import playbook_cacao

    path = playbook_cacao.take_in(app.open_workspace(workspace), file, name=name)
    if json:
        emit({"name": path.parent.name, "file": str(path)})
    else:
        console.print(f"{path}: `lemnis playbook lint {path.parent.name}` says what is left to do")
