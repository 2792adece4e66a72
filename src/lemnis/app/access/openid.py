"""Signing in by a provider of OpenID Connect (Core 1.0, 3.1): the authorization code flow, with PKCE.

The provider's answer counts once, in the browser that was sent there (``visit``), for a quarter of an hour.
What it says of somebody is believed when the signature holds by its own keys, and it is for us, new and still
valid. Requests go to the addresses that the provider's description names, over TLS, without redirects.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import orjson
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from lemnis.app.access import accounts, secret, signing
from lemnis.app.access.service import Access
from lemnis.app.access.signing import SignedIn
from lemnis.content.schemas.console import OpenId
from lemnis.contracts.errors import AccessError, RefusedError, ServiceError, UsageError
from lemnis.store.access import Account

_KIND = "openid"
_LASTS_MS = 15 * 60_000
_KEYS_MS = 60 * 60_000
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LEEWAY_S = 60
_TIMEOUT_S = 10.0
_MOST = 1_000_000
_WHOLE_S, _PATIENCE_S, _AGAIN_S = 20.0, 2.0, 10.0
"""How long an answer may take, how long one waits for another who asks, and when it is asked anew."""
_AT_ONCE = 8
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass
class Provider:
    """A provider of the settings, with what it says of itself, read again after an hour."""

    settings: OpenId
    client: httpx.Client
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: Mapping[str, Any] = field(default_factory=dict)
    _keys: jwk.KeySet | None = None
    _read: int | None = None
    _wrong: tuple[float, ServiceError] | None = None
    _slots: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_AT_ONCE))

    def described(self, now: int, *, anew: bool = False) -> tuple[Mapping[str, Any], jwk.KeySet]:
        """Return its addresses and keys; raises ServiceError where they cannot be had or are odd."""
        if not self._lock.acquire(timeout=_PATIENCE_S):
            raise self._failed("it is slow to answer")
        try:
            if anew or self._keys is None or self._read is None or now - self._read > _KEYS_MS:
                if self._wrong is not None and time.monotonic() - self._wrong[0] < _AGAIN_S:
                    raise self._wrong[1]
                try:
                    self._known, self._keys = self._described()
                except ServiceError as error:
                    self._wrong = time.monotonic(), error
                    raise
                self._read = now
            return self._known, self._keys
        finally:
            self._lock.release()

    def _described(self) -> tuple[Mapping[str, Any], jwk.KeySet]:
        issuer = self.settings.issuer.rstrip("/")
        known = self._get(f"{issuer}/.well-known/openid-configuration")
        if str(known.get("issuer", "")).rstrip("/") != issuer:
            raise self._failed(f"it says that it is {known.get('issuer')!r}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not _safe(str(known.get(name, "")), issuer):
                raise self._failed(f"its {name} is not over TLS")
        try:
            read: Any = self._get(str(known["jwks_uri"]))
            return known, jwk.KeySet.import_key_set(read)
        except (JoseError, ValueError, KeyError) as error:
            raise self._failed(f"its keys cannot be read: {error}") from error

    def exchange(self, now: int, form: Mapping[str, str]) -> str:
        """Give a code and get the token that says whose it is; raises AccessError for a code that is none."""
        known, _ = self.described(now)
        given = dict(form) | {"grant_type": "authorization_code", "client_id": self.settings.client_id}
        auth: Any = None
        if self.settings.secret_env:
            key = os.environ.get(self.settings.secret_env, "").strip()
            if not key:
                raise self._failed(f"the variable {self.settings.secret_env} is empty")
            ways = known.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
            if "client_secret_basic" in ways:
                auth = (self.settings.client_id, key)
            else:
                given["client_secret"] = key
        status, body = self._ask("POST", str(known["token_endpoint"]), data=given, auth=auth)
        if status != 200:  # noqa: PLR2004 - of HTTP
            raise AccessError("the provider does not know this sign-in any more", fix="sign in again")
        token = _json(body).get("id_token")
        if not isinstance(token, str):
            raise self._failed("it gave no token of identity")
        return token

    def _get(self, url: str) -> dict[str, Any]:
        status, body = self._ask("GET", url)
        if status != 200:  # noqa: PLR2004 - of HTTP
            raise self._failed(f"it cannot be asked: {url} answers {status}")
        return _json(body)

    def _ask(self, method: str, url: str, **how: Any) -> tuple[int, bytes]:
        """Return status and body of an answer that is neither too long nor too slow."""
        if not self._slots.acquire(blocking=False):
            raise self._failed("too many ask it at once")
        begun, body = time.monotonic(), bytearray()
        try:
            with self.client.stream(method, url, **how) as answer:
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > _MOST or time.monotonic() - begun > _WHOLE_S:
                        raise self._failed("its answer is too large, or too slow")
            return answer.status_code, bytes(body)
        except httpx.HTTPError as error:
            raise self._failed(f"it cannot be asked: {error}") from error
        finally:
            self._slots.release()

    def _failed(self, what: str) -> ServiceError:
        return ServiceError(
            f"the provider {self.settings.name} cannot be used: {what}",
            fix="`console: {openid: …}` in lemnis.yaml",
        )


def providers(settings: Sequence[OpenId], *, client: httpx.Client | None = None) -> dict[str, Provider]:
    """Return the providers of the settings by name."""
    shared = client or httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False)
    return {one.name: Provider(one, shared) for one in settings}


def begin(access: Access, provider: Provider, *, redirect: str, visit: str, onward: str = "/") -> str:
    """Return the address at the provider to which the browser is sent; ``visit`` ties it to this browser.

    ``redirect`` is our address that it comes back to, ``onward`` the page that it is for.
    """
    now = access.clock.now()
    known, _ = provider.described(now)
    state, nonce, verifier = (secret.new(access.random) for _ in range(3))
    data = {
        "provider": provider.settings.name, "nonce": nonce, "verifier": verifier, "redirect": redirect,
        "onward": onward, "visit": secret.known_as(visit, _KIND),
    }  # fmt: skip
    access.tables.put_once(secret.known_as(state, _KIND), _KIND, data, until=now + _LASTS_MS, now=now)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code", "client_id": provider.settings.client_id, "redirect_uri": redirect,
        "scope": " ".join(dict.fromkeys(("openid", *provider.settings.scopes))), "state": state,
        "nonce": nonce, "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    address = str(known["authorization_endpoint"])
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"


def finish(
    access: Access,
    provider: Provider,
    *,
    state: str,
    code: str,
    visit: str,
    address: str = "",
    agent: str = "",
) -> tuple[SignedIn, str]:
    """Sign in whoever the provider sent back; return the session and the page that it is for.

    Raises AccessError where the answer is none to a question of ours, of this browser, or not for us, and for
    somebody who has no account and gets none by the settings.
    """
    now = access.clock.now()
    begun = access.tables.take_once(secret.known_as(state, _KIND), _KIND, now)
    same = begun is not None and visit and secret.same(begun["visit"], secret.known_as(visit, _KIND))
    if begun is None or not same or begun["provider"] != provider.settings.name:
        raise AccessError("this sign-in was not begun here, or it took too long", fix="sign in again")
    form = {"code": code, "redirect_uri": begun["redirect"], "code_verifier": begun["verifier"]}
    claims = _verified(provider, provider.exchange(now, form), begun["nonce"], now)
    account = _account(access, provider.settings, claims)
    return signing.begin(
        access, account, f"openid {provider.settings.name}", address=address, agent=agent
    ), str(begun["onward"])


def _verified(provider: Provider, token: str, nonce: str, now: int) -> Mapping[str, Any]:
    """Return what a token of identity says, if it holds (OpenID Connect Core 1.0, 3.1.3.7)."""
    known, keys = provider.described(now)
    try:
        try:
            read = jwt.decode(token, keys, algorithms=_ALGORITHMS)
        except (JoseError, ValueError):  # its keys may have changed
            read = jwt.decode(token, provider.described(now, anew=True)[1], algorithms=_ALGORITHMS)
        mine = provider.settings.client_id
        jwt.JWTClaimsRegistry(
            now=now // 1000, leeway=_LEEWAY_S, iss={"essential": True, "value": str(known["issuer"])},
            aud={"essential": True, "value": mine}, exp={"essential": True}, iat={"essential": True},
            sub={"essential": True}, nonce={"essential": True, "value": nonce},
        ).validate(read.claims)  # fmt: skip
    except (JoseError, ValueError) as error:
        raise AccessError(f"what the provider says does not hold: {error}", fix="sign in again") from error
    audience = read.claims["aud"]
    if isinstance(audience, list) and len(audience) > 1 and read.claims.get("azp") != mine:
        raise AccessError("what the provider says is for somebody else", fix="sign in again")
    return read.claims


def _account(access: Access, settings: OpenId, claims: Mapping[str, Any]) -> Account:
    """Return the account of somebody; one is made, or its roles are changed, where the settings say so."""
    outside = f"{str(claims['iss']).rstrip('/')}#{claims['sub']}"
    roles = _roles(access, settings, claims)
    found = access.tables.account(outside=outside) or _expected(access, settings, claims, outside)
    if found is not None:
        if found.disabled:
            raise AccessError("the account is disabled", fix="ask whoever looks after accounts")
        if settings.groups and set(roles) != set(found.roles):
            try:
                found = accounts.change(access, found.id, actor=f"openid {settings.name}", roles=roles)
            except RefusedError:  # nobody else could change accounts: that stays
                return found
        return found
    if not roles:
        raise AccessError("you have no account here", fix="ask whoever looks after accounts")
    if settings.domains and not _of_domain(claims, settings.domains):
        raise AccessError(
            "your address is none that gets an account here", fix="ask whoever looks after accounts"
        )
    made, _ = accounts.add(
        access, _free_name(access, claims), roles, actor=f"openid {settings.name}", outside=outside
    )
    return made


def _expected(access: Access, settings: OpenId, claims: Mapping[str, Any], outside: str) -> Account | None:
    """Return the account that waits for somebody of this address; from now on it is this subject's."""
    if claims.get("email_verified") is not True:
        return None
    issuer = outside.partition("#")[0]
    found = access.tables.account(outside=f"{issuer}?email={str(claims.get('email', '')).casefold()}")
    if found is None or found.disabled:
        return found
    return accounts.link(access, found.id, outside, actor=f"openid {settings.name}")


