"""``lemnis lsp``: the language server, and ``lemnis policies approve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lemnis.contracts.errors import ServiceError
from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit


def register(app: typer.Typer) -> None:
    """Add the commands of editors."""
    app.command("lsp")(lsp)
    group(app, "policies").command("approve")(approve)


def lsp(workspace: WorkspaceOption = None) -> None:
    """Serve an editor on standard input and output (Language Server Protocol): the gate's word as you type.

    Example: lemnis lsp
    """
    try:
        from lemnis.interfaces.lsp.server import make
    except ModuleNotFoundError as error:
        raise ServiceError("the language server is not installed", fix='pip install "lemnis[lsp]"') from error
    make(workspace).start_io()


def approve(
    request: Annotated[
        Path, typer.Argument(metavar="FILE", help="requests/NAME.yaml, as an editor wrote it.")
    ],
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Approve an exception that somebody else asked for: it goes to content/exceptions, to be committed.

    Example: lemnis policies approve requests/no_new_secrets-fp-0123456789abcdef.yaml --as lead@example.org
    """
    from lemnis import app
    from lemnis.app import editing

    path = editing.approve(app.open_workspace(workspace), request, actor=actor_name(actor))
    if json:
        emit({"approved": str(path)})
    else:
        console.print(f"approved: {path}; commit it")
