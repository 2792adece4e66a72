"""Advisories on disk: one SQLite file, made once from records and then only read.

Aliases are closed when it is made: every advisory belongs to a group of records that name each other,
whatever the way round, and a group has the names of all. Withdrawn records are counted, and otherwise left
out.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import orjson

from lemnis.contracts.errors import IntegrityError, Location
from lemnis.scan.advisories import Advisory, Affected, Range

FORMAT: Final = "1"
_T = TypeVar("_T")
_CHUNK: Final = 500
_TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE advisories (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, names TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE affected (
  name TEXT NOT NULL, ecosystem TEXT NOT NULL, number INTEGER NOT NULL, place INTEGER NOT NULL,
  body TEXT NOT NULL, PRIMARY KEY (name, ecosystem, number, place)) WITHOUT ROWID;
CREATE TABLE ecosystems (name TEXT PRIMARY KEY, advisories INTEGER NOT NULL, newest INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE TABLE names (name TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (name, number)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Built:
    """What went into a database: records by what became of them, and the newest change (ms; None: none)."""

    advisories: int
    withdrawn: int
    repeated: int
    ecosystems: int
    newest: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """An advisory as looked up: its own id, the ids of its group (the one to show first), what it says."""

    id: str
    names: tuple[str, ...]
    summary: str
    vectors: tuple[str, ...]
    label: str
    cwes: tuple[int, ...]
    exploit: bool
    url: str
    modified: int


@dataclass(frozen=True, slots=True)
class Ecosystem:
    """How many advisories of an ecosystem there are, and when the newest of them changed (ms)."""

    name: str
    advisories: int
    newest: int


def build(path: Path, records: Iterable[Advisory]) -> Built:
    """Make a database at ``path``, where nothing may be; of records with the same id the newest holds."""
    kept: dict[str, Advisory] = {}
    withdrawn = repeated = 0
    for one in records:
        if one.withdrawn:
            withdrawn += 1
            continue
        before = kept.get(one.id)
        repeated += before is not None
        if before is None or one.modified >= before.modified:
            kept[one.id] = one
    groups = _groups(kept)
    counts: dict[str, tuple[int, int]] = {}
    connection = sqlite3.connect(path)
    try:
        connection.executescript(_TABLES)
        for number, identity in enumerate(sorted(kept), 1):
            one = kept[identity]
            connection.execute(
                "INSERT INTO advisories VALUES (?, ?, ?, ?)",
                (number, one.id, orjson.dumps(groups[one.id]), orjson.dumps(_told(one))),
            )
            connection.executemany(
                "INSERT INTO affected VALUES (?, ?, ?, ?, ?)",
                ((a.name, a.ecosystem, number, n, _packed(a)) for n, a in enumerate(one.affected)),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO names VALUES (?, ?)",
                ((name.upper(), number) for name in groups[one.id]),
            )
            for ecosystem in {a.ecosystem for a in one.affected}:
                count, newest = counts.get(ecosystem, (0, 0))
                counts[ecosystem] = (count + 1, max(newest, one.modified))
        connection.executemany(
            "INSERT INTO ecosystems VALUES (?, ?, ?)", ((name, *two) for name, two in sorted(counts.items()))
        )
        connection.execute("INSERT INTO meta VALUES ('format', ?)", (FORMAT,))
        connection.commit()
        connection.execute("VACUUM")
    finally:
        connection.close()
    last = max((one.modified for one in kept.values()), default=None)
    return Built(len(kept), withdrawn, repeated, len(counts), last)


def _told(one: Advisory) -> list[object]:
    return [one.summary, one.vectors, one.label, one.cwes, one.exploit, one.url, one.modified]


def _packed(one: Affected) -> bytes:
    return orjson.dumps([[[r.kind, r.events] for r in one.ranges], one.versions])


def _groups(kept: Mapping[str, Advisory]) -> dict[str, list[str]]:
    """Return for each id the names of everything that it is the same as, by aliases in any direction."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    for one in kept.values():
        for alias in one.aliases:
            above[top(alias)] = top(one.id)
    names: dict[str, set[str]] = defaultdict(set)
    for name in [*kept, *above]:
        names[top(name)].add(name)
    return {identity: sorted(names[top(identity)], key=_shown) for identity in kept}


def _shown(name: str) -> tuple[int, str]:
    """Order names as people know them: CVE first, then GitHub's, then those of one ecosystem."""
    return (0 if name.startswith("CVE-") else 1 if name.startswith("GHSA-") else 2, name)


class Advisories:
    """Looks advisories up in a database that ``build`` made; to be closed, or used as a context."""

    def __init__(self, path: Path) -> None:
        """Open it for reading; raises IntegrityError for what is no such database."""
        self.path = path
        self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            found = self._connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
        except sqlite3.DatabaseError as error:
            self.close()
            raise IntegrityError("no database of advisories", at=Location(str(path))) from error
        if found is None or found[0] != FORMAT:
            self.close()
            raise IntegrityError(
                f"a database of another format ({found and found[0]})", at=Location(str(path)),
                fix="pull the advisories again",
            )  # fmt: skip

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def ecosystems(self) -> Mapping[str, Ecosystem]:
        """Return the ecosystems that are covered, by name."""
        rows = self._connection.execute("SELECT name, advisories, newest FROM ecosystems")
        return {name: Ecosystem(name, count, newest) for name, count, newest in rows}

    def affected(
        self, packages: Collection[tuple[str, str]]
    ) -> Mapping[tuple[str, str], list[tuple[int, Affected]]]:
        """Return for packages (ecosystem, name) what advisories, by number, say of them."""
        wanted = set(packages)
        found: dict[tuple[str, str], list[tuple[int, Affected]]] = defaultdict(list)
        for chunk in _chunks(sorted({name for _, name in wanted})):
            marks = ",".join("?" * len(chunk))
            query = f"SELECT ecosystem, name, number, body FROM affected WHERE name IN ({marks})"  # noqa: S608 - marks
            for ecosystem, name, number, body in self._connection.execute(query, chunk):
                if (ecosystem, name) in wanted:
                    found[ecosystem, name].append((number, _unpacked(ecosystem, name, body)))
        return found

    def known(self, numbers: Collection[int]) -> Mapping[int, Known]:
        """Return what the advisories of these numbers say."""
        found: dict[int, Known] = {}
        for chunk in _chunks(sorted(numbers)):
            marks = ",".join("?" * len(chunk))
            query = f"SELECT number, id, names, body FROM advisories WHERE number IN ({marks})"  # noqa: S608 - marks
            for number, identity, names, body in self._connection.execute(query, chunk):
                summary, vectors, label, cwes, exploit, url, modified = orjson.loads(body)
                found[number] = Known(
                    identity, tuple(orjson.loads(names)), summary, tuple(vectors), label, tuple(cwes),
                    exploit, url, modified,
                )  # fmt: skip
        return found

    def named(self, name: str) -> Mapping[int, Known]:
        """Return the advisories of the group that a name (CVE, GHSA, …) belongs to, by number."""
        rows = self._connection.execute("SELECT number FROM names WHERE name = ?", (name.upper(),))
        return self.known([number for (number,) in rows])


def _unpacked(ecosystem: str, name: str, body: bytes) -> Affected:
    ranges, versions = orjson.loads(body)
    made = tuple(Range(kind, tuple((event, version) for event, version in events)) for kind, events in ranges)
    return Affected(ecosystem, name, made, tuple(versions))


def _chunks(values: list[_T]) -> Iterator[list[_T]]:
    for begin in range(0, len(values), _CHUNK):
        yield values[begin : begin + _CHUNK]
