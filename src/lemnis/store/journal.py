"""The journal in the database: append-only, hash-chained, one entry a key, one chain for all writers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import orjson
import sqlalchemy as sa

from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import InputError, IntegrityError, Location, StaleError
from lemnis.contracts.ids import Json, canonical, digest
from lemnis.contracts.journal import Entry, NewEntry, Unchanged
from lemnis.store.database import writing

GENESIS = "sha256:" + "0" * 64
"""What the first entry names as its previous hash."""
_PAGE = 1000
_KEYS = 500
_HASHES = 50_000
_Row = Sequence[Any]
"""An entry as it is kept: its columns in their order, the payload as text."""

_JOURNAL = sa.table(
    "journal",
    *(sa.column(n, sa.BigInteger()) for n in ("seq", "at")),
    *(sa.column(n, sa.Text()) for n in ("kind", "subject", "key", "actor", "reason")),
    *(sa.column(n, sa.Text()) for n in ("payload", "previous", "hash")),
)
_BARE = tuple(sa.literal("{}") if column.name == "payload" else column for column in _JOURNAL.columns)
_COLUMNS = tuple(column.name for column in _JOURNAL.columns)


class SqlJournal:
    """Implements ``contracts.journal.Journal`` on an engine of ``store.database.open_engine``."""

    def __init__(self, engine: sa.Engine, clock: Clock, *, only: Unchanged | None = None) -> None:
        """``clock`` dates the entries; ``only`` says of what they are to be written only while it stands."""
        self._engine = engine
        self._clock = clock
        self._only = only

    def append(self, entry: NewEntry) -> tuple[Entry, bool]:
        """Write one entry durably; return it (or the earlier one of that key) and whether it is new."""
        return self.append_all([entry])[0]

    def append_all(self, entries: Sequence[NewEntry]) -> list[tuple[Entry, bool]]:
        """Write several in one transaction: all of the new ones, or none.

        Raises InputError, and writes nothing, if a payload is not JSON (64-bit numbers, string keys,
        valid Unicode); StaleError where somebody wrote about what they are ``only`` to follow.
        """
        rows, results = self._write(entries)
        read = {place: _entry(rows[place]) for place in dict(results)}
        return [(read[place], new) for place, new in results]

    def write_all(self, entries: Sequence[NewEntry]) -> list[bool]:
        """Write like ``append_all``, and say of each only whether it is new: nothing is read back."""
        return [new for _, new in self._write(entries)[1]]

    def _write(self, entries: Sequence[NewEntry]) -> tuple[list[_Row], list[tuple[int, bool]]]:
        """Write what is new; return rows, and for each entry the place of its row and whether it is new."""
        texts = [_payload(entry) for entry in entries]
        rows: list[_Row] = []
        results: list[tuple[int, bool]] = []
        if not entries:
            return rows, results
        with writing(self._engine) as connection:
            rows += _rows_by_key(connection, [entry.key for entry in entries])
            known = {str(row[4]): place for place, row in enumerate(rows)}
            there = len(rows)
            seq, previous = _head(connection)
            for entry, text in zip(entries, texts, strict=True):
                if entry.key in known:
                    results.append((known[entry.key], False))
                    continue
                seq += 1
                row = (
                    seq, self._clock.now(), entry.kind, entry.subject, entry.key, entry.actor, entry.reason,
                    text, previous,
                )  # fmt: skip
                previous = _hash(row)
                known[entry.key] = len(rows)
                results.append((len(rows), True))
                rows.append((*row, previous))
            if len(rows) > there:
                self._follow(connection, rows[there:])
                new = [dict(zip(_COLUMNS, row, strict=True)) for row in rows[there:]]
                connection.execute(sa.insert(_JOURNAL), new)
        return rows, results

    def _follow(self, connection: sa.Connection, new: Sequence[_Row]) -> None:
        """Raise StaleError unless what is to be written follows what was seen of its subjects."""
        mine = [int(row[0]) for row in new if self._only is not None and row[3] in self._only.subjects]
        if self._only is None or not mine:
            return
        if _last(connection, self._only.subjects) != self._only.last:
            raise StaleError("it changed meanwhile", fix="look at it again")
        self._only.last = mine[-1]

    def entries(
        self, *, kind: str | None = None, subject: str | None = None, after: int = 0, bare: bool = False
    ) -> Iterator[Entry]:
        """Yield entries in order, optionally of one kind, about one subject, after a sequence number.

        ``bare``: without what their payloads say, which may be much.

        Read in pages, so that a slow reader holds no transaction; entries that are written meanwhile come.
        """
        query = _pages(kind is not None, subject is not None, bare)
        given = {"kind": kind, "subject": subject, "after": after}
        while True:
            with self._engine.connect() as connection:
                page = connection.execute(query, given).all()
            yield from map(_entry, page)
            if len(page) < _PAGE:
                return
            given["after"] = int(page[-1][0])

    def newest(
        self, *, kinds: Sequence[str] = (), subject: str = "", before: int | None = None, limit: int = 100
    ) -> list[Entry]:
        """Return the newest entries first, of some kinds (all, if none is named), before a number."""
        query = sa.select(_JOURNAL).order_by(_JOURNAL.c.seq.desc()).limit(limit)
        if kinds:
            query = query.where(_JOURNAL.c.kind.in_(kinds))
        if subject:
            query = query.where(_JOURNAL.c.subject == subject)
        if before is not None:
            query = query.where(_JOURNAL.c.seq < before)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def subjects(self, kinds: Sequence[str], *, beginning: str = "", mentioning: str = "") -> list[str]:
        """Return what entries of these kinds are about, each once, in the order in which it first came up.

        Only subjects that begin so, and of which an entry has this text in its payload. No payload is read.
        """
        first = sa.func.min(_JOURNAL.c.seq)
        query = sa.select(_JOURNAL.c.subject).where(_JOURNAL.c.kind.in_(kinds))
        if beginning:
            query = query.where(_JOURNAL.c.subject.startswith(beginning, autoescape=True))
        if mentioning:
            query = query.where(_JOURNAL.c.payload.contains(mentioning, autoescape=True))
        with self._engine.connect() as connection:
            found = connection.execute(query.group_by(_JOURNAL.c.subject).order_by(first))
            return [str(row[0]) for row in found]

    def last(self, subjects: Sequence[str]) -> int:
        """Return the number of the last entry about any of these; 0 if there is none."""
        with self._engine.connect() as connection:
            return _last(connection, subjects)

    def hashes(self, up_to: int) -> Iterator[str]:
        """Yield the hashes of the first entries in order; raises IntegrityError where one is missing."""
        seq = 0
        query = sa.select(_JOURNAL.c.seq, _JOURNAL.c.hash).order_by(_JOURNAL.c.seq).limit(_HASHES)
        while seq < up_to:
            chosen = query.where(_JOURNAL.c.seq > seq, _JOURNAL.c.seq <= up_to)
            with self._engine.connect() as connection:
                page = connection.execute(chosen).all()
            for number, value in page:
                seq += 1
                if number != seq:
                    break
                yield str(value)
            if not page or page[-1][0] != seq:
                raise IntegrityError(
                    f"the journal is broken: entry {seq + (not page)} is missing",
                    at=Location("journal", record=seq + (not page)), fix="run `lemnis journal verify`",
                )  # fmt: skip

    def rows(self, subjects: Sequence[str], *, up_to: int) -> Iterator[dict[str, int | str]]:
        """Yield the entries about these subjects as they are kept, payloads as text: what is hashed."""
        after = 0
        query = sa.select(_JOURNAL).where(_JOURNAL.c.subject.in_(subjects), _JOURNAL.c.seq <= up_to)
        while True:
            chosen = query.where(_JOURNAL.c.seq > after).order_by(_JOURNAL.c.seq).limit(_PAGE)
            with self._engine.connect() as connection:
                page = connection.execute(chosen).mappings().all()
            for row in page:
                yield dict(row)
            if len(page) < _PAGE:
                return
            after = int(page[-1]["seq"])

    def get(self, key: str) -> Entry | None:
        """Return the entry of this key."""
        with self._engine.connect() as connection:
            return _by_key(connection, [key]).get(key)

    def of_keys(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entries that have one of these keys, by their keys."""
        with self._engine.connect() as connection:
            return _by_key(connection, keys)

    def mentioning(self, text: str, *, kind: str, after: int, up_to: int) -> Iterator[Entry]:
        """Yield entries of a kind, between two numbers, whose payload has this text; no other is read."""
        query = (
            sa.select(_JOURNAL)
            .where(_JOURNAL.c.kind == kind, _JOURNAL.c.seq <= up_to)
            .where(_JOURNAL.c.payload.contains(text, autoescape=True))
            .order_by(_JOURNAL.c.seq)
            .limit(_PAGE)
        )
        while True:
            with self._engine.connect() as connection:
                page = connection.execute(query.where(_JOURNAL.c.seq > after)).all()
            yield from map(_entry, page)
            if len(page) < _PAGE:
                return
            after = int(page[-1][0])

    def counts(self, after: int) -> dict[str, int]:
        """Return how many entries of each kind follow a number; no payload is read."""
        query = sa.select(_JOURNAL.c.kind, sa.func.count()).where(_JOURNAL.c.seq > after)
        with self._engine.connect() as connection:
            return {str(kind): int(n) for kind, n in connection.execute(query.group_by(_JOURNAL.c.kind))}

    def some(self, after: int, count: int) -> list[Entry]:
        """Return some entries that follow a number, in order, without what their payloads say."""
        query = sa.select(*_BARE).where(_JOURNAL.c.seq > after).order_by(_JOURNAL.c.seq).limit(count)
        with self._engine.connect() as connection:
            return list(map(_entry, connection.execute(query)))

    def about(self, subject: str, kinds: Sequence[str]) -> list[Entry]:
        """Return the entries of some kinds about one subject, in order."""
        return self.about_all([subject], kinds)

    def about_all(self, subjects: Sequence[str], kinds: Sequence[str]) -> list[Entry]:
        """Return the entries of some kinds about several subjects, in order."""
        rows: list[sa.Row[Any]] = []
        with self._engine.connect() as connection:
            for start in range(0, len(subjects), _KEYS):
                some = subjects[start : start + _KEYS]
                query = sa.select(_JOURNAL).where(_JOURNAL.c.subject.in_(some), _JOURNAL.c.kind.in_(kinds))
                rows += connection.execute(query.order_by(_JOURNAL.c.seq))
        return [_entry(row) for row in (rows if len(subjects) <= _KEYS else sorted(rows, key=itemgetter(0)))]

    def get_all(self, keys: Sequence[str]) -> Iterator[Entry]:
        """Yield the entries that have one of these keys, in any order."""
        for start in range(0, len(keys), _KEYS):
            with self._engine.connect() as connection:
                rows = list(_rows_by_key(connection, keys[start : start + _KEYS]))
            yield from map(_entry, rows)

    def head(self) -> tuple[int, str]:
        """Return the last sequence number and hash: noted elsewhere, they prove that nothing was cut off."""
        with self._engine.connect() as connection:
            return _head(connection)

    def verify(self, *, anchor: str | None = None) -> int:
        """Check the whole chain; return its length. Raises IntegrityError naming the first bad entry.

        ``anchor`` is a hash from an earlier ``head()``: it must still be in the chain, which a chain whose
        end was cut off, or that was written anew, does not have.
        """
        length, previous, anchored = 0, GENESIS, anchor in (None, GENESIS)
        query = sa.select(_JOURNAL).order_by(_JOURNAL.c.seq).limit(_PAGE)
        while True:
            with self._engine.connect() as connection:
                page = connection.execute(query.where(_JOURNAL.c.seq > length)).all()
            for row in page:
                length += 1
                fault = _fault(row, length, previous)
                if fault:
                    raise IntegrityError(
                        f"the journal is broken: {fault}",
                        at=Location("journal", record=length),
                        fix="entries before it hold; restore the rest from a copy",
                    )
                previous = str(row[-1])
                anchored = anchored or previous == anchor
            if len(page) < _PAGE:
                break
        stray = sa.select(sa.func.count()).select_from(_JOURNAL).where(_JOURNAL.c.seq < 1)
        with self._engine.connect() as connection:
            if connection.execute(stray).scalar_one():
                raise IntegrityError(
                    f"the journal is broken: after entry {length}, entries have numbers below 1",
                    at=Location("journal", record=length + 1),
                    fix="entries up to there hold; restore the rest from a copy",
                )
        if not anchored:
            raise IntegrityError(
                f"the journal is broken: it has {length} entries and none with the hash {anchor}",
                at=Location("journal", record=length),
                fix="its end was cut off or it was written anew; restore it from a copy",
            )
        return length


