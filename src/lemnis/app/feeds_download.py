"""Fetches an address into a file: bounded, resumed where it breaks off, and not again what is known."""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import urljoin, urlsplit

from lemnis.contracts.errors import InputError, Location, RefusedError, ServiceError

if TYPE_CHECKING:
    import httpx

MAX_DOWNLOAD: Final = 4_000_000_000
"""Bytes of one file, as it is served."""
SECONDS: Final = 1800.0
"""For one file, with all its tries."""
_SILENCE: Final = 30.0
_REDIRECTS: Final = 3
_TRIES: Final = 4
_FIX: Final = "fetch it elsewhere and give the file: --from FILE"
_RANGE: Final = re.compile(r"bytes (\d+)-")


def download(url: str, target: Path, known: str = "") -> str | None:
    """Fetch an address into a file: HTTPS (plain HTTP on this machine only), bounded in size and time.

    Returns by what the server knows this state again (its ETag, else when it was changed; empty if it does
    not say), None if it still is the state ``known``. What breaks off is resumed where the server can.
    A redirect may lead to another public server, never to an address within a network nor to plain HTTP.
    Raises InputError for what is no such address, RefusedError for a redirect that is not followed,
    ServiceError where nothing usable comes.
    """
    import httpx

    _check_scheme(url)
    fetching = _Fetching(url, known, time.monotonic() + SECONDS)
    broken: tuple[type[Exception], ...] = (httpx.RemoteProtocolError, httpx.ReadError, httpx.ReadTimeout)
    try:
        with (
            httpx.Client(follow_redirects=False, trust_env=False, timeout=_SILENCE) as client,
            target.open("wb") as file,
        ):
            for left in reversed(range(_TRIES)):
                try:
                    return fetching.take(client, file)
                except broken:
                    if not left or not fetching.state or not file.tell():
                        raise
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceError(f"{type(error).__name__}: {error}", at=Location(url), fix=_FIX) from error
    raise AssertionError("the last try returns or raises")


class _Fetching:
    """One file that is fetched: where it is now, and the state of it that has come so far."""

    def __init__(self, url: str, known: str, end: float) -> None:
        self._url, self._known, self._end = url, known, end
        self._redirects = 0
        self.state = ""

    def take(self, client: httpx.Client, file: BinaryIO) -> str | None:
        """Fetch the file, or the rest of it; return its state, None if it is the known one."""
        while True:
            with client.stream("GET", self._url, headers=self._headers(file.tell())) as answer:
                if answer.status_code == HTTPStatus.NOT_MODIFIED and self._known and not file.tell():
                    return None
                if answer.is_redirect:
                    self._redirect(answer)
                    continue
                file.seek(self._begin(answer, file.tell()))
                file.truncate()
                self.state = answer.headers.get("etag") or answer.headers.get("last-modified", "")
                self._write(answer, file)
                return self.state

    def _headers(self, had: int) -> Mapping[str, str]:
        headers = {"User-Agent": "lemnis", "Accept-Encoding": "identity"}
        if had:
            return {**headers, "Range": f"bytes={had}-", "If-Range": self.state}
        if self._known:
            dated = not self._known.endswith('"')
            return {**headers, "If-Modified-Since" if dated else "If-None-Match": self._known}
        return headers

    def _begin(self, answer: httpx.Response, had: int) -> int:
        """Return where in the file the answer belongs."""
        if answer.status_code == HTTPStatus.OK:
            return 0
        if had and answer.status_code == HTTPStatus.PARTIAL_CONTENT:
            told = _RANGE.match(answer.headers.get("content-range", ""))
            if told is not None and int(told[1]) == had:
                return had
        raise ServiceError(f"answered {answer.status_code}", at=Location(self._url), fix="check the address")

    def _write(self, answer: httpx.Response, file: BinaryIO) -> None:
        for chunk in answer.iter_raw():  # as it comes: a server that drips does not outlast the time
            if file.tell() + len(chunk) > MAX_DOWNLOAD:
                raise ServiceError(f"more than {MAX_DOWNLOAD:,} bytes", at=Location(self._url))
            if time.monotonic() > self._end:
                raise ServiceError(f"not done in {SECONDS:g} s", at=Location(self._url), fix=_FIX)
            file.write(chunk)

    def _redirect(self, answer: httpx.Response) -> None:
        self._redirects += 1
        if self._redirects > _REDIRECTS:
            raise ServiceError(f"more than {_REDIRECTS} redirects", at=Location(self._url))
        self._url = _redirected(self._url, answer.headers.get("location", ""))


def _check_scheme(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if (
        parts.scheme == "http"
        and parts.hostname
        and all(one.is_loopback for one in _addresses(parts.hostname))
    ):
        return
    raise InputError("no HTTPS address", at=Location(url), fix="https://… or a file")


def _redirected(url: str, location: str) -> str:
    """Return where a redirect leads; raises RefusedError for an address that it may not lead to."""
    target = urljoin(url, location)
    parts = urlsplit(target)
    if not location or parts.scheme != "https" or not parts.hostname:
        raise RefusedError("redirected to what is no HTTPS address", at=Location(url))
    if parts.hostname != urlsplit(url).hostname and not all(
        one.is_global for one in _addresses(parts.hostname)
    ):
        raise RefusedError(f"redirected into a network ({parts.hostname})", at=Location(url))
    return target


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ServiceError(f"{host} is not known: {error}", at=Location(host)) from error
    return [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
