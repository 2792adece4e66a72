"""One lane's batch: deliveries read, mapped, looked at by detection and held until they are in the lake.

A batch that was begun by a worker that is gone is done again by whoever takes the lane over: the same
messages, the same claims, so the same events; alerts have deterministic ids, and tables know which batches
they have.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lemnis import app
from lemnis.app.cluster.messages import Sent, unpack
from lemnis.app.correlation import joined
from lemnis.app.normalising import Normalising
from lemnis.app.receiving import by_source
from lemnis.app.stages import Stages
from lemnis.app.storing import Stored, Storing
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import InputError, LemnisError, Location, NotFoundError
from lemnis.contracts.events import Appended, EventBatch, Reject
from lemnis.ingest.received import Piece
from lemnis.store import rows
from lemnis.store.columns import MS_A_DAY, Keys, conform, merge_schemas, uid_keys
from lemnis.store.deadletters import identity
from lemnis.store.remote_letters import LETTERS

if TYPE_CHECKING:
    from lemnis.app.cluster.bus import Message
    from lemnis.app.watch import Watch
    from lemnis.store.remote import RemoteLake
    from lemnis.store.remote_lanes import Lane, Lanes

LOG = logging.getLogger("lemnis.cluster")
DEAD = "dead"
_NONE = np.empty(0, dtype=np.int64)


@dataclass(slots=True)
class Counts:
    """What became of what a worker took: records by outcome, and what it took."""

    messages: int = 0
    deliveries: int = 0
    bytes: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    given_up: int = 0
    commits: int = 0
    alerts: int = 0


@dataclass(slots=True)
class Batch:
    """The batch in hand of a lane: rows by table, signals, and what to remove when it is done.

    ``taken`` is the last message that was worked on.
    """

    lane: Lane
    tables: dict[str, list[pa.Table]] = field(default_factory=dict)
    signals: list[pa.Table] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    deliveries: set[int] = field(default_factory=set)
    events: list[Keys] = field(default_factory=list)
    rows: int = 0
    taken: int = 0

    def hold(self, name: str, table: pa.Table) -> None:
        """Keep rows of a table."""
        if table.num_rows:
            self.tables.setdefault(name, []).append(table)
            self.rows += table.num_rows

    def whole(self) -> dict[str, pa.Table]:
        """Return the rows by table."""
        found = {}
        for name, parts in self.tables.items():
            schema = parts[0].schema
            for part in parts[1:]:
                schema = merge_schemas(schema, part.schema)
            found[name] = pa.concat_tables([conform(part, schema) for part in parts])
        return found


class Work(Storing):
    """Does the batches of the lanes that a worker holds; one call at a time."""

    def __init__(self, workspace: app.Workspace, watch: Watch | None, lake: RemoteLake, lanes: Lanes) -> None:
        """``watch`` looks at events on their way."""
        self.stages = Stages()
        self._spent: dict[str, float] = defaultdict(float)
        super().__init__(workspace, None, self.stages)
        self.counts = Counts()
        self._detecting, self._remote, self._lanes = watch, lake, lanes
        self._normalising = Normalising(workspace.content)
        self._batch: Batch | None = None

    def take(self, batch: Batch, messages: Sequence[Message]) -> None:
        """Add messages, which follow on those before, to a batch.

        Raises ServiceError where the database or the storage cannot be used, LostLaneError where another
        worker has the lane: the batch is then to be dropped.
        """
        self._normalising.refresh()
        if self._detecting is not None:
            self._detecting.refresh()
        self._batch = batch
        try:
            sent = self._new(batch, messages)
            by_name: dict[str, list[Piece]] = {}
            for at, one in sent:
                by_name.setdefault(one.delivery.source, []).append(Piece.of(one.delivery, at))
            for name, pieces in by_name.items():
                for source, some in by_source(self._normalising.sources, name, pieces):
                    self._done(source, some)
            batch.taken = messages[-1].number
        finally:
            self._batch = None

    def commit(self, batch: Batch) -> int:
        """Put a batch into the lake; return how many rows were not there yet."""
        with self.stages.of("commit"):
            self.counts.commits += 1
            return self._remote.commit(batch.lane.name, batch.lane.planned, batch.whole())

    def spent(self) -> dict[str, float]:
        """Return the seconds by stage since it began."""
        for stage, seconds in self.stages.take().items():
            self._spent[stage] += seconds
        return dict(self._spent)

    def drop(self, path: str) -> None:
        """Remove an object that is done with; one that cannot be removed now stays."""
        try:
            self._remote.drop(path)
        except LemnisError as error:
            LOG.warning("%s stays: %s", path, error)

    # -- inside --------------------------------------------------------------------------------------------

    def _new(self, batch: Batch, messages: Sequence[Message]) -> list[tuple[int, Sent]]:
        """Plan messages, claim what is in them, and return what no other batch has."""
        taken: list[tuple[int, Sent]] = []
        for message in messages:
            try:
                at, some = unpack(message.data)
            except InputError as error:  # whatever it is, it is kept, and costs nothing else
                self._broken(batch, message, error)
                continue
            taken += [(at, one) for one in some]
        claims = {one.claim for _, one in taken}
        keys = np.fromiter(claims, np.int64, len(claims))
        day = self._clock.now() // MS_A_DAY
        with self.stages.of("claim"):
            batch.lane, foreign = self._lanes.plan(batch.lane, messages[-1].number, keys, day=day)
        known = batch.deliveries | set(foreign.tolist())
        fresh: list[tuple[int, Sent]] = []
        for at, one in taken:
            self.counts.deliveries += 1
            self.counts.bytes += one.size
            if one.claim in known:
                self.counts.duplicates += Piece.of(one.delivery, at).lines if not one.object else 1
                continue
            known.add(one.claim)
            batch.deliveries.add(one.claim)
            fresh.append((at, self._fetched(batch, one)))
        self.counts.messages += len(messages)
        return fresh

    def _fetched(self, batch: Batch, one: Sent) -> Sent:
        """Return a delivery with its bytes, which may be an object."""
        if not one.object:
            return one
        delivery = one.delivery
        try:
            data, refused = self._remote.get(one.object), delivery.refused
        except NotFoundError as error:
            data, refused = b"", f"its bytes are gone: {error}"
        batch.objects.append(one.object)
        return Sent(type(delivery)(delivery.source, delivery.origin, data, delivery.key, refused), one.name)

    def _broken(self, batch: Batch, message: Message, error: InputError) -> None:
        LOG.error("message %d of %s: %s", message.number, batch.lane.name, error)
        at = Location(batch.lane.name, record=message.number)
        batch.hold(rows.REJECTS, self._letters("", "", [Reject(at, str(error), message.data)]))
        self.counts.rejected += 1

    def _done(self, source: LoadedSource | str, pieces: Sequence[Piece]) -> None:
        """Work on pieces of one source; what cannot be worked on at all is kept as it came."""
        if isinstance(source, str):
            stored = Stored()
            for piece in pieces:
                stored.put_aside(piece, source)
        else:
            stored = self.store(source, pieces)
        for delivery, _, reason in stored.dead:
            self._put_aside(Piece.of(delivery, self._clock.now()), reason)
        self.counts.accepted += stored.done.accepted
        self.counts.duplicates += stored.done.duplicates
        self.counts.rejected += stored.done.rejected
        self.counts.given_up += len(stored.dead)

    def _put_aside(self, piece: Piece, reason: str) -> None:
        """Keep a delivery whole, beside the tables, and tell of it among the rejects."""
        path = f"{DEAD}/{piece.key.partition(':')[2]}"
        self._remote.put(path, piece.delivery.data)
        batch = self._held()
        refused = piece.refused(f"{reason}; kept at {path}")
        batch.hold(rows.REJECTS, self._letters(piece.delivery.source, "", [refused]))

    def _keep(
        self,
        source: LoadedSource,
        batches: Sequence[EventBatch],
        rejects: Sequence[Reject],
        pieces: Sequence[Piece],  # noqa: ARG002 - of the method that this stands for
    ) -> Appended:
        """Claim events that name themselves, look at what is ours, and hold it: instead of the spool."""
        batch, total = self._held(), sum(len(one) for one in batches)
        own, keys = self._own(batch, source, batches)
        with self.stages.of("enrich"):
            ours = self._enriching(own)
        if ours and self._detecting is not None:
            before = self._detecting.alerts
            with self.stages.of("detect"):
                signals = self._detecting.watch(ours)
            self.counts.alerts += self._detecting.alerts - before
            if signals is not None:
                batch.signals.append(signals)
        refused, accepted = list(rejects), 0
        parts = []
        for one in ours:
            table, bad = rows.part(one)
            refused += bad
            accepted += table.num_rows
            parts.append((rows.table_name(one.class_uid), table))
        if refused:
            parts.append((rows.REJECTS, self._letters(source.name, source.digest, refused)))
        batch.events.append(keys)
        for name, table in parts:
            batch.hold(name, table)
        return Appended(accepted, total - sum(len(one) for one in ours), len(refused))

    def _own(
        self, batch: Batch, source: LoadedSource, batches: Sequence[EventBatch]
    ) -> tuple[list[EventBatch], Keys]:
        """Return the events that no other batch has; those that their delivery names are ours with it."""
        if not source.file.identity or not batches:
            return list(batches), _NONE
        each = [uid_keys(rows.uids(one.table).combine_chunks().fill_null("")) for one in batches]
        every = np.concatenate(each)
        with self.stages.of("claim"):
            day = self._clock.now() // MS_A_DAY
            batch.lane, foreign = self._lanes.plan(batch.lane, batch.lane.planned, every, day=day)
        own, known = [], np.concatenate([foreign, *batch.events])
        for one, keys in zip(batches, each, strict=True):
            _, first = np.unique(keys, return_index=True)
            chosen = np.zeros(len(keys), dtype=bool)
            chosen[first] = True
            chosen &= ~np.isin(keys, known)
            known = np.concatenate([known, keys])
            if chosen.any():
                table = one.table if chosen.all() else one.table.filter(pa.array(chosen))
                own.append(EventBatch(one.class_uid, one.source, one.origin, table))
        return own, every

    def _letters(self, source: str, content: str, rejects: Sequence[Reject]) -> pa.Table:
        """Return rejects as the lake's table of them has them."""
        now = self._clock.now()
        return pa.Table.from_pylist(
            [
                {
                    "time": now,
                    "metadata": {"uid": identity(one, source, ""), "log_name": source},
                    "file": one.at.file, "line": one.at.line, "record": one.at.record,
                    "reason": one.reason, "raw": one.raw, "origin_key": one.origin_key, "content": content,
                    "fields": one.fields,
                }
                for one in rejects
            ],
            schema=LETTERS,
        )  # fmt: skip

    def _held(self) -> Batch:
        if self._batch is None:
            raise LemnisError("nothing is in hand")
        return self._batch


def signals(batch: Batch) -> pa.Table | None:
    """Return the signals of a batch as those of one."""
    return joined(batch.signals)
