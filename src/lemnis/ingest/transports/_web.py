"""Asking over HTTP: one server and no other, bounded in size and time, patient with limits.

Redirects are not followed and proxies of the environment not used; a next page that lies on another server is
an error, for the credentials would go there. Only https leaves this machine.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import LemnisError, Location, RefusedError, ServiceError
from lemnis.ingest.transports._handing import rest

MAX_ANSWER = 64_000_000
_TIMEOUT_S = 60.0
_WHOLE_S = 300.0
_WAIT_S = (1.0, 300.0)
_LONGEST_S = 7200.0
_EPOCH = 1_000_000_000
_LIMITS = ("x-ratelimit", "x-rate-limit", "ratelimit")
_log = logging.getLogger(__name__)


class DeniedError(ServiceError):
    """The server understood and declined: asking again does not help."""

    def __init__(self, what: str, *, status: int = 0, at: Location | None = None) -> None:
        """``status`` is what it answered."""
        super().__init__(what, at=at, fix="check the credentials, their permissions, and the values given")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)


def loopback(url: str) -> bool:
    """Say whether an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def safe(url: str) -> str:
    """Return an address that may be called; raises ValueError for one in clear text to another machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback(url)):
        raise ValueError("only https leaves this machine")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no credentials in addresses")
    return url


def same_server(one: str, other: str) -> bool:
    """Say whether two addresses lead to the same server by the same scheme."""
    first, second = httpx.URL(one), httpx.URL(other)
    return (first.scheme, first.host, first.port) == (second.scheme, second.host, second.port)


class Web:
    """Sends requests and waits where it has to; a context manager."""

    def __init__(self, name: str, clock: Clock, *, ca: Path | None = None) -> None:
        """``name`` is the transport's, for the log; ``clock`` is what limits are told by: the real time."""
        self._name, self._clock = name, clock
        verify = ssl.create_default_context(cafile=str(ca) if ca else None)
        self._http = httpx.AsyncClient(
            follow_redirects=False, trust_env=False, verify=verify, timeout=_TIMEOUT_S
        )
        self._not_before = 0.0

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], form: Mapping[str, str] | None = None,
        stop: asyncio.Event,
    ) -> Answer | None:  # fmt: skip
        """Return a good answer (2xx); None if ``stop`` was set before there was one.

        What passes (a limit, a server or a network that fails) is waited for. Raises DeniedError for what
        does not, and RefusedError for an answer that is too large or leads elsewhere.
        """
        pause = _WAIT_S[0]
        while not stop.is_set():
            wait = self._not_before - asyncio.get_running_loop().time()
            if wait > 0 and await rest(stop, wait):
                return None
            try:
                async with asyncio.timeout(_WHOLE_S):
                    answer = await self._once(method, url, headers, form)
            except (httpx.HTTPError, TimeoutError) as error:
                _log.warning("%s: %s: %s", self._name, _shown(url), type(error).__name__)
            else:
                self._remember(answer)
                if answer.status < httpx.codes.MULTIPLE_CHOICES:
                    return answer
                again = self._again(answer, pause)
                if again is None:
                    raise _denied(url, answer)
                _log.warning(
                    "%s: %s answers %d; again in %.0f s", self._name, _shown(url), answer.status, again
                )
                self._not_before = asyncio.get_running_loop().time() + again
                pause = min(pause * 2, _WAIT_S[1])
                continue
            await rest(stop, pause)
            pause = min(pause * 2, _WAIT_S[1])
        return None

    async def _once(
        self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None
    ) -> Answer:
        sent = {"User-Agent": "lemnis", **headers}
        body = bytearray()
        async with self._http.stream(method, url, headers=sent, data=form) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise RefusedError(
                        f"the answer is larger than {MAX_ANSWER:,} bytes", at=Location(_shown(url))
                    )
            return Answer(response.status_code, response.headers, bytes(body))

    def _remember(self, answer: Answer) -> None:
        """Ask nothing more before a limit that is used up is over."""
        for name in _LIMITS:
            if answer.headers.get(f"{name}-remaining", "").strip() == "0":
                wait = self._until(answer.headers.get(f"{name}-reset", ""))
                self._not_before = max(self._not_before, asyncio.get_running_loop().time() + wait)

    def _again(self, answer: Answer, pause: float) -> float | None:
        """Return in how many seconds to ask again; None if that does not help."""
        given = answer.headers.get("retry-after", "")
        limited = any(answer.headers.get(f"{name}-remaining", "").strip() == "0" for name in _LIMITS)
        if answer.status == httpx.codes.TOO_MANY_REQUESTS or (
            answer.status == httpx.codes.FORBIDDEN and (given or limited)
        ):
            said = _retry_after(given, self._clock.now() / 1000)
            now = asyncio.get_running_loop().time()
            return min(max(said or 0.0, self._not_before - now, pause if said is None else 0.0), _LONGEST_S)
        if answer.status >= httpx.codes.INTERNAL_SERVER_ERROR or answer.status == httpx.codes.REQUEST_TIMEOUT:
            return min(_retry_after(given, self._clock.now() / 1000) or pause, _LONGEST_S)
        return None

    def _until(self, reset: str) -> float:
        """Return the seconds until a limit is over: told as a time (seconds since 1970), or as how long."""
        try:
            number = float(reset)
        except ValueError:
            return 0.0
        wait = number - self._clock.now() / 1000 if number > _EPOCH else number
        return min(max(wait, 0.0), _LONGEST_S)


def _retry_after(text: str, now: float) -> float | None:
    """Read ``Retry-After`` (RFC 9110, section 10.2.3): seconds, or a date."""
    if not text:
        return None
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - now, 0.0)
    except ValueError:
        return None


def _denied(url: str, answer: Answer) -> LemnisError:
    at = Location(_shown(url))
    if answer.status < httpx.codes.BAD_REQUEST:
        return RefusedError(f"answered with a redirect ({answer.status}), which is not followed", at=at)
    said = answer.body[:300].decode("utf-8", "replace").replace("\n", " ")
    return DeniedError(f"answered {answer.status}: {said}", status=answer.status, at=at)


def _shown(url: str) -> str:
    """Return an address without its query, which may hold what is nobody's business."""
    return url.partition("?")[0]
