"""Points in time as people write them, and spans of time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import InputError

UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_RELATIVE = re.compile(
    r"(now)?(?:([+-]?)(\d{1,9})(mon|y|[smhdw]))?(?:@(mon|y|[smhdw]))?(?:([+-])(\d{1,9})([smhdw]))?"
)
_SPAN = re.compile(r"(\d{1,9})(ms|[smhdw])")
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999
FIX = "write 2024-05-01, 2024-05-01T12:00:00Z, -24h, -1d@d or now"


def instant(text: str, now: int) -> int:
    """Read a point in time: ISO 8601, ms since 1970, ``now``, or relative to ``now`` (ms), in UTC.

    ``-24h`` is a span back, and so is ``24h``; ``+1h`` lies ahead; ``-1d@d`` goes back a day and then to the
    day's beginning, ``@w`` to Monday; a span may follow (``@d+8h``). Units are s, m, h, d, w, mon, y. Raises
    InputError.
    """
    found = _RELATIVE.fullmatch(text) if text else None
    try:
        moment = _relative(found, now) if found else _absolute(text)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{text!r} is no time", fix=FIX) from error
    if not _EARLIEST <= moment <= _LATEST:
        raise InputError(f"{text!r} is no time between the years 1 and 9999", fix=FIX)
    return moment


def span(text: str) -> int:
    """Read a span such as 90s, 5m, 1h, 7d in ms; raises ValueError."""
    found = _SPAN.fullmatch(text)
    if not found or not int(found[1]):
        raise ValueError(text)
    return int(found[1]) * (1 if found[2] == "ms" else UNITS[found[2]])


def _absolute(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,16}", text) and len(text) > 4 else from_iso(text)  # noqa: PLR2004 - a year


def _relative(found: re.Match[str], now: int) -> int:
    _, sign, count, unit, snap, after, more, last = found.groups()
    moment = now
    if count:
        moment = _moved(moment, int(count) if sign == "+" else -int(count), unit)
    if snap:
        moment = _snapped(moment, snap)
    if more:
        moment += int(more) * UNITS[last] * (1 if after == "+" else -1)
    return moment


def _moved(moment: int, count: int, unit: str) -> int:
    if unit in UNITS:
        return moment + count * UNITS[unit]
    at = _date(moment)
    months = at.year * 12 + at.month - 1 + count * (12 if unit == "y" else 1)
    first = at.replace(year=months // 12, month=months % 12 + 1, day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    return _ms(first.replace(day=min(at.day, (following - timedelta(days=1)).day)))


def _snapped(moment: int, unit: str) -> int:
    if unit == "w":  # 1 January 1970 was a Thursday
        return moment - (moment + 3 * UNITS["d"]) % UNITS["w"]
    if unit in UNITS:
        return moment - moment % UNITS[unit]
    begin = _date(moment).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return _ms(begin.replace(month=1) if unit == "y" else begin)


def _date(moment: int) -> datetime:
    return datetime.fromtimestamp(moment / 1000, UTC)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
