"""Calls of one connection: its address and no other, bounded in size and time, credentials never shown."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

import httpx

from lemnis.contracts.clock import Clock, SystemClock
from lemnis.contracts.errors import Location, RefusedError, ServiceError
from lemnis.respond import hiding
from lemnis.respond.answers import Answer
from lemnis.respond.deadlines import IDENTITY, Deadlines, bounded, unpacked
from lemnis.respond.logins import Login
from lemnis.respond.sigv4 import sign
from lemnis.respond.template import Rendered

MAX_ANSWER = 4_000_000
"""Bytes of an answer that are read; a longer one is an error."""


class CallError(ServiceError):
    """No usable answer came. ``unsent`` says that the request surely did not reach the target."""

    def __init__(self, what: str, *, unsent: bool = False, at: Location | None = None) -> None:
        """``what`` happened, without any credential."""
        super().__init__(what, at=at, fix="check the connection in lemnis.yaml and that its target runs")
        self.unsent = unsent


def retry_after(text: str, now: int) -> float:
    """Return the seconds that a Retry-After header asks to wait (RFC 9110, 10.2.3), 0 if it is none."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now / 1000)
    except (ValueError, OverflowError, TypeError, IndexError):  # what headers may hold knows no bounds
        return 0.0


class Caller(Protocol):
    """Sends requests to one connection."""

    @property
    def url(self) -> str:
        """The connection's address, for people and for the plan."""
        ...

    def send(self, request: Rendered, *, timeout: float, service: str = "") -> Answer:
        """Return the answer; raises CallError if none came, RefusedError for what must not be called."""
        ...


Reach = Callable[[str], Caller]
"""Gives the caller of a connection by its name; raises NotFoundError or UsageError if there is none."""


class Client:
    """Implements ``Caller`` over HTTP. Redirects are refused, proxies of the environment are not used."""

    def __init__(
        self,
        name: str,
        url: str,
        login: Login | None = None,
        *,
        ca: Path | None = None,
        timeout: float = 10,
        clock: Clock | None = None,
    ) -> None:
        """``clock`` dates signatures: the real time, whatever the workspace's clock says."""
        self._name, self._url, self._login = name, url.rstrip("/"), login or Login()
        self._clock = clock or SystemClock()
        self._timeout = timeout
        verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(ca)) if ca else True
        plain = urlsplit(url).scheme == "http"
        self._deadlines = Deadlines()
        self._http = bounded(self._deadlines, verify=False if plain else verify, timeout=timeout)

    @property
    def url(self) -> str:
        """The connection's address."""
        return self._url

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def send(self, request: Rendered, *, timeout: float, service: str = "") -> Answer:
        """Return the answer; see ``Caller``."""
        base = urlsplit(self._url)
        where = self._login.address or request.path + (f"?{request.query}" if request.query else "")
        target = self._url + where
        whole = urlsplit(target)
        if (whole.scheme, whole.netloc) != (base.scheme, base.netloc):
            raise RefusedError(f"{request.line} would leave the connection {self._name}")
        headers = {"Accept": "application/json, text/xml;q=0.9", "User-Agent": "lemnis", **IDENTITY}
        if request.content_type:
            headers["Content-Type"] = request.content_type
        headers |= request.headers
        try:
            headers |= self._authentication(request, whole.netloc, whole.path, service)
        except ServiceError as error:  # no token was given: the target was never asked
            raise CallError(error.what, unsent=True, at=Location(self._url)) from error
        limit = min(timeout, self._timeout)
        end = time.monotonic() + limit
        try:
            with (
                self._deadlines.within(end),
                self._http.stream(
                    request.method, target, content=request.body, headers=headers, timeout=limit
                ) as response,
            ):
                return self._read(response, limit, end)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise CallError(self._said(request, error), unsent=True, at=Location(self._url)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            late = f", not finished after {limit:g} s" if time.monotonic() >= end else ""
            raise CallError(self._said(request, error) + late, at=Location(self._url)) from error

    def _read(self, response: httpx.Response, limit: float, end: float) -> Answer:
        """Read an answer, all of it by ``end``: a byte now and then keeps nobody waiting for ever."""
        body = bytearray()
        for chunk in unpacked(response, MAX_ANSWER):
            body += chunk
            if time.monotonic() > end:
                raise CallError(f"the answer was not finished after {limit:g} s", at=Location(self._url))
            if len(body) > MAX_ANSWER:
                raise CallError(f"the answer is larger than {MAX_ANSWER:,} bytes", at=Location(self._url))
        if response.is_redirect:
            raise CallError(
                f"answered with a redirect ({response.status_code}), which is not followed",
                at=Location(self._url),
            )
        kind = response.headers.get("content-type", "")
        clean = hiding.body(bytes(body), kind, hiding.forms(self._login.secrets))
        wait = retry_after(response.headers.get("retry-after", ""), self._clock.now())
        return Answer(response.status_code, kind, clean, wait)

    def _authentication(self, request: Rendered, host: str, path: str, service: str) -> Mapping[str, str]:
        login = self._login
        if login.keys is not None:
            signed = {"content-type": request.content_type} if request.content_type else {}
            return sign(
                login.keys, method=request.method, host=host, path=path, query=request.query,
                headers=signed, body=request.body, region=login.region or "us-east-1",
                service=service or "iam", at=self._clock.now(),
            )  # fmt: skip
        now = self._clock.now()
        name = request.headers.get("webhook-id") or hashlib.sha256(request.body).hexdigest()[:32]
        return login.headers(request.body, now, name)

    def _said(self, request: Rendered, error: Exception) -> str:
        text = f"{request.line}: {type(error).__name__} {error}".strip()
        return hiding.text(text, hiding.forms(self._login.secrets))
