"""``search.yaml``: a search that was saved, and perhaps runs by itself.

::

    title: Root logs in from outside
    description: Nobody shall log in as root; see the runbook.
    query: class:authentication user.name:root NOT src_endpoint.ip:10.0.0.0/8
    since: -24h                     # the time it looks at when it is asked by hand
    schedule:                       # with it, it is a detection
      every: 15m                    # windows begin at multiples of it, since 1970 in UTC
      over: 1h                      # how long they are; as `every` unless given
      delay: 1m                     # how long it waits for late events
      by: [user.name, src_endpoint.ip]   # one alert for each; of a query without `stats` only
      when: count > 0               # a test of what was counted, as `where` has it
      title: Root logged in from outside
      level: high
      tags: [attack.t1078]
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from lemnis.content.schemas import Model

KIND = "searches"
NAME = r"^[a-z0-9][a-z0-9_-]{0,80}$"
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SHORTEST, _LONGEST = 60_000, 7 * 86_400_000


def _span(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value)
    if not text or text[-1:] not in _UNITS or not text[:-1].isdigit() or len(text) > 8:  # noqa: PLR2004 - digits enough
        raise ValueError(f"{text!r} is no span: write 30s, 15m, 1h, 1d")
    return int(text[:-1]) * _UNITS[text[-1]]


Span = Annotated[int, pydantic.BeforeValidator(_span)]
"""A span in ms, written 30s, 15m, 1h, 1d."""
Text = Annotated[str, pydantic.Field(min_length=1, max_length=500)]


class Schedule(Model):
    """When a search runs by itself, and what alert it gives if ``when`` holds."""

    every: Span
    over: Span | None = None
    delay: Span = 60_000
    by: tuple[Text, ...] = pydantic.Field(default=(), max_length=5)
    when: Text = "count > 0"
    title: str = pydantic.Field(default="", max_length=500)
    level: Literal["informational", "low", "medium", "high", "critical"] = "medium"
    tags: tuple[Text, ...] = ()

    @property
    def window(self) -> int:
        """How long the windows are, in ms."""
        return self.over or self.every

    @pydantic.model_validator(mode="after")
    def _bounded(self) -> Self:
        if not _SHORTEST <= self.every <= _LONGEST:
            raise ValueError("every is between 1m and 7d")
        if not self.every <= self.window <= _LONGEST:
            raise ValueError("over is at least every, or events are missed, and at most 7d")
        if not 0 <= self.delay <= _LONGEST:
            raise ValueError("delay is at most 7d")
        return self


class SavedSearch(Model):
    """The whole file; the query is checked by whoever reads it."""

    title: Text
    query: Annotated[str, pydantic.Field(min_length=1, max_length=16_384)]
    description: str = ""
    since: str = ""
    until: str = ""
    schedule: Schedule | None = None


MODEL = SavedSearch
