"""Gathering: what many connections send goes to the receiver together, one call after another.

While one call waits for the device, what comes in the meantime gathers for the next: the busier it gets, the
larger are the batches. A connection reads on only when what it sent before is durable.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from lemnis.contracts.receiving import Delivery, Receiver
from lemnis.ingest.transports._handing import hand_over
from lemnis.ingest.transports._routes import Sorter

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pile:
    """What one sender sent since the last call."""

    origin: str
    key: str
    pieces: list[bytes] = field(default_factory=list)


class Gatherer:
    """Gathers lines by sender, and hands them over at once when somebody waits, else every ``linger_s``."""

    def __init__(self, receiver: Receiver, stop: asyncio.Event, sorter: Sorter, *, linger_s: float) -> None:
        """``stop`` is the transport's: after it a receiver that takes nothing is not waited for long."""
        self._receiver, self._stop, self._sorter, self._linger_s = receiver, stop, sorter, linger_s
        self._piles: dict[object, _Pile] = {}
        self._refused: list[Delivery] = []
        self._there, self._hurry = asyncio.Event(), asyncio.Event()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flying: asyncio.Future[None] | None = None
        self._closing = False
        self.size = 0

    def put(self, sender: object, origin: str, key: str, data: bytes) -> None:
        """Take whole lines of a sender.

        ``key`` tells these lines from others of their origin.
        """
        pile = self._piles.get(sender)
        if pile is None:
            pile = self._piles[sender] = _Pile(origin, key)
        pile.pieces.append(data)
        self.size += len(data)
        self._there.set()

    def refuse(self, origin: str, key: str, raw: bytes, reason: str) -> None:
        """Take what is no record, with the reason; as ``put``."""
        self._refused.append(Delivery(self._sorter.source, origin, raw, key, reason))
        self.size += len(raw)
        self._there.set()

    async def settle(self) -> None:
        """Wait until all that was put so far is durable; nobody lingers for more meanwhile."""
        if self._piles or self._refused:
            self._hurry.set()
            await asyncio.shield(self._done)
        elif self._flying is not None:
            await asyncio.shield(self._flying)

    async def run(self) -> None:
        """Hand over until ``close``; what was taken before that is handed over too."""
        try:
            while not self._closing or self._piles or self._refused:
                await self._there.wait()
                if not self._hurry.is_set():
                    await self._linger()
                await self._flush()
        finally:
            self._done.cancel()

    def close(self) -> None:
        """Let ``run`` end when all is handed over."""
        self._closing = True
        self._there.set()
        self._hurry.set()

    async def _linger(self) -> None:
        try:
            await asyncio.wait_for(self._hurry.wait(), self._linger_s)
        except TimeoutError:
            return

    async def _flush(self) -> None:
        piles, refused, done, size = self._piles, self._refused, self._done, self.size
        self._piles, self._refused, self.size, self._flying = {}, [], 0, done
        self._done = asyncio.get_running_loop().create_future()
        if not self._closing:
            self._there.clear()
            self._hurry.clear()
        deliveries = [
            Delivery(source, pile.origin, data, pile.key)
            for pile in piles.values()
            for source, data in self._sorter.part(b"".join(pile.pieces))
        ]
        deliveries += refused
        try:
            if deliveries and not await hand_over(self._receiver, deliveries, stop=self._stop):
                _log.error("%d bytes that were taken are lost: nothing could be written to the end", size)
        except BaseException:
            done.cancel()
            raise
        finally:
            self._flying = None
        done.set_result(None)
