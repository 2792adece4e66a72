"""What a lake is to whoever asks it or keeps it, on this machine's disk or in a bucket.

``store.lake`` is the one of a workspace, ``store.remote`` that of a cluster. Search, retro-hunt, compaction,
retention and all the rest of the store's and the app's functions take either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from lemnis.contracts.events import Appended, Cursor, EventBatch
from lemnis.contracts.watching import History
from lemnis.store import delta, query
from lemnis.store.columns import MS_A_DAY, by_source, conform, narrowed, sort_events
from lemnis.store.spots import Spot

if TYPE_CHECKING:
    from lemnis.store.deadletters import DeadCount, DeadGroup, DeadLetter
    from lemnis.store.index import Clauses, Index, Progress
    from lemnis.store.pulse import Host
    from lemnis.store.spool import Backlog, Spool

_BATCH_ROWS = 65_536
_ORDERS = ("time", "metadata")
_BUSY_DAY = 1_000_000


@dataclass(frozen=True, slots=True)
class TableStatus:
    """What a table of the lake holds, the spool aside; ``last`` is its newest ``time`` (ms)."""

    name: str
    files: int
    rows: int
    bytes: int
    last: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One table at one moment: its files as the log names them, and its rows that the log lacks."""

    schema: pa.Schema
    table: delta.Table | None
    spooled: pa.Table

    def reaches(self, start: int, end: int) -> bool:
        """Say whether there may be a row in [start, end) (ms); no file is read for that."""
        if self.table is not None and self.table.files(start=start, end=end):
            return True
        times = self.spooled.column("time").to_numpy()
        return bool(((times >= start) & (times < end)).any())


class TableSet(Protocol):
    """The tables of a lake, for whoever keeps them: compaction, retention, sweeping, checks, history.

    ``spool`` is what waits beside them on this machine; there is none in a bucket, whose tables any number of
    machines write to. There only the log says who was first: a rewrite that comes too late is refused by it.
    """

    @property
    def root(self) -> Spot:
        """The lake's root."""
        ...

    @property
    def spool(self) -> Spool | None:
        """What waits beside the tables, if anything can."""
        ...

    def beside(self, name: str) -> Path:
        """Return a folder of this machine for what is being rewritten of a table."""
        ...

    def folder(self, name: str) -> Spot:
        """Return where a table is, or would be."""
        ...

    def folders(self) -> Sequence[Spot]:
        """Return the folders of all tables, by name."""
        ...

    def open(self) -> Iterator[tuple[str, delta.Table]]:
        """Yield the tables as they are now."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Hold the tables for writing; raises ServiceError where that is impossible."""
        ...

    def keeping(self) -> AbstractContextManager[None]:
        """Be the only one of this machine that rewrites what is in the tables."""
        ...

    def settled(self, name: str, version: int) -> None:
        """Note that a version of a table is on the device."""
        ...


