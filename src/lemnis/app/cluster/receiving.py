"""A gateway's process: a workspace's transports over the streams; one that ends is begun again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lemnis.app import running, settings, transports
from lemnis.app.cluster.gateway import Publishing
from lemnis.app.cluster.service import Gauge, Service
from lemnis.app.running import Running
from lemnis.contracts.errors import UsageError
from lemnis.store.remote_lanes import Lanes

if TYPE_CHECKING:
    from lemnis.app.cluster import Setup


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
        self.tell("ready", rules=0, problems=0)
        try:
            await running.run(self.transports, self.publishing, stop, self.tell)
        finally:
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
