"""Syslog over connections: TCP and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import ServiceError
from lemnis.contracts.network import read_address
from lemnis.contracts.receiving import Receiver
from lemnis.ingest.transports._framing import Framer, Framing
from lemnis.ingest.transports._gathering import Gatherer
from lemnis.ingest.transports._routes import Sorter
from lemnis.ingest.transports._tls import Tls, admits

_WINDOW = 1 << 20
"""So many bytes of a connection are read and not yet durable, at most; asyncio holds as many unread."""
_HANDSHAKE_S = 10
_LAST_WORDS_S = 0.2
_LAST_WORDS_END_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """What became of connections and messages."""

    connections: int = 0
    turned_away: int = 0
    refused: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Connections:
    """Listens for connections; ``address`` is where, once it does.

    A connection is read at ``bytes_per_s`` on the average, 0 is as it comes; TCP slows its sender.
    """

    name: str
    listens_at: tuple[str, int]
    clock: Clock
    sorter: Sorter
    max_bytes: int
    max_connections: int
    framing: Framing
    flush_s: float
    tls: Tls | None = None
    context: ssl.SSLContext | None = None
    bytes_per_s: int = 0
    address: tuple[str, int] | None = None
    counts: Counts = field(default_factory=Counts)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def connected(self) -> int:
        """Return how many connections are open."""
        return len(self._open)

    async def run(self, receiver: Receiver, stop: asyncio.Event) -> None:
        """Take connections until ``stop``; see ``Transport``."""
        gatherer = Gatherer(receiver, stop, self.sorter, linger_s=self.flush_s)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._open.add(task)
                task.add_done_callback(self._open.discard)
            await self._serve(reader, writer, gatherer, stop)

        host, port = self.listens_at
        try:
            server = await asyncio.start_server(
                connected, host, port, limit=_WINDOW // 2, backlog=self.max_connections, ssl=self.context,
                ssl_handshake_timeout=_HANDSHAKE_S if self.context else None,
            )  # fmt: skip
        except OSError as error:
            raise cannot_listen(host, port, error) from error
        self.address = server.sockets[0].getsockname()[:2]
        handing = asyncio.create_task(gatherer.run())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((stopped, handing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            server.close()
            if handing.done():  # it failed: there is nobody to hand anything to
                for task in self._open:
                    task.cancel()
            if self._open:
                await asyncio.wait(self._open)
            gatherer.close()
            await handing

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        gatherer: Gatherer,
        stop: asyncio.Event,
    ) -> None:
        """Serve one connection to its end; whatever goes wrong with it ends there."""
        peer = writer.get_extra_info("peername") or ("", 0)
        try:
            if len(self._open) > self.max_connections:
                self.counts.turned_away += 1
                _log.warning(
                    "%s: %s is turned away: %d are connected", self.name, peer[0], len(self._open) - 1
                )
            elif self.tls and not admits(self.tls, writer.get_extra_info("peercert") or {}):
                self.counts.turned_away += 1
                _log.warning("%s: %s is turned away: its certificate has none of `peers`", self.name, peer[0])
            else:
                self.counts.connections += 1
                _keep_alive(writer)
                origin = str(read_address(peer[0]) or peer[0])
                await self._read(reader, gatherer, origin, f"{peer[1]}@{self.clock.now()}", stop)
        except (OSError, ssl.SSLError) as error:
            _log.info("%s: the connection of %s broke: %s", self.name, peer[0], error)
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), _HANDSHAKE_S)

    async def _read(
        self, reader: asyncio.StreamReader, gatherer: Gatherer, origin: str, session: str, stop: asyncio.Event
    ) -> None:
        """Read to the end, no further than a window ahead of what is durable."""
        framer = Framer(self.max_bytes, self.framing)
        offset = ahead = 0
        pace = _Pace(self.bytes_per_s)
        try:
            async for data in _pieces(reader, stop):
                self._take(gatherer, framer, framer.feed(data), origin, f"{session}+{offset}")
                offset, ahead = offset + len(data), ahead + len(data)
                if framer.lost:
                    break
                if ahead >= _WINDOW:
                    await gatherer.settle()
                    ahead = 0
                await pace.keep(len(data), stop)
        finally:
            self.counts.bytes += offset
            self._take(gatherer, framer, framer.end(), origin, f"{session}+{offset}")

    def _take(self, gatherer: Gatherer, framer: Framer, lines: bytes, origin: str, key: str) -> None:
        """Put lines, and what was refused."""
        if lines:
            gatherer.put(framer, origin, key, lines)
        refused, framer.refused = framer.refused, []
        for number, one in enumerate(refused):
            self.counts.refused += 1
            gatherer.refuse(origin, f"{key}/{number}", one.raw, one.reason)


@dataclass(slots=True)
class _Pace:
    """Keeps a connection to so many bytes a second, with a burst of a second; 0 is any."""

    bytes_per_s: int
    _free_at: float = 0.0

    async def keep(self, size: int, stop: asyncio.Event) -> None:
        """Wait as long as what was read is worth, or until ``stop``."""
        if not self.bytes_per_s:
            return
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now - 1) + size / self.bytes_per_s
        if self._free_at > now:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._free_at - now)


async def _pieces(reader: asyncio.StreamReader, stop: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield what comes; after ``stop`` what is there already, for the sender believes it was taken."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while not stopped.done():
            reading = asyncio.ensure_future(reader.read(_WINDOW))
            await asyncio.wait((reading, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading
                break
            data = reading.result()
            if not data:
                return
            yield data
    finally:
        stopped.cancel()
    end = loop.time() + _LAST_WORDS_END_S
    with contextlib.suppress(TimeoutError):
        while loop.time() < end:
            data = await asyncio.wait_for(reader.read(_WINDOW), _LAST_WORDS_S)
            if not data:
                return
            yield data


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Have the kernel ask whether a silent peer is still there, so that dead ones go away."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def cannot_listen(host: str, port: int, error: OSError) -> ServiceError:
    """Return the error of an address that cannot be listened at."""
    low = " and ports below 1024 need a capability (CAP_NET_BIND_SERVICE)" if port < 1024 else ""  # noqa: PLR2004
    return ServiceError(
        f"{host}:{port} cannot be listened at: {error.strerror or error}",
        fix=f"check that no other program has it{low}",
    )
