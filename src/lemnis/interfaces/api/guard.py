"""What stands before every page and route: who asks, whether a form is ours, how much, how often.

``request.state`` has ``person`` (None: nobody is signed in), ``csrf`` (what forms carry in the field
``csrf``, or requests in the header ``X-CSRF-Token``), ``visitor``, ``cookie`` and ``access``. A route asks
``require(request, permission)``, and gets the person or an AccessError; a page calls ``signed_in`` and
``signed_out`` on its response.

A session ends when nobody uses it. What a page asks by itself says so in the header ``X-Lemnis-Unasked``, and
the stream of live events is never asked for by anybody: neither counts as use.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lemnis.app.access import signing
from lemnis.app.access.attempts import network
from lemnis.app.access.permissions import Person, refusal
from lemnis.app.access.secret import csrf as csrf_of
from lemnis.app.access.secret import same
from lemnis.contracts.errors import AccessError, LemnisError, StrangerError
from lemnis.interfaces.api.limits import Buckets, Rate
from lemnis.interfaces.api.problem import problem
from lemnis.interfaces.api.turns import Turn, taken
from lemnis.interfaces.api.visitor import Trust, Visitor, answers_to, same_site, visitor

if TYPE_CHECKING:
    from lemnis.app.access.service import Access
    from lemnis.app.access.signing import SignedIn
    from lemnis.contracts.ids import Json

LOG = logging.getLogger("lemnis.console")
SESSION, VISIT = "lemnis", "lemnis-visit"
"""Names of cookies; with TLS they begin with ``__Host-``, which ties them to this host."""
_UNASKED, _STREAM = "x-lemnis-unasked", "/stream"
MAX_BODY = 1_000_000
BODY_S = 20.0
"""How long a body may take."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": _CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
"""What every response says, unless it says something else itself."""
_HSTS = "max-age=31536000"
_STRANGERS, _PEOPLE, _CHANGES = Rate(120, 10), Rate(600, 60), Rate(120, 10)


@dataclass(frozen=True, slots=True)
class Rates:
    """How often: addresses where nobody is signed in, people, and changes by either."""

    strangers: Rate = _STRANGERS
    people: Rate = _PEOPLE
    changes: Rate = _CHANGES


@dataclass(slots=True)
class _Asked:
    """One request: what the guard knows of it."""

    headers: dict[str, str]
    visitor: Visitor
    cookie: str = ""
    visit: str = ""
    fresh: str = ""
    person: Person | None = None
    bearer: bool = False
    unasked: bool = False
    body: bytes | None = None
    sends: dict[str, str] = field(default_factory=dict)