def _payload(entry: NewEntry) -> str:
    try:
        canonical([entry.kind, entry.subject, entry.key, entry.actor, entry.reason])
        return canonical(dict(entry.payload)).decode()
    except (TypeError, ValueError) as error:
        raise InputError(
            f"journal entry {entry.key!r} ({entry.kind}) cannot be written as JSON: {error}"
        ) from error


def _hash(row: _Row) -> str:
    """Hash every field of a row; it has none for the hash itself."""
    return digest(canonical(list(row)))


def _fault(row: _Row, seq: int, previous: str) -> str:
    """Say what is wrong with the entry that should have this number and predecessor; empty if nothing."""
    *hashed, own = row
    if hashed[0] != seq:
        return f"entry {seq} is missing"
    if hashed[-1] != previous:
        return f"entry {seq} does not follow the entry before it"
    try:
        computed = _hash(hashed)
    except (TypeError, ValueError) as error:
        return f"entry {seq} was altered ({error})"
    return "" if own == computed else f"entry {seq} was altered (its hash does not match)"


def _entry(row: Sequence[Any]) -> Entry:
    """Make an entry of a row, whose columns come as an entry has them.

    Raises IntegrityError if its payload is no JSON object any more.
    """
    seq, at, kind, subject, key, actor, reason, text, previous, own = row
    try:
        payload: Mapping[str, Json] = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise IntegrityError(
            "the journal is broken: this entry's payload was altered",
            at=Location("journal", record=int(seq)),
            fix="run `lemnis journal verify`",
        ) from error
    return Entry(seq, at, kind, subject, key, actor, reason, payload, previous, own)


