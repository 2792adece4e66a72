"""Timelines ready to be paged: a projection of journal and lake, beside them, which may be lost.

A page is found by where the one before ended, kind by kind, each in the order of the table's own key: it
costs the same at the first entry and at the millionth.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import UsageError
from lemnis.contracts.incidents import TimelineItem
from lemnis.store import durable

BOTH, BRIEF, WHOLE = 0, 1, 2
"""Which reading an entry is in: the brief one, where repeats are told once, the whole one, or both."""
_VERSION = 1
_BUSY_SECONDS = 60
_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (incident TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (incident TEXT, alert TEXT, PRIMARY KEY (incident, alert)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (
    incident TEXT, reading INT, kind TEXT, n INT NOT NULL, PRIMARY KEY (incident, reading, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    incident TEXT, reading INT, kind TEXT, time INT, recorded INT, ident TEXT, item BLOB NOT NULL,
    PRIMARY KEY (incident, reading, kind, time, recorded, ident)
) WITHOUT ROWID;
"""
_Key = tuple[int, int, str]


class Placed(NamedTuple):
    """An entry, what it is called within its timeline (once), and which reading it is in."""

    ident: str
    reading: int
    item: TimelineItem


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries in their order, where to go on (empty: no more), and how many there are in all."""

    items: tuple[TimelineItem, ...]
    after: str
    total: int


class Timelines:
    """The timelines of a workspace, in one SQLite file."""

    def __init__(self, path: Path) -> None:
        """Open the file at ``path``, or make it; one of another version is begun anew."""
        durable.make_folder(path.parent)
        path.touch(mode=0o600)
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
        try:
            self._begin()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            if durable.is_busy(error):
                raise
            path.unlink()  # half a file: what it held is in the journal
            path.touch(mode=0o600)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
            self._begin()

    def _begin(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version not in {0, _VERSION}:
            for name in ("state", "alerts", "counts", "items"):
                self._connection.execute(f"DROP TABLE IF EXISTS {name}")
        durable.write_ahead(self._connection, _BUSY_SECONDS)
        for pragma in ("synchronous=NORMAL", f"user_version={_VERSION}"):
            self._connection.execute(f"PRAGMA {pragma}").close()
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Change a timeline whole or not at all, while nobody else does."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk ends it
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def state(self, incident: str) -> dict[str, Any]:
        """Return what was noted of how far an incident's timeline is; empty if it was not begun."""
        row = self._connection.execute("SELECT state FROM state WHERE incident = ?", [incident]).fetchone()
        found: dict[str, Any] = orjson.loads(row[0]) if row else {}
        return found

    def note(self, incident: str, state: Mapping[str, Any]) -> None:
        """Note how far an incident's timeline is."""
        self._connection.execute(
            "INSERT OR REPLACE INTO state VALUES (?, ?)", [incident, orjson.dumps(state).decode()]
        )

    def alerts(self, incident: str) -> set[str]:
        """Return the alerts that a timeline tells of."""
        rows = self._connection.execute("SELECT alert FROM alerts WHERE incident = ?", [incident])
        return {row[0] for row in rows}

    def add_alerts(self, incident: str, alerts: Iterable[str]) -> None:
        """Note that a timeline tells of these alerts."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO alerts VALUES (?, ?)", ((incident, one) for one in alerts)
        )

    def add(self, incident: str, placed: Iterable[Placed]) -> None:
        """Add entries; one that is there already, at its time and by its name, is left as it is."""
        by_kind: dict[tuple[int, str], list[tuple[object, ...]]] = {}
        for one in placed:
            item = one.item
            by_kind.setdefault((one.reading, item.kind), []).append(
                (incident, one.reading, item.kind, item.time, item.recorded, one.ident, _text(item))
            )
        for (reading, kind), rows in by_kind.items():
            done = self._connection.executemany(
                "INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )
            self._connection.execute(
                "INSERT INTO counts VALUES (?, ?, ?, ?) "
                "ON CONFLICT (incident, reading, kind) DO UPDATE SET n = n + excluded.n",
                [incident, reading, kind, done.rowcount],
            )

    def drop(self, incident: str, reading: int, kinds: Iterable[str]) -> None:
        """Take entries of some kinds out of a reading, to be added as they are now."""
        for kind in kinds:
            for table in ("items", "counts"):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE incident = ? AND reading = ? AND kind = ?",  # noqa: S608 - own
                    [incident, reading, kind],
                )

    def forget(self, incident: str) -> None:
        """Begin an incident's timeline anew."""
        for table in ("items", "counts", "alerts", "state"):
            self._connection.execute(f"DELETE FROM {table} WHERE incident = ?", [incident])  # noqa: S608 - own

    def kinds(self, incident: str) -> dict[str, int]:
        """Return the kinds of a timeline's entries, and how many there are of each in the whole reading."""
        rows = self._connection.execute(
            "SELECT kind, sum(CASE reading WHEN 1 THEN 0 ELSE n END) FROM counts WHERE incident = ? "
            "GROUP BY kind HAVING sum(n) > 0 ORDER BY kind",
            [incident],
        )
        return {str(kind): int(count) for kind, count in rows}

    def page(
        self,
        incident: str,
        *,
        limit: int,
        after: str = "",
        since: int | None = None,
        kinds: Collection[str] = (),
        without: Collection[str] = (),
        whole: bool = False,
        newest: bool = False,
    ) -> Page:
        """Return up to ``limit`` entries after a place that an earlier page named, or from a time (ms) on.

        They are of these ``kinds`` (none: of all), and of none that it goes ``without``; ``newest`` goes from
        the last to the first. Raises UsageError for a place that is none.
        """
        place = _place(after) if after else None
        if place is None and since is not None:
            place = (since, -(2**62), "") if not newest else (since, 2**62, "\U0010ffff")
        rows = self._connection.execute(
            "SELECT reading, kind, n FROM counts WHERE incident = ? AND n > 0", [incident]
        )
        there = [
            (int(reading), str(kind), int(n))
            for reading, kind, n in rows
            if reading in (BOTH, WHOLE if whole else BRIEF)
            and (not kinds or kind in kinds)
            and kind not in without
        ]
        streams = [
            self._of_kind(incident, reading, kind, place, limit + 1, newest=newest)
            for reading, kind, _ in there
        ]
        merged = heapq.merge(*streams, key=lambda pair: pair[0], reverse=newest)
        found = [pair for _, pair in zip(range(limit + 1), merged, strict=False)]
        more = len(found) > limit
        shown = found[:limit]
        return Page(
            tuple(_item(data) for _, data in shown),
            _cursor(shown[-1][0]) if more else "",
            sum(n for _, _, n in there),
        )

    def every(self, incident: str, *, whole: bool = False) -> Iterator[TimelineItem]:
        """Yield all entries in their order."""
        after = ""
        while True:
            page = self.page(incident, limit=1000, after=after, whole=whole)
            yield from page.items
            after = page.after
            if not after:
                return

    def _of_kind(
        self, incident: str, reading: int, kind: str, place: _Key | None, limit: int, *, newest: bool
    ) -> Sequence[tuple[_Key, bytes]]:
        where = "incident = ? AND reading = ? AND kind = ?"
        values: list[object] = [incident, reading, kind]
        if place is not None:
            where += f" AND (time, recorded, ident) {'<' if newest else '>'} (?, ?, ?)"
            values += place
        way = "DESC" if newest else "ASC"
        sql = (
            f"SELECT time, recorded, ident, item FROM items WHERE {where} "  # noqa: S608 - own words
            f"ORDER BY time {way}, recorded {way}, ident {way} LIMIT ?"
        )
        with closing(self._connection.execute(sql, [*values, limit])) as rows:
            return [((time, recorded, ident), data) for time, recorded, ident, data in rows]


def _text(one: TimelineItem) -> bytes:
    return orjson.dumps([one.time, one.recorded, one.kind, one.title, one.reference, one.actor,
                         int(one.severity), one.detail])  # fmt: skip


def _item(data: bytes) -> TimelineItem:
    time, recorded, kind, title, reference, actor, severity, detail = orjson.loads(data)
    return TimelineItem(time, recorded, kind, title, reference, actor, Severity(severity), detail)


def _cursor(key: _Key) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(key)).rstrip(b"=").decode()


def _place(cursor: str) -> _Key:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        time, recorded, ident = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeEncodeError, binascii.Error, ValueError, TypeError) as error:
        raise UsageError(
            f"{cursor[:40]!r} is no place in a timeline", fix="give what `after` of the page before said"
        ) from error
    if not (isinstance(time, int) and isinstance(recorded, int) and isinstance(ident, str)):
        raise UsageError(f"{cursor[:40]!r} is no place in a timeline")
    return time, recorded, ident
