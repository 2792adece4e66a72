"""What grouping holds between two looks: a SQLite file, made again from the journal where it is missing.

Memory stays the same however many alerts there were: what a look touches is read, and written back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

Row = tuple[int, int, int, int]
"""An island: its low and high time, and the numbers of the alerts there."""
FORMAT = 1
_CACHE_KB = 16_000
_BUSY_S = 60.0
_ASKED = 500
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE alert (
    no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, title TEXT NOT NULL,
    parent INTEGER NOT NULL, reasons BLOB NOT NULL
);
CREATE INDEX alert_by_parent ON alert (parent);
CREATE TABLE component (root INTEGER PRIMARY KEY, facts BLOB NOT NULL);
CREATE TABLE loose (root INTEGER NOT NULL, no INTEGER NOT NULL, PRIMARY KEY (root, no)) WITHOUT ROWID;
CREATE TABLE island (
    key BLOB NOT NULL, low INTEGER NOT NULL, first INTEGER NOT NULL, high INTEGER NOT NULL,
    last INTEGER NOT NULL, PRIMARY KEY (key, low, first)
) WITHOUT ROWID;
CREATE TABLE incident (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, no INTEGER NOT NULL);
CREATE TABLE part (
    incident TEXT NOT NULL, name BLOB NOT NULL, facts BLOB NOT NULL, PRIMARY KEY (incident, name)
) WITHOUT ROWID;
CREATE TABLE decided (alert TEXT PRIMARY KEY, facts BLOB NOT NULL) WITHOUT ROWID;
"""


