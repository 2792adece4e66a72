"""The event lake: acknowledged into a spool, kept in Delta tables by class and day, queried by DuckDB.

On disk, below the lake's root::

    spool.db                      what is not flushed yet, the cursors, the dead letters
    uids/                         every uid of an event, as sorted numbers (``known``)
    tables/NAME/day=…/*.parquet   one Delta table a class, named as OCSF names it

Other engines read ``tables/NAME`` as the Delta tables they are. SQL sees the dead letters as ``rejects``.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import InputError, IntegrityError, Location
from lemnis.contracts.events import Appended, Cursor, EventBatch, Reject
from lemnis.contracts.watching import HOUR, History, Pulse
from lemnis.store import (
    compaction,
    deadletters,
    delta,
    deltalog,
    memory,
    opened,
    pulse,
    query,
    rows,
    sweeping,
)
from lemnis.store.columns import Keys, conform, merge_schemas, uid_keys
from lemnis.store.deadletters import DeadCount, DeadGroup, DeadLetter, Keep
from lemnis.store.index import Clauses, Index, Progress
from lemnis.store.lakes import Snapshot, TableStatus, in_order, relation, statuses
from lemnis.store.query import Relation
from lemnis.store.spool import Backlog, Reader, Spool, Writer
from lemnis.store.tables import Tables

_SEGMENT_ROWS = 50_000
_FLUSH_BYTES = 96 << 20
"""So many bytes of rows, as Arrow holds them, are flushed at once; sorted, they are there twice."""
_PAGE_BYTES = 32_000_000
_NO_KEYS = np.empty(0, dtype=np.int64)


class Lake:
    """The lake of one workspace. Any number of processes and threads may use it at once."""

    alone = True
    """Whoever has the lake makes incidents, too."""

    def __init__(self, root: Path, clock: Clock, *, keep: Keep | None = None) -> None:
        """Open the lake below ``root``, and make it if there is none; ``clock`` dates rejects and cursors.

        ``keep`` bounds the dead letters.
        """
        self.root = root
        self._clock = clock
        self._keep = keep or Keep()
        self._spool = Spool(root / "spool.db")
        self.tables = Tables(root, self._spool)
        self.index = Index(root / "index")
        self._rolled = 0
        self._hosts: pulse.Hosts = {}
        if self.tables.outdated():  # a flush was killed, or the spool is older: lost, or from a copy
            with self.tables.writing():
                pass
        with self._spool.reading() as spool:
            former = rows.REJECTS in spool.names()
        if former:
            self._adopt_rejects()

    # -- writing -------------------------------------------------------------------------------------------

    def append(
        self,
        batches: Sequence[EventBatch],
        *,
        rejects: Sequence[Reject] = (),
        cursor: Cursor | None = None,
        cursors: Sequence[Cursor] = (),
        signals: pa.Table | None = None,
        source: str = "",
        content: str = "",
        settled: Sequence[int] = (),
        told: Pulse | None = None,
    ) -> Appended:
        """Store events, rejects and cursor in one transaction; they are on the device when this returns.

        ``cursors`` are those of origins that were read together, whose rejects name theirs themselves.
        ``signals`` (``contracts.correlations.SIGNALS``) are stored in the same one, those of new events.
        ``source`` is that of the rejects where neither cursor nor batch says it, ``content`` the digest of
        the content that refused them. ``settled`` are the numbers of dead letters that are no longer dead.
        ``told`` is what the pulse of the sources gains beside what is counted here.

        An event whose ``metadata.uid`` the lake has, or the same call has given already, is a duplicate and
        not stored again. A row without ``metadata.uid``, or without a ``time`` that is a date, becomes a
        reject. Raises InputError, and stores nothing, for a column of another type than the lake's.
        """
        parts: list[tuple[EventBatch, str, pa.Table]] = []
        refused = list(rejects)
        for batch in batches:
            table, bad = rows.part(batch)
            refused += bad
            name, starts = rows.table_name(batch.class_uid), range(0, table.num_rows, _SEGMENT_ROWS)
            parts += [(batch, name, table.slice(start, _SEGMENT_ROWS)) for start in starts]
        source = source or (cursor.source if cursor else next((batch.source for batch in batches), ""))
        accepted = duplicates = 0
        fresh: list[Keys] = []
        counting = pulse.Counting(self._clock.now(), told or Pulse(), self._hosts.copy())
        with self._spool.writing() as spool:
            for batch, name, table in parts:
                new, added = _add(spool, name, table)
                fresh.append(new)
                counting.events(batch.source, batch.origin, added)
                accepted, duplicates = accepted + len(new), duplicates + table.num_rows - len(new)
            if signals is not None:
                known = np.isin(uid_keys(signals.column("uid")), np.concatenate([*fresh, _NO_KEYS]))
                spool.add_signals(signals.filter(pa.array(known)))
            spool.dead.settle(settled)
            if refused:
                origin, now = cursor.origin_key if cursor else "", self._clock.now()
                spool.dead.add(refused, source=source, origin=origin, content=content, now=now)
                if spool.dead.overdue(self._keep, now):
                    spool.dead.bound(self._keep, now)
            for one in (cursor, *cursors):
                if one is not None:
                    spool.set_cursor(one)
            counting.rejects(source, len(refused))
            spool.count(counting)
        self._hosts.update(counting.known)
        return Appended(accepted, duplicates, len(refused))

    def signals(self, *, after: int = 0) -> Iterator[tuple[int, pa.Table]]:
        """Yield what was stored for correlation, by number; each has what was given with one ``append``."""
        with self._spool.reading() as spool:
            for one in spool.signals(after=after):
                yield one.id, one.table

    def forget_signals(self, up_to: int) -> None:
        """Let go of what correlation has taken and keeps itself, up to a number."""
        with self._spool.writing() as spool:
            spool.drop_signals(up_to)

    def flush(self) -> int:
        """Move what the spool holds into the tables; return how many rows. Exactly once, whatever happens.

        Each table gets one commit, which names the last spool segment in it. The segments are deleted when
        files and commit are on the device; what a killed flush left of that is done by the next one.
        """
        self._bound()
        with self.tables.writing():
            with self._spool.reading() as spool:
                names, last = spool.names(), spool.last()
            moved = sum(self._flush(name, last) for name in names)
            self._spool.fold()
        memory.release()
        now = self._clock.now()
        with self._spool.writing() as spool:
            spool.count(pulse.Counting(now))
            if now // HOUR != self._rolled:
                spool.roll(now)
                self._hosts.clear()
        self._rolled = now // HOUR
        return moved

    def compact(self, *, min_files: int = 8) -> int:
        """Rewrite the days of at least ``min_files`` files as few, sorted ones; return how many days.

        What was replaced more than a week ago is swept from the disk.
        """
        done = compaction.compact(self.tables, min_files=min_files)
        sweeping.sweep(self.tables, before=deltalog.now() - sweeping.KEPT_MS)
        return len(done)

    def scrub(self) -> None:
        """Overwrite what is left of flushed rows in free pages of the spool's file."""
        self._spool.scrub()

    def refresh_index(self, progress: Progress | None = None) -> int:
        """Index what is not indexed yet (``store.index``); return how many files that were."""
        return self.index.refresh(dict(self.tables.open()), progress)

    # -- reading -------------------------------------------------------------------------------------------

    def query(
        self,
        sql: str,
        *,
        parameters: Sequence[object] = (),
        limit: int = 1000,
        timeout: float = 60,
        start: int | None = None,
        end: int | None = None,
        needles: Mapping[str, Clauses] | None = None,
        handle: query.Handle | None = None,
    ) -> pa.Table:
        """Run one SELECT over everything acknowledged, flushed or not; return at most ``limit`` rows.

        There is one view a class, named as OCSF names it, ``events`` with the columns common to all classes,
        and ``rejects``. ``parameters`` are the values for ``?``; ``timeout`` is in seconds; ``start`` and
        ``end`` (ms) only spare the reading of files without a row in [start, end), and ``needles``, by table,
        that of rows which do not meet them, where there is an index. Raises UsageError for anything but one
        SELECT that can be run within the limits; see ``store.query.run``. ``handle.cancel()`` ends it.
        """
        ask = partial(self._asked, sql, (start, end), needles or {})
        return query.anew(
            lambda: query.run(ask(), sql, parameters=parameters, limit=limit, timeout=timeout, handle=handle)
        )

    def _asked(
        self, sql: str, between: tuple[int | None, int | None], needles: Mapping[str, Clauses]
    ) -> dict[str, Relation]:
        """Return what a query needs of the tables as they are now."""
        with self._spool.reading() as spool:
            names = spool.names()
            wanted = query.needed(sql, [*names, rows.REJECTS])
            snapshots = {name: self._snapshot(spool, name) for name in names if name in wanted}
            dead = spool.dead.table() if rows.REJECTS in wanted else deadletters.ARROW.empty_table()
        relations = {
            name: relation(self.index, name, snap, between, needles.get(name, ()))
            for name, snap in snapshots.items()
        }
        relations[rows.REJECTS] = query.Relation(deadletters.ARROW, [], dead)
        return relations

    def scan(
        self,
        class_uid: int | None = None,
        *,
        start: int | None = None,
        end: int | None = None,
        source: str | None = None,
        columns: Collection[str] | None = None,
    ) -> Iterator[EventBatch]:
        """Yield the events with ``time`` in [start, end) as they are now, in an order that never varies.

        It goes through the days (busy ones by hour), in each through classes and sources; a batch is of one
        class and one source, sorted by (time, uid), of at most 65,536 rows. Neither order nor batches depend
        on when and how the rows were written, flushed or compacted. With ``columns`` only these attributes
        are read, besides ``time`` and ``metadata``. Raises GoneError for a file that is lost.
        """
        yield from in_order(partial(self._by_class, class_uid), start, end, source, columns)

    def _by_class(self, class_uid: int | None) -> dict[int, Snapshot]:
        """Return the tables of events as they are now, or one of them, by class."""
        with self._spool.reading() as spool:
            return {
                rows.table_class(name): self._snapshot(spool, name)
                for name in spool.names()
                if class_uid in (None, rows.table_class(name))
            }

    def snapshots(self) -> dict[str, Snapshot]:
        """Return every table of events as it is at this moment, for queries that must see the same."""
        with self._spool.reading() as spool:
            return {name: self._snapshot(spool, name) for name in spool.names() if name != rows.REJECTS}

    def cursor(self, source: str, origin_key: str) -> Cursor | None:
        """Return how far an origin of a source was acknowledged."""
        with self._spool.reading() as spool:
            return next(iter(spool.cursors(source, origin_key)), None)

    def cursors(self, source: str | None = None) -> list[Cursor]:
        """Return every cursor, optionally of one source."""
        with self._spool.reading() as spool:
            return spool.cursors(source)

    def histories(
        self, source: str | None = None, *, before: int | None = None, also: Collection[pulse.Host] = ()
    ) -> list[History]:
        """Return how the sources and their hosts spoke over the last weeks, optionally of one source.

        Of hosts only those that said nothing since ``before`` (ms), if that is given, and not all if they
        are many; and those in ``also``, if they spoke since.
        """
        with self._spool.reading() as spool:
            return spool.histories(source, before, also)

    def hosts(self) -> dict[str, int]:
        """Return how many hosts of each source spoke over the last weeks."""
        with self._spool.reading() as spool:
            return spool.hosts()

    def backlog(self) -> Backlog:
        """Return how much is acknowledged and not flushed yet."""
        with self._spool.reading() as spool:
            return spool.backlog()

    def schemas(self) -> dict[str, pa.Schema]:
        """Return the schema of each table that ever had rows."""
        with self._spool.reading() as spool:
            found = {name: schema for name in spool.names() if (schema := spool.schema(name)) is not None}
            return found | ({rows.REJECTS: deadletters.ARROW} if spool.dead.last() else {})

    def status(self) -> list[TableStatus]:
        """Return what each table holds on the disk."""
        return statuses(self.tables.open())

    # -- dead letters --------------------------------------------------------------------------------------

    def dead_letters(
        self, source: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> list[DeadLetter]:
        """Return records that were not taken, oldest first, with numbers above ``after``: a bounded page."""
        found: list[DeadLetter] = []
        size = 0
        with self._spool.reading() as spool:
            for one in islice(spool.dead.letters(source, after=after), limit):
                found.append(one)
                size += one.bytes
                if size >= _PAGE_BYTES:
                    break
        return found

    def dead_groups(self, source: str | None = None) -> list[DeadGroup]:
        """Return what was not taken by source and reason."""
        with self._spool.reading() as spool:
            return spool.dead.groups(source)

    def dead_counts(self) -> list[DeadCount]:
        """Return how many dead letters each source has, and how many of its were forgotten."""
        with self._spool.reading() as spool:
            return spool.dead.counts()

    def restate(self, reasons: Mapping[int, str], *, content: str) -> None:
        """Say anew why records are not taken, by their numbers; ``content`` is the digest of what refused."""
        with self._spool.writing() as spool:
            for number, reason in reasons.items():
                spool.dead.restate(number, reason, content)

    def _bound(self) -> None:
        """Forget dead letters that are older, or more, than are kept."""
        with self._spool.reading() as spool:
            overdue = spool.dead.overdue(self._keep, self._clock.now())
        if overdue:
            with self._spool.writing() as spool:
                spool.dead.bound(self._keep, self._clock.now())

    def _adopt_rejects(self) -> None:
        """Make dead letters of what an older version kept in a table."""
        with self.tables.writing():
            with self._spool.writing() as spool:
                if rows.REJECTS in spool.names():
                    snap = self._snapshot(spool, rows.REJECTS)
                    files = snap.table.files() if snap.table else []
                    if snap.table and files:
                        spool.dead.adopt(snap.table.read(files))
                    spool.dead.adopt(snap.spooled)
                    spool.forget(rows.REJECTS)
            shutil.rmtree(self.tables.folder(rows.REJECTS), ignore_errors=True)

    # -- inside --------------------------------------------------------------------------------------------

    def _flush(self, name: str, last: int) -> int:
        """Move one table's segments up to ``last``, in commits of bounded size; return how many rows."""
        moved = 0
        while True:
            with self._spool.reading() as spool:
                schema = spool.schema(name)
                if schema is None:
                    raise IntegrityError(
                        f"the spool has lost the schema of {name}", at=Location(str(self.root))
                    )
                parts, first, latest, taken = [], 0, 0, 0
                for segment in spool.segments(name, after=0, up_to=last):
                    parts.append(conform(segment.table, schema))
                    first, latest = first or segment.id, segment.id
                    taken += parts[-1].nbytes
                    if taken >= _FLUSH_BYTES:
                        break
            if not parts:
                return moved
            table = delta.open_table(self.tables.folder(name)) or delta.create_table(
                self.tables.folder(name), schema
            )
            table.append(pa.concat_tables(parts), name=f"spool-{first:012}-{latest:012}", moved=latest)
            with self._spool.writing() as spool:
                moved += spool.drop(name, latest)
                spool.set_synced(name, table.version)

    def _snapshot(self, spool: Reader, name: str) -> Snapshot:
        """Take a table as it is: the rows of segments that its log does not cover are added to its files.

        The spool was read first, so a flush that ends meanwhile moves rows from one to the other, and they
        are seen once.
        """
        schema = spool.schema(name)
        table = opened.table(self.tables.folder(name))
        if schema is None:
            raise IntegrityError(f"the spool has lost the schema of {name}", at=Location(str(self.root)))
        moved = table.moved if table else 0
        parts = [conform(segment.table, schema) for segment in spool.segments(name, after=moved)]
        return Snapshot(schema, table, pa.concat_tables([schema.empty_table(), *parts]))


def _add(spool: Writer, name: str, table: pa.Table) -> tuple[Keys, pa.Table]:
    """Put the rows with new uids into the spool; return their keys, and them."""
    known = spool.schema(name)
    schema = merge_schemas(known, table.schema) if known is not None else table.schema
    if known is None or not schema.equals(known):
        delta.check(schema)
        spool.set_schema(name, schema)
    try:
        table = conform(table, schema)
    except pa.ArrowInvalid as error:
        raise InputError(f"a value does not fit the lake's column of {name}: {error}") from error
    keys, places = np.unique(uid_keys(rows.uids(table)), return_index=True)
    new = spool.unknown(keys)
    if len(new) == 0:
        return new, table.slice(0, 0)
    if len(new) < table.num_rows:
        table = table.take(np.sort(places[np.isin(keys, new, assume_unique=True)]))
    spool.add(name, table, new)
    return new, table
