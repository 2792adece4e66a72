"""Questions to single values: numbers, times and addresses as logs write them."""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from lemnis.contracts.network import read_address

_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F]{1,32}|(?:\d{1,64}(?:\.\d{0,64})?|\.\d{1,64})(?:[eE][+-]?\d{1,3})?)", re.ASCII
)
_EPOCH = re.compile(r"\d{9,20}(?:\.\d{1,9})?", re.ASCII)
_UNITS = ((11, 1), (14, 1_000), (17, 1_000_000), (20, 1_000_000_000))
"""Digits up to which a time since 1970 is in seconds, ms, µs, ns; and how many of these are a second."""
_COMPARE: MappingProxyType[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "=": operator.eq,
        "!=": operator.ne,
    }
)


def in_network(text: str) -> Callable[[str], bool]:
    """Ask whether a value is an address in a network; an IPv4 address may be written as IPv6."""
    network = ipaddress.ip_network(text, strict=False)

    def test(value: str) -> bool:
        address = _address(value)  # many rules ask about the same one
        return address is not None and address.version == network.version and address in network

    return test


@lru_cache(maxsize=4096)
def _address(value: str) -> Any:
    return read_address(value)


def compared(sign: str, number: float) -> Callable[[str], bool]:
    """Ask how a value compares with a number."""
    compare = _COMPARE[sign]

    def test(value: str) -> bool:
        read = number_of(value)
        return read is not None and compare(read, number)  # what is no number compares with none

    return test


def number_of(text: str) -> float | None:
    """Read a decimal or 0x number as logs write them; None for anything else."""
    if not _NUMBER.fullmatch(text):
        return None
    if text.lstrip("+-")[:2] in {"0x", "0X"}:
        return int(text, 16)
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def timed(part: str, sign: str, number: int) -> Callable[[str], bool]:
    """Ask how a part of a time compares with a number."""
    compare = _COMPARE[sign]

    def test(value: str) -> bool:
        moment = _moment(value)
        if moment is None:  # what is no time has no parts
            return False
        found = moment.isocalendar().week if part == "week" else getattr(moment, part)
        return compare(found, number)

    return test


def _moment(text: str) -> datetime | None:
    """Read a time as ISO writes it, or as seconds, ms, µs or ns since 1970, by its size; in UTC."""
    try:
        if not _EPOCH.fullmatch(text):
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment
        whole = len(text.partition(".")[0])
        return datetime.fromtimestamp(float(text) / next(unit for size, unit in _UNITS if whole <= size), UTC)
    except (ValueError, OverflowError, OSError):
        return None
