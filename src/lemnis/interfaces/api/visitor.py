"""Where a request comes from, as far as it can be believed: address, scheme, host. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed: which proxies, and to which host names this answers (loopback always)."""

    proxies: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, proxies: Sequence[str] = (), hosts: Sequence[str] = ()) -> Trust:
        """Read addresses and networks of proxies, names of hosts."""
        networks = tuple(ip_network(one, strict=False) for one in proxies)
        return cls(networks, frozenset(one.casefold() for one in hosts))

    def proxy(self, address: str) -> bool:
        """Say whether an address is a proxy's."""
        try:
            known = ip_address(address)
        except ValueError:
            return False
        return any(known in network for network in self.proxies)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, by the network: ``host`` is as it was asked for, with its port; ``secure`` says TLS."""

    address: str
    secure: bool
    host: str

    @property
    def origin(self) -> str:
        """What a browser says that pages of this host come from."""
        return f"{'https' if self.secure else 'http'}://{self.host}"


def visitor(peer: str, scheme: str, headers: Mapping[str, str], trust: Trust) -> Visitor:
    """Return who asks; what headers say of it is believed of a proxy only.

    The address is the last one in X-Forwarded-For that is no proxy of ours: whatever stands before that may
    have been written by anybody.
    """
    host = headers.get("host", "")
    if not trust.proxy(peer):
        return Visitor(peer, scheme == "https", host)
    address = peer
    for one in reversed(headers.get("x-forwarded-for", "").split(",")):
        text = one.strip().strip("[]")
        try:
            ip_address(text)
        except ValueError:
            break
        address = text
        if not trust.proxy(text):
            break
    said = headers.get("x-forwarded-proto", scheme).rsplit(",", 1)[-1].strip()
    host = headers.get("x-forwarded-host", host).rsplit(",", 1)[-1].strip()
    return Visitor(address, said == "https", host)


def named(one: Visitor, url: str = "") -> str | None:
    """Return where this console has a name that passkeys can be bound to, if it is not where somebody came.

    ``url`` is how browsers reach it, by the settings. None: here. Empty: nowhere, as there are only numbers.
    """
    at = url.rstrip("/") or one.origin
    host = _name(at.partition("://")[2])
    if not numbers(host):
        return None if at.casefold() == one.origin.casefold() else at
    if not ip_address(host).is_loopback:
        return ""
    scheme, _, place = at.partition("://")
    return f"{scheme}://localhost{place.rpartition(']')[2] if place.startswith('[') else place[len(host) :]}"


def numbers(host: str) -> bool:
    """Say whether a host has an address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def answers_to(host: str, trust: Trust) -> bool:
    """Say whether this host name is ours: a page of another name that leads here is an attack (rebinding)."""
    name = _name(host)
    port = host.rpartition("]")[2] if host.startswith("[") else host[len(name) :]
    numbered = not port or (port[0] == ":" and port[1:].isascii() and port[1:].isdecimal())
    return numbered and (name in _LOCAL or name in trust.hosts)


def _name(host: str) -> str:
    text = host.casefold()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def same_site(headers: Mapping[str, str], one: Visitor) -> bool:
    """Say whether a request that changes something comes from a page of ours, as the browser says.

    Without any such word it is no browser, or an old one; the secret in the form decides then.
    """
    origin = headers.get("origin")
    if origin is not None:
        return origin.casefold() == one.origin.casefold()
    return headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}
