"""A gateway's process: a workspace's transports over the streams; one that ends is begun again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lemnis.app import settings, transports
from lemnis.app.cluster.gateway import Publishing
from lemnis.app.cluster.service import Gauge, Service
from lemnis.app.serve import Running
from lemnis.contracts.errors import ServiceError, UsageError
from lemnis.store.remote_lanes import Lanes

if TYPE_CHECKING:
    from lemnis.app.cluster import Setup

LOG = logging.getLogger("lemnis.cluster")
_AGAIN_S = (1.0, 60.0)
_STEADY_S = 30.0
_LOOK_S = 0.05


class Gateway(Service):
    """Runs the transports; raises UsageError where the settings have none."""

    role = "gateway"

    def __init__(self, setup: Setup) -> None:
        """Build the transports; raises ContentError with the place of the first that is wrong."""
        super().__init__(setup)
        read = settings.load(setup.workspace)
        if not read.transports:
            raise UsageError(
                "there is nothing to serve: no transport in the settings",
                fix="add one under `transports:` in lemnis.yaml; see docs/receiving.md",
            )
        self.transports = [Running(one) for one in transports.build(setup.workspace, read)]
        self.publishing: Publishing | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Take what comes until ``stop``; raises ServiceError if no transport can begin."""
        bus = await self.setup.bus()
        lanes = Lanes(await asyncio.to_thread(self.setup.engine))
        self.publishing = Publishing(bus, self.setup.lake(), lanes, self.setup.workspace.clock)
        running = [
            asyncio.create_task(self._transport(one, self.publishing, stop)) for one in self.transports
        ]
        telling = asyncio.create_task(self._tell_addresses())
        self.tell("ready", rules=0, problems=0)
        try:
            await asyncio.gather(*running)
            failed = [one.problem for one in self.transports if one.ended]
            if len(failed) == len(self.transports) and not stop.is_set():
                raise ServiceError(failed[0], fix="none of the transports can begin")
        finally:
            telling.cancel()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, telling, return_exceptions=True)
            await self.publishing.close()
            await bus.close()

    def unready(self) -> list[str]:
        """Say why it takes nothing now, or that of it."""
        if self.publishing is None:
            return ["it begins"]
        reasons = [f"{one.transport.name}: {one.problem}" for one in self.transports if one.problem]
        return reasons + ([] if self.publishing.bus.connected else ["no NATS server is connected"])

    def gauges(self) -> Iterator[Gauge]:
        """Yield what is to be known of it."""
        if self.publishing is not None:
            yield from self.counted(self.publishing.counts)

    async def _transport(self, one: Running, receiver: Publishing, stop: asyncio.Event) -> None:
        loop, wait = asyncio.get_running_loop(), _AGAIN_S[0]
        while not stop.is_set():
            began = loop.time()
            try:
                await one.transport.run(receiver, stop)
                one.problem = "" if stop.is_set() else "it ended"
            except ServiceError as error:
                one.problem = str(error)
            except Exception as error:
                LOG.exception("transport %s", one.transport.name)
                one.problem = f"{type(error).__name__}: {error}"
            if stop.is_set():
                return
            self.tell("failed", transport=one.transport.name, problem=one.problem)
            one.ended = not one.restarts and loop.time() - began < _STEADY_S
            if all(other.ended for other in self.transports):
                return
            wait = _AGAIN_S[0] if loop.time() - began > _STEADY_S else min(2 * wait, _AGAIN_S[1])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
            one.restarts += 1
            one.problem, one.ended = "", False

    async def _tell_addresses(self) -> None:
        left = list(self.transports)
        while left:
            for one in [one for one in left if one.address is not None]:
                left.remove(one)
                host, port = one.address or ("", 0)
                self.tell("listening", transport=one.transport.name, host=host, port=port)
            await asyncio.sleep(_LOOK_S)
