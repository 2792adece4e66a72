"""Search: a query with completion, a histogram to brush, field statistics, what was found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lemnis import app
from lemnis.app import query as asking
from lemnis.app import searches
from lemnis.contracts.errors import AccessError, InputError, LemnisError, NotFoundError, UsageError
from lemnis.interfaces.api.turns import Turn
from lemnis.interfaces.web import drawing, exporting, site
from lemnis.interfaces.web.asked_lake import Sight, running, running_of, sight
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.search_time import SPANS, Window, window
from lemnis.interfaces.web.words import query, utc
from lemnis.store.query import Handle
from lemnis.store.search import Found, Heading
from lemnis.store.searching.completing import FieldInfo
from lemnis.store.searching.veils import Veil

LIMIT, TIMEOUT, BARS = 100, 20.0, 80
_PAGE_S, _MORE_S = 0.4, 3.0
"""After so long a page shows what was found so far, and its part goes on with what is older."""
_TEXTS = ("message", "raw_data", "unmapped")
_SHOWN = (*_TEXTS, "severity_id")
"""What a row tells of an event."""
_SAVED, _SAVED_S = "saved searches", 5.0
_AROUND = 40
_ID = re.compile(r"(?:in|al)-[0-9a-f]{4,16}")
_FEW_FIELDS, _TOP = 60, 10
_FIELDS_S = 600
_SEVERITIES = {3: "medium", 4: "high", 5: "critical", 6: "fatal"}


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
    """What a search gave: events or rows, whether there is more, and what was wrong with the query.

    It was ``stopped`` by whoever asked, or by the time that it may take. Where it is ``reached`` (ms), it has
    found all that is not older, and there is more to look at.
    """

    hits: tuple[Hit, ...] = ()
    headings: tuple[Heading, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    finds_events: bool = True
    more: bool = False
    stopped: bool = False
    reached: int | None = None
    wrong: str = ""
    fix: str = ""
    column: int = 0


def run(  # noqa: PLR0917 - of whom, what, when, who looks, and how far
    workspace: app.Workspace, text: str, when: Window, seen: Sight, handle: Handle | None = None,
    most: int = LIMIT, patience: float | None = None,
) -> Result:  # fmt: skip
    """Search; what is wrong with the query is told, with the column where it is."""
    if when.wrong:
        return Result(wrong=when.wrong, fix="choose a beginning and an end, or a span")
    try:
        found = asking.search(
            workspace, text, since=when.since, until=when.until, limit=most, timeout=TIMEOUT, handle=handle,
            veil=seen.veil, patience=patience,
        )  # fmt: skip
        if found.finds_events:
            hits = [
                hit(replace(one, event=seen.some(one.event, _SHOWN)), found.headings)
                for some in found.found()
                for one in some
            ]
            return Result(
                tuple(hits), tuple(found.headings), more=found.more, stopped=found.cancelled,
                reached=found.reached if found.rested else None,
            )  # fmt: skip
        tables = list(found.tables())
        rows = pa.concat_tables(tables).to_pylist() if tables else []
        told = tuple(tuple(cell(row[one.name], one) for one in found.headings) for row in rows)
        return Result(
            (), tuple(found.headings), told, finds_events=False, more=found.more, stopped=found.cancelled,
            reached=found.reached if found.rested else None,
        )  # fmt: skip
    except (InputError, NotFoundError, UsageError) as error:
        column = error.at.column if error.at and error.at.column else 0
        return Result(wrong=error.what, fix=error.fix, column=column)


def pointed(text: str, column: int) -> tuple[str, str]:
    """Return the part of a query around a column (from 1), and what is before that in it. Pure."""
    first = max(0, column - 1 - _AROUND)
    cut = text[first : column - 1 + _AROUND].replace("\n", " ").replace("\t", " ")
    before = ("…" if first else "") + cut[: column - 1 - first]
    return ("…" if first else "") + cut + ("…" if column - 1 + _AROUND < len(text) else ""), before


# -- pages -------------------------------------------------------------------------------------------------


def page(request: Request) -> Response:
    """Show the search, and what it found."""
    here = site.at(request)
    text = request.query_params.get("q", "").strip()
    if _ID.fullmatch(text):
        kind = "incident" if text.startswith("in-") else "alert"
        return site.back(request, f"/{kind}/{text}")
    when = window(request.query_params, here.workspace.clock.now())
    asked = bool(request.query_params)
    status, result = 200, Result()
    if asked:
        try:
            seen = sight(request, text)
            with running(request) as handle:
                result = run(here.workspace, text, when, seen, handle, patience=_PAGE_S)
        except AccessError as error:
            status, result = 403, Result(wrong=error.what, fix=error.fix)
    again = query({"q": text, **when.parts()})
    return here.page(
        request,
        "search.html",
        status=status,
        title=text[:80] or "Search",
        here="/search",
        q=text,
        when=when,
        result=result,
        asked=asked,
        spans=SPANS,
        again=again,
        further=_further(text, when, result, LIMIT),
        saved=_saved(here),
        limit=LIMIT,
        pointed=pointed(text, result.column),
        formats=exporting.FORMATS,
    )


def _saved(here: site.Site) -> list[tuple[str, str]]:
    def read() -> list[tuple[str, str]]:
        found, _ = searches.every(app.library(here.workspace))
        return [(one.name, one.search.title) for one in found]

    known: list[tuple[str, str]] = here.keep(_SAVED, read, _SAVED_S).get()
    return known


def more(request: Request) -> Response:
    """Return what a search that rested finds further back, up to where it rests again."""
    here = site.at(request)
    text = request.query_params.get("q", "").strip()
    when = _when(request, here.workspace.clock.now())
    left = request.query_params.get("left", "")
    most = max(1, min(LIMIT, int(left[:4]))) if left.isascii() and left.isdigit() else LIMIT
    seen = sight(request, text)
    with running(request) as handle:
        result = run(here.workspace, text, when, seen, handle, most, _MORE_S)
    return here.page(
        request, "search_part.html", title="", result=result, further=_further(text, when, result, most),
        first=most == LIMIT, q=text,
    )  # fmt: skip


def _further(text: str, when: Window, result: Result, most: int) -> str:
    """Return by which query a search that rested goes on."""
    left = most - len(result.hits) - len(result.rows)
    parts = {"q": text, "from": when.start, "to": result.reached, "left": left}
    return "" if result.reached is None else query(parts)


def bars(request: Request) -> Response:
    """Return when events were, as a drawing to brush."""
    here = site.at(request)
    now = here.workspace.clock.now()
    when = _when(request, now)
    text = request.query_params.get("q", "")
    seen = sight(request, text, about="histogram")
    with running(request) as handle:
        found = asking.histogram(
            here.workspace, text, since=when.since, until=when.until, bars=BARS, timeout=TIMEOUT,
            handle=handle, veil=seen.veil,
        )  # fmt: skip
    total = sum(count for _, count in found)
    start, end = bounds(found, when, now)
    drawn = drawing.histogram(found, start, end, label=f"{total:,} events over time") if found else None
    return here.page(request, "bars_part.html", drawn=drawn, total=total, title="")


def _when(request: Request, now: int) -> Window:
    """Read the time of an address; raises UsageError for what is none."""
    found = window(request.query_params, now)
    if found.wrong:
        raise UsageError(found.wrong, fix="choose a beginning and an end, or a span")
    return found


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
    text = request.query_params.get("q", "")
    when = _when(request, here.workspace.clock.now())
    if name:
        seen = sight(request, f"{text} | top {name}", about=name)
        with running(request) as handle:
            values = top(here.workspace, text, name, when, seen.veil, handle)
        return here.page(request, "values_part.html", title="", name=name, values=values)
    like = request.query_params.get("like", "")[:100]
    known: list[FieldInfo] = here.keep(
        "fields", lambda: asking.fields(here.workspace, examples=False), _FIELDS_S
    ).get()
    some = [one for one in known if like.lower() in one.name.lower()]
    some.sort(key=lambda one: (-one.filled * len(one.classes), one.name))
    return here.page(request, "fields_part.html", title="", fields=some[:_FEW_FIELDS], total=len(some))


def top(  # noqa: PLR0917 - of whom, what, when, and who looks
    workspace: app.Workspace, text: str, name: str, when: Window, veil: Veil | None = None,
    handle: Handle | None = None,
) -> list[tuple[str, int, float]]:  # fmt: skip
    """Return the commonest values of a field in what a query finds: value, count, share of the first."""
    found = asking.search(
        workspace,
        f"{text} | top {_TOP} {name}",
        since=when.since,
        until=when.until,
        limit=_TOP,
        timeout=TIMEOUT,
        handle=handle,
        veil=veil,
    )
    rows = [row for table in found.tables() for row in table.to_pylist()]
    first = found.headings[0].name if found.headings else name
    counts = [(str(row[first]), int(row["count"])) for row in rows]
    most = max((count for _, count in counts), default=1)
    return [(value, count, count / most) for value, count in counts]


def complete(request: Request) -> Response:
    """Return what the last word of a query may become, as JSON."""
    here = site.at(request)
    text = request.query_params.get("q", "")
    try:
        seen = sight(request)
        found = asking.complete(here.workspace, text, limit=12, veil=seen.veil)
        if seen.masker is not None and any(one.kind == "value" for one in found):
            here.personal(request).demand_plain(found[0].text)
            here.personal(request).demand_plain(text)
    except LemnisError:  # half a query is often none
        found = []
    last = asking.last_word(text)
    return JSONResponse(
        {"last": last, "offers": [{"text": one.text, "kind": one.kind, "count": one.count} for one in found]}
    )


def save(request: Request, form: Form) -> Response:
    """Save a search under a name, in the workspace's content."""
    here = site.at(request)
    name, text = form.get("name", "").strip(), form.get("q", "")
    path = searches.save(here.workspace, name, text, title=form.get("title", "").strip()[:200])
    here.forget(_SAVED)
    told = f"{path.relative_to(here.workspace.root)} in the workspace's content"
    return site.back(request, f"/search?{query({'q': f'@{name}'})}", f"The search {name} is kept", told)


def stop(request: Request, _form: Form) -> Response:
    """End what whoever asks has begun to search."""
    person = site.whose(request)
    return JSONResponse({"stopped": running_of(request).stop(person.id if person is not None else "")})


def _turn(request: Request) -> Turn:
    """Return what kind of work the page is: nothing is looked for before something is asked."""
    return Turn.DEAR if request.query_params else Turn.PAGE


ROUTES = (
    site.shows("/search", page, "event.search", _turn),
    site.shows("/search/more", more, "event.search", Turn.DEAR),
    site.shows("/search/bars", bars, "event.search", Turn.DEAR),
    site.shows("/search/fields", fields, "event.search", Turn.DEAR),
    site.shows("/search/complete", complete, "event.search"),
    site.does("/search/save", save, "rule.change"),
    site.does("/search/stop", stop, "event.search"),
    *exporting.ROUTES,
)
