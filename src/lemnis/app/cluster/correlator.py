"""The correlator: signals of all lanes into alerts, and all alerts of the journal into incidents.

One process of a cluster does it, others stand by; correlation of a million events a second is far less than
one core's work (ADR 0052). What it holds is saved in PostgreSQL with how far it has come; what it has told is
what the journal says. A correlator that is killed anywhere goes on from there, on another machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from lemnis import app
from lemnis.app.cluster.messages import unpack_signals
from lemnis.app.cluster.service import Gauge, Service
from lemnis.app.correlation import LOG as TOLD
from lemnis.app.correlation import Running
from lemnis.app.watch import Watch
from lemnis.contracts.errors import InputError, LemnisError
from lemnis.correlate import checkpoint
from lemnis.store.columns import MS_A_DAY
from lemnis.store.remote_lanes import Lane, Lanes

if TYPE_CHECKING:
    from lemnis.app.cluster import Setup
    from lemnis.app.cluster.bus import Bus
    from lemnis.app.correlation import Correlating
    from lemnis.store.journal import SqlJournal
    from lemnis.store.lake import Lake
    from lemnis.store.remote import RemoteLake

LOG = logging.getLogger("lemnis.cluster")
_MESSAGES = 64
_WAIT_S = 0.25
_STANDBY_S = 1.0
_SETTLE_S = 1.0
_SETTLE_SHARE = 4
_FORGET_S = 3600.0


@dataclass(slots=True)
class Evidence:
    """What correlation asks of a lake: signals, here those that came and are in no checkpoint, and events."""

    lake: RemoteLake
    waiting: dict[int, pa.Table] = field(default_factory=dict)
    forgotten: int = 0

    def signals(self, *, after: int = 0) -> Iterator[tuple[int, pa.Table]]:
        """Yield signals by the numbers of their messages."""
        for number in sorted(self.waiting):
            if number > after:
                yield number, self.waiting[number]

    def forget_signals(self, up_to: int) -> None:
        """Let go of what a checkpoint has."""
        self.waiting = {number: table for number, table in self.waiting.items() if number > up_to}
        self.forgotten = max(self.forgotten, up_to)

    def schemas(self) -> dict[str, pa.Schema]:
        """Return the schema of each table."""
        return self.lake.schemas()

    def query(self, sql: str, **asked: Any) -> pa.Table:
        """Run one SELECT over the lake."""
        return self.lake.query(sql, **asked)


class Folding(Running):
    """A cluster's correlations as they run: the checkpoint is in PostgreSQL, under the lane of signals."""

    def __init__(
        self, workspace: app.Workspace, correlating: Correlating, journal: SqlJournal, *,
        evidence: Evidence, lanes: Lanes, lane: Lane,
    ) -> None:  # fmt: skip
        """Begin with what the checkpoint holds."""
        super().__init__(workspace, correlating, journal, cast("Lake", evidence))
        self._evidence, self._lanes, self.lane = evidence, lanes, lane

    @property
    def held(self) -> int:
        """How many signals and batches of them are not in a checkpoint."""
        return self._unsaved

    def save(self) -> None:
        """Write the checkpoint, unless another correlator has taken over, and let go of what it has."""
        data = checkpoint.dump(self._correlator, {"taken": self._taken, "entry": self._entry})
        now = self.workspace.clock.now()
        self.lane = self._lanes.save(self.lane, data, now, done=self._taken)
        self._evidence.forget_signals(self._taken)
        self._unsaved = 0

    def _load(self) -> None:
        self._correlator = self.correlating.correlator(self._limits, patient=False)
        self._taken = self._entry = self._unsaved = 0
        self._stamp, self._fresh = self._stamped(), False
        data = self._lanes.checkpoint(self.lane)
        if data is not None:
            place = checkpoint.load(data, self._correlator)
            self._taken, self._entry = int(place["taken"]), int(place["entry"])

    def _stamped(self) -> tuple[int, int] | None:
        """Nobody else writes it while this one holds the lane."""
        return None


class Settling(Watch):
    """Correlation and grouping over a cluster's signals and journal; no events go through it."""

    def __init__(self, setup: Setup, evidence: Evidence, lanes: Lanes, lane: Lane) -> None:
        """Load the workspace's content."""
        super().__init__(setup.workspace)
        self._evidence, self._lanes, self.lane = evidence, lanes, lane
        self.folding: Folding | None = None

    def _correlate(self, *, everything: bool) -> None:
        correlating = self.detection.correlating
        if correlating is None:
            return
        if self.folding is None or self.folding.correlating is not correlating:
            lane = self.lane if self.folding is None else self.folding.lane
            self.folding = Folding(
                self.workspace,
                correlating,
                self.journal,
                evidence=self._evidence,
                lanes=self._lanes,
                lane=lane,
            )
        entities = self.detection.alerts.entities
        self.alerts += self.folding.catch_up(self.library.digest, entities, everything=everything)
        for sentence in self.folding.news():
            TOLD.warning("%s", sentence)

    def save(self) -> None:
        """Write the checkpoint, if there is anything that it lacks."""
        if self.folding is not None and self.folding.held:
            self.folding.save()


