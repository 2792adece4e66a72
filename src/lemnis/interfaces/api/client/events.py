"""Routes of events, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Problem


class Bar(TypedDict):
    """A bar of a histogram: when it begins, and how many events are in it."""

    time_ms: int
    count: int


class Event(TypedDict):
    """An event that was found."""

    uid: str
    time_ms: int
    class_name: str
    event: dict[str, Any]
    more: NotRequired[dict[str, Any] | None]


class Histogram(TypedDict):
    """When the events of a query were."""

    bars: list[Bar]


class Searched(TypedDict):
    """What a search found: events, newest first, or rows. `more`: there may be more than `limit`."""

    events: NotRequired[list[Event] | None]
    columns: NotRequired[list[str] | None]
    rows: NotRequired[list[dict[str, Any]] | None]
    more: bool
    cancelled: bool
    reached_ms: NotRequired[int | None]


class EventsClient(Caller):
    """Routes of events by their operations."""

    def search_events(
        self,
        *,
        query: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        name: str | None = None,
        purpose: str = "",
    ) -> Searched:
        """Find events, newest first, or the rows that a query's stages make."""
        found: Searched = self.call(
            "GET",
            "/events",
            query={
                "query": query,
                "since": since,
                "until": until,
                "limit": limit,
                "timeout": timeout,
                "name": name,
            },
            headers={"X-Purpose": purpose},
        )
        return found

    def histogram_events(
        self,
        *,
        query: str | None = None,
        since: str | None = None,
        until: str | None = None,
        bars: int | None = None,
        timeout: float | None = None,
        name: str | None = None,
        purpose: str = "",
    ) -> Histogram:
        """Say when the events of a query were: how many in each of some bars."""
        found: Histogram = self.call(
            "GET",
            "/events/histogram",
            query={
                "query": query,
                "since": since,
                "until": until,
                "bars": bars,
                "timeout": timeout,
                "name": name,
            },
            headers={"X-Purpose": purpose},
        )
        return found

    def end_events(self, name: str) -> None:
        """End a search of yours that goes on: it answers with what it found until then."""
        self.call("DELETE", f"/events/searches/{self.part(name)}")
