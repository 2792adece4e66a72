"""The lake of a cluster: Delta tables by class and day on S3-compatible storage, written by many workers.

What ``store.lake`` gets from its spool, tables here get from who writes them. Each commit names, as an
application transaction of its own for each lane, up to which message of the lane the table holds the events;
files become part of a table by one entry in its log, which the storage lets only one writer make
(``If-None-Match``). So a worker that does a batch again adds nothing to a table that has it, and of two that
do the same batch at once one is refused by the log: their transactions are the same one.

It is asked and kept as the one on a disk is (``store.lakes``). Other engines read ``tables/NAME`` as the
Delta tables they are.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyarrow import fs

from lemnis.contracts.errors import Location, NotFoundError, ServiceError
from lemnis.contracts.events import Appended, Cursor, EventBatch
from lemnis.contracts.watching import History
from lemnis.store import compaction, delta, deltalog, query, rows, sweeping
from lemnis.store.columns import conform, merge_schemas, uid_keys
from lemnis.store.deadletters import DeadCount, DeadGroup, DeadLetter
from lemnis.store.delta import DAY
from lemnis.store.index import Clauses, Index, Progress
from lemnis.store.lakes import Snapshot, TableStatus, in_order, relation, statuses
from lemnis.store.objects import ObjectSpot
from lemnis.store.pulse import Host
from lemnis.store.remote_letters import Letters, histories
from lemnis.store.remote_tables import NO_HOOKS, SETTINGS, Place, RemoteTable, RemoteTables, failing
from lemnis.store.spool import Backlog

_WRITERS = 8


class RemoteLake:
    """The lake of a cluster (``store.lakes.Readable``). Any number of processes may use it.

    An object has one thread at a time. ``cache`` is a folder of this machine: for its own index, and for what
    is being rewritten.
    """

    def __init__(self, place: Place, cache: Path | None = None) -> None:
        """``place`` is where it is; nothing is made or read yet."""
        self.place = place
        self._bucket = place.bucket()
        self._files = self._bucket.files
        self._open: dict[str, RemoteTable] = {}
        self._cache = cache

    # -- writing -------------------------------------------------------------------------------------------

    def commit(self, lane: str, up_to: int, tables: Mapping[str, pa.Table]) -> int:
        """Add a batch of a lane, by table; return how many rows were new. Exactly once, however often.

        A batch is done with message ``up_to``, and has the same events whenever it is done.
        """

        def one(item: tuple[str, pa.Table]) -> int:
            name, table = item
            return table.num_rows if self.table(name, table.schema).add(table, lane=lane, up_to=up_to) else 0

        there = sorted((name, table) for name, table in tables.items() if table.num_rows)
        if not there:
            return 0
        with failing(self._bucket), ThreadPoolExecutor(min(_WRITERS, len(there))) as pool:
            return sum(pool.map(one, there))

    def append(self, batches: Sequence[EventBatch], *, cursor: Cursor | None = None) -> Appended:
        """Store events that no worker writes: findings, and records that were replayed. Return how many.

        What the tables have already, by uid, is not stored again, as long as one process at a time appends
        events of a kind. With a cursor, the tables that get rows have its position with them.
        """
        tables: dict[str, list[pa.Table]] = {}
        rejected = 0
        for batch in batches:
            table, bad = rows.part(batch)
            rejected += len(bad)
            tables.setdefault(rows.table_name(batch.class_uid), []).append(table)
        new, whole = {}, 0
        for name, parts in tables.items():
            schema = parts[0].schema
            for part in parts[1:]:
                schema = merge_schemas(schema, part.schema)
            table = pa.concat_tables([conform(part, schema) for part in parts])
            whole += table.num_rows
            new[name] = self._unknown(name, table)
        lane = _lane(cursor.source, cursor.origin_key) if cursor else f"append {uuid.uuid4().hex}"
        stored = self.commit(lane, cursor.position if cursor else 1, new)
        return Appended(stored, whole - stored, rejected)

    def done(self, lane: str) -> list[int]:
        """Return up to which messages of a lane tables hold its events, ascending."""
        found = set()
        with failing(self._bucket):
            for table in self.opened().values():
                found.add(table.has(lane))
        return sorted(found - {0})

    def put(self, path: str, data: bytes) -> None:
        """Put bytes at a path beside the tables; it is durable when this returns."""
        with failing(self._bucket), self._files.open_output_stream(path) as file:
            file.write(data)

    def get(self, path: str) -> bytes:
        """Return the bytes at a path; raises NotFoundError where there are none."""
        with failing(self._bucket):
            try:
                with self._files.open_input_file(path) as file:
                    return bytes(file.read())
            except FileNotFoundError as error:
                raise NotFoundError("this object is not there", at=Location(path)) from error

    def drop(self, path: str) -> None:
        """Remove what is at a path, if anything is."""
        with failing(self._bucket):
            try:
                self._files.delete_file(path)
            except FileNotFoundError:
                return

    # -- asking --------------------------------------------------------------------------------------------

    @cached_property
    def index(self) -> Index:
        """The index of texts, on this machine."""
        return Index(self._folder / "index")

    @cached_property
    def tables(self) -> RemoteTables:
        """The tables, for whoever keeps them."""
        return RemoteTables(self._bucket, self._folder / "rewriting")

    def query(
        self, sql: str, *, parameters: Sequence[object] = (), limit: int = 1000, timeout: float = 60,
        start: int | None = None, end: int | None = None, needles: Mapping[str, Clauses] | None = None,
        handle: query.Handle | None = None,
    ) -> pa.Table:  # fmt: skip
        """Run one SELECT over what is committed; as ``Lake.query`` does, which see."""
        span, found = (start, end), needles or {}

        def relations() -> dict[str, query.Relation]:
            tables = self.opened()
            wanted = query.needed(sql, list(tables))
            return {
                name: relation(self.index, name, _snapshot(table), span, found.get(name, ()))
                for name, table in tables.items()
                if name in wanted
            }

        with failing(self._bucket):
            return query.anew(
                lambda: query.run(
                    relations(), sql, parameters=parameters, limit=limit, timeout=timeout, handle=handle
                )
            )

    def scan(
        self, class_uid: int | None = None, *, start: int | None = None, end: int | None = None,
        source: str | None = None, columns: Collection[str] | None = None,
    ) -> Iterator[EventBatch]:  # fmt: skip
        """Yield the events with ``time`` in [start, end), as ``Lake.scan`` does, which see."""

        def chosen() -> dict[int, Snapshot]:
            found = {rows.table_class(name): snap for name, snap in self.snapshots().items()}
            return {uid: snap for uid, snap in found.items() if class_uid in (None, uid)}

        with failing(self._bucket):
            yield from in_order(chosen, start, end, source, columns)

    def snapshots(self) -> dict[str, Snapshot]:
        """Return every table of events as it is at this moment, for queries that must see the same."""
        with failing(self._bucket):
            return {name: _snapshot(table) for name, table in self.tables.open() if name != rows.REJECTS}

    def schemas(self) -> dict[str, pa.Schema]:
        """Return the schema of each table."""
        return {name: table.schema for name, table in self.opened().items()}

    def status(self) -> list[TableStatus]:
        """Return what each table holds."""
        return statuses(self.opened().items())

    def backlog(self) -> Backlog:
        """Return that nothing waits on this machine: it waits in the streams."""
        return Backlog(0, 0)

    def cursor(self, source: str, origin_key: str) -> Cursor | None:
        """Return how far an origin was appended: what the tables' transactions say; others have claims."""
        done = self.done(_lane(source, origin_key))
        return Cursor(source, origin_key, origin_key, done[-1]) if done else None

    def cursors(self, source: str | None = None) -> list[Cursor]:
        """Return nothing: origins are known by claims."""
        del source
        return []

    def histories(
        self, source: str | None = None, *, before: int | None = None, also: Collection[Host] = ()
    ) -> list[History]:
        """Return how the sources spoke over the last weeks, by the times of their events."""
        del before, also
        return histories(self, source)

    def hosts(self) -> dict[str, int]:
        """Return nothing: hosts are not counted in a cluster."""
        return {}

    # -- dead letters --------------------------------------------------------------------------------------

    @cached_property
    def letters(self) -> Letters:
        """What could not be taken."""
        return Letters(self)

    def dead_letters(
        self, source: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> list[DeadLetter]:
        """Return records that were not taken, by number: a bounded page."""
        return self.letters.page(source, after=after, limit=limit)

    def dead_groups(self, source: str | None = None) -> list[DeadGroup]:
        """Return what was not taken by source and reason."""
        return self.letters.groups(source)

    def dead_counts(self) -> list[DeadCount]:
        """Return how many dead letters each source has."""
        return self.letters.counts()

    # -- keeping -------------------------------------------------------------------------------------------

    def flush(self) -> int:
        """Do nothing: workers write to the tables themselves."""
        return 0

    def scrub(self) -> None:
        """Do nothing: nothing waits on this machine."""

    def compact(self, *, min_files: int = 8) -> int:
        """Rewrite the days of at least ``min_files`` files as few, sorted ones; return how many days."""
        done = compaction.compact(self.tables, min_files=min_files)
        sweeping.sweep(self.tables, before=deltalog.now() - sweeping.KEPT_MS)
        return len(done)

    def refresh_index(self, progress: Progress | None = None) -> int:
        """Index what is not indexed on this machine yet; return how many files that were."""
        return self.index.refresh(dict(self.tables.open()), progress)

    # -- tables --------------------------------------------------------------------------------------------

    def opened(self) -> dict[str, RemoteTable]:
        """Return all tables, as they are now, by name."""
        with failing(self._bucket):
            there = self._files.get_file_info(fs.FileSelector("tables", allow_not_found=True))
            names = sorted(one.base_name for one in there if one.type == fs.FileType.Directory)
            found = {name: table for name in names if (table := self._opened(name)) is not None}
            for table in found.values():
                table.refresh()
        return found

    def table(self, name: str, schema: pa.Schema) -> RemoteTable:
        """Return a table; made for rows of this schema if there is none."""
        found = self._opened(name)
        if found is not None:
            return found
        others = [field for field in schema if field.name != "time"]
        whole = pa.schema([schema.field("time"), *others, pa.field(DAY, pa.date32())])
        try:
            with self._bucket.trusted():
                DeltaTable.create(
                    str(self._spot(name)), schema=whole, partition_by=[DAY], configuration=SETTINGS,
                    storage_options=self._bucket.options, post_commithook_properties=NO_HOOKS,
                )  # fmt: skip
        except DeltaError:  # another worker has made it meanwhile
            if self._opened(name) is None:
                raise
        made = self._opened(name)
        if made is None:
            raise ServiceError(
                f"the table {name} was made and is not there", at=Location(str(self._spot(name)))
            )
        return made

    # -- inside --------------------------------------------------------------------------------------------

    @cached_property
    def _folder(self) -> Path:
        return self._cache or Path(tempfile.gettempdir()) / f"lemnis-{os.getuid()}-lake"

    def _unknown(self, name: str, table: pa.Table) -> pa.Table:
        """Return the rows of which the table has no event of their uid; of those with one uid, the first."""
        uids = uid_keys(rows.uids(table))
        _, first = np.unique(uids, return_index=True)
        table, uids = table.take(np.sort(first)), uids[np.sort(first)]
        if not table.num_rows or name not in self.opened():
            return table
        times: Any = table.column("time")
        low, high = int(pc.min(times).as_py()), int(pc.max(times).as_py())
        named: list[Any] = rows.uids(table).to_pylist()
        which = "time BETWEEN ? AND ? AND list_contains(?, metadata.uid)"
        sql = f'SELECT metadata.uid AS uid FROM "{name}" WHERE {which}'  # noqa: S608 - the lake's own name
        there = self.query(sql, parameters=[low, high, named], limit=len(named), start=low, end=high + 1)
        return table.filter(pa.array(~np.isin(uids, uid_keys(there.column("uid")))))

    def _spot(self, name: str) -> ObjectSpot:
        return self._bucket.spot("tables") / name

    def _opened(self, name: str) -> RemoteTable | None:
        known = self._open.get(name)
        if known is None:
            spot = self._spot(name)
            try:
                with self._bucket.trusted():
                    table = DeltaTable(str(spot), storage_options=self._bucket.options)
            except TableNotFoundError:
                return None
            known = self._open[name] = RemoteTable(spot, table)
        return known


def _lane(source: str, origin_key: str) -> str:
    return f"cursor {source} {origin_key}"


def _snapshot(table: delta.Table) -> Snapshot:
    schema = table.schema
    return Snapshot(schema, table, schema.empty_table())
