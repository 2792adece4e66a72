"""Sources: how much they send, how late, what was not taken, which are silent and what that blinds."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import watching
from lemnis.app.watching import Watched
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.watching import ALL
from lemnis.ingest.health import Health
from lemnis.interfaces.web import asking, drawing, site
from lemnis.interfaces.web.asking import Column
from lemnis.interfaces.web.keeping import Kept

FRESH_S, DEPLOYS_S = 15.0, 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """A source as a line."""

    name: str
    state: str
    learning: bool
    rate: float
    usual: str
    spark: Markup
    p50: int | None
    p99: int | None
    last: int | None
    age: int | None
    events: int
    rejected: float
    blind: int
    why: tuple[str, ...]


COLUMNS: tuple[Column[Row], ...] = (
    Column("name", "Source", lambda row: row.name),
    Column("state", "State", lambda row: (row.state == "living", row.state)),
    Column("rate", "An hour", lambda row: row.rate, up=False, numeric=True),
    Column("lag", "Lag, median / 99 %", lambda row: row.p99 or -1, up=False, numeric=True),
    Column("rejected", "Rejected", lambda row: row.rejected, up=False, numeric=True),
    Column("blind", "Blind rules", lambda row: row.blind, up=False, numeric=True),
    Column("last", "Newest", lambda row: row.last or 0, up=False),
)


def row(one: Watched, now: int) -> Row:
    """Return a source as a line. Pure."""
    health, band = one.health, one.health.band
    usual = "" if band is None else f"{band.low:,.0f} to {band.high:,.0f}"
    return Row(
        health.source,
        one.state,
        health.learning,
        health.rate,
        usual,
        drawing.spark(health.spark, label=f"events of {health.source} in each of the last 24 hours"),
        health.lag.p50,
        health.lag.p99,
        health.last,
        None if health.last is None else max(0, now - health.last),
        health.events,
        health.rejected,
        sum(not blind.elsewhere for blind in one.blind),
        one.why,
    )


def watched_by(here: site.Site) -> watching.Rules:
    """Return what is known of rules and deploys: who looks again reads only what is new of the lake."""
    found: watching.Rules | None = here.once.get("rules-of-sources")
    if found is None:
        made = watching.Rules(here.workspace, every_s=DEPLOYS_S)
        found = here.once.setdefault("rules-of-sources", made)
    return found


def whole(here: site.Site) -> dict[str, Health]:
    """Return how each source does that ever spoke, some seconds old at most; nothing is written down."""
    rules = watched_by(here)
    kept: Kept[dict[str, Health]] = here.once.setdefault(
        "whole-sources", Kept(lambda: watching.whole_sources(here.workspace, rules=rules), FRESH_S)
    )
    return kept.get()


def look(here: site.Site) -> list[Watched]:
    """Return how the sources do, some seconds old at most."""
    rules = watched_by(here)
    kept: Kept[list[Watched]] = here.once.setdefault(
        "sources", Kept(lambda: watching.look(here.workspace, rules=rules), FRESH_S)
    )
    return kept.get()


def page(request: Request) -> Response:
    """Show all sources."""
    here = site.at(request)
    now = here.workspace.clock.now()
    how = asking.asked(request.query_params, ("q",), sort="state")
    found = [row(one, now) for one in look(here) if one.health.host == ALL]
    some = [one for one in found if how.of("q").lower() in one.name.lower()]
    rows, how = asking.ordered(some, COLUMNS, how)
    wrong = [one for one in rows if one.why]
    return here.page(
        request,
        "sources.html",
        title="Sources",
        here="/sources",
        rows=rows,
        wrong=wrong,
        columns=COLUMNS,
        asked=how,
    )


def source(request: Request) -> Response:
    """Show one source: its hosts, reasons, and what is blind."""
    here = site.at(request)
    name = request.path_params["name"]
    now = here.workspace.clock.now()
    found = [one for one in look(here) if one.health.source == name]
    whole = next((one for one in found if one.health.host == ALL), None)
    if whole is None:
        raise NotFoundError(f"no source {name!r} ever spoke", fix="the page of sources lists those that did")
    hosts = [one for one in found if one.health.host != ALL]
    return here.page(
        request,
        "source.html",
        title=name,
        here="/sources",
        one=whole,
        row=row(whole, now),
        hosts=hosts,
        now=now,
    )


ROUTES = (
    site.shows("/sources", page, "source.read"),
    site.shows("/source/{name}", source, "source.read"),
)
