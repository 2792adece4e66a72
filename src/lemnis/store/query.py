"""Read-only SQL over the lake: DuckDB in memory, one view a table, nothing else within its reach.

A view names the columns and types of its table, so no file is opened to find them: those without a row that
is asked for (by ``day``, or by what a ``Piece`` says) are never opened, and of the others only row groups.
``events`` is one scan over the files of all classes.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import TypeVar

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from lemnis.contracts.errors import IntegrityError, Location, UsageError
from lemnis.store import deadlines, spots
from lemnis.store.columns import conform, merge_schemas
from lemnis.store.databases import SETTINGS, Database, connect, lock
from lemnis.store.spots import Spot

EVENTS = "events"
MAX_SQL = 65_536
MAX_ANSWER = 2 << 30
"""So many bytes an answer may have: it is beyond the database's memory, and what bounds that."""
_BATCH, _MOST = 65_536, 2**62
_AGAIN = 100
"""So many files may go, one after the other, while a query is asked anew."""
Answer = TypeVar("Answer")
_COMMON: list[tuple[str, pa.DataType]] = [
    ("class_uid", pa.int64()), ("category_uid", pa.int64()), ("activity_id", pa.int64()),
    ("type_uid", pa.int64()), ("severity_id", pa.int32()), ("time", pa.int64()),
    ("status_id", pa.int64()), ("message", pa.string()),
    ("metadata", pa.struct([("uid", pa.string()), ("version", pa.string()), ("log_name", pa.string())])),
    ("raw_data", pa.string()), ("unmapped", pa.string()),
]  # fmt: skip
COMMON = pa.schema(_COMMON)
"""The columns that every class has, of which the view ``events`` is made; ``metadata`` has those of any."""
_DAY = "CAST(epoch_ms(time) AS DATE)"
_GROWS = re.compile(
    r"\b(repeat|[lr]pad|(list|array)_resize|range|generate_series|printf|format|bar|query)\b", re.IGNORECASE
)
_MOST_WIDE = 1_000_000
_PADS = tuple(
    f"CREATE MACRO {name}(string, width, filling) AS system.main.{name}(string, CASE WHEN width > "
    f"{_MOST_WIDE} THEN error('{name} to more than {_MOST_WIDE:,} characters') ELSE width END, filling)"
    for name in ("lpad", "rpad")
)
"""One value of theirs can be as large as a machine, and sees neither time nor handle while it is made."""
_AROUND = frozenset({("query", "("), ("query_table", "("), ("system", "."), ("pg_catalog", ".")})
"""Ways around them: SQL that is made of text, and the functions that they stand for."""
_UNFOLDED = "SET disabled_optimizers = 'expression_rewriter,statistics_propagation'"
"""Functions that make much of little are not worked out while a statement is planned: neither time nor memory
are bounded then."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a file: numbers in [first, last), counted from 0."""

    path: Spot
    ranges: tuple[tuple[int, int], ...]

    @property
    def rows(self) -> int:
        """How many they are."""
        return sum(last - first for first, last in self.ranges)


@dataclass(frozen=True, slots=True)
class Relation:
    """One table of the lake as a query sees it: its files, and the rows that are still in the spool.

    Files that DuckDB cannot open itself, on object storage, are a data set of Arrow's, in ``spooled``. With
    ``placed`` its view has two columns more, ``_file`` and ``_row``: where a row is; null in the spool.
    """

    schema: pa.Schema
    files: Sequence[Spot | Piece]
    spooled: pa.Table | ds.Dataset
    placed: bool = False

    def narrowed(self, sql: str) -> Relation:
        """Return it with the columns that a text names: to bind the others takes as long as a small query."""
        names = [name for name in self.schema.names if name in sql]
        schema = pa.schema([self.schema.field(name) for name in names])
        spooled = self.spooled.select(names) if isinstance(self.spooled, pa.Table) else self.spooled
        return replace(self, schema=schema, spooled=spooled)


