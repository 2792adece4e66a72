"""Answers of GitHub's REST API: asked for, recorded in a folder, or read from one. Only GET is ever sent.

An answer that does not come, or is none (rubbish, a limit that lasts too long), is told as such; the question
counts as not answered, which is never good news about a setting.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urljoin, urlsplit

import httpx
import orjson

from lemnis.contracts.clock import Clock, SystemClock
from lemnis.contracts.errors import Location, NotFoundError, UsageError
from lemnis.contracts.ids import stable_id
from lemnis.scan.readers.github_settings import Said
from lemnis.store import durable

PUBLIC: Final = "https://api.github.com"
MAX_ANSWER = 16_000_000
"""Bytes of one page that are read."""
_PAGES, _TRIES, _HOPS = 100, 3, 3
_TIMEOUT_S, _WHOLE_S = 20.0, 60.0
_SECONDARY_S = 60.0
_LIMITED = re.compile(r"(?i)rate limit|abuse detection")
_LONG_NAME = 180
_HEADERS: Final = {
    "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "lemnis",
}  # fmt: skip
_UNKNOWN_TOKEN = 401


class Api:
    """Asks one server, from several threads; a context manager that closes its connections.

    ``login`` gives the headers that allow a request; ``patience_s`` is how long a rate limit is waited for.
    """

    def __init__(
        self,
        url: str,
        login: Callable[[], Mapping[str, str]],
        *,
        patience_s: float = 900,
        clock: Clock | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Raises UsageError for an address that a token must not be sent to."""
        self.url = url.rstrip("/")
        if not self.url.startswith(("https://", "http://127.0.0.1:")):
            raise UsageError(f"{url!r} is not https", fix="a token is sent there")
        self.asked = 0
        self._login, self._patience_s = login, patience_s
        self._clock, self._sleep = clock or SystemClock(), sleep
        self._not_before = 0.0
        self._lock = threading.Lock()
        self._http = httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False)

    @property
    def host(self) -> str:
        """The server that people know."""
        return (urlsplit(self.url).hostname or "").removeprefix("api.")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._http.close()

    def __call__(self, path: str) -> Said:
        """Return the answer to a path, its pages put together. Raises UsageError for a refused token."""
        url, whole = self.url + path, None
        for _ in range(_PAGES):
            said, following = self._page(url)
            if said.status != httpx.codes.OK:
                return said
            whole = said.document if whole is None else _joined(whole, said.document)
            if not following:
                return Said(said.status, whole)
            if _origin(following) != _origin(self.url):
                return Said(0, why="the next page lies on another server, where the token must not go")
            url = following
        return Said(0, why=f"more than {_PAGES} pages")

    def _page(self, url: str) -> tuple[Said, str]:
        """Ask for a page until there is an answer; return it and the address of the next page."""
        why, hops = "", 0
        tries = _TRIES
        while tries:
            wait = self._not_before - self._now()
            if wait > self._patience_s:
                return Said(0, why=f"the rate limit lasts {wait:.0f} s more"), ""
            if wait > 0:
                self._sleep(wait)
            try:
                answer, body = self._send(url)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                tries, why = tries - 1, f"no answer: {type(error).__name__} {error}".rstrip()
                self._pause(tries)
                continue
            if answer.is_redirect and hops < _HOPS:
                url, hops = _onward(url, answer.headers.get("location", "")), hops + 1
                if _origin(url) != _origin(self.url):
                    return Said(0, why="sent on to another server, where the token must not go"), ""
                continue
            if self._limited(answer, body):
                tries, why = tries - 1, f"declined by a rate limit ({answer.status_code})"
                continue
            if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                tries, why = tries - 1, f"answered {answer.status_code}"
                self._pause(tries)
                continue
            return self._said(answer, body)
        return Said(0, why=f"{why}, {_TRIES} times"), ""

    def _send(self, url: str) -> tuple[httpx.Response, bytes]:
        with self._lock:
            self.asked += 1
            headers = {**_HEADERS, **self._login()}
        body, end = bytearray(), time.monotonic() + _WHOLE_S
        with self._http.stream("GET", url, headers=headers) as answer:
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise httpx.ReadError(f"more than {MAX_ANSWER:,} bytes")
                if time.monotonic() > end:
                    raise httpx.ReadTimeout(f"not finished after {_WHOLE_S:.0f} s")
        return answer, bytes(body)

    def _limited(self, answer: httpx.Response, body: bytes) -> bool:
        """Say whether a limit declined it, and remember until when: by a time, by seconds, or a minute."""
        if answer.status_code not in {httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS}:
            return False
        given, now = answer.headers.get("retry-after", ""), self._now()
        used_up = answer.headers.get("x-ratelimit-remaining") == "0"
        worded = _LIMITED.search(body[:2000].decode("utf-8", "replace")) is not None
        if answer.status_code == httpx.codes.FORBIDDEN and not (given or used_up or worded):
            return False
        until = now + _SECONDARY_S
        if given.isascii() and given.isdigit():
            until = now + float(given)
        elif used_up and (reset := answer.headers.get("x-ratelimit-reset", "")).isdigit():
            until = float(reset[:12])
        with self._lock:
            self._not_before = max(self._not_before, until)
        return True

    def _said(self, answer: httpx.Response, body: bytes) -> tuple[Said, str]:
        if answer.status_code == _UNKNOWN_TOKEN:
            raise UsageError(f"{self.url} does not know this token", fix="make another; it may have ended")
        following = answer.links.get("next", {}).get("url", "")
        if not body.strip():
            return Said(answer.status_code), ""
        try:
            return Said(answer.status_code, orjson.loads(body)), following
        except orjson.JSONDecodeError:
            if answer.status_code >= httpx.codes.BAD_REQUEST:
                return Said(answer.status_code), ""
            return Said(0, why="the answer is no JSON"), ""

    def _pause(self, left: int) -> None:
        if left:
            self._sleep(float(_TRIES - left))

    def _now(self) -> float:
        return self._clock.now() / 1000


