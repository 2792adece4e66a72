"""Credentials for requests: a header as it is, or tokens that are fetched and renewed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import UsageError
from lemnis.ingest.transports._web import DeniedError, Web

_HOUR_S = 3600
_EARLY_MS = 60_000
_NO_KEY = "the secret is no service account's key"
_FIX = "the JSON file as Google gives it, with client_email and an RSA private_key"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Login(Protocol):
    """Gives the headers that a request is allowed by."""

    async def headers(self, web: Web, stop: asyncio.Event) -> Mapping[str, str]:
        """Return them; raises DeniedError where a token is refused."""
        ...

    def forget(self) -> None:
        """Let go of what was refused."""
        ...


@dataclass(frozen=True, slots=True)
class Header:
    """A header that is always the same; none without a name."""

    name: str = ""
    value: str = field(default="", repr=False)

    async def headers(self, web: Web, stop: asyncio.Event) -> Mapping[str, str]:
        """Return it."""
        del web, stop
        return {self.name: self.value} if self.name else {}

    def forget(self) -> None:
        """Do nothing: there is no other."""


@dataclass(slots=True)
class Token:
    """A bearer token from a token endpoint (RFC 6749), renewed a minute before it ends."""

    url: str
    clock: Clock
    asking: Asking
    _token: str = field(default="", repr=False)
    _ends: int = 0

    async def headers(self, web: Web, stop: asyncio.Event) -> Mapping[str, str]:
        """Return the token as a header, fetched anew where it has to be."""
        if not self._token or self.clock.now() > self._ends - _EARLY_MS:
            form = self.asking.form(self.url, self.clock.now())
            answer = await web.ask(
                "POST", self.url, headers={"Accept": "application/json"}, form=form, stop=stop
            )
            if answer is None:
                return {}
            self._token, seconds = _read(answer.body)
            self._ends = self.clock.now() + seconds * 1000
        return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> None:
        """Fetch another next time."""
        self._token = ""


class Asking(Protocol):
    """Makes the form that a token is asked for with."""

    def form(self, url: str, now: int) -> Mapping[str, str]:
        """Return it; ``now`` in ms."""
        ...


@dataclass(frozen=True, slots=True)
class Client:
    """Client credentials (RFC 6749, section 4.4)."""

    client_id: str
    secret: str = field(repr=False)
    scope: str

    def form(self, url: str, now: int) -> Mapping[str, str]:
        """Return the form."""
        del url, now
        return {
            "grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.secret,
            "scope": self.scope,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A statement signed with RS256 (RFC 7523): who asks, for what, in whose name, for an hour."""

    issuer: str
    key: rsa.RSAPrivateKey = field(repr=False)
    key_id: str
    scope: str
    subject: str

    @classmethod
    def read(cls, text: str, *, scope: str, subject: str) -> ServiceAccount:
        """Read a service account's JSON key file; raises UsageError for what is none."""
        try:
            said = orjson.loads(text)
            key = serialization.load_pem_private_key(said["private_key"].encode(), password=None)
            issuer, key_id = str(said["client_email"]), str(said.get("private_key_id", ""))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(_NO_KEY, fix=_FIX) from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise UsageError(_NO_KEY, fix=_FIX)
        return cls(issuer, key, key_id, scope, subject)

    def form(self, url: str, now: int) -> Mapping[str, str]:
        """Return the form with the signed statement."""
        issued = now // 1000
        head: dict[str, Any] = {"alg": "RS256", "typ": "JWT"}
        if self.key_id:
            head["kid"] = self.key_id
        claims = {
            "iss": self.issuer, "scope": self.scope, "aud": url, "iat": issued, "exp": issued + _HOUR_S,
        } | ({"sub": self.subject} if self.subject else {})  # fmt: skip
        text = f"{_encode(orjson.dumps(head))}.{_encode(orjson.dumps(claims))}"
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return {"grant_type": _JWT_BEARER, "assertion": f"{text}.{_encode(signature)}"}


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _read(body: bytes) -> tuple[str, int]:
    """Return a token and for how many seconds it holds."""
    try:
        said = orjson.loads(body)
        token = said["access_token"]
        seconds = int(said.get("expires_in", _HOUR_S))
    except (ValueError, KeyError, TypeError) as error:
        raise DeniedError("the token endpoint answered without a token") from error
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise DeniedError("the token endpoint answered with what no header can carry")
    return token, seconds
