"""The intake: what transports hand over is in the inbox, on the device, before they may answer.

Everything that waits for the device shares one transaction and one sync, off the event loop: while one commit
is under way, what comes gathers for the next. How much gathers is bounded, as is what the inbox holds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lemnis.contracts.errors import BusyError, LemnisError, ServiceError
from lemnis.contracts.receiving import Delivery, Mark
from lemnis.store.inbox import Inbox, Letter

COMMIT_BYTES = 16 << 20
"""So much at most is stored with one commit, unless one call alone brings more."""
GATHERED_BYTES = 128 << 20
"""So much at most waits in memory for the next commit."""
_RETRY_S = 1.0


@dataclass(slots=True)
class Counts:
    """What the intake has done since it began; ``gathered`` are the bytes that wait for the device now."""

    deliveries: int = 0
    bytes: int = 0
    commits: int = 0
    busy: int = 0
    failed: int = 0
    gathered: int = 0


Received = Callable[[Sequence[Delivery]], None]
"""Told of what was stored, on the event loop."""


def _nothing(deliveries: Sequence[Delivery]) -> None:
    """Do nothing with what was stored."""


class Intake:
    """A Receiver over an inbox; all calls come from one event loop."""

    def __init__(self, inbox: Inbox, *, received: Received = _nothing) -> None:
        """``received`` is told of what was stored."""
        self.counts = Counts()
        self._inbox = inbox
        self._received = received
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._gathered: deque[tuple[Letter, int, asyncio.Future[None]]] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def receive(self, deliveries: Sequence[Delivery], mark: Mark | None = None) -> None:
        """Return when all of it is on the device, with the mark; see ``contracts.receiving.Receiver``."""
        if not deliveries and mark is None:
            return
        letter = Letter(tuple(deliveries), mark)
        size = letter.size
        if self.counts.gathered and self.counts.gathered + size > GATHERED_BYTES:
            self.counts.busy += 1
            raise BusyError(
                "the device is slower than what comes", retry_after_s=_RETRY_S, fix="send it again later"
            )
        done = asyncio.get_running_loop().create_future()
        self._gathered.append((letter, size, done))
        self.counts.gathered += size
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        await done

    def mark(self, transport: str, key: str) -> str:
        """Return the value of a mark, or an empty text."""
        return self._inbox.mark(transport, key)

    async def close(self) -> None:
        """Store what was handed over, and let go of the thread."""
        if self._committing is not None:
            await self._committing
        await asyncio.get_running_loop().run_in_executor(self._pool, self._inbox.close)
        self._pool.shutdown()

    async def _commit(self) -> None:
        """Store what has gathered, until nothing has."""
        try:
            while self._gathered:
                some = self._next()
                letters = [letter for letter, _, _ in some]
                try:
                    loop = asyncio.get_running_loop()
                    outcomes = await loop.run_in_executor(self._pool, self._inbox.append, letters)
                except Exception as error:  # noqa: BLE001 - whoever waits is told, and the next commit goes on
                    outcomes = [_failure(error)] * len(some)
                    self.counts.failed += len(some)
                self.counts.commits += 1
                self._tell(some, outcomes)
        finally:
            self._committing = None

    def _next(self) -> list[tuple[Letter, int, asyncio.Future[None]]]:
        """Take what goes into the next commit."""
        some: list[tuple[Letter, int, asyncio.Future[None]]] = []
        room = COMMIT_BYTES
        while self._gathered and (not some or self._gathered[0][1] <= room):
            one = self._gathered.popleft()
            room -= one[1]
            some.append(one)
        return some

    def _tell(
        self,
        some: Sequence[tuple[Letter, int, asyncio.Future[None]]],
        outcomes: Sequence[LemnisError | None],
    ) -> None:
        """Tell those who wait; who went away meanwhile is told nothing, but what they brought is there."""
        for (letter, size, done), outcome in zip(some, outcomes, strict=True):
            self.counts.gathered -= size
            if outcome is None:
                self.counts.deliveries += len(letter.deliveries)
                self.counts.bytes += size
                self._received(letter.deliveries)
            elif isinstance(outcome, BusyError):
                self.counts.busy += 1
            if done.done():
                continue
            if outcome is None:
                done.set_result(None)
            else:
                done.set_exception(outcome)


def _failure(error: Exception) -> LemnisError:
    if isinstance(error, LemnisError):
        return error
    return ServiceError(f"what was received cannot be stored: {type(error).__name__}: {error}")
