"""How a cluster is: what each lane has in the lake, and how much of it waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lemnis.store.remote_lanes import Lanes

if TYPE_CHECKING:
    from lemnis.app.cluster import Setup


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """One stream: the last message it got, the last that is done, and how many bytes it holds."""

    stream: str
    last: int
    done: int
    behind: int
    bytes: int


async def status(setup: Setup) -> list[LaneStatus]:
    """Return how far each lane is, that of signals last; raises ServiceError where that cannot be asked."""
    bus = await setup.bus()
    try:
        engine = await asyncio.to_thread(setup.engine)
        done = {lane.name: lane.done for lane in await asyncio.to_thread(Lanes(engine).known)}
        engine.dispose()
        found = []
        for stream in (*bus.raw, bus.signals):
            state, taken = await bus.state(stream), done.get(bus.lane(stream), 0)
            found.append(LaneStatus(stream, state.last, taken, max(0, state.last - taken), state.bytes))
        return found
    finally:
        await bus.close()