def needed(sql: str, names: Sequence[str]) -> set[str]:
    """Return which of the tables ``names`` a query may need; raises UsageError unless it is one SELECT.

    Those that its text names: perhaps one too many, never one too few. ``events`` needs all of them, and so
    does a query that names none, because it may ask the catalogue.
    """
    if len(sql) > MAX_SQL:
        raise UsageError(
            f"the statement is longer than {MAX_SQL:,} characters: it could not be ended while it is planned",
            at=Location("<sql>"), fix="join a list of values, or ask in parts",
        )  # fmt: skip
    with closing(_reader().cursor()) as connection:
        _one_select(connection, sql)
    named = _named(sql, names)
    return named if named and EVENTS not in sql.lower() else set(names)


def _named(sql: str, names: Iterable[str]) -> set[str]:
    """Return those of the names that are in a text: perhaps one too many, never one too few."""
    text = sql.lower()
    return {name for name in names if name in text}


def run(
    relations: Mapping[str, Relation],
    sql: str,
    *,
    parameters: Sequence[object] = (),
    limit: int,
    timeout: float,
    memory: str = "2GB",
    handle: Handle | None = None,
    database: Database | None = None,
) -> pa.Table:
    """Run one SELECT and return at most ``limit`` rows.

    The query sees a view for each relation and ``events``, the common columns of all that have a
    ``class_uid``. It can read no file but theirs, change nothing and load nothing; it has ``timeout``
    seconds and ``memory``. Values go in by ``parameters``, for ``?``. A ``database`` that can read the files
    of the relations is used instead of a new one, and bounds the memory. Raises UsageError for anything
    but one valid SELECT, and for one that needs too much; CancelledError if ``handle`` was told to end it;
    GoneError if files were removed meanwhile.
    """
    try:
        with _opened(relations, sql, memory, database) as connection:
            statement = _one_select(connection, sql)
            with _limited(connection, timeout, handle or Handle()):
                answer = connection.sql(statement, params=list(parameters) or None)
                return _bounded(answer.limit(min(limit, _MOST)))
    except (UsageError, duckdb.IOException, duckdb.PermissionException) as error:
        files = (_path(file) for relation in relations.values() for file in relation.files)
        gone = next((file for file in files if not file.exists()), None)
        if gone is None:
            raise
        raise GoneError(gone) from error


def _bounded(answer: duckdb.DuckDBPyRelation) -> pa.Table:
    """Return what a query gives; raises UsageError where that is too large to be had at once."""
    reader, parts, size = answer.to_arrow_reader(_BATCH), list[pa.RecordBatch](), 0
    try:
        for part in reader:
            parts.append(part)
            size += part.nbytes
            if size > MAX_ANSWER:
                raise UsageError(
                    f"the answer is larger than {MAX_ANSWER >> 20:,} MB",
                    fix="select fewer columns or rows, or count them",
                )
    except (OSError, pa.ArrowInvalid) as error:  # so Arrow tells what the database has against a later batch
        kinds = {"INTERRUPT": duckdb.InterruptException, "Out of Memory": duckdb.OutOfMemoryException}
        kind = next((one for name, one in kinds.items() if name in str(error)), duckdb.Error)
        raise kind(str(error)) from error
    return pa.Table.from_batches(parts, schema=reader.schema)


def anew(ask: Callable[[], Answer]) -> Answer:
    """Ask again where files went while it was asked: what took them left a newer version of the table.

    Raises GoneError if a file that is missing is in the newer version, too.
    """
    missing: set[str] = set()
    while True:
        try:
            return ask()
        except GoneError as gone:
            if gone.file in missing or len(missing) >= _AGAIN:
                raise
            missing.add(gone.file)


@cache
def _reader() -> duckdb.DuckDBPyConnection:
    """Return what reads statements, and runs none."""
    return connect(SETTINGS)


