"""Search: a query with completion, a histogram to brush, field statistics, what was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lemnis import app
from lemnis.app import query as asking
from lemnis.app import searches
from lemnis.contracts.clock import from_iso, to_iso
from lemnis.contracts.errors import InputError, LemnisError, UsageError
from lemnis.interfaces.web import drawing, site
from lemnis.interfaces.web.words import query, utc
from lemnis.store.search import Found, Heading
from lemnis.store.searching.completing import FieldInfo

LIMIT, TIMEOUT, BARS = 100, 20.0, 80
SPANS: Mapping[str, tuple[str, int]] = {
    "1h": ("1 h", 3_600_000), "24h": ("24 h", 86_400_000), "7d": ("7 d", 7 * 86_400_000),
    "30d": ("30 d", 30 * 86_400_000), "all": ("All", 0),
}  # fmt: skip
_TEXTS = ("message", "raw_data", "unmapped")
_LONGEST = 4_000
_FEW_FIELDS, _TOP = 60, 10
_SEVERITIES = {3: "medium", 4: "high", 5: "critical", 6: "fatal"}


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a search is about: bounds (ms; None: open), and the name of the span, if it is one."""

    start: int | None
    end: int | None
    span: str

    @property
    def since(self) -> str:
        """The beginning as a query has it."""
        return "" if self.start is None else to_iso(self.start)

    @property
    def until(self) -> str:
        """The end as a query has it."""
        return "" if self.end is None else to_iso(self.end)

    def parts(self) -> dict[str, object]:
        """Return what says it in an address."""
        if self.span:
            return {"span": self.span}
        return {"from": self.start, "to": self.end}


def window(given: Mapping[str, str], now: int) -> Window:
    """Read the time of an address: ``from`` and ``to`` (ms or ISO), else ``span``. Pure."""
    start, end = _instant(given.get("from", "")), _instant(given.get("to", ""))
    if start is not None or end is not None:
        return Window(start, end, "")
    span = given.get("span", "24h")
    length = SPANS[span][1] if span in SPANS else SPANS["24h"][1]
    return Window(now - length if length else None, None, span if span in SPANS else "24h")


def _instant(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text[:15])
    try:
        return from_iso(text) if text else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Hit:
    """An event that was found, as a row."""

    uid: str
    time: int
    kind: str
    source: str
    severity: str
    text: str
    more: tuple[str, ...]


def hit(found: Found, headings: Sequence[Heading]) -> Hit:
    """Return an event as a row. Pure."""
    event = found.event
    text = next((str(event[name]) for name in _TEXTS if event.get(name)), "")
    return Hit(
        found.uid, found.time, found.class_name, str((event.get("metadata") or {}).get("log_name", "")),
        _SEVERITIES.get(event.get("severity_id", 0), ""), text,
        tuple(cell(found.more.get(one.name), one) for one in headings),
    )  # fmt: skip


def cell(value: Any, heading: Heading) -> str:
    """Return a value of a row for people. Pure."""
    if value is None:
        return ""
    if heading.instant and isinstance(value, int):
        return utc(value)
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


