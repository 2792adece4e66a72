"""``lemnis console``: pages and API of a workspace."""

from __future__ import annotations

import logging
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from lemnis.interfaces.cli.actor import actor_name
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, emit, messages

if TYPE_CHECKING:
    from lemnis.interfaces.console import Built

_PATIENCE_S = 0.5
"""So long a page waits for what people work on, before it says that it is being read."""
_SWITCH_S = 0.0005
"""So long a thread keeps the others waiting: a page that is dear to make holds up others less."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("console")(console)


def console(
    host: Annotated[str, typer.Option(help="Where to listen; the settings' unless given.")] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="At which port; 0 takes a free one.")
    ] = None,
    child: Annotated[bool, typer.Option("--child", hidden=True, help="End when stdin ends.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Serve the console's pages, and its API at /api/v1, until Ctrl-C: on this machine alone unless set up.

    While there is no account, a link is printed by which the first one is made; it counts once. With --json a
    line says where it listens. Another address than this machine's needs TLS, or a proxy (docs/api.md).

    Example: lemnis console --port 8687
    """
    import asyncio

    from lemnis import app
    from lemnis.app import logs, settings
    from lemnis.content.schemas.console import Console
    from lemnis.contracts.errors import ServiceError

    try:
        from lemnis.interfaces import console as serving
    except ModuleNotFoundError as error:
        raise ServiceError("the console is not installed", fix='pip install "lemnis[console]"') from error
    logs.configure(logging.INFO if json or not messages.is_terminal else logging.WARNING)
    opened = replace(app.open_workspace(workspace), settles=False)
    read = settings.load(opened).console or Console()
    chosen = {"host": host or read.host, "port": read.port if port is None else port}
    how = read.model_copy(update=chosen)
    serving.safe(how)
    sys.setswitchinterval(_SWITCH_S)
    asyncio.run(_run(serving.built(opened, how=how, patience=_PATIENCE_S), json=json, child=child))


async def _run(built: Built, *, json: bool, child: bool) -> None:
    import asyncio

    from lemnis.interfaces import console as serving

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if child:
        loop.add_reader(sys.stdin.fileno(), stop.set)  # nothing is ever written there: it ended

    def listening(host: str, port: int) -> None:
        base = serving.address(built.settings, host, port)
        first = serving.welcome(built, base, actor=actor_name(""))
        if json:
            emit({"event": "listening", "url": base, "welcome": first})
            sys.stdout.flush()
            return
        messages.print(f"the console is at {base}", markup=False)
        if first:
            messages.print(f"make the first account, once, within a day: {first}", markup=False)

    await serving.serve(built, stop, listening=listening)
