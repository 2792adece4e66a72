"""Search and SQL over a workspace's lake."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from lemnis import app
from lemnis.store import search as searching
from lemnis.store.search import Found


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table that SQL can read: its rows, flushed or not, and its columns with their types."""

    name: str
    rows: int
    columns: dict[str, str]


def search(
    workspace: app.Workspace, text: str, *, since: str = "", until: str = "", limit: int, timeout: float
) -> list[Found]:
    """Return the newest events that match a query; ``since`` and ``until`` as ``store.search.instant`` reads.

    Raises InputError that points into the query, UsageError if it takes longer than ``timeout`` seconds.
    """
    now = workspace.clock.now()
    start = searching.instant(since, now) if since else None
    end = searching.instant(until, now) if until else None
    return searching.run(app.lake(workspace), text, start=start, end=end, limit=limit, timeout=timeout)


def sql(workspace: app.Workspace, text: str, *, limit: int, timeout: float) -> pa.Table:
    """Run one SELECT and return at most ``limit`` rows; raises UsageError for anything that cannot be run."""
    return app.lake(workspace).query(text, limit=limit, timeout=timeout)


def tables(workspace: app.Workspace) -> list[TableInfo]:
    """Return what SQL can read."""
    lake = app.lake(workspace)
    found = []
    for name, schema in lake.schemas().items():
        rows = lake.query(f'SELECT count(*) AS n FROM "{name}"').column("n")[0].as_py()  # noqa: S608 - own name
        found.append(TableInfo(name, rows, {field.name: str(field.type) for field in schema}))
    return found