@dataclass(frozen=True, slots=True)
class Result:
    """What a search gave: events or rows, whether there is more, and what was wrong with the query."""

    hits: tuple[Hit, ...] = ()
    headings: tuple[Heading, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    finds_events: bool = True
    more: bool = False
    wrong: str = ""
    fix: str = ""
    column: int = 0


Hide = Callable[[Any], Any]
"""Takes personal data out of an event."""


def plain(request: Request, text: str) -> Hide:
    """Return what takes personal data out of what a query finds.

    Rows of a query would tell personal data that it names: raises AccessError for such a one.
    """
    here = site.at(request)
    masker = site.see(request, about=text[:200])
    if masker is None:
        return lambda event: event
    if "|" in text:
        here.personal(request).demand_plain(searches.expand(here.workspace, text)[0])
    return masker.event


def run(workspace: app.Workspace, text: str, when: Window, hide: Hide) -> Result:
    """Search; what is wrong with the query is told, with the column where it is."""
    try:
        found = asking.search(
            workspace, text, since=when.since, until=when.until, limit=LIMIT, timeout=TIMEOUT
        )
        if found.finds_events:
            hits = [
                hit(replace(one, event=hide(one.event)), found.headings)
                for some in found.found()
                for one in some
            ]
            return Result(tuple(hits), tuple(found.headings), more=found.more)
        tables = list(found.tables())
        rows = pa.concat_tables(tables).to_pylist() if tables else []
        told = tuple(tuple(cell(row[one.name], one) for one in found.headings) for row in rows)
        return Result((), tuple(found.headings), told, finds_events=False, more=found.more)
    except (InputError, UsageError) as error:
        column = error.at.column if error.at and error.at.column else 0
        return Result(wrong=error.what, fix=error.fix, column=column)


# -- pages -------------------------------------------------------------------------------------------------


def page(request: Request) -> Response:
    """Show the search, and what it found."""
    here = site.at(request)
    text = request.query_params.get("q", "")[:_LONGEST].strip()
    if text.startswith(("in-", "al-")) and " " not in text:
        kind = "incident" if text.startswith("in-") else "alert"
        return site.back(request, f"/{kind}/{text}")
    when = window(request.query_params, here.workspace.clock.now())
    asked = bool(request.query_params)
    result = run(here.workspace, text, when, plain(request, text)) if asked else Result()
    again = query({"q": text, **when.parts()})
    return here.page(
        request,
        "search.html",
        title=text or "Search",
        here="/search",
        q=text,
        when=when,
        result=result,
        asked=asked,
        spans=SPANS,
        again=again,
        saved=_saved(here.workspace),
        limit=LIMIT,
    )


def _saved(workspace: app.Workspace) -> list[tuple[str, str]]:
    found, _ = searches.every(app.library(workspace))
    return [(one.name, one.search.title) for one in found]


def bars(request: Request) -> Response:
    """Return when events were, as a drawing to brush."""
    here = site.at(request)
    now = here.workspace.clock.now()
    when = window(request.query_params, now)
    text = request.query_params.get("q", "")[:_LONGEST]
    found = asking.histogram(
        here.workspace, text, since=when.since, until=when.until, bars=BARS, timeout=TIMEOUT
    )
    total = sum(count for _, count in found)
    start, end = bounds(found, when, now)
    drawn = drawing.histogram(found, start, end, label=f"{total:,} events over time") if found else None
    return here.page(request, "bars_part.html", drawn=drawn, total=total, title="")


def bounds(found: Sequence[tuple[int, int]], when: Window, now: int) -> tuple[int, int]:
    """Return from when to when a histogram is drawn. Pure."""
    step = found[1][0] - found[0][0] if len(found) > 1 else 60_000
    first = found[0][0] if found else now - 86_400_000
    last = found[-1][0] + step if found else now
    start = first if when.start is None else min(first, when.start)
    end = last if when.end is None else max(last, when.end)
    return start, max(end, start + 1)


@dataclass(frozen=True, slots=True)
class FieldShown:
    """A field beside what was found: how often it is filled, and its commonest values if it was asked for."""

    name: str
    type: str
    filled: float
    values: tuple[tuple[str, int, float], ...]


def fields(request: Request) -> Response:
    """Return the fields that the newest events have, or the commonest values of one in what was found."""
    here = site.at(request)
    name = request.query_params.get("field", "")[:200]
    text = request.query_params.get("q", "")[:_LONGEST]
    when = window(request.query_params, here.workspace.clock.now())
    if name:
        if site.see(request, about=name) is not None:
            here.personal(request).demand_plain(f"| top {name}")
        values = top(here.workspace, text, name, when)
        return here.page(request, "values_part.html", title="", name=name, values=values)
    like = request.query_params.get("like", "")[:100]
    known: list[FieldInfo] = here.keep("fields", lambda: asking.fields(here.workspace), 60).get()
    some = [one for one in known if like.lower() in one.name.lower()]
    some.sort(key=lambda one: (-one.filled * len(one.classes), one.name))
    return here.page(request, "fields_part.html", title="", fields=some[:_FEW_FIELDS], total=len(some))


def top(workspace: app.Workspace, text: str, name: str, when: Window) -> list[tuple[str, int, float]]:
    """Return the commonest values of a field in what a query finds: value, count, share of the first."""
    found = asking.search(
        workspace,
        f"{text} | top {_TOP} {name}",
        since=when.since,
        until=when.until,
        limit=_TOP,
        timeout=TIMEOUT,
    )
    rows = [row for table in found.tables() for row in table.to_pylist()]
    first = found.headings[0].name if found.headings else name
    counts = [(str(row[first]), int(row["count"])) for row in rows]
    most = max((count for _, count in counts), default=1)
    return [(value, count, count / most) for value, count in counts]


def complete(request: Request) -> Response:
    """Return what the last word of a query may become, as JSON."""
    here = site.at(request)
    text = request.query_params.get("q", "")[:_LONGEST]
    try:
        found = asking.complete(here.workspace, text, limit=12)
        if site.see(request) is not None and any(one.kind == "value" for one in found):
            here.personal(request).demand_plain(found[0].text)
    except LemnisError:  # half a query is often none
        found = []
    last = asking.last_word(text)
    return JSONResponse(
        {"last": last, "offers": [{"text": one.text, "kind": one.kind, "count": one.count} for one in found]}
    )


def save(request: Request, form: site.Form) -> Response:
    """Save a search under a name, in the workspace's content."""
    here = site.at(request)
    name, text = form.get("name", "").strip(), form.get("q", "")[:_LONGEST]
    path = searches.save(here.workspace, name, text, title=form.get("title", "").strip()[:200])
    told = f"{path.relative_to(here.workspace.root)} in the workspace's content"
    return site.back(request, f"/search?{query({'q': f'@{name}'})}", f"The search {name} is kept", told)


ROUTES = (
    site.shows("/search", site.dear(page), "event.search"),
    site.shows("/search/bars", site.dear(bars), "event.search"),
    site.shows("/search/fields", site.dear(fields), "event.search"),
    site.shows("/search/complete", complete, "event.search"),
    site.does("/search/save", save, "rule.change"),
)
