"""``lemnis posture``: how repositories and organisations are set up, judged by the checks."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli import posture_view
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, messages


def register(app: typer.Typer) -> None:
    """Add the commands about posture."""
    group(app, "posture").command("github")(github)


def github(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OWNER/REPO…]", help="Repositories; OWNER is an organisation."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also every repository of the organisations, but archived ones.")
    ] = False,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FOLDER", help="Recorded answers; nothing is asked.")
    ] = None,
    to: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Record the answers there.")] = None,
    connection: Annotated[
        str, typer.Option(metavar="NAME", help="A connection of the workspace: address and credentials.")
    ] = "",
    token_env: Annotated[
        str, typer.Option(metavar="VARIABLE", help="Holds the token; else GITHUB_TOKEN or GH_TOKEN.")
    ] = "",
    token_file: Annotated[str, typer.Option(metavar="FILE", help="Holds the token.")] = "",
    url: Annotated[str, typer.Option(help="The API of an own server, such as https://HOST/api/v3.")] = "",
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long a rate limit is waited for.")
    ] = 900,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Read how repositories and organisations on GitHub are set up, and judge it by the checks.

    Exit 1 if a setting is wrong, 3 if none is but not all could be read. With a workspace (given or around)
    what is wrong goes into its lake. With --json one document: `{"verdicts", "health", "new"}`.

    Example: lemnis posture github acme acme/shop --token-env POSTURE_TOKEN
    """
    from lemnis import app
    from lemnis.app import posture
    from lemnis.app.posture_api import Recorder

    opened = app.around(workspace)
    library = app.library(opened)
    asked = posture.checked(names or [])
    errors: list[str] = []
    host = posture.HOST
    with ExitStack() as stack:
        if source is not None:
            if to is not None or connection or token_env or token_file or url:
                raise UsageError("with --from nothing is asked", fix="leave the other options out")
            ask, asked, errors = posture.recorded(source, asked)
        else:
            if not asked:
                raise UsageError("nothing to look at", fix="name OWNER/REPO or OWNER")
            api = posture.connect(
                opened, url=url, connection=connection, token_env=token_env, token_file=token_file,
                patience_s=patience,
            )  # fmt: skip
            stack.enter_context(api)
            host = api.host
            ask = Recorder(api, to) if to is not None else api
        if everything:
            asked = posture.all_of(asked, ask)
        status = stack.enter_context(messages.status("asking"))
        found = posture.look(
            asked, ask, library, opened, host=host, errors=errors,
            progress=lambda name: status.update(f"reading {name}"),
        )  # fmt: skip
    posture_view.show(found, posture.catalogue(library), json=json)
