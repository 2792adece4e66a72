"""``lemnis search`` and ``lemnis sql``: questions to the lake."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import LemnisError
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    report,
    show_table,
    warn,
)

if TYPE_CHECKING:
    from lemnis.app import Workspace
    from lemnis.store.query import Handle
    from lemnis.store.search import Found, Search

_LIMIT, _FILE_LIMIT = 100, 1_000_000
_STOPPED = 130
_OFFERED = 60
_HARMLESS = re.compile(r"[\w.@:/+,=%-]+", re.ASCII)
TimeoutOption = Annotated[float, typer.Option(min=0.1, help="Seconds after which the query is stopped.")]


def completed(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return what a query that is being typed may become, for the shell: each whole, with what it is.

    Values are what somebody wrote into a log: none is offered that a shell would take for more than text.
    """
    from lemnis import app
    from lemnis.app import query as asking

    try:
        opened = app.open_workspace(context.params.get("workspace"))
        found = asking.complete(opened, incomplete, limit=_OFFERED)
    except (LemnisError, OSError):  # what is printed here would stand in the middle of the line
        return []
    head = incomplete[: len(incomplete) - len(asking.last_word(incomplete))]
    return [(head + one.text, one.kind) for one in found if _HARMLESS.fullmatch(one.text)]


def register(app: typer.Typer) -> None:
    """Add the commands that ask the lake."""
    app.command("search")(search)
    app.command("sql")(sql)


