"""Dead letters: records that were not taken, kept in the spool's file until they are, or until they are old.

They change hands in the spool's transactions: a record enters with what was taken beside it, and leaves with
the event that it became. They hold raw data, so they are bounded: by age, and by bytes; what is forgotten is
counted, and overwritten in the file (``secure_delete``).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import pyarrow as pa

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.contracts.ids import stable_id

DAY_MS = 86_400_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS dead (
  id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, source TEXT NOT NULL, time INTEGER NOT NULL,
  size INTEGER NOT NULL, origin_key TEXT NOT NULL, file TEXT NOT NULL, line INTEGER, record INTEGER,
  reason TEXT NOT NULL, content TEXT NOT NULL, fields TEXT NOT NULL, raw BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS dead_of ON dead (source, id, size);
CREATE INDEX IF NOT EXISTS dead_when ON dead (time, id, source, size);
CREATE TABLE IF NOT EXISTS dead_counts (
  source TEXT PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL, forgotten INTEGER NOT NULL);
"""
ARROW = pa.schema(
    [
        ("time", pa.int64()),
        ("metadata", pa.struct([("uid", pa.string()), ("log_name", pa.string())])),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("record", pa.int64()),
        ("reason", pa.string()),
        ("raw", pa.binary()),
        ("origin_key", pa.string()),
        ("content", pa.string()),
    ]
)
"""As SQL sees them: ``time`` is when that was, ``metadata.log_name`` the source, ``content`` what decided."""
_HEAD = "CASE instr(reason, ':') WHEN 0 THEN reason ELSE substr(reason, 1, instr(reason, ':') - 1) END"
_OVERHEAD = 300
_AT_ONCE = 1000
_ROOM = 0.9


