"""Connections that processes made, and the requests that named where they went.

A server that is told an address by a request, and then connects to it, was sent there: nothing of that stands
in any command line. Names that had to be looked up first are not followed: an access log does not say what
they meant.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from lemnis.graph.process_tree import Started
from lemnis.graph.requests import AFTER, BEFORE, Behind, Request, values
from lemnis.store.columns import leaf

NETWORK_ACTIVITY = 4001
_PATHS = (
    "metadata.uid",
    "time",
    "device.hostname",
    "actor.process.pid",
    "dst_endpoint.ip",
    "dst_endpoint.port",
)
# An address as a URL has it: in dots, as one number (also hexadecimal), in brackets where it is of version 6.
_HOST = re.compile(
    r"(?:(?<=://)|(?<=@)|^|(?<=//))(?:\[([0-9A-Fa-f:.]+)\]|(\d{1,3}(?:\.\d{1,3}){3}|0[xX][0-9A-Fa-f]{8}|\d{8,10}))(?![\w.])"
)
_MAYBE = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|0[xX][0-9A-Fa-f]{8}|\d{8}|\[|%5[Bb]|%2[Ee]|%3\d")
"""What every such address has in it, encoded or not: most requests are told from their bytes alone."""
_SMALLEST = 1 << 24  # a smaller number is an address in 0.0.0.0/8, which nobody is at


@dataclass(frozen=True, slots=True)
class Reached:
    """A process connected to an address: event uid, host, process number, when (ms)."""

    uid: str
    host: str
    pid: int
    at: int
    address: str
    port: int


def reached(table: pa.Table) -> Iterator[Reached]:
    """Yield the connections to an address that a table of Network Activity says a process made."""
    columns = [leaf(table, path) for path in _PATHS]
    if columns[3] is None or columns[4] is None:
        return
    known = pc.and_(pc.is_valid(columns[3]), pc.is_valid(columns[4]))
    chosen = table.filter(known)
    rows = (
        [None] * chosen.num_rows if c is None else c.to_pylist() for c in (leaf(chosen, p) for p in _PATHS)
    )
    for uid, at, host, pid, address, port in zip(*rows, strict=True):
        yield Reached(uid, host or "", pid, at, address, port or 0)


def sent(process: Started, connections: Sequence[Reached], requests: Sequence[Request]) -> list[Behind]:
    """Return the requests that named an address which was connected to soon after, nearest in time first.

    ``connections`` are those of the container of ``process``; each request is told once.
    """
    wanted = {one.address for one in connections}
    naming: dict[str, list[tuple[Request, str]]] = {}
    for request in requests if wanted else ():
        for address, text in _named(request.path, request.query).items():
            if address in wanted:
                naming.setdefault(address, []).append((request, text))
    found: dict[str, tuple[int, Behind]] = {}
    for one in connections:
        for request, text in naming.get(one.address, ()):
            apart = one.at - request.at
            if not -AFTER <= apart <= BEFORE or (request.host and request.host != one.host):
                continue
            if request.uid not in found or abs(apart) < found[request.uid][0]:
                found[request.uid] = abs(apart), Behind(request, process, text, one.uid)
    return [behind for _, behind in sorted(found.values(), key=lambda one: (one[0], one[1].request.uid))]


@lru_cache(maxsize=65_536)
def _named(path: str, query: str) -> dict[str, str]:
    """Return the addresses in a request, each with the text that names it."""
    found: dict[str, str] = {}
    if not _MAYBE.search(query) and not _MAYBE.search(path):
        return found
    for value in [*values(query), unquote(path)]:
        for match in _HOST.finditer(value):
            address = _address(match[1] or match[2])
            if address:
                found.setdefault(address, match[1] or match[2])
    return found


def _address(text: str) -> str:
    """Return an address as events write it; empty for what is none."""
    try:
        number = int(text, 0) if "." not in text and ":" not in text else -1
    except ValueError:  # a number that begins with 0: nobody agrees on what it is
        return ""
    if 0 <= number < _SMALLEST:
        return ""
    try:
        one = ipaddress.ip_address(text if number < 0 else number)
    except ValueError:
        return ""
    mapped = one.ipv4_mapped if isinstance(one, ipaddress.IPv6Address) else None
    return str(mapped or one)
