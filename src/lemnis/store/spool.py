"""The spool: one SQLite file that holds what was acknowledged until it is safe in the lake's tables.

A segment is one Arrow IPC stream of new rows of one table. Segment numbers only grow, and each table's log
says up to which number it holds the rows, so one comparison tells what is still to be moved, after a crash
too. Which uids are known is told by ``known``, in the same transactions. ``signals`` are what correlation
needs of events, written with them, until correlation has taken them. What was not taken is among the dead
letters (``deadletters``), in the same file, so that it moves with the events.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from lemnis.contracts.errors import Location, ServiceError
from lemnis.contracts.events import Cursor
from lemnis.contracts.watching import History
from lemnis.store import deadletters, durable, known, pulse
from lemnis.store.columns import Keys

_BUSY_SECONDS = 60
_SCHEMA = """
CREATE TABLE IF NOT EXISTS segments (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, rows INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS tables (
  name TEXT PRIMARY KEY, schema BLOB NOT NULL, synced INTEGER NOT NULL DEFAULT -1);
CREATE TABLE IF NOT EXISTS cursors (
  source TEXT NOT NULL, origin_key TEXT NOT NULL, origin TEXT NOT NULL, position INTEGER NOT NULL,
  offset INTEGER NOT NULL, prefix TEXT NOT NULL, rejected INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (source, origin_key));
CREATE TABLE IF NOT EXISTS signals (id INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows of one table that wait in the spool."""

    id: int
    table: pa.Table


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits in the spool."""

    rows: int
    bytes: int


class Spool:
    """The spool's file; a connection lives for one operation, so threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        """Make the file at ``path`` if there is none."""
        self.path = path
        self._known = known.Known(path.parent / "uids")
        durable.make_folder(path.parent)
        path.touch(mode=0o600)
        with self._connection() as db:
            db.executescript(_SCHEMA + known.SCHEMA + deadletters.SCHEMA + pulse.SCHEMA)
            former = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'seen'").fetchone()
        if former:
            with self.writing() as spool:
                spool.adopt_former()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Open a snapshot: all reads in the block see the same state."""
        with self._connection() as db:
            db.execute("BEGIN")
            yield Reader(db, self._known)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Open a transaction that excludes other writers; it is on the device when the block has ended."""
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                writer = Writer(db, self._known)
                yield writer
                writer.end()
            except BaseException:
                if db.in_transaction:  # a full disk ends it
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def fold(self) -> None:
        """Fold the uids that came last into runs, if they are many; the caller is the only one that does."""
        while True:
            with self.reading() as spool:
                if spool.waiting() < known.FOLDED:
                    return
                blocks, there = spool.blocks(), spool.runs()
            merged = known.alike(there, sum(map(len, blocks.values())))
            run = self._known.write([*blocks.values(), *self._known.read(merged)])
            with self.writing() as spool:
                spool.replace(blocks, merged, run)
                named = {one.file for one in spool.runs()}
            self._known.sweep(named)

    def scrub(self) -> None:
        """Take from the disk what was in pages that are free now: the file is written anew without them."""
        with self._connection() as db:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, isolation_level=None, timeout=_BUSY_SECONDS)) as db:
                durable.write_ahead(db, _BUSY_SECONDS)
                for pragma in ("synchronous=FULL", "mmap_size=1073741824", "temp_store=MEMORY"):
                    db.execute(f"PRAGMA {pragma}")
                yield db
        except sqlite3.Error as error:
            raise ServiceError(
                f"the spool cannot be used: {error}",
                at=Location(str(self.path)),
                fix="check the disk's space and the file's owner; `lemnis doctor` tells more",
            ) from error


class Reader:
    """What can be read in one snapshot."""

    def __init__(self, db: sqlite3.Connection, uids: known.Known) -> None:
        """Wrap a connection in a transaction."""
        self._db, self._known = db, uids
        self.dead = deadletters.DeadLetters(db)

    def names(self) -> list[str]:
        """Return the tables that have, or had, rows."""
        return [row[0] for row in self._db.execute("SELECT name FROM tables ORDER BY name")]

    def schema(self, name: str) -> pa.Schema | None:
        """Return a table's schema; None if it never had rows."""
        row = self._db.execute("SELECT schema FROM tables WHERE name = ?", (name,)).fetchone()
        return pa.ipc.read_schema(pa.py_buffer(row[0])) if row else None

    def synced(self, name: str) -> int:
        """Return the last version of the table's log that is known to be on the device; -1 if none."""
        row = self._db.execute("SELECT synced FROM tables WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else -1

    def last(self) -> int:
        """Return the highest segment number ever given."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'segments'").fetchone()
        return int(row[0]) if row else 0

    def segments(self, name: str, *, after: int, up_to: int | None = None) -> Iterator[Segment]:
        """Yield a table's segments in order."""
        rows = self._db.execute(
            "SELECT id, data FROM segments WHERE name = ? AND id > ? AND id <= ? ORDER BY id",
            (name, after, np.iinfo(np.int64).max if up_to is None else up_to),
        )
        for number, data in rows:
            yield Segment(number, pa.ipc.open_stream(data).read_all())

    def lost(self) -> list[known.Run]:
        """Return the runs of known uids that are not there."""
        return self._known.lost(self._db)

    def runs(self) -> list[known.Run]:
        """Return the runs of known uids, the smallest first."""
        return known.runs(self._db)

    def blocks(self) -> dict[int, Keys]:
        """Return known uids that are in no run yet, by block."""
        return known.blocks(self._db)

    def waiting(self) -> int:
        """Return how many known uids are in no run yet."""
        return known.waiting(self._db)

    def backlog(self) -> Backlog:
        """Return how much waits."""
        query = "SELECT coalesce(sum(rows), 0), coalesce(sum(length(data)), 0) FROM segments"
        return Backlog(*self._db.execute(query).fetchone())

    def signals(self, *, after: int) -> Iterator[Segment]:
        """Yield what waits for correlation, in order."""
        for number, data in self._db.execute(
            "SELECT id, data FROM signals WHERE id > ? ORDER BY id", (after,)
        ):
            yield Segment(number, pa.ipc.open_stream(data).read_all())

    def cursors(self, source: str | None = None, origin_key: str | None = None) -> list[Cursor]:
        """Return the cursors, optionally of one source and origin."""
        rows = self._db.execute(
            "SELECT source, origin_key, origin, position, offset, prefix, rejected, at FROM cursors "
            "WHERE source = coalesce(?, source) AND origin_key = coalesce(?, origin_key) "
            "ORDER BY source, origin_key",
            (source, origin_key),
        )
        return [Cursor(*row) for row in rows]

    def histories(
        self, source: str | None, before: int | None, also: Collection[pulse.Host]
    ) -> list[History]:
        """Return how sources and their hosts spoke; see ``pulse.histories``."""
        return list(pulse.histories(self._db, source, before, also))

    def hosts(self) -> dict[str, int]:
        """Return how many hosts of each source are known."""
        return pulse.hosts(self._db)


class Writer(Reader):
    """What can be changed in one transaction."""

    def __init__(self, db: sqlite3.Connection, uids: known.Known) -> None:
        """Wrap a connection in a transaction that excludes other writers."""
        super().__init__(db, uids)
        self._own: list[Keys] = []
        self._fresh = False

    def set_schema(self, name: str, schema: pa.Schema) -> None:
        """Remember a table and its schema."""
        self._db.execute(
            "INSERT INTO tables (name, schema) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET schema = excluded.schema",
            (name, schema.serialize().to_pybytes()),
        )

    def set_synced(self, name: str, version: int) -> None:
        """Remember that a table's log is on the device up to this version."""
        self._db.execute("UPDATE tables SET synced = ? WHERE name = ?", (version, name))

    def unknown(self, keys: Keys) -> Keys:
        """Return those of the distinct, ascending ``keys`` that neither the lake nor this transaction has."""
        self._refresh()
        keys = self._known.unknown(keys)
        for some in self._own:
            keys = keys[~known.found(some, keys)]
        return keys

    def add(self, name: str, table: pa.Table, keys: Keys) -> int:
        """Put rows into the spool, with their uids' ascending keys; return the segment's number."""
        self._refresh()
        number = self._db.execute(
            "INSERT INTO segments (name, rows, data) VALUES (?, ?, ?)", (name, table.num_rows, _packed(table))
        ).lastrowid
        self._own.append(keys)
        return int(number or 0)

    def end(self) -> None:
        """Store the keys of what was added, before the transaction ends."""
        if self._own:
            known.add(self._db, np.concatenate(self._own))

    def replace(self, folded: Iterable[int], merged: Iterable[known.Run], run: known.Run) -> None:
        """Put a run of known uids in the place of the blocks and runs that are in it."""
        known.replace(self._db, folded, merged, run)

    def adopt_former(self) -> None:
        """Take over the uids that an older version knew."""
        known.adopt_former(self._db)

    def _refresh(self) -> None:
        """Read what is known, before this transaction adds to it."""
        if not self._fresh:
            self._known.refresh(self._db)
            self._fresh = True

    def add_signals(self, table: pa.Table) -> None:
        """Put what correlation needs into the spool."""
        self._db.execute("INSERT INTO signals (data) VALUES (?)", (_packed(table),))

    def drop_signals(self, up_to: int) -> None:
        """Forget what correlation has taken, up to a number."""
        self._db.execute("DELETE FROM signals WHERE id <= ?", (up_to,))

    def drop(self, name: str, up_to: int) -> int:
        """Forget a table's segments up to a number, because its log holds them; return how many rows."""
        which = "FROM segments WHERE name = ? AND id <= ?"
        rows = self._db.execute(f"SELECT coalesce(sum(rows), 0) {which}", (name, up_to)).fetchone()
        self._db.execute(f"DELETE {which}", (name, up_to))
        return int(rows[0])

    def adopt(self, keys: Iterable[Keys], number: int = 0) -> None:
        """Learn the uids of rows that this spool does not know; segments are numbered above ``number``."""
        for some in keys:
            known.add(self._db, some)
        if number > self.last():
            self._db.execute("INSERT INTO segments (id, name, rows, data) VALUES (?, '', 0, x'')", (number,))
            self._db.execute("DELETE FROM segments WHERE id = ?", (number,))

    def forget_runs(self, lost: Iterable[known.Run]) -> None:
        """Forget runs of known uids that are not there."""
        known.forget(self._db, lost)

    def forget(self, name: str) -> None:
        """Forget a table: its schema and its segments."""
        self._db.execute("DELETE FROM segments WHERE name = ?", (name,))
        self._db.execute("DELETE FROM tables WHERE name = ?", (name,))

    def count(self, counting: pulse.Counting) -> None:
        """Put on record what was stored, for the pulse of its sources."""
        counting.write(self._db)

    def roll(self, now: int) -> None:
        """Sum up the pulse of what is no longer recent."""
        pulse.roll(self._db, now)

    def set_cursor(self, cursor: Cursor) -> None:
        """Remember how far an origin is read."""
        self._db.execute(
            "INSERT OR REPLACE INTO cursors "
            "(source, origin_key, origin, position, offset, prefix, rejected, at) VALUES (?,?,?,?,?,?,?,?)",
            (cursor.source, cursor.origin_key, cursor.origin, cursor.position, cursor.offset, cursor.prefix,
             cursor.rejected, cursor.at),
        )  # fmt: skip


def _packed(table: pa.Table) -> memoryview:
    """Return a table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table.combine_chunks())
    return memoryview(sink.getvalue())