@dataclass(frozen=True, slots=True)
class Keep:
    """How long dead letters are kept, and how many bytes of them at most, over all sources."""

    days: float = 30
    bytes: int = 256_000_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that was not taken.

    ``content`` is the digest of the content that refused it, ``fields`` are its parsed fields as JSON where
    the raw record alone does not say them, ``time`` (ms) is when it was refused for the first time.
    """

    id: int
    source: str
    time: int
    origin_key: str
    at: Location
    reason: str
    content: str
    fields: str
    raw: bytes

    @property
    def whole(self) -> bool:
        """Whether it has a record and its place, so that it can be tried again."""
        return bool(self.raw) and self.at.record is not None

    @property
    def bytes(self) -> int:
        """Return how much of it was read, in bytes."""
        return len(self.raw) + len(self.fields)


@dataclass(frozen=True, slots=True)
class DeadCount:
    """How many dead letters a source has, their bytes, and how many were forgotten: too old, or no room."""

    source: str
    rows: int
    bytes: int
    forgotten: int


@dataclass(frozen=True, slots=True)
class DeadGroup:
    """Dead letters of one source that have a reason in common: what it says before its first colon.

    ``first`` and ``last`` (ms) are when they were refused; ``whole`` of them have a record and its place, so
    that they can be tried again; ``examples`` are the newest of them.
    """

    source: str
    reason: str
    count: int
    bytes: int
    first: int
    last: int
    whole: int
    examples: tuple[DeadLetter, ...] = ()


class DeadLetters:
    """The dead letters as one transaction of the spool sees and changes them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Wrap a connection in a transaction."""
        self._db = db

    def counts(self) -> list[DeadCount]:
        """Return what each source has and had."""
        rows = self._db.execute("SELECT source, rows, bytes, forgotten FROM dead_counts ORDER BY source")
        return [DeadCount(*row) for row in rows]

    def letters(
        self, source: str | None = None, *, after: int = 0, up_to: int = 2**62
    ) -> Iterator[DeadLetter]:
        """Yield dead letters in the order in which they came, with numbers in (``after``, ``up_to``]."""
        which = "source = coalesce(?, source) AND id > ? AND id <= ? ORDER BY id"
        return self._read(which, (source, after, up_to))

    def groups(self, source: str | None = None, *, examples: int = 3) -> list[DeadGroup]:
        """Return dead letters by source and reason, the most frequent first within a source."""
        rows = self._db.execute(
            f"SELECT source, {_HEAD} AS head, count(*), sum(size), min(time), max(time), "  # noqa: S608 - constant
            "sum(length(raw) > 0 AND record IS NOT NULL) FROM dead WHERE source = coalesce(?, source) "
            "GROUP BY source, head ORDER BY source, count(*) DESC, head",
            (source,),
        ).fetchall()
        groups = (DeadGroup(*row) for row in rows)
        return [
            replace(one, examples=tuple(self._examples(one.source, one.reason, examples))) for one in groups
        ]

    def _examples(self, source: str, head: str, count: int) -> Iterator[DeadLetter]:
        which = f"source = ? AND {_HEAD} = ? ORDER BY id DESC LIMIT ?"
        return self._read(which, (source, head, count))

    def _read(self, which: str, values: tuple[object, ...]) -> Iterator[DeadLetter]:
        columns = "id, source, time, origin_key, file, line, record, reason, content, fields, raw"
        rows = self._db.execute(f"SELECT {columns} FROM dead WHERE {which}", values)  # noqa: S608 - constant
        for number, name, time, origin, file, line, record, reason, content, fields, raw in rows:
            at = Location(file, line=line, record=record)
            yield DeadLetter(number, name, time, origin, at, reason, content, fields, raw)

    def last(self) -> int:
        """Return the highest number of a dead letter; 0 if there is none."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM dead").fetchone()[0])

    def table(self) -> pa.Table:
        """Return all of them as SQL sees them."""
        rows = self._db.execute(
            "SELECT time, uid, source, file, line, record, reason, raw, origin_key, content "
            "FROM dead ORDER BY id"
        )
        parts = [ARROW.empty_table()]
        while some := list(islice(rows, _AT_ONCE)):
            time, uid, source, *rest = zip(*some, strict=True)
            named = [{"uid": one, "log_name": name} for one, name in zip(uid, source, strict=True)]
            cells = zip((time, named, *rest), ARROW.types, strict=True)
            columns = [pa.array(values, kind) for values, kind in cells]
            parts.append(pa.table(columns, schema=ARROW))
        return pa.concat_tables(parts)

    def add(self, rejects: Iterable[Reject], *, source: str, origin: str, content: str, now: int) -> None:
        """Keep rejects; the same record of the same origin is there once, with the last reason against it."""
        for one in rejects:
            key = one.origin_key or origin
            letter = DeadLetter(0, source, now, key, one.at, one.reason, content, one.fields, one.raw)
            self._put(identity(one, source, origin), letter)

    def adopt(self, rows: pa.Table) -> None:
        """Take over what an older version kept in a table of the lake; its origins are not known."""
        for row in rows.to_pylist():
            at = Location(row["file"], line=row["line"], record=row["record"])
            named, raw = row["metadata"], row["raw"] or b""
            letter = DeadLetter(0, named["log_name"] or "", row["time"], "", at, row["reason"], "", "", raw)
            self._put(named["uid"], letter)

    def _put(self, uid: str, one: DeadLetter) -> None:
        file, reason = _text(one.at.file), _text(one.reason)
        size = _OVERHEAD + len(one.raw) + len(one.fields) + len(reason) + len(file)
        added = self._db.execute(
            "INSERT OR IGNORE INTO dead (uid, source, time, size, origin_key, file, line, record, reason, "
            "content, fields, raw) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (uid, one.source, one.time, size, one.origin_key, file, one.at.line, one.at.record, reason,
             one.content, one.fields, one.raw),
        ).rowcount  # fmt: skip
        if added:
            self._count(one.source, 1, size)
        else:
            row = (reason, one.content, uid)
            self._db.execute("UPDATE dead SET reason = ?, content = ? WHERE uid = ?", row)

    def restate(self, number: int, reason: str, content: str) -> None:
        """Say anew why a record is still not taken."""
        self._db.execute(
            "UPDATE dead SET reason = ?, content = ? WHERE id = ?", (_text(reason), content, number)
        )

    def settle(self, numbers: Sequence[int]) -> int:
        """Let go of records that were taken after all; return how many were still there."""
        return self._remove(numbers, forgotten=False)

    def overdue(self, keep: Keep, now: int) -> bool:
        """Say whether something is older, or more, than is kept."""
        oldest = self._db.execute("SELECT min(time) FROM dead").fetchone()[0]
        if oldest is not None and oldest < now - keep.days * DAY_MS:
            return True
        return sum(one.bytes for one in self.counts()) > keep.bytes

    def bound(self, keep: Keep, now: int) -> int:
        """Forget what is too old, then the oldest of whoever has most until it fits; return how many."""
        before = (now - keep.days * DAY_MS,)
        old = [row[0] for row in self._db.execute("SELECT id FROM dead WHERE time < ?", before)]
        forgotten = self._remove(old, forgotten=True)
        counts = {one.source: one.bytes for one in self.counts()}
        if sum(counts.values()) <= keep.bytes:
            return forgotten
        while sum(counts.values()) > keep.bytes * _ROOM:
            most = max(counts, key=lambda name: counts[name])
            rows = self._db.execute(
                "SELECT id, size FROM dead WHERE source = ? ORDER BY id LIMIT ?", (most, _AT_ONCE)
            ).fetchall()
            chosen, excess = [], sum(counts.values()) - keep.bytes * _ROOM
            for number, size in rows:
                if excess <= 0:
                    break
                chosen.append(number)
                excess, counts[most] = excess - size, counts[most] - size
            if not chosen:
                break
            forgotten += self._remove(chosen, forgotten=True)
        return forgotten

    def _remove(self, numbers: Sequence[int], *, forgotten: bool) -> int:
        if not numbers:
            return 0
        removed = 0
        self._db.execute("PRAGMA secure_delete = ON")
        for first in range(0, len(numbers), _AT_ONCE):
            some = numbers[first : first + _AT_ONCE]
            marks = ",".join("?" * len(some))
            gone = self._db.execute(
                f"DELETE FROM dead WHERE id IN ({marks}) RETURNING source, size",  # noqa: S608 - question marks
                tuple(some),
            ).fetchall()
            for source, size in gone:
                self._count(source, -1, -size, forgotten=int(forgotten))
            removed += len(gone)
        self._db.execute("PRAGMA secure_delete = OFF")
        return removed

    def _count(self, source: str, rows: int, size: int, *, forgotten: int = 0) -> None:
        self._db.execute(
            "INSERT INTO dead_counts VALUES (?, ?, ?, ?) ON CONFLICT (source) DO UPDATE SET "
            "rows = rows + excluded.rows, bytes = bytes + excluded.bytes, "
            "forgotten = forgotten + excluded.forgotten",
            (source, rows, size, forgotten),
        )


def identity(reject: Reject, source: str, origin: str) -> str:
    """Return the uid of a reject: that of its record where there is one, else that of the complaint."""
    return stable_id(
        "rj", source, reject.origin_key or origin or reject.at.file, str(reject.at.line),
        str(reject.at.record), "" if reject.raw else reject.reason, hashlib.sha256(reject.raw).hexdigest(),
    )  # fmt: skip


def _text(text: str) -> str:
    """Return a text that UTF-8 can say."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
