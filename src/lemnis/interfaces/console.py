"""The console: the API and the pages of one workspace as one ASGI application behind one guard."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.routing import Mount

from lemnis import app
from lemnis.app import settings, settling_beside
from lemnis.app.access import accounts
from lemnis.app.access.service import Access
from lemnis.content.schemas.console import Console as Settings
from lemnis.contracts.errors import ContentError, Location, UsageError
from lemnis.ingest.transports import _asgi
from lemnis.interfaces.api import app as api
from lemnis.interfaces.api import turns
from lemnis.interfaces.api.guard import Guard, Rates
from lemnis.interfaces.api.visitor import Trust
from lemnis.store import answers, databases

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from lemnis.interfaces.api.stream import Hub
    from lemnis.interfaces.web.site import Site

_HOUR, _MINUTE = 3_600_000, 60_000
_TRY_S = 0.5
_KEPT_ANSWERS = 64 << 20
"""So many bytes of what the lake answered are kept for who asks the same."""
API = "/api/v1"
Listening = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Built:
    """The application, who may do what in it, the settings that it was built by, and who listens."""

    application: ASGIApp
    access: Access
    settings: Settings
    hub: Hub
    site: Site | None = None
    """The pages, if there are any."""


def build(workspace: app.Workspace) -> ASGIApp:
    """Return the console of a workspace; raises ContentError where settings, roles or rules are wrong."""
    return built(workspace).application


def built(
    workspace: app.Workspace,
    *,
    how: Settings | None = None,
    access: Access | None = None,
    rates: Rates | None = None,
    pages: bool = True,
    patience: float | None = None,
) -> Built:
    """Return the console with what it is made of; ``how`` are the settings, unless those of the workspace.

    Without ``pages`` it is the API alone. Who has ``patience`` (seconds) waits no longer for what people
    work on to be read after a start, and is told so.
    """
    read = how or settings.load(workspace).console or Settings()
    if workspace.database is None:
        workspace = replace(workspace, database=app.engine(workspace))
    known = access or Access(
        workspace, idle_ms=int(read.idle_minutes * _MINUTE), lasts_ms=int(read.session_hours * _HOUR)
    )
    routes: list[BaseRoute] = []
    board = site = None
    if pages:
        from lemnis.interfaces.web import app as web  # noqa: PLC0415 - where they are wanted

        shown = web.build(workspace, stream=f"{API}/stream")
        site = shown.state.site
        board = site.board  # one view of what there is for both
        board.patience = patience
        routes.append(Mount("/", shown))
    served = api.build(workspace, known, read, board)
    routes.insert(0, Mount(API, served))
    names = [*read.hosts, read.host, *([urlsplit(read.url).hostname or ""] if read.url else [])]
    trust = Trust.of(read.proxies, [one for one in names if one])
    guarded = Guard(Starlette(routes=routes), known, trust=trust, rates=rates)
    return Built(guarded, known, read, served.state.hub, site)


async def serve(one: Built, stop: asyncio.Event, *, listening: Listening) -> None:
    """Serve until ``stop``; raises ServiceError where it cannot listen, ContentError for certificates."""
    read = one.settings
    server = _asgi.Server(
        "console", one.application, host=read.host, port=read.port, connections=read.connections,
        tls=tls(one.access.workspace, read),
    )  # fmt: skip
    beside = [asyncio.create_task(_end(stop, one.hub))]
    if not one.access.workspace.settles:
        beside.append(asyncio.create_task(settling_beside.keep(one.access.workspace, stop)))
    if one.site is not None:
        from lemnis.interfaces.web import warming  # noqa: PLC0415 - where there are pages

        warming.begin(one.site, one.access)
    turns.bound()
    databases.Threads.each = turns.CORES_EACH
    answers.KEPT.most = _KEPT_ANSWERS
    try:
        await server.run(stop, listening=listening)
    finally:
        for task in beside:
            task.cancel()


async def _end(stop: asyncio.Event, hub: Hub) -> None:
    """Let streams end at the stop: the server waits for what is under way, and they would go on."""
    await stop.wait()
    await hub.end()


def tls(workspace: app.Workspace, read: Settings) -> ssl.SSLContext | None:
    """Return what TLS is spoken with, if it is; raises ContentError for files that cannot be used."""
    if read.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate, key = (settings.resolve(workspace, one) for one in (read.tls.certificate, read.tls.key))
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ContentError(
            f"console.tls: {certificate} with {key} cannot be used: {error}",
            at=Location(str(workspace.root / app.SETTINGS)), fix="PEM files of a certificate and its key",
        ) from error  # fmt: skip
    return context


def address(read: Settings, host: str, port: int) -> str:
    """Return where a browser finds the console that listens there.

    This machine is ``localhost``, by which passkeys work, where that leads there; a certificate may say else.
    """
    if read.url:
        return read.url.rstrip("/")
    if read.tls is None and _is_localhost(host, port):
        host = "localhost"
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if read.tls else 'http'}://{shown}:{port}"


def _is_localhost(host: str, port: int) -> bool:
    """Say whether ``localhost`` leads to an address, and not to another program at the same port."""
    try:
        mine = ip_address(host)
        found = socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return False
    places = {ip_address(str(where[0])): (family, where) for family, _, _, _, where in found}
    return mine in places and not any(
        _listens(*place) for address, place in places.items() if address != mine
    )


def _listens(family: int, where: Any) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.settimeout(_TRY_S)
        return tried.connect_ex(where) == 0


def safe(read: Settings) -> None:
    """Raise UsageError where passwords would go over a network for everyone to read."""
    if read.tls is None and not read.proxies and read.host not in {"127.0.0.1", "::1", "localhost"}:
        raise UsageError(
            f"the console would listen at {read.host} without TLS",
            fix="give it a certificate (`console: {tls: …}`), or put a proxy before it (`proxies:`)",
        )


def welcome(one: Built, base: str, *, actor: str) -> str:
    """Return the address by which the first account is made, once; empty if there are accounts."""
    found = accounts.first(one.access, actor=actor)
    return f"{base}/welcome/{found.secret}" if found else ""
