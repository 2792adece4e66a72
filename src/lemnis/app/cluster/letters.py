"""Dead letters of a cluster on their way back: records into the lake, whole deliveries into the streams.

One replay at a time: it holds a lane of its own, whose batch never ends, so that what a replay claimed that
was killed is its own still. Killed anywhere, it is gone on with by the next: events that are there are known
by their uids, and a letter goes only after its event is in the lake.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from lemnis.app.cluster import Setup
from lemnis.app.cluster.lane import DEAD
from lemnis.app.cluster.messages import Sent, pack, pack_signals
from lemnis.contracts.errors import ServiceError
from lemnis.contracts.events import Appended, EventBatch
from lemnis.contracts.receiving import Delivery
from lemnis.store import rows
from lemnis.store.columns import MS_A_DAY, uid_keys
from lemnis.store.deadletters import DeadCount, DeadLetter
from lemnis.store.remote import RemoteLake
from lemnis.store.remote_lanes import Lane, Lanes

_LANE = "dead letters"
_KEPT = re.compile(rf"; kept at ({DEAD}/\S+)$")
_PAGE = 1000


@dataclass(slots=True)
class Letterbox:
    """What a replay of dead letters needs of a lake (``app.deadletters.Box``), of a cluster's."""

    setup: Setup
    lake: RemoteLake
    lanes: Lanes
    lane: Lane
    alone = False
    """The correlator makes incidents of alerts, not whoever replays."""

    def dead_counts(self) -> list[DeadCount]:
        """Return how many dead letters each source has."""
        return self.lake.dead_counts()

    def dead_letters(
        self, source: str | None = None, *, after: int = 0, limit: int = _PAGE
    ) -> list[DeadLetter]:
        """Return dead letters, by number: a bounded page."""
        return self.lake.dead_letters(source, after=after, limit=limit)

    def append(
        self, batches: Sequence[EventBatch], *, signals: pa.Table | None = None, source: str = "",
        content: str = "", settled: Sequence[int] = (),
    ) -> Appended:  # fmt: skip
        """Store events that nobody else has claimed, send their signals on, and let go of their letters."""
        del source, content
        own = [self._own(one) for one in batches]
        done = self.lake.append([one for one in own if len(one)])
        foreign = sum(len(one) for one in batches) - sum(len(one) for one in own)
        if signals is not None and signals.num_rows:
            asyncio.run(self._send(list(pack_signals(signals))))
        self.lake.letters.change(settled, {})
        return replace(done, duplicates=done.duplicates + foreign)

    def restate(self, reasons: Mapping[int, str], *, content: str) -> None:
        """Say anew why records are not taken."""
        self.lake.letters.change((), {number: (reason, content) for number, reason in reasons.items()})

    def flush(self) -> int:
        """Do nothing: it is in the tables."""
        return 0

    def _own(self, batch: EventBatch) -> EventBatch:
        keys = uid_keys(rows.uids(batch.table))
        day = self.setup.workspace.clock.now() // MS_A_DAY
        self.lane, foreign = self.lanes.plan(self.lane, self.lane.planned, keys, day=day)
        kept = pa.array(~np.isin(keys, foreign))
        return EventBatch(batch.class_uid, batch.source, batch.origin, batch.table.filter(kept))

    async def _send(self, messages: Sequence[bytes]) -> None:
        bus = await self.setup.bus()
        try:
            for data in messages:
                await bus.publish(bus.signals, data)
        finally:
            await bus.close()


@contextmanager
def letterbox(setup: Setup) -> Iterator[Letterbox]:
    """Hold what a replay needs; raises ServiceError if another one runs, or a server cannot be reached."""
    engine = setup.engine()
    lanes = Lanes(engine)
    try:
        lane = lanes.take(_LANE)
        if lane is None:
            raise ServiceError("another replay of dead letters runs", fix="wait until it is done")
        yield Letterbox(setup, setup.lake(), lanes, lane)
    finally:
        lanes.close()
        engine.dispose()


def revive(setup: Setup, names: Sequence[str] = ()) -> int:
    """Send whole deliveries that were put aside (of some sources) to workers again; return how many."""
    with letterbox(setup) as box:
        return asyncio.run(_revived(box, names))


async def _revived(box: Letterbox, names: Sequence[str]) -> int:
    bus, after, done = await box.setup.bus(), 0, 0
    try:
        while letters := box.dead_letters(after=after):
            after = letters[-1].id
            for one in letters:
                kept = _KEPT.search(one.reason)
                if kept is None or (names and one.source not in names):
                    continue
                data = box.lake.get(kept[1])
                sent = Sent.of(Delivery(one.source, one.at.file, data, f"again:{one.origin_key}"))
                large = replace(sent, object=kept[1])  # its bytes lie there already
                message = pack([large], box.setup.workspace.clock.now())
                await bus.publish(bus.raw[done % len(bus.raw)], message)
                box.lake.letters.change([one.id], {})
                done += 1
        return done
    finally:
        await bus.close()
