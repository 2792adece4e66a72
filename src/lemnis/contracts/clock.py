"""Time is passed in. An instant is an ``int`` everywhere: milliseconds since the Unix epoch, UTC."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> int:
        """Return the current instant in milliseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Return the wall-clock time."""
        return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class OffsetClock:
    """The machine's clock moved by ``offset`` milliseconds: recorded input is handled as if it came now."""

    offset: int

    def now(self) -> int:
        """Return the wall-clock time, moved."""
        return SystemClock().now() + self.offset


@dataclass(slots=True)
class ManualClock:
    """A clock that stands still until it is moved: for tests, and for replays that run on event time."""

    instant: int = 0

    def now(self) -> int:
        """Return the instant it was set to."""
        return self.instant

    def advance(self, milliseconds: int) -> None:
        """Move forward by ``milliseconds``."""
        self.instant += milliseconds


def to_iso(instant: int) -> str:
    """Render an instant as RFC 3339 in UTC with milliseconds, ending in ``Z``."""
    moment = datetime.fromtimestamp(instant / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> int:
    """Read an RFC 3339 / ISO 8601 time; without an offset it is taken as UTC.

    Raises ValueError when the text is not such a time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def span(milliseconds: int) -> str:
    """Render a duration for people, by its two largest units."""
    sign, rest = ("-" if milliseconds < 0 else ""), abs(milliseconds)
    if rest < _MINUTE:
        return f"{sign}{rest / _SECOND:.3g} s"
    if rest < _HOUR:
        return f"{sign}{rest // _MINUTE} min {rest % _MINUTE // _SECOND} s"
    if rest < _DAY:
        return f"{sign}{rest // _HOUR} h {rest % _HOUR // _MINUTE} min"
    return f"{sign}{rest // _DAY} d {rest % _DAY // _HOUR} h"
