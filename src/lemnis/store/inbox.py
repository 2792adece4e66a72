"""The inbox: one SQLite file that holds what was received until the lake has it.

A parcel is a row: deliveries of one source that came in with one commit, as an Arrow IPC stream. It is taken,
worked on and removed as one; what of it cannot be worked on goes to ``dead`` with its reason, in the same
transaction. Marks of transports that pull are stored with what was pulled. How much waits is counted for each
source, so that a source that floods, or stands still, is told to wait while others are taken.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import BusyError, LemnisError, Location, ServiceError
from lemnis.contracts.receiving import Delivery, Mark
from lemnis.store import durable

MAX_BYTES = 2 << 30
SHARE = 0.75
"""The part of the inbox that one source may fill."""
RESERVE = 256 << 20
"""So much of the disk, or a tenth of it if that is less, is left to the lake."""
_RESERVED = 10
_BUSY_SECONDS = 60
_PAGE = 16_384
_RETRY_S = 5.0
_PART = "(((id % 1000003) * 2654435761) >> 16) % ? = ?"
"""Numbers are scattered: sources that come in turn would else each be one worker's alone."""
_OVERHEAD = 64
_NAMES = ["origin", "key", "refused", "data"]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS parcels (
  id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, deliveries INTEGER NOT NULL,
  bytes INTEGER NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS parcels_by_source ON parcels (source, id);
CREATE TABLE IF NOT EXISTS waiting (
  source TEXT PRIMARY KEY, deliveries INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (
  transport TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (transport, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead (
  id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, origin TEXT NOT NULL, key TEXT NOT NULL,
  refused TEXT NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL, data BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Deliveries of one source that are worked on together; ``at`` (ms) is when they came."""

    id: int
    source: str
    bytes: int
    at: int
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much of a source waits; ``since`` (ms) is when the oldest of it came, None if nothing waits."""

    source: str
    deliveries: int
    bytes: int
    since: int | None


@dataclass(frozen=True, slots=True)
class Dead:
    """A delivery that could not be worked on, why, and when it came (ms)."""

    id: int
    delivery: Delivery
    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What is received together: all of it is stored, with the mark, or nothing."""

    deliveries: Sequence[Delivery]
    mark: Mark | None = None

    @property
    def size(self) -> int:
        """Return what it weighs in the inbox, in bytes."""
        return sum(_size(one) for one in self.deliveries)


class Inbox:
    """The inbox of one workspace. Threads and processes may share it; a thread keeps its connection."""

    def __init__(self, path: Path, clock: Clock, *, max_bytes: int = MAX_BYTES) -> None:
        """Open the file at ``path``, and make it if there is none; ``clock`` dates what comes."""
        self.path = path
        self.max_bytes = max_bytes
        self._clock = clock
        self._own = threading.local()
        durable.make_folder(path.parent)
        path.touch(mode=0o600)
        with self._errors():
            self._db().executescript(_SCHEMA)

    # -- receiving -----------------------------------------------------------------------------------------

    def append(self, letters: Sequence[Letter]) -> list[LemnisError | None]:
        """Store letters in one transaction; they are on the device when this returns.

        Returns for each what is against it, or None: BusyError where too much waits, or the disk is nearly
        full. Raises ServiceError, and stores nothing, where the file cannot be written.
        """
        now = self._clock.now()
        short = self._short()
        if short is not None:
            return [short] * len(letters)
        with self._writing() as db:
            held: dict[str, int] = dict(db.execute("SELECT source, bytes FROM waiting"))
            outcomes: list[LemnisError | None] = []
            taken: dict[str, list[Delivery]] = {}
            for letter in letters:
                refusal = self._room(held, letter)
                outcomes.append(refusal)
                if refusal is not None:
                    continue
                for one in letter.deliveries:
                    taken.setdefault(one.source, []).append(one)
                    held[one.source] = held.get(one.source, 0) + _size(one)
                if letter.mark is not None:
                    mark = letter.mark
                    row = (mark.transport, mark.key, mark.value)
                    db.execute("INSERT OR REPLACE INTO marks (transport, key, value) VALUES (?, ?, ?)", row)
            for source, deliveries in taken.items():
                _put(db, source, deliveries, now)
        return outcomes

    def _short(self) -> BusyError | None:
        """Say that the disk is nearly full: what is left is for the lake, that what waits can be stored."""
        disk = os.statvfs(self.path.parent)
        free, whole = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        if free >= min(RESERVE, whole // _RESERVED):
            return None
        return _busy(f"only {free:,} bytes of the disk are free")

    def _room(self, held: dict[str, int], letter: Letter) -> BusyError | None:
        """Say what is against a letter; one that is larger than the inbox may come when nothing waits."""
        total = sum(held.values())
        if total and total + letter.size > self.max_bytes:
            return _busy(f"{total:,} bytes wait already")
        for source in {one.source for one in letter.deliveries}:
            own, new = held.get(source, 0), sum(_size(o) for o in letter.deliveries if o.source == source)
            if own and own + new > SHARE * self.max_bytes:
                return _busy(f"{own:,} bytes of {source} wait already")
        return None

    def mark(self, transport: str, key: str) -> str:
        """Return the value of a mark, or an empty text."""
        with self._errors():
            query = "SELECT value FROM marks WHERE transport = ? AND key = ?"
            row = self._db().execute(query, (transport, key)).fetchone()
        return row[0] if row else ""

    # -- working -------------------------------------------------------------------------------------------

    def take(
        self, max_bytes: int, *, without: Iterable[str] = (), part: tuple[int, int] = (0, 1)
    ) -> list[Parcel]:
        """Return the oldest parcels of every source, of each an equal share of ``max_bytes``, at least one.

        They stay in the inbox until they are removed. Sources in ``without`` are left out. ``part`` (k, n)
        gives those that the k-th of n workers is to take.
        """
        left_out = set(without)
        with self._errors():
            db = self._db()
            sources = [s for (s,) in db.execute("SELECT source FROM waiting WHERE deliveries > 0")]
            chosen = [source for source in sources if source not in left_out]
            found: list[Parcel] = []
            for source in chosen:
                rows = db.execute(
                    f"SELECT id, bytes, at, data FROM parcels WHERE source = ? AND {_PART} ORDER BY id",  # noqa: S608 - constant text
                    (source, part[1], part[0]),
                )
                room = max_bytes // len(chosen)
                for number, size, at, data in rows:
                    found.append(Parcel(number, source, size, at, tuple(_unpacked(source, data))))
                    room -= size
                    if room <= 0:
                        break
                rows.close()
        return found

    def remove(self, parcels: Iterable[Parcel], dead: Iterable[tuple[Delivery, int, str]] = ()) -> None:
        """Let go of parcels that the lake has; keep ``dead``: deliveries, when they came (ms), and why."""
        with self._writing() as db:
            for parcel in parcels:
                for gone in db.execute(
                    "DELETE FROM parcels WHERE id = ? RETURNING deliveries, bytes, source", (parcel.id,)
                ).fetchall():
                    db.execute(
                        "UPDATE waiting SET deliveries = deliveries - ?, bytes = bytes - ? WHERE source = ?",
                        gone,
                    )
            db.executemany(
                "INSERT INTO dead (source, origin, key, refused, at, reason, data) VALUES (?,?,?,?,?,?,?)",
                [(o.source, _text(o.origin), _text(o.key), o.refused, at, _text(why), o.data)
                 for o, at, why in dead],
            )  # fmt: skip

    def waiting(self) -> list[Waiting]:
        """Return how much of each source waits, those of which nothing waits left out."""
        query = (
            "SELECT source, deliveries, bytes, "
            "(SELECT at FROM parcels AS p WHERE p.source = w.source ORDER BY id LIMIT 1) "
            "FROM waiting AS w WHERE deliveries > 0 ORDER BY source"
        )
        with self._errors():
            return [Waiting(*row) for row in self._db().execute(query)]

    # -- what could not be worked on -----------------------------------------------------------------------

    def dead(self, source: str | None = None, *, limit: int = 1000) -> list[Dead]:
        """Return what could not be worked on, the oldest first, optionally of one source."""
        query = (
            "SELECT id, source, origin, data, key, refused, at, reason FROM dead "
            "WHERE source = coalesce(?, source) ORDER BY id LIMIT ?"
        )
        with self._errors():
            rows = self._db().execute(query, (source, limit)).fetchall()
        return [Dead(row[0], Delivery(*row[1:6]), row[6], row[7]) for row in rows]

    def dead_full(self) -> bool:
        """Say whether what could not be worked on weighs as much as it may: as much as what may wait."""
        with self._errors():
            (size,) = self._db().execute("SELECT coalesce(sum(length(data)), 0) FROM dead").fetchone()
        return int(size) >= self.max_bytes

    def revive(self, numbers: Iterable[int]) -> int:
        """Put what could not be worked on back into the inbox, to be tried again; return how many."""
        revived = 0
        with self._writing() as db:
            for number in numbers:
                row = db.execute(
                    "DELETE FROM dead WHERE id = ? RETURNING source, origin, data, key, refused, at",
                    (number,),
                ).fetchone()
                if row is not None:
                    _put(db, row[0], [Delivery(*row[:5])], row[5])
                    revived += 1
        return revived

    # -- inside --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close this thread's connection; it is opened again when it is needed."""
        db: sqlite3.Connection | None = getattr(self._own, "db", None)
        if db is not None:
            del self._own.db
            db.close()

    def _db(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._own, "db", None)
        if db is None:
            db = sqlite3.connect(self.path, isolation_level=None, timeout=_BUSY_SECONDS)
            db.execute(f"PRAGMA page_size={_PAGE}")  # before the file has pages
            durable.write_ahead(db, _BUSY_SECONDS)
            db.execute("PRAGMA synchronous=FULL")
            self._own.db = db
        return db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            db = self._db()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self.close()
            raise ServiceError(
                f"the inbox cannot be used: {error}",
                at=Location(str(self.path)),
                fix="check the disk's space and the file's owner; `lemnis doctor` tells more",
            ) from error


def _put(db: sqlite3.Connection, source: str, deliveries: Sequence[Delivery], at: int) -> None:
    """Store deliveries of one source as a parcel."""
    size = sum(map(_size, deliveries))
    row = (source, len(deliveries), size, at, _packed(deliveries))
    db.execute("INSERT INTO parcels (source, deliveries, bytes, at, data) VALUES (?, ?, ?, ?, ?)", row)
    db.execute(
        "INSERT INTO waiting (source, deliveries, bytes) VALUES (?, ?, ?) ON CONFLICT (source) DO UPDATE "
        "SET deliveries = deliveries + excluded.deliveries, bytes = bytes + excluded.bytes",
        (source, len(deliveries), size),
    )


def _size(delivery: Delivery) -> int:
    return len(delivery.data) + len(delivery.origin) + len(delivery.key) + _OVERHEAD


def _packed(deliveries: Sequence[Delivery]) -> memoryview:
    batch = pa.record_batch(
        [
            pa.array([_text(one.origin) for one in deliveries], pa.string()),
            pa.array([_text(one.key) for one in deliveries], pa.string()),
            pa.array([_text(one.refused) for one in deliveries], pa.string()),
            pa.array([one.data for one in deliveries], pa.large_binary()),
        ],
        names=_NAMES,
    )
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, batch.schema, options=options) as stream:
        stream.write_batch(batch)
    return memoryview(sink.getvalue())


def _text(text: str) -> str:
    """Return a text that UTF-8 can say."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _unpacked(source: str, packed: bytes) -> Iterator[Delivery]:
    """Yield a parcel's deliveries; one that is damaged is itself a delivery that was refused."""
    try:
        columns = [column.to_pylist() for column in pa.ipc.open_stream(packed).read_all().columns]
    except (pa.ArrowInvalid, OSError) as error:
        yield Delivery(source, "inbox", packed, refused=f"the inbox's parcel is damaged: {error}")
        return
    for origin, key, refused, data in zip(*columns, strict=True):
        yield Delivery(source, origin, data, key, refused)


def _busy(what: str) -> BusyError:
    return BusyError(
        what, retry_after_s=_RETRY_S, fix="send it again later; `lemnis sources health` says what holds it up"
    )
