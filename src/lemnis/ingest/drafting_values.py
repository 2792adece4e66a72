"""What sample values look like: addresses, times, numbers, names; the narrowest kind that fits them all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa

from lemnis.contracts.network import read_address
from lemnis.ingest.mapping_columns import TEXT
from lemnis.ingest.mapping_times import instants

LOOKED_AT = 500
"""So many distinct values of a field are looked at, and so much of each."""
NOTHING = frozenset({"", "-", "(null)", "null", "N/A", "n/a", "None", "none", "<nil>"})
"""Texts that logs write where there is nothing."""
_FIRST_MS, _LAST_MS = 315_532_800_000, 4_102_444_800_000  # 1980 and 2100: a number outside is no time
TIME_FORMATS = (
    "iso", "clf", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "filetime", "syslog",
    "%Y/%m/%d %H:%M:%S", "%Y.%m.%d %H:%M:%S", "%d/%b/%Y:%H:%M:%S", "%a %b %d %H:%M:%S %Y",
    "%d-%b-%Y %H:%M:%S", "%d %b %Y %H:%M:%S", "%a, %d %b %Y %H:%M:%S %z", "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y, %I:%M:%S %p", "%m/%d/%Y-%H:%M:%S.%f",
    "%d/%b/%Y:%H:%M:%S.%f", "%Y/%m/%d - %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%Y%m%d%H%M%S", "%Y%m%dT%H%M%S",
)  # fmt: skip
"""Tried in this order: of formats that read every value the first is taken."""
_NUMERIC = frozenset({"epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "filetime", "%Y%m%d%H%M%S"})
_FEW = 0.05
_FORMATS = 3
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})"
_METHODS = "CONNECT|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT|TRACE"
_PATTERNS: Mapping[str, str] = {
    "method": rf"(?i:{_METHODS})",
    "mac": r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}",
    "uuid": r"\{?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?",
    "hash": r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{128}",
    "url": r"[A-Za-z][A-Za-z0-9+.-]{1,20}://\S+",
    "email": r"[^\s@,;<>]{1,100}@[A-Za-z0-9.-]{1,200}\.[A-Za-z]{2,}",
    "boolean": r"(?i:true|false|yes|no)",
    "integer": r"-?[0-9]{1,18}",
    "number": r"[+-]?[0-9]{1,18}(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?",
    "path": r"(?:/|\\\\|[A-Za-z]:\\)\S.*",
    "hostname": rf"{_LABEL}(?:\.{_LABEL})+\.?",
    "word": r"\S{1,100}",
}
_COMPILED = {name: re.compile(pattern, re.DOTALL) for name, pattern in _PATTERNS.items()}


def said(values: Iterable[str]) -> list[str]:
    """Return the distinct values that say something, at most ``LOOKED_AT`` of them and of each."""
    found: dict[str, None] = {}
    for value in values:
        text = value[:LOOKED_AT].strip()
        if text not in NOTHING:
            found[text] = None
        if len(found) >= LOOKED_AT:
            break
    return list(found)


def kind(values: Iterable[str]) -> str:
    """Return what all the values are: ``ip``, ``endpoint`` (address and port), a pattern's name, ``text``.

    Empty where no value says anything.
    """
    some = said(values)
    if not some:
        return ""
    if all(_is_ip(value) for value in some):
        return "ip"
    if all(_is_endpoint(value) for value in some):
        return "endpoint"
    fits: Callable[[re.Pattern[str]], bool] = lambda pattern: all(map(pattern.fullmatch, some))  # noqa: E731
    return next((name for name, pattern in _COMPILED.items() if fits(pattern)), "text")


def _is_ip(text: str) -> bool:
    return ("." in text or ":" in text) and read_address(text.strip("[]")) is not None


def _is_endpoint(text: str) -> bool:
    address, _, port = text.rpartition(":")
    return port.isdigit() and len(port) <= 5 and _is_ip(address)  # noqa: PLR2004 - 65535


def time_formats(values: Iterable[str], now: int = 1_735_689_600_000) -> tuple[str, ...]:
    """Return the formats that together read nearly every value as a time, those that read the most first."""
    left, found = said(values), list[str]()
    few = len(left) * _FEW
    while left and len(found) < _FORMATS:
        reads = {written: _read(left, written, now) for written in TIME_FORMATS}
        best = max(TIME_FORMATS, key=lambda written: sum(reads[written]))
        if not any(reads[best]):
            break
        found.append(best)
        left = [value for value, good in zip(left, reads[best], strict=True) if not good]
    return tuple(found) if found and len(left) <= few else ()


def _read(texts: list[str], written: str, now: int) -> list[bool]:
    """Say of each text whether it is a time in a format."""
    numeric = [_COMPILED["number"].fullmatch(value) is not None for value in texts]
    read = instants(pa.array(texts, TEXT), written, now).to_pylist()
    return [
        moment is not None
        and number is (written in _NUMERIC)
        and (not number or _FIRST_MS <= moment <= _LAST_MS)
        for moment, number in zip(read, numeric, strict=True)
    ]