def _roles(access: Access, settings: OpenId, claims: Mapping[str, Any]) -> tuple[str, ...]:
    groups = claims.get(settings.groups_claim)
    named = groups if isinstance(groups, list) else []
    given = (role for name in named if isinstance(name, str) for role in settings.groups.get(name, ()))
    known = access.rights.roles
    return tuple(sorted({one for one in (*settings.roles, *given) if one in known}))


def _of_domain(claims: Mapping[str, Any], domains: Sequence[str]) -> bool:
    email = str(claims.get("email", ""))
    return claims.get("email_verified") is True and email.rpartition("@")[2].casefold() in {
        one.casefold() for one in domains
    }


def _free_name(access: Access, claims: Mapping[str, Any]) -> str:
    """Return a name that nobody has: never that of somebody else, whatever the provider says."""
    wanted = (str(claims.get(name, "")) for name in ("preferred_username", "email", "name", "sub"))
    for text in (*wanted, "somebody"):
        name = re.sub(r"[^a-z0-9._@+-]+", "-", text.casefold()).strip("-._@+")[:56]
        try:
            accounts.name_of(name)
        except UsageError:
            continue
        for number in range(1, 1000):
            tried = name if number == 1 else f"{name}-{number}"
            if access.tables.account(name=tried) is None:
                return tried
    raise RefusedError("no name is left for this account")


def _safe(url: str, issuer: str) -> bool:
    """Say whether an address that a provider names may be asked: one on this machine by one on it alone."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in _LOCAL and urlsplit(issuer).hostname in _LOCAL
    )


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except ValueError as error:
        raise ServiceError("the provider's answer is no JSON") from error
    if not isinstance(found, dict):
        raise ServiceError("the provider's answer is no object")
    return found