class Groups:
    """The tables; each method reads or writes some rows. One process at a time uses them."""

    def __init__(self, path: Path | None, stamp: str) -> None:
        """Use a file (None: only memory); what another ``stamp`` made, or is damaged, is begun anew."""
        self._stamp = f"{FORMAT} {stamp}"
        self._db = _connect(":memory:") if path is None else _open(path)

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    def clear(self) -> None:
        """Forget everything, within the transaction."""
        tables = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            self._db.execute(f'DROP TABLE "{table}"')
        for statement in _TABLES.split(";"):
            self._db.execute(statement)
        self.keep("stamp", self._stamp)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Do all of what is within, or nothing of it if it raises."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if _stamp(self._db) != self._stamp:
                self.clear()
            yield
        except BaseException:
            if self._db.in_transaction:  # a full disk ends it
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @property
    def current(self) -> bool:
        """Say whether the file is of this stamp, and not of another that is cleared when it is written."""
        return _stamp(self._db) == self._stamp

    # -- notes ---------------------------------------------------------------------------------------------

    def note(self, name: str) -> str:
        """Return what was noted under a name; empty if nothing was."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    def keep(self, name: str, value: str) -> None:
        """Note something under a name."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # -- alerts --------------------------------------------------------------------------------------------

    def last(self) -> int:
        """Return the highest number of an alert."""
        return int(self._db.execute("SELECT coalesce(max(no), 0) FROM alert").fetchone()[0])

    def known(self, alerts: Sequence[str]) -> set[str]:
        """Return which of these alerts are there."""
        found: set[str] = set()
        for start in range(0, len(alerts), _ASKED):
            some = alerts[start : start + _ASKED]
            marks = ", ".join("?" * len(some))
            rows = self._db.execute(f"SELECT id FROM alert WHERE id IN ({marks})", some)  # noqa: S608 - marks
            found.update(alert for (alert,) in rows)
        return found

    def number(self, alert: str) -> int | None:
        """Return an alert's number."""
        row = self._db.execute("SELECT no FROM alert WHERE id = ?", (alert,)).fetchone()
        return None if row is None else int(row[0])

    def parent(self, no: int) -> int:
        """Return the alert under which an alert hangs: itself if none."""
        return int(self._db.execute("SELECT parent FROM alert WHERE no = ?", (no,)).fetchone()[0])

    def alert(self, no: int) -> tuple[str, int, str, bytes]:
        """Return an alert's id, time, title and reasons."""
        found: tuple[str, int, str, bytes] = self._db.execute(
            "SELECT id, time, title, reasons FROM alert WHERE no = ?", (no,)
        ).fetchone()
        return found

    def alerts(self, numbers: Sequence[int]) -> Iterator[tuple[int, str, int, str, bytes]]:
        """Yield number, id, time, title and reasons of alerts, in any order."""
        for start in range(0, len(numbers), _ASKED):
            some = numbers[start : start + _ASKED]
            marks = ", ".join("?" * len(some))
            yield from self._db.execute(
                f"SELECT no, id, time, title, reasons FROM alert WHERE no IN ({marks})",  # noqa: S608 - marks
                some,
            ).fetchall()

    def add_alerts(self, rows: Iterable[tuple[int, str, int, str, int, bytes]]) -> None:
        """Write alerts down: number, id, time, title, parent, reasons."""
        self._db.executemany("INSERT INTO alert VALUES (?, ?, ?, ?, ?, ?)", rows)

    def hang(self, rows: Iterable[tuple[int, int]]) -> None:
        """Hang alerts under others: (parent, number)."""
        self._db.executemany("UPDATE alert SET parent = ? WHERE no = ?", rows)

    def explain(self, rows: Iterable[tuple[bytes, int]]) -> None:
        """Write reasons down: (reasons, number)."""
        self._db.executemany("UPDATE alert SET reasons = ? WHERE no = ?", rows)

    def under(self, root: int) -> list[int]:
        """Return the numbers of all alerts that hang under one, with it."""
        found = self._db.execute(
            "WITH RECURSIVE inside(no) AS (VALUES(?) UNION SELECT alert.no FROM alert JOIN inside"
            " ON alert.parent = inside.no) SELECT no FROM inside ORDER BY no",
            (root,),
        )
        return [int(no) for (no,) in found]

    # -- components ----------------------------------------------------------------------------------------

    def component(self, root: int) -> bytes | None:
        """Return what is known of a component."""
        row = self._db.execute("SELECT facts FROM component WHERE root = ?", (root,)).fetchone()
        return None if row is None else bytes(row[0])

    def put_components(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Write what is known of components."""
        self._db.executemany("INSERT OR REPLACE INTO component VALUES (?, ?)", rows)

    def drop_components(self, roots: Iterable[int]) -> None:
        """Forget components."""
        self._db.executemany("DELETE FROM component WHERE root = ?", ((root,) for root in roots))

    def loose(self, root: int) -> list[int]:
        """Return the alerts of a component that are in no incident yet."""
        rows = self._db.execute("SELECT no FROM loose WHERE root = ? ORDER BY no", (root,))
        return [int(no) for (no,) in rows]

    def loose_count(self) -> int:
        """Return how many alerts are in no incident."""
        return int(self._db.execute("SELECT count(*) FROM loose").fetchone()[0])

    def add_loose(self, rows: Iterable[tuple[int, int]]) -> None:
        """Write down that alerts are in no incident yet: (root, number)."""
        self._db.executemany("INSERT OR IGNORE INTO loose VALUES (?, ?)", rows)

    def move_loose(self, root: int, to: int) -> None:
        """Move those of one component to another."""
        self._db.execute("UPDATE loose SET root = ? WHERE root = ?", (to, root))

    def tell_loose(self, root: int, no: int) -> bool:
        """Say that an alert is in an incident now; return whether it was in none before."""
        done = self._db.execute("DELETE FROM loose WHERE root = ? AND no = ?", (root, no))
        return done.rowcount > 0

    def drop_loose(self, root: int) -> None:
        """Forget them."""
        self._db.execute("DELETE FROM loose WHERE root = ?", (root,))

    # -- islands -------------------------------------------------------------------------------------------

    def filed(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return which of these keys have islands."""
        found: set[bytes] = set()
        for start in range(0, len(keys), _ASKED):
            some = keys[start : start + _ASKED]
            marks = ", ".join("(?)" for _ in some)
            rows = self._db.execute(
                f"WITH asked(key) AS (VALUES {marks}) SELECT key FROM asked"  # noqa: S608 - marks
                " WHERE EXISTS (SELECT 1 FROM island WHERE island.key = asked.key)",
                some,
            )
            found.update(bytes(key) for (key,) in rows)
        return found

    def islands(self, key: bytes, low: int, high: int) -> list[Row]:
        """Return the islands of a key that reach into a span, ascending; none of them overlap."""
        found: list[Row] = []
        rows = self._db.execute(
            "SELECT low, high, first, last FROM island WHERE key = ? AND low <= ? ORDER BY low DESC",
            (key, high),
        )
        for row in rows:
            if row[1] < low:
                break
            found.append(row)
        rows.close()
        return found[::-1]

    def pieces(self, key: bytes, low: int, high: int, longest: int) -> list[Row]:
        """Return islands that reach into a span, which may overlap and are no longer than ``longest``."""
        rows = self._db.execute(
            "SELECT low, high, first, last FROM island WHERE key = ? AND low BETWEEN ? AND ? ORDER BY low",
            (key, low - longest, high),
        )
        return [row for row in rows if row[1] >= low]

    def drop_islands(self, rows: Iterable[tuple[bytes, int, int]]) -> None:
        """Forget islands: (key, low, first)."""
        self._db.executemany("DELETE FROM island WHERE key = ? AND low = ? AND first = ?", rows)

    def put_islands(self, rows: Iterable[tuple[bytes, int, int, int, int]]) -> None:
        """Write islands: (key, low, first, high, last)."""
        self._db.executemany("INSERT OR REPLACE INTO island VALUES (?, ?, ?, ?, ?)", rows)

    # -- incidents -----------------------------------------------------------------------------------------

    def incident(self, name: str) -> tuple[int, int] | None:
        """Return the place of an incident in the order in which they were opened, and an alert in it."""
        row = self._db.execute("SELECT number, no FROM incident WHERE id = ?", (name,)).fetchone()
        return None if row is None else (int(row[0]), int(row[1]))

    def put_incident(self, name: str, no: int) -> None:
        """Write an incident down, by an alert in it."""
        self._db.execute(
            "INSERT INTO incident (id, no) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET no = excluded.no",
            (name, no),
        )

    def rename_incident(self, name: str, to: str) -> None:
        """Give an incident another name, in its place."""
        self._db.execute("DELETE FROM incident WHERE id = ?", (to,))
        self._db.execute("UPDATE incident SET id = ? WHERE id = ?", (to, name))

    def parts(self, incident: str) -> list[tuple[bytes, bytes]]:
        """Return the parts of an incident, by name."""
        return self._db.execute("SELECT name, facts FROM part WHERE incident = ?", (incident,)).fetchall()

    def put_parts(self, rows: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Write parts of incidents: (incident, name, facts)."""
        self._db.executemany("INSERT OR REPLACE INTO part VALUES (?, ?, ?)", rows)

    def drop_parts(self, incident: str) -> None:
        """Forget the parts of an incident."""
        self._db.execute("DELETE FROM part WHERE incident = ?", (incident,))

    # -- decisions -----------------------------------------------------------------------------------------

    def decided(self) -> Sequence[tuple[str, bytes]]:
        """Return what people decided of alerts: (alert, facts)."""
        return self._db.execute("SELECT alert, facts FROM decided").fetchall()

    def decide(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Write down what was decided of alerts."""
        self._db.executemany("INSERT OR REPLACE INTO decided VALUES (?, ?)", rows)


def _connect(place: str | Path) -> sqlite3.Connection:
    database = sqlite3.connect(place, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
    for pragma in ("journal_mode=TRUNCATE", "synchronous=NORMAL", f"cache_size=-{_CACHE_KB}"):
        database.execute(f"PRAGMA {pragma}").close()
    return database


def _open(path: Path) -> sqlite3.Connection:
    """Open a file; one that is no database, or damaged, is removed: the journal has what it said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    try:
        database = _connect(path)
        _stamp(database)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        path.unlink(missing_ok=True)
        path.with_name(path.name + "-journal").unlink(missing_ok=True)
        path.touch(mode=0o600)
        database = _connect(path)
    return database


def _stamp(database: sqlite3.Connection) -> str:
    """Return by what the file was made; empty if by nothing."""
    if not database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]:
        return ""
    row = database.execute("SELECT value FROM meta WHERE name = 'stamp'").fetchone()
    return "" if row is None else str(row[0])
