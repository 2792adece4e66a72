"""Syslog over UDP: drained in batches, what the kernel dropped is told."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from lemnis.contracts.clock import Clock
from lemnis.contracts.network import read_address
from lemnis.contracts.receiving import Receiver
from lemnis.ingest.streams import KEPT_RAW
from lemnis.ingest.transports._framing import joined
from lemnis.ingest.transports._gathering import Gatherer
from lemnis.ingest.transports._handing import rest
from lemnis.ingest.transports._routes import Sorter
from lemnis.ingest.transports._stream import cannot_listen

_LARGEST = 65_535
_AT_ONCE = 1000
_HELD_BYTES = 16_000_000
_LOOK_S = 1.0
_LAST_ROUNDS = 1000
_SO_RCVBUFFORCE = 33
_KNOWN_HOSTS = 65_536
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Datagrams:
    """Listens for datagrams; ``address`` is where, once it does. ``dropped`` is what the kernel dropped."""

    name: str
    listens_at: tuple[str, int]
    clock: Clock
    sorter: Sorter
    max_bytes: int
    buffer_bytes: int
    flush_s: float
    address: tuple[str, int] | None = None
    received: int = 0
    refused: int = 0
    dropped: int = 0
    _origins: dict[str, str] = field(default_factory=dict)

    async def run(self, receiver: Receiver, stop: asyncio.Event) -> None:
        """Take datagrams until ``stop``; see ``Transport``."""
        sock = self._bind()
        try:
            await self._listen(sock, receiver, stop)
        finally:
            sock.close()

    def _bind(self) -> socket.socket:
        host, port = self.listens_at
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, place = found[0]
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                self._ask_for_room(sock)
                sock.bind(place)
            except OSError:
                sock.close()
                raise
        except OSError as error:
            raise cannot_listen(host, port, error) from error
        self.address = sock.getsockname()[:2]
        return sock

    def _ask_for_room(self, sock: socket.socket) -> None:
        """Have the kernel hold what comes in a burst; without the right to force it, as much as it gives."""
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, self.buffer_bytes)
        except OSError:  # without the right to it, or where there is no such thing
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer_bytes)
        got = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        if got < self.buffer_bytes:
            _log.warning(
                "%s: the kernel holds only %d bytes of datagrams, not %d: raise net.core.rmem_max",
                self.name, got, self.buffer_bytes,
            )  # fmt: skip

    async def _listen(self, sock: socket.socket, receiver: Receiver, stop: asyncio.Event) -> None:
        gatherer = Gatherer(receiver, stop, self.sorter, linger_s=self.flush_s)
        handing = asyncio.create_task(gatherer.run())
        loop, session, held = asyncio.get_running_loop(), str(self.clock.now()), _Held()
        loop.add_reader(sock, self._drain, sock, gatherer, session, held)
        try:
            while not handing.done() and not await rest(stop, _LOOK_S):
                self._tell_drops(sock, gatherer, session)
        finally:
            loop.remove_reader(sock)
            held.closed = True
            for _ in range(_LAST_ROUNDS):
                if not self._take(sock, gatherer, session):
                    break
            self._tell_drops(sock, gatherer, session)
            gatherer.close()
            await handing

    def _drain(self, sock: socket.socket, gatherer: Gatherer, session: str, held: _Held) -> None:
        """Take what is there; when too much waits for the device, leave it to the kernel meanwhile."""
        self._take(sock, gatherer, session)
        if gatherer.size < _HELD_BYTES:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(sock)

        def again(_: object) -> None:
            if not held.closed:
                loop.add_reader(sock, self._drain, sock, gatherer, session, held)

        held.waiter = asyncio.ensure_future(gatherer.settle())
        held.waiter.add_done_callback(again)

    def _take(self, sock: socket.socket, gatherer: Gatherer, session: str) -> int:
        """Read datagrams until there are none, or it is others' turn; return how many."""
        by_host: dict[str, list[bytes]] = {}
        count = 0
        while count < _AT_ONCE:
            try:
                data, sender = sock.recvfrom(_LARGEST)
            except BlockingIOError:
                break
            count += 1
            known = by_host.get(sender[0])
            if known is None:
                by_host[sender[0]] = [data]
            else:
                known.append(data)
        for host, messages in by_host.items():
            origin, key = self._origin(host), f"{session}+{self.received}"
            self.received += len(messages)
            lines = joined(self._short(messages, gatherer, origin, key))
            if lines:
                gatherer.put(host, origin, key, lines)
        return count

    def _short(self, messages: list[bytes], gatherer: Gatherer, origin: str, key: str) -> list[bytes]:
        """Take those out that are too long."""
        if max(map(len, messages)) <= self.max_bytes:
            return messages
        reason = f"longer than the {self.max_bytes:,} bytes that a message may have here"
        for number, raw in enumerate(one for one in messages if len(one) > self.max_bytes):
            self.refused += 1
            gatherer.refuse(origin, f"{key}/{number}", raw[:KEPT_RAW], reason)
        return [one for one in messages if len(one) <= self.max_bytes]

    def _origin(self, host: str) -> str:
        origin = self._origins.get(host)
        if origin is None:
            if len(self._origins) >= _KNOWN_HOSTS:  # anybody can forge senders
                self._origins.clear()
            origin = self._origins[host] = str(read_address(host) or host)
        return origin

    def _tell_drops(self, sock: socket.socket, gatherer: Gatherer, session: str) -> None:
        dropped = drops(os.fstat(sock.fileno()).st_ino)
        if dropped > self.dropped:
            more, self.dropped = dropped - self.dropped, dropped
            host, port = self.address or self.listens_at
            reason = f"{more} datagrams were dropped by the kernel: its buffer was full"
            _log.warning("%s: %s", self.name, reason)
            gatherer.refuse(f"udp {host}:{port}", f"{session}-{dropped}", b"", reason)


@dataclass(slots=True)
class _Held:
    """Whether reading waits for the device, and whether it is over."""

    closed: bool = False
    waiter: asyncio.Future[None] | None = None


def drops(inode: int) -> int:
    """Return how many datagrams the kernel dropped for the socket of this inode (``/proc/net/udp``)."""
    for table in (Path("/proc/net/udp"), Path("/proc/net/udp6")):
        try:
            rows = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # no such protocol here
            continue
        for row in rows:
            columns = row.split()
            if columns[9] == str(inode):
                return int(columns[12])
    return 0