def _joined(one: Any, other: Any) -> Any:
    """Return two pages as one: lists after each other, also those that are members."""
    if isinstance(one, list) and isinstance(other, list):
        return one + other
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **{name: _joined(one.get(name), item) for name, item in other.items()}}
    return other


def _onward(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def _origin(url: str) -> tuple[str, str]:
    """Return scheme and server; of what is no address nobody's."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc


class Recorder:
    """Writes each answer that is given into a folder, where ``Recorded`` reads it."""

    def __init__(self, ask: Callable[[str], Said], folder: Path) -> None:
        """Raises UsageError where the folder holds something already: old answers would mix with new ones."""
        if folder.exists() and any(folder.iterdir()):
            raise UsageError("the folder is not empty", at=Location(str(folder)), fix="name a new one")
        folder.mkdir(parents=True, exist_ok=True)
        self._ask, self._folder = ask, folder

    def __call__(self, path: str) -> Said:
        """Return the answer to a path, and write it down."""
        said = self._ask(path)
        told = {"asked": path, "status": said.status, "answer": said.document, "why": said.why}
        durable.write(self._folder / _file_name(path), orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
        return said


def _file_name(path: str) -> str:
    name = quote(path.strip("/").replace("/", "__"), safe="=&")
    return f"{name if len(name) <= _LONG_NAME else stable_id('answer', path)}.json"


class Recorded:
    """Answers from a folder: files with ``{"asked", "status", "answer"}``; ``errors`` are the others.

    What was not recorded counts as not answered.
    """

    def __init__(self, folder: Path) -> None:
        """Raises NotFoundError where there is no such folder, or nothing in it that is an answer."""
        if not folder.is_dir():
            raise NotFoundError("no such folder", at=Location(str(folder)))
        self.errors: list[str] = []
        self._answers: dict[str, Said] = {}
        for file in sorted(folder.rglob("*.json")):
            try:
                self._read(file)
            except (OSError, ValueError, TypeError, KeyError) as error:
                self.errors.append(f"{file}: no recorded answer: {type(error).__name__} {error}"[:300])
        if not self._answers:
            what = self.errors[0] if self.errors else "nothing is recorded there"
            raise NotFoundError(what, at=Location(str(folder)), fix="record it with --to FOLDER")

    def __call__(self, path: str) -> Said:
        """Return the answer to a path."""
        return self._answers.get(path, Said(0, why="not recorded"))

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """The organisations and the repositories that were asked about."""
        owners, repositories = [], []
        for path in self._answers:
            parts = path.strip("/").split("/")
            if parts[0] == "orgs" and len(parts) == 2:  # noqa: PLR2004 - orgs/NAME
                owners.append(parts[1])
            elif parts[0] == "repos" and len(parts) == 3:  # noqa: PLR2004 - repos/OWNER/NAME
                repositories.append("/".join(parts[1:]))
        return sorted(owners), sorted(repositories)

    def _read(self, file: Path) -> None:
        if not file.is_file() or file.stat().st_size > MAX_ANSWER * 4:
            raise ValueError("no regular file, or too large")
        said = orjson.loads(file.read_bytes())
        path, status = said["asked"], said["status"]
        if not isinstance(path, str) or not isinstance(status, int) or isinstance(status, bool):
            raise TypeError("`asked` is a text and `status` a number")
        self._answers[path] = Said(status, said.get("answer"), str(said.get("why") or ""))
