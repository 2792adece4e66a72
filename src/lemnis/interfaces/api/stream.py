"""What happens, while it happens: server-sent events of new alerts, incidents and runs.

One task looks at the journal for all who listen; each is sent what they may see. An event has the entry's
number as its id, so that a browser that was cut off goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from lemnis.app.access.permissions import Person, may
from lemnis.contracts.errors import BusyError, LemnisError, StrangerError
from lemnis.contracts.journal import Entry
from lemnis.interfaces.api.problem import problem
from lemnis.interfaces.api.services import Services, services
from lemnis.interfaces.api.turns import Turn, taken

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal

LOG = logging.getLogger("lemnis.api")
ROUTER = APIRouter(tags=["stream"])
_LOOK_S = 0.25
_BEAT_S = 15.0
_KEPT = 2000
_EACH, _MOST = 8, 400
"""Streams of one person, and of all."""
_LASTS_S = 3600.0
_LOOKED_S = 1.0
"""For so long who listens is known to be still signed in."""


def _too_many() -> BusyError:
    return BusyError("too many streams are open", retry_after_s=10, fix="close some")


class Hub:
    """The newest entries of the journal, read by one task while somebody listens."""

    def __init__(self, journal: SqlJournal) -> None:
        self._journal = journal
        self._entries: list[Entry] = []
        self._seq = -1
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()
        self.listening: Counter[str] = Counter()
        self.over = False

    def full(self, name: str) -> bool:
        """Say whether as many listen as may: of all, or under one name."""
        return self.listening[name] >= _EACH or self.listening.total() >= _MOST

    async def end(self) -> None:
        """Let all streams end: the console stops."""
        self.over = True
        async with self._news:
            self._news.notify_all()

    async def begin(self) -> int:
        """Begin to read, if nobody has; return the number of the last entry."""
        async with self._beginning:  # many come at once, after a start: one task reads for all
            if self._task is None or self._task.done():
                self._seq, _ = await taken(Turn.HEARING, self._journal.head)
                self._entries = []
                self._task = asyncio.create_task(self._read())
        return self._seq

    async def after(self, seq: int, timeout: float) -> tuple[list[Entry], int, bool]:  # noqa: ASYNC109
        """Return the entries after a number, waiting a while; the last number; whether some are missing."""
        if self._seq <= seq:
            try:
                async with asyncio.timeout(timeout), self._news:
                    await self._news.wait_for(lambda: self._seq > seq or self.over)
            except TimeoutError:
                return [], seq, False
        if self._seq <= seq:
            return [], seq, False
        found = [one for one in self._entries if one.seq > seq]
        return found, self._seq, not found or found[0].seq != seq + 1

    def _newest(self, most: int) -> list[Entry]:
        return list(self._journal.newest(limit=most))

    async def _read(self) -> None:
        while self.listening:
            try:
                head, _ = await taken(Turn.HEARING, self._journal.head)
                if head > self._seq:
                    new = await taken(Turn.HEARING, self._newest, min(_KEPT, head - self._seq))
                    self._entries = (self._entries + new[::-1])[-_KEPT:]
                    async with self._news:
                        self._seq = new[0].seq
                        self._news.notify_all()
            except LemnisError as error:
                LOG.warning("the journal cannot be looked at: %s", error)
            await asyncio.sleep(_LOOK_S)


@ROUTER.get("/stream", response_class=StreamingResponse)
async def stream(
    request: Request,
    last: Annotated[
        str, Header(alias="Last-Event-ID", max_length=20, description="Go on after this event.")
    ] = "",
    after: Annotated[str, Query(max_length=20, include_in_schema=False)] = "",
) -> StreamingResponse:
    """Send what happens as it happens: events ``alert``, ``incident`` and ``run``, with kind and subject.

    ``lost`` says that some could not be told: read the lists anew. The stream ends with the session.
    """
    person: Person | None = request.state.person
    if person is None:
        raise StrangerError("sign in first", fix="sign in, or send a token")
    hub: Hub = request.app.state.hub
    if hub.full(person.id):
        raise _too_many()
    return _Stream(
        _told(request, hub, person, last or after), hub, person.id, media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )  # fmt: skip


class _Stream(StreamingResponse):
    """A stream that takes a place when it begins, and gives it back at its end; one too many is told."""

    def __init__(self, told: AsyncIterator[bytes], hub: Hub, name: str, **how: Any) -> None:
        super().__init__(told, **how)
        self._hub, self._name = hub, name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hub.full(self._name):  # others began meanwhile
            await problem(_too_many())(scope, receive, send)
            return
        self._hub.listening[self._name] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.listening[self._name] -= 1
            self._hub.listening += Counter()


async def _told(request: Request, hub: Hub, person: Person, last: str) -> AsyncIterator[bytes]:
    using, loop = services(request), asyncio.get_running_loop()
    begun = beat = looked = loop.time()
    head = await hub.begin()
    seq = int(last) if last.isascii() and last.isdecimal() and int(last) <= head else head
    yield b": begun\nretry: 2000\n\n"
    while loop.time() - begun < _LASTS_S and not hub.over:
        found, seq, missing = await hub.after(seq, _BEAT_S)
        if missing:
            yield b"event: lost\ndata: {}\n\n"
        now = loop.time()
        told = [(one, event) for one in found if (event := _event(one, person))]
        # nothing is told to who is signed out meanwhile
        if (told and now - looked >= _LOOKED_S) or now - beat >= _BEAT_S:
            looked, known = now, await taken(Turn.HEARING, _still, request, using, person)
            if known is None:
                return
            person = known
        for event in await _seen(using, person, told):
            yield event
        if now - beat >= _BEAT_S:
            beat = now
            yield b": beat\n\n"


async def _seen(using: Services, person: Person, told: list[tuple[Entry, bytes]]) -> list[bytes]:
    """Return the events without those that rules keep this person from."""
    eyes = using.eyes(person)
    if not told or eyes.all:
        return [event for _, event in told]

    def look() -> list[bytes]:
        return [event for one, event in told if not eyes.subject(one)]

    return await taken(Turn.HEARING, look)


def _event(entry: Entry, person: Person) -> bytes:
    """Return an entry as an event, if this person may know of such; nothing if not."""
    room = entry.kind.partition(".")[0]
    name, permission = {
        "alert": ("alert", "alert.read"), "incident": ("incident", "incident.read"),
        "evidence": ("incident", "incident.read"), "playbook": ("run", "playbook.read"),
        "action": ("run", "playbook.read"),
    }.get(room, ("", ""))  # fmt: skip
    if not name or not may(person, permission):
        return b""
    data = {"seq": entry.seq, "kind": entry.kind, "subject": entry.subject, "at": entry.at}
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (entry.seq, name.encode(), orjson.dumps(data))


def _still(request: Request, using: Services, person: Person) -> Person | None:
    """Return who listens, with the rules of today; None if they may no more what they might."""
    if person.how == "session":
        now = using.access.looked_by_cookie(request.state.cookie)
    else:
        now = using.access.by_token(request.headers.get("authorization", "").partition(" ")[2].strip())
    return now if now is not None and now.permissions == person.permissions else None
