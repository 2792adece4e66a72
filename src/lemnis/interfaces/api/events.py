"""Events: searched within bounds, and ended when whoever asked has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from fastapi import Path, Query
from starlette.requests import Request

from lemnis.app import query as asking
from lemnis.app import searches
from lemnis.app.access.permissions import Person
from lemnis.app.searches_export import objects
from lemnis.contracts.errors import NotFoundError
from lemnis.interfaces.api import models
from lemnis.interfaces.api.routing import Purpose, Using, allowed, router
from lemnis.interfaces.api.services import Services, Sight, sight
from lemnis.interfaces.api.turns import Turn, taken
from lemnis.store.query import Handle

ROUTER = router("events")
_NAME = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
Reader = Annotated[Person, allowed("event.search")]
Asked = Annotated[
    str, Query(max_length=4000, description="A query, or @NAME of a saved one (docs/search.md).")
]
Instant = Annotated[str, Query(max_length=40, description="A time, or relative: -24h, -1d@d.")]
Seconds = Annotated[float, Query(gt=0, le=60, description="Seconds after which it is ended.")]
Named = Annotated[
    str,
    Query(
        pattern=f"^({_NAME})?$", description="What you call the search, to end it by DELETE while it goes on."
    ),
]
_MOST = 1000
_LOOK_S = 0.1
Answer = TypeVar("Answer")


@ROUTER.get("/events")
async def search(
    request: Request,
    person: Reader,
    using: Using,
    *,
    query: Asked = "",
    since: Instant = "-24h",
    until: Instant = "",
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    timeout: Seconds = 20,  # noqa: ASYNC109 - of the search
    name: Named = "",
    purpose: Purpose = "",
) -> models.Searched:
    """Find events, newest first, or the rows that a query's stages make.

    To hang up ends the search, and so does to delete it by its name.
    """

    def work(handle: Handle) -> models.Searched:
        seen = _sight(request, using, person, query, purpose)
        found = asking.search(
            using.workspace, query, since=since, until=until, limit=limit, timeout=timeout, handle=handle,
            veil=using.lake.veil(person, seen.masker, using.board),
        )  # fmt: skip
        some = list(objects(found, plain))
        if not found.finds_events:
            columns = [one.name for one in found.headings]
            return models.Searched(columns=columns, rows=some, more=found.more, cancelled=found.cancelled)
        events = [_event(one, seen) for one in some]
        return models.Searched(
            events=events, more=found.more, cancelled=found.cancelled, reached_ms=found.reached
        )

    return await _while_there(request, using, person, work, name)


@ROUTER.get("/events/histogram")
async def histogram(
    request: Request,
    person: Reader,
    using: Using,
    *,
    query: Asked = "",
    since: Instant = "-24h",
    until: Instant = "",
    bars: Annotated[int, Query(ge=1, le=500)] = 60,
    timeout: Seconds = 20,  # noqa: ASYNC109 - of the search
    name: Named = "",
    purpose: Purpose = "",
) -> models.Histogram:
    """Say when the events of a query were: how many in each of some bars."""

    def work(handle: Handle) -> models.Histogram:
        seen = _sight(request, using, person, query, purpose)
        found = asking.histogram(
            using.workspace, query, since=since, until=until, bars=bars, timeout=timeout, handle=handle,
            veil=using.lake.veil(person, seen.masker, using.board),
        )  # fmt: skip
        return models.Histogram(bars=[models.Bar(time_ms=time, count=count) for time, count in found])

    return await _while_there(request, using, person, work, name)


@ROUTER.delete("/events/searches/{name}", status_code=204)
def end(
    name: Annotated[str, Path(pattern=f"^{_NAME}$", description="What you called it.")],
    person: Reader,
    using: Using,
) -> None:
    """End a search of yours that goes on: it answers with what it found until then."""
    if not using.running.stop(person.id, name):
        raise NotFoundError(f"no search {name!r} of yours goes on", fix="it may have ended")


def _sight(request: Request, using: Services, person: Person, query: str, purpose: str) -> Sight:
    """Return what they see; refuse a query whose rows would tell what they do not see."""
    seen = sight(request, person, purpose)
    if seen.masker is not None:
        using.personal.demand_plain(searches.expand(using.workspace, query)[0])
    return seen


def _event(one: Mapping[str, Any], seen: Sight) -> models.Event:
    return models.Event(
        uid=one["uid"], time_ms=one["time"], class_name=one["class"], event=seen.event(one["event"]),
        more=one.get("more"),
    )  # fmt: skip


async def _while_there(
    request: Request, using: Services, person: Person, work: Callable[[Handle], Answer], name: str
) -> Answer:
    """Do dear work beside the event loop; end it when whoever asked hangs up, or deletes it."""
    with using.slots.taken(person.id), using.running.begun(person.id, name) as handle:
        doing = asyncio.ensure_future(taken(Turn.DEAR, work, handle))
        try:
            while not doing.done():
                await asyncio.wait([doing], timeout=_LOOK_S)
                if not doing.done() and await _gone(request.is_disconnected):
                    handle.cancel()
            return await doing
        finally:
            if not doing.done():
                handle.cancel()
                await asyncio.wait([doing])


async def _gone(asked: Callable[[], Awaitable[bool]]) -> bool:
    return await asked()


def plain(value: Any) -> Any:
    """Return a value of the lake as JSON knows it: bytes as text, whole decimals as numbers."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 2**63 else float(value)
    return value
