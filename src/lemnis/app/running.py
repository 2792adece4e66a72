"""Transports as they run: one that ends too early is begun again, later each time it does so at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lemnis.contracts.errors import ServiceError
from lemnis.contracts.receiving import Receiver, Transport

LOG = logging.getLogger("lemnis.transports")
_AGAIN_S = (1.0, 60.0)
_STEADY_S = 30.0
_LOOK_S = 0.05
_END_S = 30.0


class Tell(Protocol):
    """Told of what happens, on the event loop."""

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Hear of an event: its name, and its facts."""
        ...


@dataclass(slots=True)
class Running:
    """How a transport is: what is against it (empty: nothing), and how often it was begun again."""

    transport: Transport
    problem: str = ""
    restarts: int = 0
    ended: bool = False

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens, once it does."""
        found: tuple[str, int] | None = getattr(self.transport, "address", None)
        return found


async def run(some: Sequence[Running], receiver: Receiver, stop: asyncio.Event, tell: Tell) -> None:
    """Run transports until ``stop``; raises ServiceError if none of them can begin.

    One that does not end then is cancelled after a while.
    """
    await _Together(some, receiver, stop, tell).run()


@dataclass(slots=True)
class _Together:
    """Transports that run at once; it is ``hopeless`` when none of them could begin at all."""

    some: Sequence[Running]
    receiver: Receiver
    stop: asyncio.Event
    tell: Tell
    hopeless: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        running = [asyncio.create_task(self._keep(one)) for one in self.some]
        telling = asyncio.create_task(self._tell_addresses())
        stopping = asyncio.create_task(self.stop.wait())
        ended: asyncio.Future[Any] = asyncio.gather(*running, return_exceptions=True)
        either: set[asyncio.Future[Any]] = {ended, stopping}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await asyncio.wait({ended}, timeout=_END_S)
            for one, task in zip(self.some, running, strict=True):
                if task.done():
                    task.result()  # raises what nobody foresaw
                else:
                    LOG.error("transport %s does not end; it is cancelled", one.transport.name)
            if self.hopeless.is_set() and not self.stop.is_set():
                raise ServiceError(self.some[0].problem, fix="none of the transports can begin")
        finally:
            for left in (*running, telling, stopping):
                left.cancel()
            await asyncio.gather(*running, telling, stopping, return_exceptions=True)

    async def _keep(self, one: Running) -> None:
        """Run a transport again and again, until the end or until it is hopeless."""
        loop, wait = asyncio.get_running_loop(), _AGAIN_S[0]
        while not self.stop.is_set():
            began = loop.time()
            try:
                await one.transport.run(self.receiver, self.stop)
                one.problem = "" if self.stop.is_set() else "it ended"
            except ServiceError as error:
                one.problem = str(error)
            except Exception as error:
                LOG.exception("transport %s", one.transport.name)
                one.problem = f"{type(error).__name__}: {error}"
            if self.stop.is_set():
                return
            self.tell("failed", transport=one.transport.name, problem=one.problem)
            one.ended = not one.restarts and loop.time() - began < _STEADY_S
            if all(other.ended for other in self.some):
                self.hopeless.set()
            wait = _AGAIN_S[0] if loop.time() - began > _STEADY_S else min(2 * wait, _AGAIN_S[1])
            if await self._over_within(wait):
                return
            one.restarts += 1
            one.problem, one.ended = "", False

    async def _over_within(self, seconds: float) -> bool:
        """Wait so long; say whether it is the end, or hopeless."""
        waiting = [asyncio.create_task(event.wait()) for event in (self.stop, self.hopeless)]
        try:
            done, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        return bool(done)

    async def _tell_addresses(self) -> None:
        """Tell where transports listen, as soon as they do."""
        left = list(self.some)
        while left:
            for one in [one for one in left if one.address is not None]:
                left.remove(one)
                host, port = one.address or ("", 0)
                self.tell("listening", transport=one.transport.name, host=host, port=port)
            await asyncio.sleep(_LOOK_S)
