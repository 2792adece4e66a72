"""The time that a search is about, as addresses and forms have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lemnis.contracts.clock import from_iso, to_iso

SPANS: Mapping[str, tuple[str, int]] = {
    "15m": ("15 min", 900_000), "1h": ("1 h", 3_600_000), "24h": ("24 h", 86_400_000),
    "7d": ("7 d", 7 * 86_400_000), "30d": ("30 d", 30 * 86_400_000), "all": ("All", 0),
}  # fmt: skip
LAST = 253_402_300_799_999
"""The last millisecond of the year 9999."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a search is about: bounds (ms; None: open), and the name of the span, if it is one.

    ``wrong`` says what of that which was given is no time; then the search is about no time at all.
    """

    start: int | None
    end: int | None
    span: str
    wrong: str = ""

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
    """Read the time of an address: ``from`` and ``to`` (ms, or ISO in UTC), else ``span``. Pure."""
    said = {name: given.get(name, "").strip() for name in ("from", "to")}
    start, end = (instant(one) for one in said.values())
    bad = [f"{said[name]!r}" for name, at in (("from", start), ("to", end)) if said[name] and at is None]
    if bad:
        return Window(None, None, "", f"{' and '.join(bad)} is no time")
    if start is not None and end is not None and start >= end:
        return Window(start, end, "", "the time ends before it begins")
    if start is not None or end is not None:
        return Window(start, end, "")
    span = given.get("span", "24h")
    length = SPANS[span][1] if span in SPANS else SPANS["24h"][1]
    return Window(now - length if length else None, None, span if span in SPANS else "24h")


def instant(text: str) -> int | None:
    """Read a time in ms; None for what is none."""
    if text.isascii() and text.isdigit():
        found = int(text[:20])
        return found if found <= LAST else None
    try:
        return from_iso(text) if text else None
    except (ValueError, OverflowError):
        return None
