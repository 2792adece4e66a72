"""A receiver that keeps deliveries in memory and can be told to be busy, to fail, or to wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from lemnis.contracts.errors import BusyError, ServiceError
from lemnis.contracts.receiving import Delivery, Mark, Receiver, Transport


@dataclass(slots=True)
class MemoryReceiver:
    """Takes what transports hand over; ``calls`` are the whole calls, in order.

    ``busy`` and ``failing`` say how many of the next calls are turned away so; while ``gate`` is not set no
    call is answered.
    """

    busy: int = 0
    failing: int = 0
    retry_after_s: float = 0.01
    calls: list[tuple[Delivery, ...]] = field(default_factory=list)
    marks: dict[tuple[str, str], str] = field(default_factory=dict)
    turned_away: int = 0
    waiting: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Open the gate."""
        self.gate.set()

    async def receive(self, deliveries: Sequence[Delivery], mark: Mark | None = None) -> None:
        """Keep all of it; see ``Receiver``."""
        if self.busy:
            self.busy, self.turned_away = self.busy - 1, self.turned_away + 1
            raise BusyError("too much waits", retry_after_s=self.retry_after_s)
        if self.failing:
            self.failing, self.turned_away = self.failing - 1, self.turned_away + 1
            raise ServiceError("the disk is full")
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        self.calls.append(tuple(deliveries))
        if mark is not None:
            self.marks[mark.transport, mark.key] = mark.value

    def mark(self, transport: str, key: str) -> str:
        """Return the value of a mark, or an empty text."""
        return self.marks.get((transport, key), "")

    @property
    def taken(self) -> list[Delivery]:
        """What was taken as records, in order."""
        return [one for call in self.calls for one in call if not one.refused]

    @property
    def refused(self) -> list[Delivery]:
        """What the transports refused, in order."""
        return [one for call in self.calls for one in call if one.refused]

    def lines(self, *, source: str = "", origin: str = "") -> list[bytes]:
        """Return the lines that were taken, of one source or origin if it is named; blank ones are none."""
        return [
            line
            for one in self.taken
            if (not source or one.source == source) and (not origin or one.origin == origin)
            for line in one.data.splitlines()
            if line
        ]


async def until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    """Wait for a condition; raises TimeoutError if it does not come about in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - whatever it is, nobody sets an event for it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(transport: Transport, receiver: Receiver, *, seconds: float = 30) -> AsyncIterator[None]:
    """Run a transport as long as the block, then stop it; raises what it raises, at once."""
    stop = asyncio.Event()
    work = asyncio.create_task(transport.run(receiver, stop))
    block = asyncio.current_task()
    work.add_done_callback(lambda done: block.cancel() if block and done.exception() else None)
    try:
        yield
    except asyncio.CancelledError:
        if work.done():
            work.result()
        raise
    finally:
        stop.set()
        await asyncio.wait_for(work, seconds)
