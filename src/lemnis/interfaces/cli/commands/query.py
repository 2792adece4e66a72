"""``lemnis search`` and ``lemnis sql``: questions to the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

import typer

from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, emit, show_table, warn

_WIDTH = 160
_TEXTS = ("message", "raw_data", "unmapped")
TimeoutOption = Annotated[float, typer.Option(min=0.1, help="Seconds after which the query is stopped.")]


def register(app: typer.Typer) -> None:
    """Add the commands that ask the lake."""
    app.command("search")(search)
    app.command("sql")(sql)


def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Words and field:value; see below.")] = "",
    since: Annotated[str, typer.Option(help="From then on: a time, or a span back (15m, 24h, 7d).")] = "",
    until: Annotated[str, typer.Option(help="Before then: a time, or a span back.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 100,
    timeout: TimeoutOption = 60,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Find events, newest first; with --json one object a line: `uid`, `time` (ms), `class`, `event`.

    A word is looked for in message, raw record and unmapped fields. A field is given by its path or the end
    of it: user.name:root, process.name:*sh, dst_endpoint.port:>=1024, time:[2024-05-01 TO 2024-05-02],
    actor.user.uid:* (has a value); also source:, class:, severity:, uid:. Terms are joined by AND, OR, NOT
    and parentheses; quotes make a phrase.

    Example: lemnis search "source:linux_audit cmd_line:*curl* NOT severity:low" --since 24h
    """
    from lemnis import app
    from lemnis.app import query as asking

    opened = app.open_workspace(workspace)
    found = asking.search(opened, query, since=since, until=until, limit=limit, timeout=timeout)
    if json:
        for hit in found:
            emit({"uid": hit.uid, "time": hit.time, "class": hit.class_name, "event": plain(hit.event)})
        return
    rows = ((to_iso(h.time), f"{h.class_name}\n{_source(h.event)}", _summary(h.event), h.uid) for h in found)
    show_table(f"{len(found)} events", ("time", "class, source", "what", "uid"), rows)


def sql(
    query: Annotated[str, typer.Argument(metavar="SELECT", help="One SELECT; none lists the tables.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many rows at most.")] = 1000,
    timeout: TimeoutOption = 60,
    as_of: Annotated[
        str, typer.Option(metavar="TIME|VERSION", help="The tables as they were at a time, or at a version.")
    ] = "",
    partly: Annotated[
        bool, typer.Option("--partly", help="With --as-of: go without days that are no longer there.")
    ] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Run one SELECT (DuckDB's SQL) over the lake, read-only; with --json one object a row.

    There is a table for each OCSF class that has events, `events` with the columns common to all, and
    `rejects`. `time` is in milliseconds since 1970, UTC; `day` is its date. --as-of asks the tables as they
    were at a time (2026-05-01T12:00:00Z, 24h), or at a version (`lemnis lake history` lists them) where the
    query needs one table; what was only in the spool then is not seen.

    Example: lemnis sql "SELECT day, class_uid, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL"
    """
    from lemnis import app
    from lemnis.app import query as asking

    opened = app.open_workspace(workspace)
    if not query.strip():
        tables = asking.tables(opened)
        if json:
            for table in tables:
                emit(asdict(table))
        else:
            rows = ((t.name, t.rows, ", ".join(t.columns)) for t in tables)
            show_table("tables", ("name", "rows", "columns"), rows)
        return
    if as_of:
        from lemnis.app import lake_keeping

        then = lake_keeping.sql_as_of(opened, query, as_of, limit=limit + 1, timeout=timeout, partly=partly)
        answer = then.table
        for gone in then.missing:
            warn(f"{gone} is no longer as it was, and not in the answer")
    else:
        answer = asking.sql(opened, query, limit=limit + 1, timeout=timeout)
    rows_of_answer = answer.slice(0, limit).to_pylist()
    if json:
        for row in rows_of_answer:
            emit(plain(row))
    else:
        shown = ([_cell(value) for value in row.values()] for row in rows_of_answer)
        show_table(f"{len(rows_of_answer)} rows", answer.column_names, shown)
    if answer.num_rows > limit:
        warn(f"there are more than {limit} rows; --limit shows more")


def plain(value: Any) -> Any:
    """Return a value of the lake as JSON knows it: bytes as text, whole decimals as numbers."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Decimal) and value == value.to_integral_value() and abs(value) < 2**63:
        return int(value)
    return value


def _cell(value: Any) -> str:
    return "" if value is None else str(plain(value))


def _source(event: Mapping[str, Any]) -> str:
    return str(event.get("metadata", {}).get("log_name", ""))


def _summary(event: Mapping[str, Any]) -> str:
    text = next((str(event[name]) for name in _TEXTS if event.get(name)), "")
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