class Readable(Protocol):
    """A lake as whoever asks it sees it; its methods are as ``store.lake.Lake`` describes them."""

    @property
    def index(self) -> Index:
        """The index of texts, if there is one."""
        ...

    @property
    def tables(self) -> TableSet:
        """Its tables."""
        ...

    def append(self, batches: Sequence[EventBatch], *, cursor: Cursor | None = None) -> Appended:
        """Store events that are not there yet, and the cursor with them."""
        ...

    def flush(self) -> int:
        """Move what waits into the tables; return how many rows."""
        ...

    def scrub(self) -> None:
        """Overwrite what is left on the disk of rows that waited."""
        ...

    def refresh_index(self, progress: Progress | None = None) -> int:
        """Index what is not indexed yet; return how many files that were."""
        ...

    def query(
        self, sql: str, *, parameters: Sequence[object] = (), limit: int = 1000, timeout: float = 60,
        start: int | None = None, end: int | None = None, needles: Mapping[str, Clauses] | None = None,
        handle: query.Handle | None = None,
    ) -> pa.Table:  # fmt: skip
        """Run one SELECT; return at most ``limit`` rows."""
        ...

    def scan(
        self, class_uid: int | None = None, *, start: int | None = None, end: int | None = None,
        source: str | None = None, columns: Collection[str] | None = None,
    ) -> Iterator[EventBatch]:  # fmt: skip
        """Yield the events with ``time`` in [start, end), or some columns, in an order that never varies."""
        ...

    def snapshots(self) -> dict[str, Snapshot]:
        """Return every table of events as it is at this moment."""
        ...

    def schemas(self) -> dict[str, pa.Schema]:
        """Return the schema of each table."""
        ...

    def status(self) -> list[TableStatus]:
        """Return what each table holds."""
        ...

    def backlog(self) -> Backlog:
        """Return how much is acknowledged and not in the tables yet."""
        ...

    def cursor(self, source: str, origin_key: str) -> Cursor | None:
        """Return how far an origin of a source was acknowledged."""
        ...

    def cursors(self, source: str | None = None) -> list[Cursor]:
        """Return every cursor, optionally of one source."""
        ...

    def histories(
        self, source: str | None = None, *, before: int | None = None, also: Collection[Host] = ()
    ) -> list[History]:
        """Return how the sources and their hosts spoke over the last weeks."""
        ...

    def hosts(self) -> dict[str, int]:
        """Return how many hosts of each source spoke over the last weeks."""
        ...

    def dead_letters(
        self, source: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> list[DeadLetter]:
        """Return records that were not taken, by number: a bounded page."""
        ...

    def dead_groups(self, source: str | None = None) -> list[DeadGroup]:
        """Return what was not taken by source and reason."""
        ...

    def dead_counts(self) -> list[DeadCount]:
        """Return how many dead letters each source has."""
        ...


def in_order(
    looked_up: Callable[[], Mapping[int, Snapshot]],
    start: int | None,
    end: int | None,
    source: str | None,
    columns: Collection[str] | None = None,
) -> Iterator[EventBatch]:
    """Yield the events of snapshots, by class: days after days (busy ones by hour), classes, sources, time.

    A batch is of one class and one source, of at most 65,536 rows; neither order nor batches depend on how
    the rows lie in files. Where files go meanwhile, because compaction or retention removed them, it goes on
    with the tables as they are then; raises GoneError for one that is missing in these, too. With ``columns``
    these alone are read, and what events are ordered by.
    """
    snapshots = dict(looked_up())
    kept = None if columns is None else frozenset({*columns, *_ORDERS})

    def read(number: int, low: int, high: int) -> pa.Table:
        try:
            return _read(snapshots[number], low, high, kept)
        except OSError as error:
            gone = _gone(snapshots[number], low, high)
            if gone is None:
                raise
            snapshots.update(looked_up())
            raise query.GoneError(gone) from error

    for low, high in _windows(list(snapshots.values()), start, end):
        for number in sorted(snapshots):
            table = query.anew(partial(read, number, low, high))
            for name, some in by_source(table):
                if source not in (None, name):
                    continue
                chosen = sort_events(some)
                for first in range(0, chosen.num_rows, _BATCH_ROWS):
                    yield EventBatch(number, name, "lake", chosen.slice(first, _BATCH_ROWS))


def relation(
    index: Index, name: str, snap: Snapshot, span: tuple[int | None, int | None], clauses: Clauses = ()
) -> query.Relation:
    """Return a table as a query sees it: of its files those with rows in the span that meet clauses."""
    if snap.table is None:
        return query.Relation(snap.schema, [], snap.spooled)
    files = index.pieces(name, snap.table, snap.table.files(start=span[0], end=span[1]), clauses)
    return query.Relation(snap.schema, files, snap.spooled)


def statuses(tables: Iterable[tuple[str, delta.Table]]) -> list[TableStatus]:
    """Return what each table holds."""
    found = []
    for name, table in tables:
        files = table.files()
        last = max((f.last for f in files), default=None)
        found.append(
            TableStatus(name, len(files), sum(f.rows for f in files), sum(f.bytes for f in files), last)
        )
    return found


def _read(snap: Snapshot, low: int, high: int, columns: Collection[str] | None) -> pa.Table:
    """Return a snapshot's rows in [low, high), unsorted."""
    schema = narrowed(snap.schema, columns)
    times = snap.spooled.column("time").to_numpy()
    parts = [snap.spooled.select(schema.names).filter(pa.array((times >= low) & (times < high)))]
    if snap.table:
        files = snap.table.files(start=low, end=high)
        parts.append(conform(snap.table.read(files, start=low, end=high, columns=columns), schema))
    return pa.concat_tables(parts)


def _gone(snap: Snapshot, low: int, high: int) -> Spot | None:
    """Return a file of a snapshot that has rows in [low, high) and is not there any more."""
    files = snap.table.files(start=low, end=high) if snap.table else []
    paths = [snap.table.absolute(file) for file in files] if snap.table else []
    return next((path for path in paths if not path.exists()), None)


def _windows(snapshots: Iterable[Snapshot], start: int | None, end: int | None) -> Iterator[tuple[int, int]]:
    """Yield [low, high) over all that has rows: a day, or the hours of a day with many."""
    counts: dict[int, int] = {}
    for snap in snapshots:
        for file in snap.table.files(start=start, end=end) if snap.table else []:
            day = (date.fromisoformat(file.day) - date(1970, 1, 1)).days
            counts[day] = counts.get(day, 0) + file.rows
        days = np.floor_divide(snap.spooled.column("time").to_numpy(), MS_A_DAY)
        for day, count in zip(*np.unique(days, return_counts=True), strict=True):
            counts[int(day)] = counts.get(int(day), 0) + int(count)
    for day, count in sorted(counts.items()):
        step = MS_A_DAY if count <= _BUSY_DAY else MS_A_DAY // 24
        for low in range(day * MS_A_DAY, (day + 1) * MS_A_DAY, step):
            first = low if start is None else max(low, start)
            last = low + step if end is None else min(low + step, end)
            if first < last:
                yield first, last
