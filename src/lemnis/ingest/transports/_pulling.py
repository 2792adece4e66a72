"""Asking an interface again and again: page by page, from where it came to the last time."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from lemnis.content.schemas.pull import Pull
from lemnis.contracts.clock import Clock, SystemClock
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.receiving import Delivery, Mark, Receiver
from lemnis.ingest.streams import KEPT_RAW
from lemnis.ingest.transports._handing import hand_over, rest
from lemnis.ingest.transports._logins import Login
from lemnis.ingest.transports._paging import Page, PageError, address, read
from lemnis.ingest.transports._web import Answer, DeniedError, Web

_SEEN = 200_000
_PAGES = 100_000
_LONGEST_S = 900.0
_GONE = frozenset({400, 404, 410, 422})
_UNAUTHORISED = 401
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Puller:
    """Pulls from one interface. ``pages`` and ``records`` count what it asked for and what was new."""

    name: str
    pull: Pull
    base: str
    values: Mapping[str, str]
    login: Login
    clock: Clock
    source: str
    every_s: float
    start_ms: int
    ca: Path | None = None
    pages: int = 0
    records: int = 0
    failures: int = 0
    _seen: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    _swept: int = 0

    async def run(self, receiver: Receiver, stop: asyncio.Event) -> None:
        """Ask until ``stop``; see ``Transport``. Raises DeniedError where the first question is declined."""
        turn = _Turn(self, receiver, stop)
        begun, pause = False, self.every_s
        async with Web(self.name, SystemClock(), ca=self.ca) as web:
            while not stop.is_set():
                try:
                    more = await turn.take(web)
                    if not more:
                        await turn.late(web)
                    begun, pause = True, self.every_s
                except (LemnisError, PageError) as error:
                    if isinstance(error, DeniedError) and not begun:
                        raise
                    self.failures += 1
                    more, pause = False, min(pause * 2, max(_LONGEST_S, self.every_s))
                    _log.error("%s: %s; again in %.0f s", self.name, error, pause)
                if not more:
                    await rest(stop, pause)

    @property
    def origin(self) -> str:
        """Where the records come from: the server and the path."""
        first = urlsplit(address(self.pull, self.base, self.values, since=0, until=0))
        return f"{first.netloc}{first.path}"

    @property
    def key(self) -> str:
        """What the mark is of: another account or kind of records begins anew."""
        said = ",".join(f"{name}={value}" for name, value in sorted(self.values.items()))
        return f"{self.pull.resume} {self.origin} {said}"

    def known(self, record: bytes) -> bytes | None:
        """Return what a new record is remembered by; None for one that came already."""
        digest = hashlib.blake2b(record, digest_size=16).digest()
        return None if digest in self._seen else digest

    def remember(self, digests: list[bytes]) -> None:
        """Remember records that are durable, the last ones of them."""
        self._seen.update(dict.fromkeys(digests))
        while len(self._seen) > _SEEN:
            self._seen.popitem(last=False)

    def sweeps(self, now: int) -> bool:
        """Say whether it is time to ask for what came late, and remember that it was."""
        if not self.pull.late_s or now - self._swept < self.pull.late_s * 1000 // 4:
            return False
        first, self._swept = not self._swept, now
        return not first


@dataclass(slots=True)
class _Turn:
    """What one run of a puller works with."""

    puller: Puller
    receiver: Receiver
    stop: asyncio.Event

    async def take(self, web: Web) -> bool:
        """Take what is next; say whether there may be more at once."""
        match self.puller.pull.resume:
            case "window":
                return await self.window(web)
            case "cursor":
                return await self.cursor(web)
            case "recent":
                return await self.recent(web)

    async def recent(self, web: Web) -> bool:
        """Take pages from the newest on, until one has nothing new."""
        puller = self.puller
        url = address(puller.pull, puller.base, puller.values, since=self._start(), until=self._now())
        await self._walk(web, url, None, known_ends=True)
        return False

    async def cursor(self, web: Web) -> bool:
        """Take the next page; say whether there may be more at once."""
        puller = self.puller
        begin = address(puller.pull, puller.base, puller.values, since=self._start(), until=self._now())
        place, at = self._kept()
        url = f"{_server(begin)}{place}" if place else begin
        asked = self._now()
        try:
            page = await self._page(web, url)
        except DeniedError as error:
            if not place or error.status not in _GONE:
                raise
            _log.warning("%s: its place is not known any more (%s); going back by time", puller.name, error)
            url = address(puller.pull, puller.base, puller.values, since=at, until=asked)
            page = await self._page(web, url)
        if page is None:
            return False
        following = page.next or url
        value = orjson.dumps({"next": following.removeprefix(_server(following)), "at": asked}).decode()
        new = await self._hand(page, Mark(puller.name, puller.key, value))
        return new is not None and bool(page.records) and page.next not in {"", url}

    async def window(self, web: Web) -> bool:
        """Take the next window; say whether another one is over already."""
        puller, now = self.puller, self._now()
        kept = self.receiver.mark(puller.name, puller.key)
        until = int(kept) if kept else self._start()
        since = until - puller.pull.overlap_s * 1000 if kept else until
        until = min(max(since, until) + puller.pull.slice_s * 1000, now)
        url = address(puller.pull, puller.base, puller.values, since=since, until=until)
        whole = await self._walk(web, url, Mark(puller.name, puller.key, str(until)))
        return whole and until < now

    async def late(self, web: Web) -> None:
        """Ask again for what is not long ago, when it is time for that."""
        puller, now = self.puller, self._now()
        if puller.sweeps(now):
            since = max(now - puller.pull.late_s * 1000, self._start())
            await self._walk(
                web, address(puller.pull, puller.base, puller.values, since=since, until=now), None
            )

    async def _walk(self, web: Web, url: str, mark: Mark | None, *, known_ends: bool = False) -> bool:
        """Take a page and all that follow, the mark with the last one; say whether it came to that.

        With ``known_ends`` a page that has nothing new is the last.
        """
        asked: set[str] = set()
        while url:
            if url in asked or len(asked) >= _PAGES:
                raise PageError("its pages go round in circles")
            asked.add(url)
            page = await self._page(web, url)
            if page is None:
                return False
            last = not page.next
            new = await self._hand(page, mark if last else None)
            if new is None:
                return False
            url = "" if known_ends and not new else page.next
        return True

    async def _page(self, web: Web, url: str) -> Page | None:
        """Return a page; None after the stop. An answer that is none is told, once."""
        puller = self.puller
        answer = await self._ask(web, url)
        if answer is None:
            return None
        puller.pages += 1
        try:
            return await asyncio.to_thread(read, puller.pull, url, answer)
        except PageError as error:
            raw = answer.body[:KEPT_RAW]
            digest = puller.known(raw)
            if digest is not None:
                refused = Delivery(puller.source, self.puller.origin, raw, refused=str(error))
                if await hand_over(self.receiver, [refused], stop=self.stop):
                    puller.remember([digest])
            raise

    async def _ask(self, web: Web, url: str) -> Answer | None:
        """Ask; once more with another token where this one is not taken any more."""
        login = self.puller.login
        for again in (True, False):
            headers = {**self.puller.pull.headers, **await login.headers(web, self.stop)}
            if self.stop.is_set():
                return None
            try:
                return await web.ask("GET", url, headers=headers, stop=self.stop)
            except DeniedError as error:
                if error.status != _UNAUTHORISED or not again:
                    raise
                login.forget()
        return None

    async def _hand(self, page: Page, mark: Mark | None) -> int | None:
        """Hand over the records that are new, with the mark; return how many, None if that failed."""
        puller, origin = self.puller, self.puller.origin
        digests: dict[bytes, bytes] = {}
        for record in page.records:
            digest = puller.known(record)
            if digest is not None:
                digests[digest] = record
        deliveries = [Delivery(puller.source, origin, record) for record in digests.values()]
        if (deliveries or mark) and not await hand_over(self.receiver, deliveries, mark, stop=self.stop):
            return None
        puller.remember(list(digests))
        puller.records += len(deliveries)
        return len(deliveries)

    def _kept(self) -> tuple[str, int]:
        """Return the place of the mark and the time it is of; an empty text if there is none."""
        text = self.receiver.mark(self.puller.name, self.puller.key)
        if not text:
            return "", self._start()
        said = orjson.loads(text)
        return str(said["next"]), int(said["at"])

    def _now(self) -> int:
        return self.puller.clock.now()

    def _start(self) -> int:
        return self._now() - self.puller.start_ms


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
