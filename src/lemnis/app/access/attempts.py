"""How long to wait after failed tries. Pure.

Three counts bound guessing: of one account from one address, of one address, of one account. The first two
let the person itself in from elsewhere while somebody guesses; the last is so high that it stops machines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address
from types import MappingProxyType

WINDOW_MS = 15 * 60_000
"""Older failures no longer count."""
_BOUNDS: Mapping[str, int] = MappingProxyType({"pair": 5, "from": 30, "name": 100})
_FIRST_MS, _MOST_MS = 30_000, 15 * 60_000


def names(account: str, address: str) -> tuple[str, ...]:
    """Return what is counted of a try; of one that names no account, nothing that others would pay for."""
    place = network(address)
    counted = f"pair {account} {place}", f"from {place}"
    return (*counted, f"name {account}") if account else counted


def network(address: str) -> str:
    """Return what stands for whoever has an address: of IPv6 its network of 64 bits, which is theirs."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return address
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(IPv6Network((int(known), 64), strict=False))


def wait(failures: Mapping[str, Sequence[int]], now: int) -> int:
    """Return for how many ms nothing is tried: 30 s at the bound, then twice as long with each failure."""
    waits = (_wait(_BOUNDS[what.split(" ", 1)[0]], times, now) for what, times in failures.items())
    return max(waits, default=0)


def _wait(bound: int, times: Sequence[int], now: int) -> int:
    recent = [one for one in times if one > now - WINDOW_MS]
    over = len(recent) - bound
    if over < 0:
        return 0
    return max(0, recent[-1] + min(_FIRST_MS << min(over, 16), _MOST_MS) - now)