@dataclass(slots=True)
class Counts:
    """What a correlator did since it began."""

    messages: int = 0
    signals: int = 0
    alerts: int = 0
    broken: int = 0


class Correlator(Service):
    """Takes the lane of signals when it is free, and folds what comes in it."""

    role = "correlate"

    def __init__(self, setup: Setup) -> None:
        """``setup`` is the cluster's."""
        super().__init__(setup)
        self.counts = Counts()
        self.active = False
        self.behind = 0
        self._why = "it begins"
        self._told = False

    async def run(self, stop: asyncio.Event) -> None:
        """Stand by until the lane is free, fold until ``stop``; raises what keeps it from beginning."""
        bus = await self.setup.bus()
        lanes = Lanes(await asyncio.to_thread(self.setup.engine))
        try:
            while not stop.is_set():
                try:
                    await self._once(bus, lanes, stop)
                except LemnisError as error:
                    self._why = f"{error}"
                    LOG.error("correlation begins again: %s", error)  # noqa: TRY400 - told in full
                except Exception as error:
                    self._why = f"{type(error).__name__}: {error}"
                    LOG.exception("correlation begins again")
                finally:
                    self.active = False
                    await asyncio.to_thread(lanes.close)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _STANDBY_S)
        finally:
            await bus.close()

    def unready(self) -> list[str]:
        """Say what is against it; to stand by is well."""
        return [self._why] if self._why else []

    def gauges(self) -> Iterator[Gauge]:
        """Yield what is to be known of it."""
        yield Gauge("correlator_active", "Whether this one correlates, and does not stand by", self.active)
        yield Gauge("lane_behind_messages", "Messages that wait in a lane", self.behind, "signals")
        yield from self.counted(self.counts)

    async def _once(self, bus: Bus, lanes: Lanes, stop: asyncio.Event) -> None:
        """Fold for as long as the lane is held."""
        name = bus.lane(bus.signals)
        lane = await asyncio.to_thread(lanes.take, name)
        self._why = ""
        if lane is None:
            if not self._told:
                self.tell("standby")
            self._told = True
            return
        self._told = False
        evidence = Evidence(self.setup.lake())
        settling = await asyncio.to_thread(Settling, self.setup, evidence, lanes, lane)
        self.rules = len(settling.detection.correlating.correlations) if settling.detection.correlating else 0
        self.active = True
        self.tell("ready", rules=self.rules, problems=len(tuple(settling.detection.problems)))
        reader = bus.reader(bus.signals, lane.done)
        unsettled, due, forget_at = True, 0.0, 0.0
        try:
            while not stop.is_set():
                some = await reader.next(_MESSAGES, wait=_WAIT_S)
                for message in some:
                    evidence.waiting[message.number] = self._read(message.number, message.data)
                self.counts.messages += len(some)
                unsettled = unsettled or bool(some)
                now = time.monotonic()
                if now >= due:
                    if not await asyncio.to_thread(lanes.holds):
                        return
                    began = now
                    await asyncio.to_thread(self._settle, settling, idle=not unsettled)
                    await bus.forget(bus.signals, evidence.forgotten)
                    self.behind = await self._behind(bus, evidence)
                    unsettled = False
                    due = time.monotonic() + max(_SETTLE_S, _SETTLE_SHARE * (time.monotonic() - began))
                if now >= forget_at:
                    forget_at = now + _FORGET_S
                    today = self.setup.workspace.clock.now() // MS_A_DAY
                    await asyncio.to_thread(lanes.forget, today - self.setup.cluster.claims_days)
            await asyncio.to_thread(self._settle, settling, idle=True)
            await asyncio.to_thread(settling.save)
            await bus.forget(bus.signals, evidence.forgotten)
        finally:
            await reader.close()

    def _settle(self, settling: Settling, *, idle: bool) -> None:
        """Fold what came; when nothing came since, also what of an alert only grew."""
        settling.refresh()
        before = settling.alerts
        if idle:
            settling.finish()
        else:
            settling.finish_for_now()
        self.counts.alerts += settling.alerts - before

    def _read(self, number: int, data: bytes) -> pa.Table:
        from lemnis.contracts.correlations import SIGNALS

        try:
            table = unpack_signals(data)
        except InputError as error:
            LOG.error("message %d of signals: %s", number, error)  # noqa: TRY400 - told in full
            self.counts.broken += 1
            return SIGNALS.empty_table()
        self.counts.signals += table.num_rows
        return table

    @staticmethod
    async def _behind(bus: Bus, evidence: Evidence) -> int:
        last = max(evidence.waiting, default=evidence.forgotten)
        try:
            return max(0, (await bus.state(bus.signals)).last - last)
        except LemnisError:
            return 0
