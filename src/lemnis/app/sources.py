"""The sources of a workspace: which there are, whether their mappings hold, whether they speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lemnis import app
from lemnis.app.source_tests import check, normalise, samples
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.ingest.sources import Sources

__all__ = ["Health", "SourceInfo", "check", "health", "listing", "normalise"]
_SILENT_AFTER = 24 * 3_600_000
_AHEAD = 86_400_000


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """One source: what it is, which OCSF classes its records become, which Sigma log sources they are."""

    name: str
    title: str
    vendor: str
    product: str
    classes: tuple[str, ...]
    samples: int
    parser: str
    own: bool
    sigma: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """How a source does: its newest event (ms), how long ago that was, and its rejects."""

    name: str
    events: int
    last: int | None
    lag: int | None
    rejects: int
    silent: bool
    reasons: Mapping[str, int] = field(default_factory=dict)


def listing(library: Library) -> list[SourceInfo]:
    """Return every source that can be read; raises ContentError for the first that is wrong."""
    sources = Sources.load(library)
    if sources.problems:
        raise sources.problems[0]
    items = library.items("sources")
    return [
        SourceInfo(
            name, one.file.title, one.file.vendor, one.file.product,
            tuple(sorted({entry.class_ for entry in one.mapping.events})), len(samples(one)), one.file.parser,
            items[name].own, routes(one),
        )
        for name, one in sources.by_name.items()
    ]  # fmt: skip


def routes(source: LoadedSource) -> tuple[str, ...]:
    """Return the Sigma log sources of a source, each as ``product/category/service`` without what is open."""
    found: dict[str, None] = {}
    for route in source.file.sigma.routes:
        parts = ("|".join(part) for part in (route.product, route.category, route.service) if part)
        found["/".join(parts)] = None
    return tuple(found)


def health(workspace: app.Workspace, *, silent_after: int = _SILENT_AFTER) -> list[Health]:
    """Return how each source does that the lake has events, rejects or cursors of.

    Events from the future (a clock that is wrong, a record that lies) do not hide that a source is silent:
    the newest is the newest up to a day from now.
    """
    lake = app.lake(workspace)
    now = workspace.clock.now()
    names = set(lake.schemas())
    found: dict[str, tuple[int, int | None]] = {}
    if names - {"rejects"}:
        rows = lake.query(
            "SELECT metadata.log_name AS name, count(*) AS n, max(time) FILTER (time <= ?) AS last "
            "FROM events GROUP BY ALL",
            parameters=[now + _AHEAD],
            limit=10_000,
        ).to_pylist()
        found = {row["name"] or "": (row["n"], row["last"]) for row in rows}
    reasons: dict[str, dict[str, int]] = {}
    if "rejects" in names:
        sql = (
            "SELECT metadata.log_name AS name, split_part(reason, ':', 1) AS reason, count(*) AS n "
            "FROM rejects GROUP BY ALL ORDER BY n DESC"
        )
        for row in lake.query(sql, limit=10_000).to_pylist():
            reasons.setdefault(row["name"] or "", {})[row["reason"]] = row["n"]
    every = found.keys() | reasons.keys() | {cursor.source for cursor in lake.cursors()}
    return [
        _health(name, found.get(name, (0, None)), reasons.get(name, {}), now, silent_after)
        for name in sorted(every)
    ]


def _health(
    name: str, events: tuple[int, int | None], reasons: Mapping[str, int], now: int, silent_after: int
) -> Health:
    count, last = events
    lag = None if last is None else max(0, now - last)
    silent = lag is None or lag > silent_after
    return Health(name, count, last, lag, sum(reasons.values()), silent, reasons)
