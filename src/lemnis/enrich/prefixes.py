"""The most specific network of an address, among a million of them: by one search over sorted bounds.

An address is 17 bytes: its family, then its bits from the left, so that IPv4 and IPv6 never meet and a prefix
means the same for both.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

import numpy as np
import numpy.typing as npt

from lemnis.contracts.network import read_address
from lemnis.enrich.intervals import NOTHING, Ints, Timeline

_WIDTH = 17
_BITS, _V4_BITS = 128, 32
_V4, _V6 = b"\x04", b"\x06"
_FILL = bytes(12)


def packed(text: str) -> bytes:
    """Return an address as 17 bytes; empty if it is none."""
    try:
        return _V4 + socket.inet_pton(socket.AF_INET, text) + _FILL
    except (OSError, ValueError):
        found = read_address(text)
    if found is None:
        return b""
    return _V4 + found.packed + _FILL if found.version == 4 else _V6 + found.packed  # noqa: PLR2004 - IPv4


def spread(cidr: str) -> tuple[int, int]:
    """Return the first and the last address of a network as numbers; raises ValueError if it is none."""
    address, slash, length = cidr.partition("/")
    try:  # a million of them are many objects to make
        low = int.from_bytes(_V4 + socket.inet_pton(socket.AF_INET, address) + _FILL, "big")
        bits = int(length) if slash and length.isdecimal() and int(length) <= _V4_BITS else -1
    except (OSError, ValueError):
        bits = -1
    if bits < 0 or low & ((1 << (_BITS - bits)) - 1):
        network = ip_network(cidr)  # it is IPv6, or this says what is wrong
        family = _V4 if network.version == 4 else _V6  # noqa: PLR2004 - IPv4
        low = int.from_bytes((family + network.network_address.packed).ljust(_WIDTH, b"\0"), "big")
        bits = network.prefixlen
    return low, low | ((1 << (_BITS - bits)) - 1)


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Networks by number: which one an address is in, and which one each of them is in (``parents``)."""

    bounds: npt.NDArray[np.bytes_]
    owners: Ints
    parents: Ints

    @classmethod
    def of(cls, cidrs: Sequence[str]) -> Prefixes:
        """Lay out networks, each there once; raises ValueError for what is none."""
        spans = [spread(cidr) for cidr in cidrs]
        order = sorted(range(len(spans)), key=lambda number: (spans[number][0], -spans[number][1]))
        parents = np.full(len(spans), NOTHING, np.int64)
        bounds: list[int] = []
        owners: list[int] = []
        inside: list[int] = []

        def leave(before: int | None) -> None:
            while inside and (before is None or spans[inside[-1]][1] < before):
                bounds.append(spans[inside.pop()][1] + 1)
                owners.append(inside[-1] if inside else NOTHING)

        for number in order:
            low = spans[number][0]
            leave(low)
            if inside:
                parents[number] = inside[-1]
            bounds.append(low)
            owners.append(number)
            inside.append(number)
        leave(None)
        data = b"".join(bound.to_bytes(_WIDTH, "big") for bound in bounds)
        return cls(np.frombuffer(data, f"S{_WIDTH}"), np.array(owners, np.int64), parents)

    def of_addresses(self, texts: Iterable[str | None]) -> Ints:
        """Return the most specific network of each address; NOTHING for one that is in none."""
        keys = [packed(text) if text else b"" for text in texts]
        found = np.full(len(keys), NOTHING, np.int64)
        if not len(self.bounds):
            return found
        there = np.array([number for number, key in enumerate(keys) if key], np.int64)
        sought = np.frombuffer(b"".join(keys), f"S{_WIDTH}")
        places = np.searchsorted(self.bounds, sought, side="right") - 1
        found[there[places >= 0]] = self.owners[places[places >= 0]]
        return found

    def at(self, networks: Ints, times: Ints, timeline: Timeline) -> Ints:
        """Return the row of the most specific of nested networks that held at each time."""
        found = timeline.at(networks, times)
        waiting = np.flatnonzero((found < 0) & (networks >= 0))
        mine = networks[waiting]
        while len(waiting):
            mine = self.parents[mine]
            inner = mine >= 0
            waiting, mine = waiting[inner], mine[inner]
            held = timeline.at(mine, times[waiting])
            found[waiting] = held
            waiting, mine = waiting[held < 0], mine[held < 0]
        return found
