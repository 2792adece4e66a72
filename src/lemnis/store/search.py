"""Search: a query run over the lake, newest first; results come as they are found.

The language is described in docs/search.md. A search sees the lake as it was when it began.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.errors import InputError, UsageError
from lemnis.store import answers, footers, query
from lemnis.store.columns import conform, leaf
from lemnis.store.databases import Database
from lemnis.store.lakes import Readable, Snapshot
from lemnis.store.query import CancelledError, GoneError, Handle, Piece, Relation
from lemnis.store.searching import instants, joining, nested, pipes, series, streaming, windows
from lemnis.store.searching.base import Base, Column, Scope
from lemnis.store.searching.fields import Classes, quote
from lemnis.store.searching.needles import clauses
from lemnis.store.searching.plan import Pipeline
from lemnis.store.searching.terms import Test
from lemnis.store.searching.tree import Head, Join, Query, Timechart
from lemnis.store.searching.veils import Veil

MEMORY = "1GB"
_FEW = 200
_FIRST, _MORE, _SLICE = 100, 20, 20_000
"""So many events are fetched first, then so many times as many, so that some are seen soon; at most a slice
at once: what they take is bounded, however many were found."""
_HITS = "hits"
_AT_ONCE, _NEAR, _MANY = 1_000, 8, 2**31


Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True)
class Found:
    """One event that matched: its class's name, and the event without its empty attributes.

    ``more`` are the columns that the query computed.
    """

    class_name: str
    time: int
    uid: str
    event: Mapping[str, Any]
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heading:
    """A column of rows: its name and type, and whether it holds instants (ms)."""

    name: str
    kind: pa.DataType
    instant: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a search may take: rows, seconds, memory.

    One that shows rows before all were looked at rests after ``patience`` seconds, if it is given.
    """

    rows: int = 100
    timeout: float = 60
    memory: str = MEMORY
    patience: float | None = None


