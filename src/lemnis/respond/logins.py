"""What connections authenticate with: tokens as they are, fetched tokens, AWS keys, signatures of bodies."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import httpx
import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lemnis.contracts.clock import Clock, from_iso
from lemnis.contracts.errors import ServiceError, UsageError
from lemnis.respond.deadlines import IDENTITY, Deadlines, bounded, unpacked
from lemnis.respond.sigv4 import Keys

_SECRET, _DIGITS = 8, 9
_LONGEST = 100_000
"""Bytes of an answer with a token."""
_HOUR_S = 3600
_EARLY_MS = 60_000
_OK = frozenset({200, 201})
_FIX = "check the connection's credentials in lemnis.yaml"


class Tokens(Protocol):
    """Gives a token that holds now."""

    def token(self) -> str:
        """Return it, fetched anew where it has to be; raises ServiceError if it is not given."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        ...


@dataclass(frozen=True, slots=True)
class Login:
    """What a connection authenticates with; at most one way, and a signature of the body beside it.

    ``scheme`` stands before the token (nothing, if it is empty); ``user`` has a password (RFC 7617);
    ``signing_key`` signs bodies as https://www.standardwebhooks.com has it; ``address`` is a path and query
    that are a secret themselves, and that every request goes to.
    """

    token: str = field(default="", repr=False)
    keys: Keys | None = None
    region: str = ""
    scheme: str = "Bearer"
    user: str = ""
    password: str = field(default="", repr=False)
    signing_key: str = field(default="", repr=False)
    tokens: Tokens | None = None
    address: str = field(default="", repr=False)
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown; what is shorter than a secret is left alone, it could be any word."""
        keys = (self.keys.secret, self.keys.session) if self.keys else ()
        fetched = self.tokens.secrets if self.tokens else ()
        basic = _basic(self.user, self.password)
        own = (self.token, self.password, self.signing_key, self.address, basic)
        return tuple(text for text in (*own, *keys, *fetched) if len(text) >= _SECRET)

    def headers(self, body: bytes, now: int, message: str) -> dict[str, str]:
        """Return the headers that allow a request, but for AWS's; ``message`` names it for a signature."""
        found = dict(self.extra)
        token = self.tokens.token() if self.tokens else self.token
        if token:
            gap = "" if not self.scheme or self.scheme.endswith("=") else " "
            found["Authorization"] = f"{self.scheme}{gap}{token}"
        elif self.user:
            found["Authorization"] = f"Basic {_basic(self.user, self.password)}"
        if self.signing_key:
            found |= signature(self.signing_key, message, now // 1000, body)
        return found


def signature(key: str, message: str, at: int, body: bytes) -> dict[str, str]:
    """Return the headers of Standard Webhooks; ``key`` is base64, after ``whsec_`` or not; ``at`` in s."""
    try:
        secret = base64.b64decode(key.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise UsageError("the signing key is no base64", fix=_FIX) from error
    signed = f"{message}.{at}.".encode() + body
    mac = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": f"v1,{mac}"}


@dataclass(slots=True)
class ClientCredentials:
    """A bearer token for client credentials (RFC 6749, 4.4), renewed a minute before it ends."""

    url: str
    client_id: str
    secret: str = field(repr=False)
    scope: str
    clock: Clock
    timeout: float = 10
    _token: str = field(default="", repr=False)
    _ends: int = 0

    @property
    def secrets(self) -> tuple[str, ...]:
        """The client's secret, and the token."""
        return (self.secret, self._token)

    def token(self) -> str:
        """Return the token; raises ServiceError."""
        if not self._token or self.clock.now() > self._ends - _EARLY_MS:
            form = {
                "grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.secret,
            }  # fmt: skip
            said = _ask(self.url, self.timeout, form=form | ({"scope": self.scope} if self.scope else {}))
            self._token = _text(said, "access_token", self.url)
            seconds = str(said.get("expires_in", _HOUR_S))  # some write the number as a text
            held = (
                int(seconds)
                if seconds.isascii() and seconds.isdigit() and len(seconds) <= _DIGITS
                else _HOUR_S
            )
            self._ends = self.clock.now() + held * 1000
        return self._token


@dataclass(slots=True)
class GithubApp:
    """A token of a GitHub App: the app's own (a JWT) without an installation, else the installation's."""

    url: str
    app_id: str
    key: rsa.RSAPrivateKey = field(repr=False)
    installation: str
    clock: Clock
    timeout: float = 10
    _token: str = field(default="", repr=False)
    _ends: int = 0

    @classmethod
    def read(cls, pem: str, *, url: str, app_id: str, installation: str, clock: Clock) -> GithubApp:
        """Read the app's private key; raises UsageError for what is none."""
        try:
            key = serialization.load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise UsageError("the app's key is no PEM of a private key", fix=_FIX) from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise UsageError("the app's key is no RSA key", fix=_FIX)
        return cls(url, app_id, key, installation, clock)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token."""
        return (self._token,)

    def token(self) -> str:
        """Return the token; raises ServiceError."""
        now = self.clock.now()
        if self._token and now <= self._ends - _EARLY_MS:
            return self._token
        made = self._jwt(now // 1000)
        if not self.installation:
            self._token, self._ends = made, now + 540_000
            return made
        where = f"{self.url}/app/installations/{self.installation}/access_tokens"
        said = _ask(where, self.timeout, bearer=made)
        self._token = _text(said, "token", where)
        try:
            self._ends = from_iso(str(said.get("expires_at")))
        except ValueError:
            self._ends = now + _HOUR_S * 1000
        return self._token

    def _jwt(self, now: int) -> str:
        """Return a statement signed with RS256; a minute early, as clocks differ, and ten minutes at most."""
        parts = ({"alg": "RS256", "typ": "JWT"}, {"iat": now - 60, "exp": now + 540, "iss": self.app_id})
        text = ".".join(_encode(orjson.dumps(part)) for part in parts)
        return f"{text}.{_encode(self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _ask(
    url: str, timeout: float, *, form: Mapping[str, str] | None = None, bearer: str = ""
) -> Mapping[str, object]:
    """Ask a token endpoint; its answer may hold secrets and is never shown."""
    headers = {"Accept": "application/json", **IDENTITY}
    headers |= {"Authorization": f"Bearer {bearer}"} if bearer else {}
    deadlines, content = Deadlines(), bytearray()
    try:
        with (
            deadlines.within(time.monotonic() + timeout),
            bounded(deadlines, timeout=timeout) as client,
            client.stream("POST", url, data=form, headers=headers) as answer,
        ):
            for chunk in unpacked(answer, _LONGEST):
                content += chunk
                if len(content) > _LONGEST:
                    raise ServiceError(f"no token from {url}: the answer is too long", fix=_FIX)
        said = orjson.loads(bytes(content))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceError(f"no token from {url}: {type(error).__name__}", fix=_FIX) from error
    except orjson.JSONDecodeError as error:
        raise ServiceError(f"no token from {url}: the answer is no JSON", fix=_FIX) from error
    if answer.status_code not in _OK or not isinstance(said, dict):
        raise ServiceError(f"no token from {url}: it answered {answer.status_code}", fix=_FIX)
    return said


def _text(said: Mapping[str, object], name: str, url: str) -> str:
    token = said.get(name)
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise ServiceError(f"no token from {url}: the answer has none that a header can carry", fix=_FIX)
    return token


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
