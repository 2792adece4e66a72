"""Events, and what a search found."""

from __future__ import annotations

from typing import Any

import pydantic

from lemnis.interfaces.api.models.base import Told


class Event(Told):
    """An event that was found."""

    uid: str
    time_ms: int
    class_name: str
    event: dict[str, Any]
    more: dict[str, Any] | None = None


class Searched(Told):
    """What a search found: events, newest first, or rows. ``more``: there may be more than ``limit``.

    ``reached_ms`` is how far back it looked, where it was ended before it was through.
    """

    events: list[Event] | None = None
    columns: list[str] | None = None
    rows: list[dict[str, Any]] | None = None
    more: bool
    cancelled: bool
    reached_ms: int | None = None


class Bar(pydantic.BaseModel):
    """A bar of a histogram: when it begins, and how many events are in it."""

    time_ms: int
    count: int


class Histogram(pydantic.BaseModel):
    """When the events of a query were."""

    bars: list[Bar]
