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
    """One stream: the last message it got, the last that is done, how many wait, and the bytes it holds.

    ``oldest_s`` is how long the first of those that wait has done so (s), 0 if none waits; ``held`` whether a
    worker has it.
    """

    stream: str
    last: int
    done: int
    behind: int
    bytes: int
    oldest_s: float
    held: bool


async def status(setup: Setup) -> list[LaneStatus]:
    """Return how far each lane is, that of signals last; raises ServiceError where that cannot be asked."""
    bus = await setup.bus()
    try:
        engine = await asyncio.to_thread(setup.engine)
        lanes, streams = Lanes(engine), (*bus.raw, bus.signals)
        done = {lane.name: lane.done for lane in await asyncio.to_thread(lanes.known)}
        held = await asyncio.to_thread(lanes.held, [bus.lane(one) for one in streams])
        engine.dispose()
        found = []
        for stream in streams:
            name = bus.lane(stream)
            state, taken = await bus.state(stream), done.get(name, 0)
            behind = max(0, state.last - taken)
            waited = await bus.age(stream, max(taken + 1, state.first)) if behind else 0.0
            found.append(
                LaneStatus(stream, state.last, taken, behind, state.bytes, round(waited, 1), name in held)
            )
        return found
    finally:
        await bus.close()
