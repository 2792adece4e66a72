"""Read-only SQL over a cluster's lake: DuckDB in memory over data sets that Arrow reads from the storage.

DuckDB asks Arrow for the columns and rows that it needs, and has access to nothing else: no file, no network.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from lemnis.contracts.errors import Location, UsageError

EVENTS = "events"
_COMMON = (
    "class_uid", "category_uid", "activity_id", "type_uid", "severity_id", "time", "status_id", "message",
    "metadata", "raw_data", "unmapped",
)  # fmt: skip
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False, "autoload_known_extensions": False,
    "python_enable_replacements": False, "temp_directory": "", "memory_limit": "2GB",
}  # fmt: skip
_LOCKS = ("SET enable_external_access = false", "SET lock_configuration = true")
_DAY = "CAST(epoch_ms(time) AS DATE) AS day"


def run(
    tables: Mapping[str, ds.Dataset | pa.Table], sql: str, *, parameters: Sequence[object] = (), limit: int,
    timeout: float,
) -> pa.Table:  # fmt: skip
    """Run one SELECT over these tables and ``events``, which is all that have a ``class_uid``.

    Returns at most ``limit`` rows. Raises UsageError for anything but one valid SELECT, and for one that
    takes longer than ``timeout`` seconds or needs too much memory.
    """
    with closing(duckdb.connect(config=_SETTINGS)) as connection:
        statement = _one_select(connection, sql)
        events = []
        for name, table in tables.items():
            held = f"{name}__held"
            connection.register(held, table)
            connection.execute(f'CREATE VIEW "{name}" AS SELECT *, {_DAY} FROM "{held}"')  # noqa: S608 - own
            if "class_uid" in table.schema.names:
                there = ", ".join(column for column in _COMMON if column in table.schema.names)
                events.append(f'SELECT {there}, day FROM "{name}"')  # noqa: S608 - the lake's own names
        if events:
            connection.execute(f"CREATE VIEW {EVENTS} AS " + " UNION ALL BY NAME ".join(events))
        for lock in _LOCKS:
            connection.execute(lock)
        with _limited(connection, timeout):
            answer = connection.sql(statement, params=list(parameters) or None)
            return pa.table(answer.limit(limit).to_arrow_table())


def needed(sql: str, names: Sequence[str]) -> set[str]:
    """Return which of the tables a query may need: those that its text names, or all."""
    text = sql.lower()
    named = {name for name in names if name in text}
    return named if named and EVENTS not in text else set(names)


def _one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise _refused(error) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError("only one SELECT can be run", at=Location("<sql>"), fix="the lake is read-only")
    return str(statements[0].query)


@contextmanager
def _limited(connection: duckdb.DuckDBPyConnection, timeout: float) -> Iterator[None]:
    """Interrupt what runs in the block after a while; say what DuckDB has against it."""
    timer = threading.Timer(timeout, connection.interrupt)
    timer.start()
    try:
        yield
    except duckdb.InterruptException as error:
        raise UsageError(
            f"the query took longer than {timeout:g} s",
            fix="narrow the time range, or allow more with --timeout",
        ) from error
    except duckdb.Error as error:
        raise _refused(error) from error
    finally:
        timer.cancel()
        timer.join()


def _refused(error: duckdb.Error) -> UsageError:
    """Say in one line what DuckDB has against a query."""
    first = str(error).strip().splitlines()[0]
    return UsageError(first, at=Location("<sql>"), fix="`lemnis sql` without a query lists the tables")
