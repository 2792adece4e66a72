"""Suppression: repeated alerts of a rule about the same, within a window, are one alert with a count.

Windows are cut at fixed times (a window of 1h at every full hour), so that the id of the alert that an event
belongs to follows from that event alone: whatever order events come in, they make the same alerts, and one
that is late changes no more than a count. Nothing is dropped: the alert names every event it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lemnis.contracts.alerts import Alert, merged
from lemnis.contracts.ids import stable_id


@dataclass(frozen=True, slots=True)
class Suppression:
    """Alerts with the same values in the fields ``by`` (none: the same entities) fold for ``window``."""

    window: int
    by: tuple[str, ...] = ()

    def start(self, time: int) -> int:
        """Return when the window begins that a time is in."""
        return time - time % self.window

    def id(self, name: str, time: int, values: Sequence[str]) -> str:
        """Return the id of the alert that a rule's alert with these values is folded into."""
        return stable_id("al", name, f"{self.window}@{self.start(time)}", *self.by, "", *values)


def fold(alerts: Iterable[Alert]) -> list[Alert]:
    """Fold alerts of the same id into one each, in the order in which they first come; the rest stay."""
    found: dict[str, list[Alert]] = {}
    for alert in alerts:
        known = found.setdefault(alert.id, [alert])
        if alert.window and known[0] is not alert:
            known.append(alert)
    return [some[0] if len(some) == 1 else merged(*some) for some in found.values()]


def spelled(value: Any) -> str:
    """Return a field's value at one row as it is compared: without regard to case."""
    if value is None:
        return ""
    return "\0".join(sorted(map(str, value))).lower() if isinstance(value, list) else str(value).lower()
