"""Rego's builtin functions over times: nanoseconds since the epoch, in UTC. OPA's Policy Reference, Time."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from lemnis.policy.values import Budget

_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 10**6, "s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND}
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_LAYOUT = {  # Go's reference time
    "2006": "%Y", "01": "%m", "02": "%d", "15": "%H", "04": "%M", "05": "%S", "Jan": "%b", "Mon": "%a",
}  # fmt: skip
_WORDS = re.compile("|".join(_LAYOUT))


def _at(nanoseconds: float) -> datetime:
    return _EPOCH + timedelta(microseconds=int(nanoseconds) // 1000)


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _add_date(_: Budget, nanoseconds: int, years: int, months: int, days: int) -> int:
    """Add as Go does: a day beyond the month's end runs on into the next."""
    moment = _at(nanoseconds)
    month = moment.month - 1 + int(months) + 12 * int(years)
    first = moment.replace(year=moment.year + month // 12, month=month % 12 + 1, day=1)
    return _ns(first + timedelta(days=moment.day - 1 + int(days))) + int(nanoseconds) % 1000


def _parse_duration(_: Budget, text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    bare = text.lstrip("+-")
    if not bare or (_DURATION.sub("", bare) and bare != "0"):
        raise ValueError(f"no duration: {text[:50]!r}")
    return sign * round(sum(float(n) * _UNITS[unit] for n, unit in _DURATION.findall(bare)))


def _parse_rfc3339(_: Budget, text: str) -> int:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"no time of RFC 3339: {text[:50]!r}")
    day, clock, fraction, zone = match.groups()
    whole = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    return _ns(whole) + int((fraction or "0").ljust(9, "0"))


def _parse(_: Budget, layout: str, text: str) -> int:
    asked = _WORDS.sub(lambda match: _LAYOUT[match.group()], layout.replace("%", "%%"))
    return _ns(datetime.strptime(text, asked).replace(tzinfo=UTC))


FUNCTIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "time.add_date": ("number number number number", _add_date),
    "time.clock": ("number", lambda _, ns: [_at(ns).hour, _at(ns).minute, _at(ns).second]),
    "time.date": ("number", lambda _, ns: [_at(ns).year, _at(ns).month, _at(ns).day]),
    "time.parse_duration_ns": ("string", _parse_duration),
    "time.parse_ns": ("string string", _parse),
    "time.parse_rfc3339_ns": ("string", _parse_rfc3339),
    "time.weekday": ("number", lambda _, ns: calendar.day_name[_at(ns).weekday()]),
}