class Guard:
    """ASGI middleware around everything that the console serves."""

    def __init__(
        self, application: ASGIApp, access: Access, *, trust: Trust | None = None, rates: Rates | None = None
    ) -> None:
        """``trust`` says which proxies and host names are ours."""
        self._app, self._access = application, access
        self._trust = trust or Trust()
        how = rates or Rates()
        self._strangers = Buckets(how.strangers, time.monotonic)
        self._people = Buckets(how.people, time.monotonic)
        self._changes = Buckets(how.changes, time.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1"): one.decode("latin-1") for name, one in scope["headers"]}
        peer = (scope.get("client") or ("", 0))[0]
        asked = _Asked(headers, visitor(peer, scope.get("scheme", "http"), headers, self._trust))
        asked.unasked = _UNASKED in headers or scope["path"].endswith(_STREAM)
        out = _Sender(send, asked)
        try:
            refused = await self._refused(scope, receive, asked)
        except LemnisError as error:
            refused = problem(error)
        except _TooMuchError:
            refused = problem(status=413, title="the body is too large", fix=f"{MAX_BODY:,} bytes at most")
        except _BrokenOffError:
            refused = problem(status=400, title="the body was broken off")
        except TimeoutError:
            refused = problem(status=408, title="the body took too long")
        if refused is not None:
            await refused(scope, receive, out)
            return
        state = scope.setdefault("state", {})
        state.update(
            person=asked.person, visitor=asked.visitor, cookie=asked.cookie, visit=asked.visit or asked.fresh,
            access=self._access,
            csrf=csrf_of(asked.cookie or asked.visit or asked.fresh),
        )  # fmt: skip
        await self._app(scope, receive if asked.body is None else _replay(asked.body, receive), out)

    async def _refused(self, scope: Scope, receive: Receive, asked: _Asked) -> Response | None:
        """Return why a request is not let through; None if it is."""
        refused = self._misled(scope, asked)
        if refused is not None:
            return refused
        self._cookies(asked)
        await self._who(asked)
        changes = scope["method"] not in _SAFE
        wait = self._wait(asked, changes=changes)
        if wait:
            return problem(status=429, title="too many requests", headers={"retry-after": f"{wait:.0f}"})
        if asked.bearer and asked.person is None:
            return problem(StrangerError("the token is unknown or over"))
        if not changes:
            return None
        asked.body = await asyncio.wait_for(_read(asked.headers, receive), BODY_S)
        if not asked.bearer and not _ours(asked):
            return problem(
                AccessError(
                    "the request does not come from a page of this console", fix="load the page again"
                )
            )
        return None

    def _misled(self, scope: Scope, asked: _Asked) -> Response | None:
        """Return why a request is for no host or path of ours."""
        if not answers_to(asked.visitor.host, self._trust):
            fix = "`console: {hosts: […]}` in lemnis.yaml names others"
            return problem(status=421, title="no such host here", fix=fix)
        if any(sign < " " or sign == "\x7f" for sign in scope["path"]):
            return problem(status=400, title="the path has signs that no path of ours has")
        return None

    def _cookies(self, asked: _Asked) -> None:
        """Read the cookies; who has none and asks for a page is given one, for the form to sign in by."""
        try:
            jar = SimpleCookie(asked.headers.get("cookie", ""))
        except CookieError:
            jar = SimpleCookie()
        secure = asked.visitor.secure
        asked.cookie = jar[_named(SESSION, secure)].value if _named(SESSION, secure) in jar else ""
        asked.visit = jar[_named(VISIT, secure)].value if _named(VISIT, secure) in jar else ""
        if not asked.cookie and not asked.visit and "text/html" in asked.headers.get("accept", ""):
            asked.fresh = secrets.token_urlsafe(32)
            asked.sends[_named(VISIT, secure)] = asked.fresh

    async def _who(self, asked: _Asked) -> None:
        kind, _, key = asked.headers.get("authorization", "").partition(" ")
        if kind.casefold() == "bearer":
            asked.bearer, asked.cookie = True, ""
            asked.person = await taken(Turn.KNOWING, self._access.by_token, key.strip())
        elif asked.cookie:
            known = self._access.looked_by_cookie if asked.unasked else self._access.by_cookie
            asked.person = await taken(Turn.KNOWING, known, asked.cookie)

    def _wait(self, asked: _Asked, *, changes: bool) -> float:
        name = asked.person.id if asked.person else network(asked.visitor.address)
        wait = (self._people if asked.person else self._strangers).take(name)
        if changes and not wait:
            wait = self._changes.take(name)
        return max(1.0, wait) if wait else 0.0


class _TooMuchError(Exception):
    """The body is larger than any that is needed."""


class _BrokenOffError(Exception):
    """Who sends the body went before it was whole."""


class _Sender:
    """Adds to each response what every one says."""

    def __init__(self, send: Send, asked: _Asked) -> None:
        self._send, self._asked = send, asked

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            secure = self._asked.visitor.secure
            if secure:
                headers.setdefault("strict-transport-security", _HSTS)
            for name, value in self._asked.sends.items():
                headers.append("set-cookie", _cookie(name, value, secure=secure))
        await self._send(message)


def require(request: Request, permission: str, about: Mapping[str, Json] | None = None) -> Person:
    """Return who asks; raises StrangerError if nobody is signed in, AccessError if they may not do it."""
    person: Person | None = getattr(request.state, "person", None)
    if person is None:
        raise StrangerError("sign in first", fix="sign in, or send a token")
    why = refusal(person, permission, about)
    if why:
        raise AccessError(why, fix=f"it takes the permission {permission}")
    return person


def signed_in(request: Request, response: Response, signed: SignedIn) -> None:
    """Give the browser the cookie of a session that began; the one from before is worth nothing any more."""
    secure = request.state.visitor.secure
    if request.state.cookie:
        signing.sign_out(request.state.access, request.state.cookie)
    response.headers.append("set-cookie", _cookie(_named(SESSION, secure), signed.cookie, secure=secure))
    response.headers.append("set-cookie", _cookie(_named(VISIT, secure), "", secure=secure, over=True))


def signed_out(request: Request, response: Response) -> None:
    """Take the cookie from the browser."""
    secure = request.state.visitor.secure
    response.headers.append("set-cookie", _cookie(_named(SESSION, secure), "", secure=secure, over=True))
    response.headers["clear-site-data"] = '"cache"'


def visit(request: Request) -> tuple[str, bool]:
    """Return what ties steps of a sign-in to one browser that nobody is signed in at; whether it is new."""
    known: str = request.state.visit
    return (known, False) if known else (secrets.token_urlsafe(32), True)


def visited(request: Request, response: Response, value: str) -> None:
    """Give the browser what ties the steps of a sign-in to it."""
    secure = request.state.visitor.secure
    response.headers.append("set-cookie", _cookie(_named(VISIT, secure), value, secure=secure))


def _named(name: str, secure: bool) -> str:  # noqa: FBT001 - of a request
    return f"__Host-{name}" if secure else name


def _cookie(name: str, value: str, *, secure: bool, over: bool = False) -> str:
    parts = [f"{name}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
    parts += ["Secure"] if secure else []
    parts += ["Max-Age=0"] if over else []
    return "; ".join(parts)


def _ours(asked: _Asked) -> bool:
    """Say whether a request that changes something carries what only a page of ours can know."""
    if not same_site(asked.headers, asked.visitor):
        return False
    known = asked.cookie or asked.visit
    given = asked.headers.get("x-csrf-token", "") or _field(asked)
    return bool(known and given) and same(given, csrf_of(known))


def _field(asked: _Asked) -> str:
    if not asked.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return ""
    try:
        found = parse_qs((asked.body or b"").decode(), max_num_fields=1000)
    except ValueError:
        return ""
    return found.get("csrf", [""])[0]


async def _read(headers: Mapping[str, str], receive: Receive) -> bytes:
    said = headers.get("content-length", "0")
    if said.isdecimal() and int(said) > MAX_BODY:
        raise _TooMuchError
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":  # half of a form is none
            raise _BrokenOffError
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _TooMuchError
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already, and then waits for the end as before."""
    given = False

    async def again() -> dict[str, Any]:
        nonlocal given
        if given:
            return dict(await receive())
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
