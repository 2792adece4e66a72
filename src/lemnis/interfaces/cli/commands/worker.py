"""``lemnis worker``: the processes of a cluster, one a command."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    emit,
    in_line,
    messages,
    show_table,
    spoken,
)

if TYPE_CHECKING:
    from lemnis.app.cluster.service import Service
    from lemnis.content.schemas.settings import Admin

AdminOption = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Where health and metrics are told; `off` for nowhere.")
]
_LINES = {
    "listening": "{transport} listens at {host} port {port}",
    "admin": "health and metrics at http://{host}:{port}",
    "ready": "ready: {rules}, {problems} in the content",
    "standby": "another correlator works; this one stands by",
    "lane": "{stream} is worked on after message {done}",
    "failed": "{transport}: {problem}",
    "stopped": "stopped; what was in hand is done",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("gateway", gateway), ("detect", detect), ("correlate", correlate)):
        group(app, "worker").command(name)(command)
    group(app, "worker").command("status")(status)


def gateway(admin: AdminOption = "", json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Take what comes by every transport in lemnis.yaml into the cluster's streams.

    Senders are answered when a majority of the NATS servers has what they sent on the device. Any number of
    gateways may run. SIGTERM and Ctrl-C end it when what was taken is handed over.

    Example: lemnis worker gateway --workspace soc --admin 0.0.0.0:9470
    """
    from lemnis import app
    from lemnis.app.cluster import Setup
    from lemnis.app.cluster.receiving import Gateway

    _serve(Gateway(Setup.of(app.open_workspace(workspace))), admin, json=json)


def detect(
    detections: Annotated[
        bool, typer.Option("--detect/--no-detect", help="Run detections on the way.")
    ] = True,
    admin: AdminOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Turn what is in the streams into events of the lake, alerts and signals.

    Workers share the partitions evenly; one that dies has its own taken over at once. The journal is at
    LEMNIS_DATABASE_URL, which has to be PostgreSQL. SIGTERM and Ctrl-C end it when what it has in hand is in
    the lake.

    Example: lemnis worker detect --workspace soc
    """
    from lemnis import app
    from lemnis.app.cluster import Setup
    from lemnis.app.cluster.worker import Worker

    _serve(Worker(Setup.of(app.open_workspace(workspace)), detect=detections), admin, json=json)


def correlate(admin: AdminOption = "", json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Fold the signals of all workers into alerts of correlations, and alerts into incidents.

    One of a cluster does it; others that run stand by and take over when it dies.

    Example: lemnis worker correlate --workspace soc
    """
    from lemnis import app
    from lemnis.app.cluster import Setup
    from lemnis.app.cluster.correlator import Correlator

    _serve(Correlator(Setup.of(app.open_workspace(workspace))), admin, json=json)


def status(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Show how far each partition is: its last message, the last that is in the lake, and what waits.

    `waits` are messages, `oldest` is since when the first of them has waited, and `held` says whether a
    worker has the partition: one that waits and is held by nobody needs a worker.

    Example: lemnis worker status --workspace soc --json
    """
    from dataclasses import asdict

    from lemnis import app
    from lemnis.app.cluster import Setup
    from lemnis.app.cluster.looking import status as look

    found = asyncio.run(look(Setup.of(app.open_workspace(workspace))))
    if json:
        for one in found:
            emit({"name": one.stream, **asdict(one)})
        return
    shown = (
        (one.stream, f"{one.last:,}", f"{one.done:,}", f"{one.behind:,}", f"{one.oldest_s:,.0f} s",
         f"{one.bytes:,}", "yes" if one.held else "no")
        for one in found
    )  # fmt: skip
    show_table("partitions", ("stream", "last", "done", "waits", "oldest", "bytes", "held"), shown)


def _serve(service: Service, admin: str, *, json: bool) -> None:
    """Run a service until a signal ends it."""
    from lemnis.app import logs, settings

    logs.configure(logging.INFO if json or not messages.is_terminal else logging.WARNING)
    where = _admin(admin) if admin else settings.load(service.setup.workspace).admin

    def heard(event: str, facts: dict[str, Any]) -> None:
        if json:
            emit({"event": event, "role": service.role, **facts})
            sys.stdout.flush()
        elif event in _LINES:
            messages.print(in_line(_LINES[event].format(**spoken(facts))), markup=False)

    service.heard.append(heard)
    asyncio.run(_run(service, where))


async def _run(service: Service, admin: Admin) -> None:
    from lemnis.app.cluster.service import serve

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(service, stop, admin)


def _admin(text: str) -> Admin:
    from lemnis.content.schemas.settings import Admin

    if text == "off":
        return Admin(on=False)
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:  # noqa: PLR2004 - of TCP
        raise UsageError(f"--admin {text}: not HOST:PORT", fix="such as 127.0.0.1:9470, or off")
    return Admin(host=host.strip("[]"), port=int(port))