@contextmanager
def _opened(
    relations: Mapping[str, Relation], sql: str, memory: str, database: Database | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database of nothing but views of these relations, of those that a query names, and lock it."""
    if database is not None and not _GROWS.search(sql):
        with closing(database.cursor()) as connection:
            _views(connection, relations, sql, kind="TEMP VIEW")
            yield connection
        return
    with closing(connect({**SETTINGS, "memory_limit": memory})) as connection:
        files = {_path(file) for relation in relations.values() for file in relation.files}
        spots.attach(connection, files)
        _views(connection, relations, sql)
        if _GROWS.search(sql):
            connection.execute(_UNFOLDED)
            for pad in _PADS:
                connection.execute(pad)
        lock(connection, files)
        yield connection


def _views(
    connection: duckdb.DuckDBPyConnection, relations: Mapping[str, Relation], sql: str, kind: str = "VIEW"
) -> None:
    """Make views of the relations that a query names; of all if it names none."""
    named = _named(sql, [*relations, EVENTS]) or {*relations, EVENTS}
    for name in relations.keys() & named:
        relation = relations[name]
        scan = _scan(connection, name, relation.spooled, relation.files, placed=relation.placed)
        connection.execute(f'CREATE {kind} "{name}" AS {scan}')
    if EVENTS in named:
        connection.execute(f"CREATE {kind} {EVENTS} AS {_events(connection, relations)}")


class CancelledError(Exception):
    """A query was ended by its handle."""


class GoneError(IntegrityError):
    """A file that a query needed was removed: by retention, or by compaction after its history."""

    def __init__(self, file: Spot) -> None:
        """``file`` is the one that is gone."""
        self.file = str(file)
        super().__init__(
            "a file of the lake went while it was read", at=Location(self.file),
            fix="ask again; if it is gone still, `lemnis lake check` says what is missing",
        )  # fmt: skip


class Handle:
    """Ends queries, from another thread or from a signal's handler: those that run, and all later ones."""

    def __init__(self) -> None:
        """Nothing is cancelled yet."""
        self.cancelled = False
        self._lock = threading.RLock()
        self._connections: list[duckdb.DuckDBPyConnection] = []

    def cancel(self) -> None:
        """End what runs."""
        with self._lock:
            self.cancelled = True
            for connection in self._connections:
                connection.interrupt()

    @contextmanager
    def over(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Be the handle of what runs on a connection in the block; raises CancelledError."""
        with self._lock:
            if self.cancelled:
                raise CancelledError
            self._connections.append(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.remove(connection)


@contextmanager
def _limited(connection: duckdb.DuckDBPyConnection, timeout: float, handle: Handle) -> Iterator[None]:
    """Interrupt what runs in the block after ``timeout`` seconds; say what DuckDB has against it."""
    expired = threading.Event()

    def stop() -> None:
        expired.set()
        connection.interrupt()

    try:
        with deadlines.before(timeout, stop), handle.over(connection):
            yield
    except duckdb.InterruptException as error:
        if not expired.is_set():
            raise CancelledError from error
        raise UsageError(
            f"the query took longer than {timeout:g} s",
            fix="narrow the time range, or allow more with --timeout",
        ) from error
    except duckdb.OutOfMemoryException as error:
        raise UsageError(
            "the query needs more memory than it may have",
            fix="select fewer columns, or a narrower time range",
        ) from error
    except duckdb.Error as error:
        raise _refused(error) from error


def _one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return the text of the one SELECT that ``sql`` is; raises UsageError for anything else."""
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise _refused(error) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError("only one SELECT can be run", at=Location("<sql>"), fix="the lake is read-only")
    words = _words(sql)
    if any(pair in _AROUND for pair in pairwise(words)):
        raise UsageError(
            "functions of the system's catalogue, and queries made of text, cannot be called",
            at=Location("<sql>"), fix="name the function alone, or write the query out",
        )  # fmt: skip
    return str(statements[0].query)


def _words(sql: str) -> list[str]:
    """Return the words and signs of a statement, in small letters, without its texts and comments."""
    tokens, raw = duckdb.tokenize(sql), sql.encode()
    bounds = [*(place for place, _ in tokens), len(raw)]
    left_out = {duckdb.token_type.string_const, duckdb.token_type.comment}
    return [
        raw[low:high].decode(errors="replace").strip().strip('"').lower()
        for (low, high), (_, kind) in zip(pairwise(bounds), tokens, strict=True)
        if kind not in left_out
    ]


def _events(connection: duckdb.DuckDBPyConnection, relations: Mapping[str, Relation]) -> str:
    """Return the SELECT of ``events``: of all relations that hold events, one scan over all their files."""
    there = {name: one for name, one in relations.items() if "class_uid" in one.schema.names}
    schema, tables = COMMON, list[pa.Table]()
    scans: list[str] = []
    for name, relation in there.items():
        if "metadata" in relation.schema.names:
            schema = merge_schemas(schema, pa.schema([relation.schema.field("metadata")]))
        columns = [column for column in COMMON.names if column in relation.schema.names]
        if isinstance(relation.spooled, pa.Table):
            tables.append(relation.spooled.select(columns))
        else:
            memory = f"{EVENTS}__{name}"
            connection.register(memory, relation.spooled)
            scans.append(f'SELECT {", ".join(columns)}, {_DAY} AS day FROM "{memory}"')  # noqa: S608 - own names
    spooled = pa.concat_tables([schema.empty_table(), *(conform(table, schema) for table in tables)])
    files = [file for one in there.values() for file in one.files]
    scans.insert(0, _scan(connection, EVENTS, spooled, files))
    return " UNION ALL BY NAME ".join(scans)


def _scan(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    spooled: pa.Table | ds.Dataset,
    files: Sequence[Spot | Piece],
    *,
    placed: bool = False,
) -> str:
    """Return the SELECT of the rows in the spool and in files, of the spooled ones' schema, and their day."""
    columns = _types(spooled.schema)
    nowhere = ", CAST(NULL AS VARCHAR) AS _file, CAST(NULL AS BIGINT) AS _row" if placed else ""
    parts = list[str]()
    read = partial(_read, columns=columns, placed=placed)
    whole: dict[bool, list[Spot]] = {True: [], False: []}
    for file in files:
        if not isinstance(file, Piece):
            whole[_by_day(file)].append(file)
        elif file.ranges:
            parts.append(read([file.path], by_day=_by_day(file.path), ranges=file.ranges))
    parts += [read(paths, by_day=by_day) for by_day, paths in whole.items() if paths]
    if not parts or not isinstance(spooled, pa.Table) or spooled.num_rows:
        memory = f"{name}__spooled"
        connection.register(memory, spooled)
        parts.insert(0, f'SELECT *, {_DAY} AS day{nowhere} FROM "{memory}"')  # noqa: S608 - the lake's own name
    return " UNION ALL ".join(parts)


@lru_cache(maxsize=256)
def _types(schema: pa.Schema) -> Mapping[str, str]:
    """Return the columns of a schema with the types that they have in DuckDB."""
    with closing(_reader().cursor()) as connection:
        about = connection.from_arrow(schema.empty_table())
        return dict(zip(about.columns, map(str, about.types), strict=True))


def _read(
    paths: Sequence[Spot],
    columns: Mapping[str, str],
    *,
    by_day: bool,
    ranges: Sequence[tuple[int, int]] = (),
    placed: bool = False,
) -> str:
    """Return the SELECT of some columns of files; what a file lacks, nested too, is null."""
    files = ", ".join(_text(str(path)) for path in paths)
    types = ", ".join(
        f"{_text(name)}: {{name: {_text(name)}, type: {_text(kind)}, default_value: NULL}}"
        for name, kind in columns.items()
    )
    options = [
        "hive_partitioning = true, hive_types = {day: DATE}" if by_day else "hive_partitioning = false"
    ]
    options += ["file_row_number = true"] if ranges or placed else []
    names = ", ".join(_name(name) for name in columns)
    select = (
        f"SELECT {names}, {'day' if by_day else f'{_DAY} AS day'}"  # noqa: S608 - own names and files, quoted
        f"{', filename AS _file, file_row_number AS _row' if placed else ''} "
        f"FROM read_parquet([{files}], schema = MAP {{{types}}}, {', '.join(options)})"
    )
    rows = " OR ".join(f"file_row_number BETWEEN {first} AND {last - 1}" for first, last in ranges)
    return f"{select} WHERE {rows}" if ranges else select


def _by_day(path: Spot) -> bool:
    """Say whether a file's folder gives its day, and no other column; then DuckDB skips it by that."""
    return [part[:4] for part in path.parts if "=" in part] == ["day="]


def _path(file: Spot | Piece) -> Spot:
    return file.path if isinstance(file, Piece) else file


def _name(name: str) -> str:
    """Return a column's name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    """Return a text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def _refused(error: duckdb.Error) -> UsageError:
    """Say in one line what DuckDB has against a query."""
    first = str(error).strip().splitlines()[0]
    return UsageError(first, at=Location("<sql>"), fix="`lemnis sql` without a query lists the tables")
