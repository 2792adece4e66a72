"""What is kept of how sources speak: counts by host and time, lags, and the fields that records have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STEP = 300_000
"""Five minutes, in ms: what is recent is counted by these."""
HOUR = 3_600_000
DAY = 86_400_000
OTHERS = "(others)"
"""The host that stands for all that came after a source had as many as are told apart."""
ALL = ""
"""The host that stands for the whole of a source."""


LISTENING = ("", ALL)
"""The source and host under which it is on record that Lemnis itself listened."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at the fields of some of a source's records, as its parser names them.

    ``fields`` are by name the number of the ``rows`` that have a field, by the kind of its values:
    ``number``, ``boolean``, ``list`` or ``text``.
    """

    source: str
    rows: int
    fields: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Pulse:
    """What an append may be told beside events: when they were received (ms), and samples of their fields."""

    received: int | None = None
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Beat:
    """What came from a host of a source within ``step`` ms from ``at`` on, by the time of receipt.

    ``active`` is in how many steps of five minutes events came; ``last`` the newest event time (ms) among
    them that is not in the future, 0 if none.
    """

    at: int
    step: int
    events: int
    rejects: int
    active: int
    last: int


@dataclass(frozen=True, slots=True)
class FieldSeen:
    """How often a field had values of a kind in the samples of ``step`` ms from ``at`` on."""

    name: str
    kind: str
    at: int
    step: int
    rows: int


@dataclass(frozen=True, slots=True)
class History:
    """What is known of one host of a source (``ALL``: of the source).

    ``lags`` are by hour the counts of events in slots of lag (see ``slot_bounds``): how long after its own
    time an event was in the lake; ``waits`` the same from its receipt. ``fields`` and ``sampled`` (rows
    looked at, by ``at``) are only of whole sources.
    """

    source: str
    host: str
    first: int
    beats: tuple[Beat, ...] = ()
    lags: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    waits: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    fields: tuple[FieldSeen, ...] = ()
    sampled: Mapping[int, int] = field(default_factory=dict)


SLOTS = 34
"""Slots of lag: below 16 ms, then each twice as long as the one before; the last from 68 years on."""


def slot_bounds(slot: int) -> tuple[int, int]:
    """Return from which lag (ms) on a slot counts, and up to which."""
    return (0 if slot == 0 else 8 << slot), 16 << slot
