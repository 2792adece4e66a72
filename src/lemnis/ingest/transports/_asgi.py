"""An ASGI application served by uvicorn within another program: no signals, no logging of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lemnis.contracts.errors import ServiceError

_LOOK_S = 0.02
_GRACE_S = 10
_BACKLOG = 512
_HEAD_BYTES = 32_768
_KEEP_ALIVE_S = 65
_HEAD_S = 20.0
_SPARE = 64
Application = Callable[[Any, Any, Any], Awaitable[None]]
Listening = Callable[[str, int], None]


def _nothing(host: str, port: int) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class Server:
    """One listener. ``connections`` are open at once; a few more are told 503, who comes then is cut off.

    Who has connected, or begun a request, has some seconds for its head; the body is the application's.
    """

    name: str
    app: Application
    host: str
    port: int
    connections: int
    tls: ssl.SSLContext | None = None
    address: tuple[str, int] | None = field(default=None, init=False)
    _server: uvicorn.Server | None = field(default=None, init=False)

    @property
    def connected(self) -> int:
        """Return how many connections are open."""
        return 0 if self._server is None else len(self._server.server_state.connections)

    async def run(self, stop: asyncio.Event, *, listening: Listening = _nothing) -> None:
        """Serve until ``stop``, then finish what is under way; raises ServiceError where it cannot listen."""
        sock = self._bound()
        try:
            host, port = sock.getsockname()[:2]
            server = self._server = _Quiet(self._config())
            serving = asyncio.create_task(server.serve(sockets=[sock]))
            while not server.started and not serving.done():  # noqa: ASYNC110 - it tells in no other way
                await asyncio.sleep(_LOOK_S)
            self.address = (host, port)
            listening(host, port)
            waiting = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait([waiting, serving], return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                server.should_exit = True
                await serving
        finally:
            self.address = self._server = None
            sock.close()

    def _bound(self) -> socket.socket:
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.bind(place)
                sock.listen(_BACKLOG)
            except OSError:
                sock.close()
                raise
        except OSError as error:
            raise ServiceError(
                f"cannot listen at {self.host} port {self.port}: {error.strerror or error}",
                fix="choose another address or port, or stop what listens there",
            ) from error
        sock.setblocking(False)
        return sock

    def _config(self) -> uvicorn.Config:
        tls = self.tls
        return uvicorn.Config(
            self.app, log_config=None, access_log=False, lifespan="off", limit_concurrency=self.connections,
            timeout_graceful_shutdown=_GRACE_S, timeout_keep_alive=_KEEP_ALIVE_S, server_header=False,
            h11_max_incomplete_event_size=_HEAD_BYTES, proxy_headers=False, ws="none",
            http=_Bounded, loop="asyncio", ssl_context_factory=(lambda *_: tls) if tls is not None else None,
        )  # fmt: skip


class _Bounded(H11Protocol):
    """A connection that does not wait long for the head of a request, and is closed where too many are."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as there
        """Take the connection, or close it."""
        super().connection_made(transport)
        if len(self.connections) > (self.limit_concurrency or 0) + _SPARE:
            transport.abort()
        else:
            self._look()

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        super().data_received(data)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let it go."""
        self._forget()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Count the time from when a head is waited for; bytes of it do not lengthen it."""
        cycle: Any = self.cycle  # None before the first request, which its type does not say
        if cycle is not None and not cycle.response_complete:
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(_HEAD_S, self.transport.abort)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class _Quiet(uvicorn.Server):
    """A server that leaves signals to the program it is in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield
