"""A worker: holds some of the lanes, and turns what comes in them into events, alerts and signals.

Workers share the lanes evenly: each asks how many take part, and takes or gives up lanes until it has its
part. One that dies has its lanes taken over at once, because its session with PostgreSQL ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from lemnis.app.cluster import lane as lanes_work
from lemnis.app.cluster.lane import Batch, Work
from lemnis.app.cluster.messages import pack_signals
from lemnis.app.cluster.service import Gauge, Service
from lemnis.contracts.errors import IntegrityError, LemnisError
from lemnis.store.remote_lanes import Lane, Lanes, LostLaneError

if TYPE_CHECKING:
    from lemnis.app.cluster import Setup
    from lemnis.app.cluster.bus import Bus, Message, Reader
    from lemnis.store.remote import RemoteLake

LOG = logging.getLogger("lemnis.cluster")
MESSAGES = 16
"""So many messages at most are worked on in one go."""
_LOOK_S = 1.0
_WAIT_S = 0.25
_AGAIN_S = (1.0, 30.0)
T = TypeVar("T")
P = ParamSpec("P")


@dataclass(slots=True)
class Held:
    """A lane that this worker has: its task, how it is told to end, and how far it is."""

    lane: Lane
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    behind: int = 0


@dataclass(slots=True)
class _Failed:
    """Why a lane could not be worked on, until when it is left alone, and how long that pause is."""

    why: str
    until: float
    pause: float


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all lanes of a worker use."""

    bus: Bus
    lanes: Lanes
    lake: RemoteLake
    work: Work