class Search:
    """One query over one moment of a lake; iterate ``found`` or ``tables`` once.

    Where files go that it still needs, it goes on with those that took their place; what retention took
    meanwhile is not found.

    ``finds_events`` says which of the two. ``headings`` are the columns of rows: those that the query names,
    and once there are rows, all of them. ``handle.cancel()``, from another thread or a signal's handler, ends
    it: what was found until then has been yielded, and ``cancelled`` says so. ``more`` says that the limit
    ended it. ``reached`` (ms) is how far back it has looked. One that ``rested`` has found all that there is
    from there on; another with that as its end goes on.

    Raises InputError that points to the column of the query, when it is made; UsageError for one that needs
    more time or memory than it may have, while it runs.
    """

    def __init__(
        self,
        lake: Readable,
        text: str | Query,
        *,
        now: int,
        start: int | None = None,
        end: int | None = None,
        limits: Limits | None = None,
        handle: Handle | None = None,
        bars: int = 100,
        veil: Veil | None = None,
    ) -> None:
        """Read and check the query; ``start`` and ``end`` (ms) bound ``time`` to [start, end).

        A chart without a span has about so many ``bars``. What ``veil`` hides is neither found nor counted.
        """
        self.handle = handle or Handle()
        self.limits = limits or Limits()
        self.more = self.cancelled = self.rested = False
        self.reached: int | None = None
        self._query = pipes.parse(text) if isinstance(text, str) else text
        self._lake = lake
        self._snapshots = _events_of(lake)
        self._classes = Classes({name: one.schema for name, one in self._snapshots.items()})
        self._now, self._bars = now, bars
        self._deadline = time.monotonic() + self.limits.timeout
        self._veil = veil or Veil()
        scope = Scope(self._classes, now, frozenset(), veil=self._veil)
        self._node, self.start, self.end = joining.begun(scope, self._query, start, end)
        self._stages = joining.rest(self._query)
        margin = max((stage.within for stage in self._query.stages if isinstance(stage, Join)), default=0)
        low = None if self.start is None else self.start - margin
        high = None if self.end is None else self.end + margin
        self._wide = (low, high)
        self._tables = self._looked_up()
        self._database = self._opened()
        self._streams = streaming.streams(self._stages)
        self.finds_events = streaming.events(self._stages)
        self.headings = _headings(self._compiled(scope, self.start, self.end, None).visible)
        scope.compiler.check()

    def _looked_up(self) -> windows.Tables:
        """Return the tables; the index is asked unless a join asks the same tables for something else."""
        joins = any(isinstance(stage, Join) for stage in self._query.stages)
        index = self._lake.index if self._lake.index.exists and not joins else None
        asked = {name: clauses(self._classes, name, self._node) for name in self._snapshots} if index else {}
        start, end = self._wide
        return windows.Tables(self._snapshots, start=start, end=end, index=index, clauses=asked)

    def _opened(self) -> Database:
        """Return a database that can read the tables: of a bucket, only the files that are needed."""
        root = self._lake.tables.root
        return Database(
            root / "tables" if isinstance(root, Path) else self._tables.files(), self.limits.memory
        )

    def _renewed(self) -> None:
        """Take the tables as they are now, because files of theirs went."""
        now = _events_of(self._lake)
        self._snapshots = {name: now.get(name, before) for name, before in self._snapshots.items()}
        self._tables = self._looked_up()
        self._database.close()
        self._database = self._opened()

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """The schemas of the classes that events can be of."""
        wanted = self._wanted()
        return {name: schema for name, schema in self._classes.schemas.items() if name in wanted}

    # -- what it finds -------------------------------------------------------------------------------------

    def found(self) -> Iterator[list[Found]]:
        """Yield the events of a query that finds events, newest first unless it sorts them."""
        for hits, columns, tables in self._events():
            events = {
                (name, event["metadata"]["uid"]): event
                for name, table in tables
                for event in nested.events(table)
            }
            yield [
                Found(
                    h["n"],
                    h["t"],
                    h["u"],
                    events[h["n"], h["u"]],
                    {name: h[one.sql] for name, one in columns.items()},
                )
                for h in hits.to_pylist()
                if (h["n"], h["u"]) in events  # else retention took it since it was found
            ]

    def batches(self) -> Iterator[tuple[str, pa.Table]]:
        """Yield the events of a query that finds events as tables of their classes, newest first in each."""
        for _, _, tables in self._events():
            for name, table in tables:
                whole = conform(table, self._classes.schemas[name])
                yield name, whole.sort_by([("time", "descending")])

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows of a query that makes rows, with the columns that ``headings`` names."""
        for table, columns in self._rows(()):
            self.headings = _headings(columns)
            taken = [table.column(column.sql) for column in columns.values()]
            yield pa.Table.from_arrays(taken, names=list(columns))

    # -- inside --------------------------------------------------------------------------------------------

    def _events(
        self,
    ) -> Iterator[tuple[pa.Table, Mapping[str, Column], Sequence[tuple[str, pa.Table]]]]:
        """Yield hits, the columns that were computed, and the events of each class; none once it is ended."""
        for hits, columns in self._hits():
            try:
                tables = self._insisting(lambda some=hits: list(self._fetched(some)))  # type: ignore[misc]
            except CancelledError:
                self.cancelled = True
                return
            yield hits, columns, tables

    def _hits(self) -> Iterator[tuple[pa.Table, Mapping[str, Column]]]:
        size = _FIRST
        for table, columns in self._rows(("t", "u", "n", "p", "r")):
            first = 0
            size = max(size, table.num_rows) if table.num_rows <= _AT_ONCE else size
            while first < table.num_rows:
                yield table.slice(first, size), columns
                first, size = first + size, min(size * _MORE, _SLICE)

    def _rows(self, also: Sequence[str]) -> Iterator[tuple[pa.Table, Mapping[str, Column]]]:
        """Yield the rows of the last stage, from window to window, until there are as many as may be."""
        left, rests = self._most(), self._rests()
        try:
            for low, high in self._windows():
                began = time.monotonic()
                asked = self._insisting(partial(self._window, low, high, also, left))
                if asked is not None:
                    table, columns = asked
                    self.more = table.num_rows > left and not self._headed
                    table = table.slice(0, left)
                    left -= table.num_rows
                    if table.num_rows:
                        yield table, columns
                self.reached = low
                if not left:
                    self.more = self.more or (self._streams and not self._headed and low != self._oldest())
                    return
                now = time.monotonic()  # the next one takes at least as long
                if now + (now - began) >= rests and low != self._oldest():
                    self.rested = True
                    return
        except CancelledError:
            self.cancelled = True
        finally:
            self._database.close()

    def _window(
        self, low: int | None, high: int | None, also: Sequence[str], left: int
    ) -> tuple[pa.Table, Mapping[str, Column]] | None:
        """Return the rows of one window of time, one more than ``left`` at most; None where none can be."""
        overlap = {
            p.name
            for p in self._tables.parts
            if (low is None or p.last >= low) and (high is None or p.first < high)
        }
        scope = Scope(self._classes, self._now, frozenset(overlap), placed="p" in also, veil=self._veil)
        pipeline = self._compiled(scope, low, high, self._run)
        columns = pipeline.visible
        if self._streams and not (pipeline.base.wanted or pipeline.held):
            return None
        wanted = [
            *also,
            *(f"{one.sql} AS {one.sql}" for one in columns.values() if one.sql not in also),
        ]
        sql = pipeline.sql(list(dict.fromkeys(wanted)), limit=left + 1)
        return self._run(pipeline, sql, left + 1), columns

    def _rests(self) -> float:
        """Return when it is to rest; never, where what is found later hangs on what was before."""
        if self.limits.patience is None or not self._streams or self._headed:
            return math.inf
        return time.monotonic() + self.limits.patience

    def _insisting(self, ask: Callable[[], Asked]) -> Asked:
        """Ask, and again of newer tables where files went meanwhile."""

        def asked() -> Asked:
            try:
                return ask()
            except GoneError:
                self._renewed()
                raise

        return query.anew(asked)

    @property
    def _headed(self) -> bool:
        """Whether the query itself says how many rows there are, where it streams, and that is few enough."""
        return self._streams and self._most() < self.limits.rows

    def _most(self) -> int:
        """Return how many rows there may be; of what streams, a ``head`` says it, too."""
        heads = [stage.count for stage in self._stages if isinstance(stage, Head)] if self._streams else []
        return min([self.limits.rows, *heads])

    def _windows(self) -> Iterator[tuple[int | None, int | None]]:
        if self._streams:
            rows = streaming.first_rows(self._node, self._stages, self._most())
            yield from windows.backwards(self._parts(), self.start, self.end, rows)
        else:
            yield self.start, self.end

    def _wanted(self) -> frozenset[str]:
        """Return the classes that can have what the filter finds."""
        names = frozenset(part.name for part in self._tables.parts)
        scope = Scope(self._classes, self._now, names, veil=self._veil)
        return Base(scope, self._node, self.start, self.end).wanted

    def _parts(self) -> list[windows.Part]:
        """Return the parts of these classes: the others' rows would make windows small for nothing."""
        wanted = self._wanted()
        return [part for part in self._tables.parts if part.name in wanted]

    def _oldest(self) -> int | None:
        oldest = min((part.first for part in self._parts()), default=None)
        return oldest if self.start is None or oldest is None else max(oldest, self.start)

    def _compiled(self, scope: Scope, start: int | None, end: int | None, run: Any) -> Pipeline:
        """Compile the stages; without ``run`` only to check them, as far as it is known what there is."""
        pipeline = Pipeline(scope, self._node, start, end)
        for stage in self._stages:
            if self._streams and isinstance(stage, Head):
                continue
            if isinstance(stage, Timechart) and run is None:
                if not series.check(pipeline, stage):
                    break
            elif isinstance(stage, Timechart):
                series.chart(pipeline, stage, partial(run, pipeline), bars=self._bars)
            elif isinstance(stage, Join):
                joining.join(pipeline, stage)
            else:
                pipeline.add(stage)
        return pipeline

    def _run(self, pipeline: Pipeline, test: Test, limit: int) -> pa.Table:
        """Run one SELECT of a pipeline."""
        names = pipeline.scope.present if not self._streams else pipeline.base.wanted
        start, end = (pipeline.base.start, pipeline.base.end) if self._streams else self._wide
        found = self._tables.relations(names, start, end, placed=pipeline.scope.placed)
        relations = {name: one.narrowed(test[0]) for name, one in found.items()}
        relations = {name: one for name, one in relations.items() if one.schema.names}
        relations |= {name: Relation(table.schema, [], table) for name, table in pipeline.held.items()}
        return self._asked(relations, *test, limit)

    def _asked(self, relations: Mapping[str, Relation], sql: str, values: list[Any], limit: int) -> pa.Table:
        if self.handle.cancelled:
            raise CancelledError
        ask = partial(self._answered, relations, sql, values, limit)
        return answers.known(relations, sql, values, limit, ask)

    def _answered(
        self, relations: Mapping[str, Relation], sql: str, values: list[Any], limit: int
    ) -> pa.Table:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._late()
        try:
            return query.run(
                relations, sql, parameters=values, limit=limit, timeout=left, memory=self.limits.memory,
                handle=self.handle, database=self._database,
            )  # fmt: skip
        except UsageError as error:
            if time.monotonic() >= self._deadline:
                raise self._late() from error
            raise UsageError(error.what, fix="take part of the query away, or narrow its time") from error

    def _late(self) -> UsageError:
        return UsageError(
            f"the query took longer than {self.limits.timeout:g} s",
            fix="narrow the time range, or allow more with --timeout",
        )

    def _placed(self, name: str, hits: pa.Table, there: Relation) -> Relation | None:
        """Return little more than the rows of hits, by their places; None where these say too little.

        Files may have gone since, or the rows lie far from each other.
        """
        places: dict[str | None, list[int]] = {}
        rows: list[Any] = hits.column("r").to_pylist()
        for file, row in zip(hits.column("p").to_pylist(), rows, strict=True):
            places.setdefault(file, []).append(row)
        files = self._tables.placed(name, places)
        if files is None or sum(one.rows for one in files) > _NEAR * hits.num_rows + _FIRST:
            return None
        spooled = _of_uids(there.spooled, hits.column("u"))
        schema = there.schema if spooled.num_rows else _filled(there.schema, files)
        return Relation(
            schema, files, spooled.select(schema.names) if spooled.num_rows else schema.empty_table()
        )

    def _fetched(self, hits: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """Yield the events of hits class by class, perhaps without columns that none of them has."""
        names: list[Any] = hits.column("n").to_pylist()
        for name in sorted(set(names)):
            mine = hits.filter(pc.equal(hits.column("n"), pa.scalar(name)))
            times: list[Any] = mine.column("t").to_pylist()
            uids: list[Any] = mine.column("u").to_pylist()
            low, high = min(times), max(times)
            relations = self._tables.relations({name}, low, high + 1)
            placed = self._placed(name, mine, relations[name])
            if placed is not None:
                everything = f"SELECT * EXCLUDE day FROM {quote(name)}"  # noqa: S608 - the lake's own name
                whole = self._asked({name: placed}, everything, [], _MANY)
                yield name, _of_uids(whole, mine.column("u"))
                continue
            which = "time BETWEEN ? AND ?"
            values: list[Any] = [low, high]
            if len(uids) <= _FEW:
                at = sorted(set(times))
                which += f" AND time IN ({', '.join('?' * len(at))}) AND list_contains(?, metadata.uid)"
                values += [*at, uids]
            else:
                relations[_HITS] = Relation(pa.schema([]), [], pa.table({"time": times, "uid": uids}))
                which += f" AND (time, metadata.uid) IN (SELECT (time, uid) FROM {_HITS})"  # noqa: S608 - our own name
            sql = f"SELECT * EXCLUDE day FROM {quote(name)} WHERE {which}"  # noqa: S608 - the lake's own name
            yield name, self._asked(relations, sql, values, len(uids))


def run(
    lake: Readable,
    text: str,
    *,
    now: int = 0,
    start: int | None = None,
    end: int | None = None,
    limit: int = 100,
    timeout: float = 60,
) -> list[Found]:
    """Return the newest ``limit`` events that match a query, newest first; see ``Search``.

    Raises UsageError for a query that makes rows of its own.
    """
    search = Search(lake, text, now=now, start=start, end=end, limits=Limits(limit, timeout))
    if not search.finds_events:
        raise UsageError("this query makes rows, not events", fix="leave out the stages that make rows")
    return [one for some in search.found() for one in some]


def instant(text: str, now: int) -> int:
    """Read a point in time: ISO 8601, or relative to ``now``: -24h, 24h, -1d@d. Raises InputError."""
    return instants.instant(text, now)


def check(text: str) -> Query:
    """Read a query; raises InputError that points to its column."""
    return pipes.parse(text)


def _filled(schema: pa.Schema, pieces: Sequence[Piece]) -> pa.Schema:
    """Return what of a schema any of these rows may have."""
    rows = [(one.path, one.ranges) for one in pieces if isinstance(one.path, Path)]
    if len(rows) < len(pieces):
        return schema  # in a bucket: a footer more to fetch
    try:
        return footers.filled(schema, rows)
    except OSError:  # it is told by who reads the file
        return schema


def _of_uids(table: Any, uids: Any) -> pa.Table:
    """Return the rows of a table with these uids."""
    column: Any = leaf(table, "metadata.uid")
    found: pa.Table = table.filter(pc.is_in(column, uids.combine_chunks()))
    return found


def _events_of(lake: Readable) -> dict[str, Snapshot]:
    """Return the tables of events of a lake, as they are at this moment."""
    return {name: one for name, one in lake.snapshots().items() if "class_uid" in one.schema.names}


def _headings(columns: Mapping[str, Column]) -> tuple[Heading, ...]:
    return tuple(Heading(name, column.kind, column.instant) for name, column in columns.items())


__all__ = [
    "CancelledError",
    "Found",
    "Handle",
    "Heading",
    "InputError",
    "Limits",
    "Search",
    "check",
    "instant",
    "run",
]
