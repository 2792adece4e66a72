"""A gateway's receiver: deliveries go into the cluster's streams before their senders are answered.

What comes gathers into messages while others are under way: the busier, the larger. A delivery that is too
large for a message is an object beside the lake's tables, which the message names.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lemnis.app.cluster.messages import MESSAGE_BYTES, RAW_BYTES, Sent, message_id, pack
from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import BusyError, LemnisError, ServiceError
from lemnis.contracts.receiving import Delivery, Mark

if TYPE_CHECKING:
    from lemnis.app.cluster.bus import Bus
    from lemnis.store.remote import RemoteLake
    from lemnis.store.remote_lanes import Lanes

OBJECTS = "deliveries"
GATHERED_BYTES = 128 << 20
_SENDERS = 8
_RETRY_S = 1.0


@dataclass(slots=True)
class Counts:
    """What a gateway has done since it began; ``gathered`` are the bytes that wait for their answer now."""

    deliveries: int = 0
    bytes: int = 0
    messages: int = 0
    sent_bytes: int = 0
    objects: int = 0
    busy: int = 0
    failed: int = 0
    gathered: int = 0


@dataclass(slots=True, eq=False)
class _Letter:
    """What was handed over at once: how many of its deliveries are not stored yet."""

    left: int
    done: asyncio.Future[None]


@dataclass(slots=True)
class Publishing:
    """A Receiver over the streams; all calls come from one event loop."""

    bus: Bus
    lake: RemoteLake
    lanes: Lanes
    clock: Clock
    counts: Counts = field(default_factory=Counts)
    _waiting: deque[tuple[Sent, _Letter]] = field(default_factory=deque)
    _senders: set[asyncio.Task[None]] = field(default_factory=set)

    async def receive(self, deliveries: Sequence[Delivery], mark: Mark | None = None) -> None:
        """Return when a majority of the servers has all of it; see ``contracts.receiving.Receiver``.

        The mark is noted after that: what was pulled again because of a crash between is known by its names.
        """
        size = sum(len(one.data) for one in deliveries)
        if self.counts.gathered and self.counts.gathered + size > GATHERED_BYTES:
            self.counts.busy += 1
            raise BusyError(
                "the streams are slower than what comes", retry_after_s=_RETRY_S, fix="send it again later"
            )
        if deliveries:
            self.counts.gathered += size
            try:
                sent = await asyncio.to_thread(lambda: [Sent.of(one) for one in deliveries])
                letter = _Letter(len(sent), asyncio.get_running_loop().create_future())
                self._waiting.extend((one, letter) for one in sent)
                while len(self._senders) < _SENDERS and len(self._senders) < len(self._waiting):
                    task = asyncio.create_task(self._send())
                    self._senders.add(task)
                    task.add_done_callback(self._senders.discard)
                await letter.done
            finally:
                self.counts.gathered -= size
            self.counts.deliveries += len(deliveries)
            self.counts.bytes += size
        if mark is not None:
            key, now = _key(mark.transport, mark.key), self.clock.now()
            await asyncio.to_thread(self.lanes.note, key, mark.value, now)

    def mark(self, transport: str, key: str) -> str:
        """Return the value of a mark, or an empty text."""
        return self.lanes.mark(_key(transport, key))

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._senders:
            await asyncio.wait(self._senders)

    async def _send(self) -> None:
        """Publish what waits, until nothing does."""
        while self._waiting:
            some = self._next()
            try:
                await self._publish([sent for sent, _ in some])
            except Exception as error:  # noqa: BLE001 - whoever waits is told, and the next message goes on
                failure = _failure(error)
                self.counts.failed += not isinstance(failure, BusyError)
                self.counts.busy += isinstance(failure, BusyError)
                for _, letter in some:
                    if not letter.done.done():
                        letter.done.set_exception(failure)
                continue
            for _, letter in some:
                letter.left -= 1
                if not letter.left and not letter.done.done():
                    letter.done.set_result(None)

    def _next(self) -> list[tuple[Sent, _Letter]]:
        """Take what goes into the next message, without what nobody waits for any more."""
        some: list[tuple[Sent, _Letter]] = []
        room = RAW_BYTES
        while self._waiting and (not some or self._waiting[0][0].size <= room):
            one = self._waiting.popleft()
            if one[1].done.done():
                continue
            room -= one[0].size
            some.append(one)
        return some

    async def _publish(self, sent: Sequence[Sent]) -> None:
        """Publish deliveries as one message, or as several if they are too large for one."""
        if not sent:
            return
        data = await asyncio.to_thread(pack, sent, self.clock.now())
        if len(data) > MESSAGE_BYTES:
            if len(sent) > 1:
                middle = len(sent) // 2
                await self._publish(sent[:middle])
                await self._publish(sent[middle:])
                return
            only = sent[0]
            path = f"{OBJECTS}/{only.name.partition(':')[2]}"
            await asyncio.to_thread(self.lake.put, path, only.delivery.data)
            self.counts.objects += 1
            data = pack([replace(only, object=path)], self.clock.now())
        number = int(message_id(data)[:8], 16) % len(self.bus.raw)
        await self.bus.publish(self.bus.raw[number], data)
        self.counts.messages += 1
        self.counts.sent_bytes += len(data)


def _key(transport: str, key: str) -> str:
    return f"mark {transport} {key}"


def _failure(error: Exception) -> LemnisError:
    if isinstance(error, LemnisError):
        return error
    return ServiceError(f"what was received cannot be sent on: {type(error).__name__}: {error}")