class Worker(Service):
    """Works on lanes until it is told to stop; then commits what it has in hand and lets go."""

    role = "detect"

    def __init__(self, setup: Setup, *, detect: bool = True) -> None:
        """Without ``detect`` events only go into the lake."""
        super().__init__(setup)
        self._detect = detect
        self._held: dict[str, Held] = {}
        self._failed: dict[str, _Failed] = {}
        self._working, self._storing, self._session = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        self._work: Work | None = None
        self.ready = False

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop``; raises what keeps it from beginning."""
        bus = await self.setup.bus()
        lanes = Lanes(await asyncio.to_thread(self.setup.engine))
        lake = self.setup.lake()
        self._work = await asyncio.to_thread(self._built, lake, lanes)
        shared = _Shared(bus, lanes, lake, self._work)
        self.ready = True
        self.tell("ready", rules=self.rules, problems=self.problems)
        try:
            while not stop.is_set():
                try:
                    await self._share(shared)
                except LemnisError as error:
                    LOG.error("the lanes cannot be shared out now: %s", error)  # noqa: TRY400 - told in full
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _LOOK_S)
        finally:
            self.ready = False
            for held in self._held.values():
                held.stop.set()
            await asyncio.gather(*(h.task for h in self._held.values() if h.task), return_exceptions=True)
            await asyncio.to_thread(lanes.close)
            await bus.close()

    def unready(self) -> list[str]:
        """Say why it does not work, or not on all that it has."""
        reasons = [] if self.ready else ["it begins, or stops"]
        return reasons + [f"{stream}: {failed.why}" for stream, failed in self._failed.items()]

    def gauges(self) -> Iterator[Gauge]:
        """Yield what is to be known of it; a lane that it has let go is another's to tell of."""
        for stream, held in sorted(self._held.items()):
            if held.task is None or held.task.done():
                continue
            yield Gauge("lane_behind_messages", "Messages that wait in a lane", held.behind, stream)
            yield Gauge("lane_done", "The last message of a lane that is in the lake", held.lane.done, stream)
        if self._work is not None:
            yield from self.counted(self._work.counts)
            for stage, seconds in self._work.spent().items():
                yield Gauge(
                    "stage_seconds", "Seconds by stage of the work", seconds, stage, "stage", counter=True
                )

    # -- lanes ---------------------------------------------------------------------------------------------

    def _built(self, lake: RemoteLake, lanes: Lanes) -> Work:
        from lemnis import app
        from lemnis.app.watch import Watch
        from lemnis.contracts import compiled

        compiled.load()
        watch = (
            Watch(self.setup.workspace, journal=app.journal(self.setup.workspace)) if self._detect else None
        )
        if watch is not None:
            self.rules, self.problems = len(watch.detection.rules), len(tuple(watch.detection.problems))
        return Work(self.setup.workspace, watch, lake, lanes)

    async def _share(self, shared: _Shared) -> None:
        """Take lanes that are free, and give up those beyond this worker's part."""
        bus, lanes = shared.bus, shared.lanes
        for stream in [s for s, held in self._held.items() if held.task is not None and held.task.done()]:
            del self._held[stream]
        lost = bool(self._held) and not await self._of(lanes.holds)
        if lost:
            LOG.error("the session with the database is lost, and with it all lanes")
            for held in self._held.values():
                if held.task is not None:
                    held.task.cancel()
            await asyncio.gather(*(h.task for h in self._held.values() if h.task), return_exceptions=True)
            self._held.clear()
        present = await self._of(lanes.present)
        share = -(-len(bus.raw) // max(1, present))
        for held in list(self._held.values())[share:]:
            held.stop.set()
        first = hash(id(self)) % len(bus.raw)
        for stream in (*bus.raw[first:], *bus.raw[:first]):
            failed = self._failed.get(stream)
            if len(self._held) >= share:
                break
            if stream in self._held or (failed is not None and failed.until > time.monotonic()):
                continue
            name = bus.lane(stream)
            lane = await self._of(functools.partial(lanes.take, name))
            if lane is not None:
                held = self._held[stream] = Held(lane)
                held.task = asyncio.create_task(self._run(stream, held, shared))

    async def _of(self, call: Callable[[], T]) -> T:
        """Ask the session that holds the lanes: one question at a time."""
        return await _alone(self._session, call)

    async def _run(self, stream: str, held: Held, shared: _Shared) -> None:
        """Work on a lane until it is told to end, or cannot go on: then it is taken anew later."""
        reader = shared.bus.reader(stream, held.lane.done)
        self.tell("lane", stream=stream, done=held.lane.done)
        try:
            await self._lane(stream, held, shared, reader)
            self._failed.pop(stream, None)
        except LostLaneError as error:
            LOG.warning("%s", error)
        except Exception as error:
            before = self._failed.get(stream)
            pause = _AGAIN_S[0] if before is None else min(2 * before.pause, _AGAIN_S[1])
            self._failed[stream] = _Failed(f"{error}", time.monotonic() + pause, pause)
            LOG.error(  # noqa: TRY400 - told in full
                "%s is left alone for %.0f s: %s: %s", stream, pause, type(error).__name__, error,
                exc_info=None if isinstance(error, LemnisError) else error,
            )  # fmt: skip
        finally:
            await reader.close()
            with contextlib.suppress(LemnisError):
                await self._of(lambda: shared.lanes.release(held.lane.name))

    async def _lane(self, stream: str, held: Held, shared: _Shared, reader: Reader) -> None:
        """Fill batches with what comes, and commit them; first the one that a worker before had in hand."""
        again = await self._begun(held.lane, shared.lake)
        one = self.setup.cluster
        batch, began = Batch(held.lane), 0.0
        ahead: list[Message] = []
        while not held.stop.is_set() or batch.lane.planned > batch.lane.done:
            some = ahead or await reader.next(MESSAGES, wait=_WAIT_S)
            if held.stop.is_set() and again and not some:
                return  # whoever is next does it again
            ahead = [message for message in some if again and message.number > again[0]]
            some = some[: len(some) - len(ahead)]
            if some:
                began = began or time.monotonic()
                await _alone(self._working, shared.work.take, batch, some)
                self._failed.pop(stream, None)
            held.behind = await self._behind(shared.bus, stream, max(batch.taken, held.lane.done))
            full = batch.rows >= one.commit_rows or (began and time.monotonic() - began >= one.commit_s)
            if again:
                if not (ahead or batch.taken >= again[0]):
                    continue
                batch.lane = replace(batch.lane, planned=again.pop(0))
                await self._commit(stream, held, batch, shared)
            elif began and (full or held.stop.is_set()):
                await self._commit(stream, held, batch, shared)
            else:
                continue
            batch, began = Batch(held.lane), 0.0

    async def _begun(self, lane: Lane, lake: RemoteLake) -> list[int]:
        """Return where batches that were begun have to end: as it was planned, and as tables have them.

        Tables are ahead of the plan only where the database is an older copy. Raises IntegrityError where a
        table ends within the plan: no worker leaves it so.
        """
        there = await _alone(self._storing, lake.done, lane.name)
        within = [number for number in there if lane.done < number < lane.planned]
        if within:
            raise IntegrityError(
                f"{lane.name} is planned from {lane.done} to {lane.planned}; a table has it to {within[0]}",
                fix="two clusters may share a lake or a database: each has to have its own",
            )
        return sorted({number for number in (*there, lane.planned) if number > lane.done})

    async def _commit(self, stream: str, held: Held, batch: Batch, shared: _Shared) -> None:
        """Put a batch into the lake, then its signals on their way, then note that it is done."""
        await _alone(self._storing, shared.work.commit, batch)
        found = await asyncio.to_thread(lanes_work.signals, batch)
        if found is not None:
            for data in pack_signals(found):
                await shared.bus.publish(shared.bus.signals, data)
        held.lane = await asyncio.to_thread(shared.lanes.finish, batch.lane)
        await shared.bus.forget(stream, held.lane.done)
        for path in batch.objects:
            await asyncio.to_thread(shared.work.drop, path)

    async def _behind(self, bus: Bus, stream: str, planned: int) -> int:
        try:
            return max(0, (await bus.state(stream)).last - planned)
        except LemnisError:
            return self._held[stream].behind if stream in self._held else 0


async def _alone(lock: asyncio.Lock, call: Callable[P, T], *given: P.args, **more: P.kwargs) -> T:
    """Call in a thread while nobody else has the lock; who is cancelled meanwhile waits for its end."""
    async with lock:
        task = asyncio.create_task(asyncio.to_thread(call, *given, **more))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise
