"""Who sends over HTTP: tokens, what they may send, how much of it a second, and from where it comes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import pydantic

from lemnis.content.schemas import Model
from lemnis.content.schemas.settings import Variable
from lemnis.contracts.errors import BusyError
from lemnis.ingest.transports import Setup

_BURST_S = 5.0
_LEAST = 1 << 16
"""So many bytes a request of a stranger counts as at least: it costs more than its body."""
_STRANGERS = 10_000
_NETWORK6 = 64
"""The part of an IPv6 address that one sender has to itself; the rest it chooses as it likes."""
_SCHEMES = frozenset({"bearer", "splunk", "token"})


class Token(Model):
    """A token that senders have, in a variable or a file; what it may send (names or globs; all if none).

    ``bytes_per_s`` is how much it may send on the average over a few seconds; 0 is any.
    """

    name: str = pydantic.Field(min_length=1, max_length=128)
    token_env: Variable = ""
    token_file: str = ""
    sources: tuple[str, ...] = ()
    bytes_per_s: int = pydantic.Field(default=0, ge=0)

    @pydantic.model_validator(mode="after")
    def _from_one_place(self) -> Token:
        if bool(self.token_env) == bool(self.token_file):
            raise ValueError("give `token_env` or `token_file`")
        return self


class RateError(BusyError):
    """Somebody sends more than is allowed."""


@dataclass(slots=True)
class Sender:
    """Who sends: a token's holder, or anybody. What is sent beyond the rate has to come again later.

    A request counts as ``least`` bytes at least.
    """

    name: str
    sources: Sequence[str] = ()
    bytes_per_s: int = 0
    least: int = 0
    _left: float = 0.0
    _at: float | None = None

    def may(self, source: str) -> bool:
        """Say whether it may send what is of this source."""
        return not self.sources or any(fnmatchcase(source, one) for one in self.sources)

    def spend(self, size: int, now: float) -> None:
        """Count what is sent at ``now`` (s); raises RateError when it is more than the rate allows."""
        if self.bytes_per_s:
            self._allow(max(size, self.least), now)
            self._left -= max(size, self.least)

    def ready(self, now: float) -> None:
        """Raise RateError where not even the least may be sent now: its body need not be read."""
        if self.bytes_per_s and self.least:
            self._allow(self.least, now)

    def waste(self, size: int, now: float) -> None:
        """Count what came to nothing: a stranger's bad body costs as much as a good one of this size."""
        if self.bytes_per_s and self.least:
            self._fill(now)
            self._left = max(0.0, self._left - size)

    def _allow(self, size: int, now: float) -> None:
        most = self._fill(now)
        if (
            self._left < size and self._left < most
        ):  # what is larger than a burst may come when none was spent
            wait = (min(size, most) - self._left) / self.bytes_per_s
            raise RateError(
                f"{self.name} may send {self.bytes_per_s:,} bytes a second", retry_after_s=max(1.0, wait)
            )

    def _fill(self, now: float) -> float:
        """Let what comes free by time be there; return how much there can be at most."""
        most = self.bytes_per_s * _BURST_S
        before = most if self._at is None else self._left + (now - self._at) * self.bytes_per_s
        self._left, self._at = min(most, before), now
        return most


@dataclass(slots=True)
class Strangers:
    """Senders without a token, each known by its address and with a rate of its own; 0 is any.

    Those that were heard last are remembered; of IPv6 a network of 64 bits is one sender.
    """

    bytes_per_s: int = 0
    _known: OrderedDict[str, Sender] = field(default_factory=OrderedDict)

    def at(self, origin: str) -> Sender:
        """Return the sender at an address."""
        name = _network(origin)
        found = self._known.pop(name, None) or Sender(name, (), self.bytes_per_s, _LEAST)
        self._known[name] = found
        if len(self._known) > _STRANGERS:
            self._known.popitem(last=False)
        return found


def _network(origin: str) -> str:
    try:
        address = ipaddress.ip_address(origin)
    except ValueError:
        return origin
    if isinstance(address, ipaddress.IPv4Address):
        return origin
    return str(address.ipv4_mapped or ipaddress.IPv6Network((int(address), _NETWORK6), strict=False))


class UnknownError(Exception):
    """No token is given, or none that is known: ``given`` tells them apart."""

    def __init__(self, *, given: bool, readable: bool = True) -> None:
        """``readable`` is whether it was of a scheme that is understood."""
        super().__init__("the token is not known" if given else "a token is needed")
        self.given, self.readable = given, readable


@dataclass(slots=True)
class Senders:
    """The tokens there are; without any, anybody may send."""

    by_digest: Mapping[bytes, Sender]
    anybody: Sender = field(default_factory=lambda: Sender("anybody"))

    @classmethod
    def of(cls, tokens: Sequence[Token], setup: Setup) -> Senders:
        """Read the secrets; raises UsageError for one that is not there."""
        found = {}
        for one in tokens:
            secret = setup.secret(env=one.token_env, file=one.token_file)
            found[_digest(secret)] = Sender(one.name, one.sources, one.bytes_per_s)
        return cls(found)

    def find(self, authorization: str) -> Sender:
        """Return who holds the token of an Authorization header; raises UnknownError.

        Schemes: Bearer, Splunk, Token; ApiKey (Elasticsearch: base64 of ``id:token``) and Basic (the password
        is the token).
        """
        if not self.by_digest:
            return self.anybody
        if not authorization:
            raise UnknownError(given=False)
        wanted = _digest(_token(authorization))
        holder = None
        for known, sender in self.by_digest.items():  # all of them: how long it takes tells nothing
            if hmac.compare_digest(known, wanted):
                holder = sender
        if holder is None:
            raise UnknownError(given=True)
        return holder


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _token(authorization: str) -> str:
    scheme, _, rest = authorization.strip().partition(" ")
    scheme, rest = scheme.lower(), rest.strip()
    if scheme in _SCHEMES and rest:
        return rest
    if scheme in {"basic", "apikey"} and rest:
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError) as error:
            raise UnknownError(given=True, readable=False) from error
    raise UnknownError(given=True, readable=False)


def origins(proxies: Sequence[str]) -> Callable[[str, str], str]:
    """Return what says where a request is from: the peer's address, or behind known proxies whom they name.

    It is called with the peer's address and the header X-Forwarded-For. Raises ValueError for what is no
    network.
    """
    networks = [ipaddress.ip_network(one, strict=False) for one in proxies]

    def known(text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in networks)

    def origin(peer: str, forwarded: str) -> str:
        hops = [*(hop.strip() for hop in forwarded.split(",") if hop.strip()), peer]
        while len(hops) > 1 and known(hops[-1]):
            hops.pop()
        return hops[-1][:256]

    return origin