def search(
    query: Annotated[
        str,
        typer.Argument(metavar="QUERY", help="A query, or @NAME of a saved one.", autocompletion=completed),
    ] = "",
    since: Annotated[str, typer.Option(help="From then on: a time, or relative (-24h, 24h, -1d@d).")] = "",
    until: Annotated[str, typer.Option(help="Before then: a time, or relative.")] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, max=10_000_000, help="How many at most: 100, in a file 1,000,000.")
    ] = None,
    timeout: TimeoutOption = 60,
    output: Annotated[
        Path | None, typer.Option(help="Write all to a file: .parquet, .json, .ndjson or .csv.")
    ] = None,
    histogram: Annotated[bool, typer.Option("--histogram", help="Show when the events were.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Show the raw records.")] = False,
    fields: Annotated[bool, typer.Option("--fields", help="List the fields whose path holds QUERY.")] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="List what the last word of QUERY may become.")
    ] = False,
    save: Annotated[str, typer.Option(metavar="NAME", help="Save the query, to be asked as @NAME.")] = "",
    saved: Annotated[bool, typer.Option("--saved", help="List the saved searches.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Find events, newest first, as they are found; with --json one object a line.

    An event has `uid`, `time` (ms), `class`, `event`; stages such as stats make rows of their own columns.
    docs/search.md describes the language: words, field:value, ranges, wildcards, /expressions/, networks,
    AND, OR, NOT, and stages after | (stats, timechart, top, rare, dedup, sort, head, fields, where, eval,
    join). Ctrl-C ends a search; what was found until then is shown, and the exit code is 130.

    Example: lemnis search "source:linux_audit cmd_line:*curl* NOT severity:low" --since 24h
    """
    from lemnis import app

    opened = app.open_workspace(workspace)
    if saved:
        _saved(opened, json=json)
    elif save:
        _save(opened, save, query, since, until, json=json)
    elif complete or fields:
        _known(opened, query, fields=fields, json=json)
    elif output is not None:
        _export(opened, query, since, until, limit or _FILE_LIMIT, timeout, output, json=json)
    elif histogram:
        _histogram(opened, query, since, until, timeout, json=json)
    else:
        with _ended() as handle:
            _search(opened, query, since, until, limit or _LIMIT, timeout, handle, raw=raw, json=json)


def _search(
    workspace: Workspace, query: str, since: str, until: str, limit: int, timeout: float, handle: Handle, *,
    raw: bool, json: bool,
) -> None:  # fmt: skip
    """Show what a search finds; as JSON or raw, while it is found."""
    from lemnis.app import query as asking
    from lemnis.app.searches_export import objects
    from lemnis.interfaces.cli import search_view as view

    found = asking.search(
        workspace, query, since=since, until=until, limit=limit, timeout=timeout, handle=handle
    )
    if json:
        for one in objects(found, plain):
            emit(one)
            sys.stdout.flush()
    elif not found.finds_events:
        rows = [plain(row) for table in found.tables() for row in table.to_pylist()]
        view.show_rows(rows, found.headings)
    elif raw:
        for some in found.found():
            view.show_raw(some)
    else:
        with _shown_at_last(found) as hits:
            for some in found.found():
                hits.extend(some)
    if found.cancelled:
        warn(f"stopped: what was found until then is shown{_until(found.reached)}")
        raise typer.Exit(_STOPPED)
    if found.more:
        warn(f"there may be more than {limit}; --limit shows more")


@contextmanager
def _shown_at_last(found: Search) -> Iterator[list[Found]]:
    """Gather events for one table, and show it also where the search fails on its way."""
    from lemnis.interfaces.cli import search_view as view

    hits: list[Found] = []
    try:
        yield hits
    except LemnisError:
        if hits:
            view.show_events(hits, found.headings)
        raise
    view.show_events(hits, found.headings)


@contextmanager
def _ended() -> Iterator[Handle]:
    """Let Ctrl-C end a search instead of the command."""
    from lemnis.store.query import Handle

    handle = Handle()
    if threading.current_thread() is not threading.main_thread():
        yield handle
        return
    before = signal.signal(signal.SIGINT, lambda *_: handle.cancel())
    try:
        yield handle
    finally:
        signal.signal(signal.SIGINT, before)


def _until(reached: int | None) -> str:
    return "" if reached is None else f", back to {to_iso(reached)}"


def _export(
    workspace: Workspace, query: str, since: str, until: str, limit: int, timeout: float, output: Path, *,
    json: bool,
) -> None:  # fmt: skip
    from lemnis.app import query as asking
    from lemnis.app.searches_export import export
    from lemnis.store.query import CancelledError

    with _ended() as handle:
        found = asking.search(
            workspace, query, since=since, until=until, limit=limit, timeout=timeout, handle=handle
        )
        try:
            count = export(found, output, plain)
        except CancelledError:
            warn("stopped: no file was written")
            raise typer.Exit(_STOPPED) from None
    if json:
        emit({"file": str(output), "rows": count, "more": found.more})
    else:
        console.print(f"{counted(count, 'row')} in {output}")
    if found.more:
        warn(f"there may be more than {limit}; --limit writes more")


def _histogram(
    workspace: Workspace, query: str, since: str, until: str, timeout: float, *, json: bool
) -> None:
    from lemnis.app import query as asking
    from lemnis.interfaces.cli import search_view as view

    with _ended() as handle:
        width = max(20, min(console.width - 2, 120))
        bars = asking.histogram(
            workspace, query, since=since, until=until, bars=width, timeout=timeout, handle=handle
        )
    if json:
        for time, count in bars:
            emit({"time": time, "count": count})
    else:
        view.show_histogram(bars)


def _known(workspace: Workspace, query: str, *, fields: bool, json: bool) -> None:
    """List candidates, or fields."""
    from lemnis.app import query as asking
    from lemnis.interfaces.cli import search_view as view

    if fields:
        there = asking.fields(workspace, like=query.strip())
        if json:
            for field in there:
                emit(asdict(field))
        else:
            columns = ("field", "type", "filled", "examples", "classes")
            show_table(counted(len(there), "field"), columns, view.field_rows(there))
        return
    found = asking.complete(workspace, query)
    if json:
        for one in found:
            emit(asdict(one))
    else:
        show_table(counted(len(found), "candidate"), ("text", "kind", "events"), view.candidate_rows(found))


def _saved(workspace: Workspace, *, json: bool) -> None:
    """List saved searches; those that cannot be read are told, and make the exit code 2."""
    from lemnis import app
    from lemnis.app import searches

    found, wrong = searches.every(app.library(workspace))
    if json:
        for one in found:
            about = one.search.model_dump(exclude_none=True)
            emit({"name": one.name, "own": one.own, "file": str(one.path), **about})
    else:
        rows = (
            (one.name, one.search.title, one.search.query, "yes" if one.search.schedule else "")
            for one in found
        )
        show_table(counted(len(found), "saved search"), ("name", "title", "query", "scheduled"), rows)
    for error in wrong:
        report(error)
    if wrong:
        raise typer.Exit(2)


def _save(workspace: Workspace, name: str, query: str, since: str, until: str, *, json: bool) -> None:
    from lemnis.app import searches

    path = searches.save(workspace, name, query, since=since, until=until)
    if json:
        emit({"name": name, "file": str(path)})
    else:
        console.print(f"{path}; ask it as @{name}")


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
            from lemnis.interfaces.cli.search_view import table_row

            rows = ((table_row(t.name), t.rows, ", ".join(t.columns)) for t in tables)
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
        from lemnis.interfaces.cli import search_view

        shown = [[_cell(value) for value in row.values()] for row in rows_of_answer]
        search_view.show_answer(answer.column_names, shown)
    if answer.num_rows > limit:
        warn(f"there are more than {counted(limit, 'row')}; --limit shows more")


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
