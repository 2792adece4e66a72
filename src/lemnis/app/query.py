"""Search and SQL over a workspace's lake: for the command line, and for notebooks.

::

    from lemnis import app
    from lemnis.app import query

    workspace = app.open_workspace()
    table = query.rows(workspace, "class:authentication | stats count by user.name", since="-24h")
    events = query.events(workspace, "user.name:root", since="-24h", limit=10)

``rows`` gives an Arrow table, which pandas, polars and DuckDB take as it is (``table.to_pandas()``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lemnis import app
from lemnis.app import searches
from lemnis.contracts.errors import UsageError
from lemnis.store import search as searching
from lemnis.store.query import Handle
from lemnis.store.search import Limits, Search
from lemnis.store.searching import completing
from lemnis.store.searching.completing import Candidate, FieldInfo
from lemnis.store.searching.tree import Aggregate, Dedup, Eval, Query, Timechart, Where
from lemnis.store.searching.veils import Veil

LIMIT, TIMEOUT = 100, 60.0


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table that SQL can read: its rows, flushed or not, and its columns with their types."""

    name: str
    rows: int
    columns: dict[str, str]


def search(
    workspace: app.Workspace,
    text: str,
    *,
    since: str = "",
    until: str = "",
    limit: int = LIMIT,
    timeout: float = TIMEOUT,
    handle: Handle | None = None,
    veil: Veil | None = None,
    patience: float | None = None,
) -> Search:
    """Begin a search; ``text`` may name a saved one (``@NAME``, ``@NAME | stats count``).

    ``since`` and ``until`` are as ``store.search.instant`` reads; those of a saved search hold where they are
    not given. ``handle.cancel()`` ends it; it may rest after ``patience`` seconds. What ``veil`` hides is not
    found. Raises InputError that points
    into the query.
    """
    text, saved = searches.expand(workspace, text)
    return asked(
        workspace, text, since=since or saved.since, until=until or saved.until, limit=limit, timeout=timeout,
        handle=handle, veil=veil, patience=patience,
    )  # fmt: skip


def asked(
    workspace: app.Workspace, query: str | Query, *, since: str = "", until: str = "", limit: int = LIMIT,
    timeout: float = TIMEOUT, handle: Handle | None = None, veil: Veil | None = None,
    patience: float | None = None,
) -> Search:  # fmt: skip
    """Begin a search that names no saved one, as ``search`` does."""
    now = workspace.clock.now()
    return Search(
        app.events(workspace), query, now=now, start=_instant(since, now), end=_instant(until, now),
        limits=Limits(limit, timeout, patience=patience), handle=handle, veil=veil,
    )  # fmt: skip


def rows(
    workspace: app.Workspace, text: str, *, since: str = "", until: str = "", limit: int = 100_000,
    timeout: float = TIMEOUT,
) -> pa.Table:  # fmt: skip
    """Return the rows that a query makes (``stats``, ``top``, ``table`` …) as one table.

    Raises InputError that points into the query, UsageError for one that finds events, or takes too long.
    """
    found = search(workspace, text, since=since, until=until, limit=limit, timeout=timeout)
    if found.finds_events:
        raise UsageError("this query finds events, not rows", fix="add a stage such as `| table time, uid`")
    tables = list(found.tables())
    if tables:
        return pa.concat_tables(tables)
    return pa.schema([(one.name, one.kind) for one in found.headings]).empty_table()


def events(
    workspace: app.Workspace, text: str, *, since: str = "", until: str = "", limit: int = LIMIT,
    timeout: float = TIMEOUT,
) -> list[Mapping[str, Any]]:  # fmt: skip
    """Return the newest events that a query finds, as nested dictionaries without empty attributes.

    Raises InputError that points into the query, UsageError for one that makes rows, or takes too long.
    """
    found = search(workspace, text, since=since, until=until, limit=limit, timeout=timeout)
    if not found.finds_events:
        raise UsageError("this query makes rows, not events", fix="ask for `rows`")
    return [{**hit.event, **hit.more} for some in found.found() for hit in some]


def histogram(
    workspace: app.Workspace, text: str, *, since: str = "", until: str = "", bars: int = 60,
    timeout: float = TIMEOUT, handle: Handle | None = None, veil: Veil | None = None,
) -> list[tuple[int, int]]:  # fmt: skip
    """Return when the events of a query were: the beginnings of at most ``bars`` buckets (ms), with counts.

    Stages that make rows of events are left out.
    """
    text, saved = searches.expand(workspace, text)
    now = workspace.clock.now()
    asked = searching.check(text)
    kept = []
    for stage in asked.stages:
        if isinstance(stage, Where | Eval | Dedup):
            kept.append(stage)
        else:
            break
    chart = Timechart((Aggregate("count", None, "count", 1),), None, 0, 1, 1)
    found = Search(
        app.events(workspace), Query(asked.filter, (*kept, chart)), now=now, bars=bars, handle=handle,
        start=_instant(since or saved.since, now), end=_instant(until or saved.until, now),
        limits=Limits(10_000, timeout), veil=veil,
    )  # fmt: skip
    return [(row["time"], row["count"]) for table in found.tables() for row in table.to_pylist()]


def complete(
    workspace: app.Workspace, text: str, *, limit: int = 20, veil: Veil | None = None
) -> list[Candidate]:
    """Return what the last word of a query may become: fields, values, stages, saved searches."""
    if text.startswith("@") and " " not in text:
        named = [name for name in searches.names(workspace) if name.startswith(text[1:])]
        return [Candidate(f"@{name}", "saved") for name in named[:limit]]
    return completing.complete(app.events(workspace), text, now=workspace.clock.now(), limit=limit, veil=veil)


def last_word(text: str) -> str:
    """Return the end of a query that a candidate takes the place of."""
    return text if text.startswith("@") and " " not in text else completing.last_word(text)


def fields(workspace: app.Workspace, *, like: str = "", examples: bool = True) -> list[FieldInfo]:
    """Return the fields that the newest events have: types, how often they are filled, ``examples``."""
    return completing.fields(app.events(workspace), like=like, examples=examples)


def sql(workspace: app.Workspace, text: str, *, limit: int, timeout: float) -> pa.Table:
    """Run one SELECT and return at most ``limit`` rows; raises UsageError for anything that cannot be run."""
    return app.events(workspace).query(text, limit=limit, timeout=timeout)


def tables(workspace: app.Workspace) -> list[TableInfo]:
    """Return what SQL can read."""
    lake = app.events(workspace)
    found = []
    for name, schema in lake.schemas().items():
        count = lake.query(f'SELECT count(*) AS n FROM "{name}"').column("n")[0].as_py()  # noqa: S608 - own name
        found.append(TableInfo(name, int(count or 0), {field.name: str(field.type) for field in schema}))
    return found


def _instant(text: str, now: int) -> int | None:
    return searching.instant(text, now) if text else None