@cache
def _pages(kind: bool, subject: bool, bare: bool) -> sa.Select[Any]:  # noqa: FBT001 - of a statement
    """Return the statement that reads a page of entries; made once: pages of the console ask it again."""
    query = sa.select(*(_BARE if bare else _JOURNAL.c)).order_by(_JOURNAL.c.seq).limit(_PAGE)
    if kind:
        query = query.where(_JOURNAL.c.kind == sa.bindparam("kind"))
    if subject:
        query = query.where(_JOURNAL.c.subject == sa.bindparam("subject"))
    return query.where(_JOURNAL.c.seq > sa.bindparam("after"))


_LAST = sa.select(_JOURNAL.c.seq, _JOURNAL.c.hash).order_by(_JOURNAL.c.seq.desc()).limit(1)


def _head(connection: sa.Connection) -> tuple[int, str]:
    row = connection.execute(_LAST).first()
    return (int(row[0]), str(row[1])) if row else (0, GENESIS)


def _last(connection: sa.Connection, subjects: Iterable[str]) -> int:
    query = sa.select(sa.func.max(_JOURNAL.c.seq)).where(_JOURNAL.c.subject.in_(list(subjects)))
    return int(connection.execute(query).scalar_one() or 0)


def _by_key(connection: sa.Connection, keys: Sequence[str]) -> dict[str, Entry]:
    """Return the entries that have one of these keys."""
    return {str(row[4]): _entry(row) for row in _rows_by_key(connection, keys)}


def _rows_by_key(connection: sa.Connection, keys: Sequence[str]) -> Iterator[_Row]:
    """Yield the rows that have one of these keys."""
    for start in range(0, len(keys), _KEYS):
        query = sa.select(_JOURNAL).where(_JOURNAL.c.key.in_(keys[start : start + _KEYS]))
        yield from connection.execute(query)
