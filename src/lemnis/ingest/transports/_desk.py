"""What every dialect over HTTP does alike: who sends, what they send, and why it is not taken.

A dialect is a module with ``routes(desk, settings)``. Its endpoints are wrapped by ``Desk.endpoint``, which
turns what is against a request into that dialect's answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

import pydantic
from starlette.requests import Request
from starlette.responses import Response

from lemnis.content.schemas import Model
from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import BusyError, ServiceError
from lemnis.contracts.receiving import Delivery, Receiver
from lemnis.ingest.transports._bodies import BadBodyError, Bodies
from lemnis.ingest.transports._senders import RateError, Sender, Senders, Strangers, UnknownError

_log = logging.getLogger(__name__)
Why = Literal["no_token", "unreadable_token", "unknown_token", "forbidden", "body", "data", "busy", "service"]
_STATUS: Mapping[Why, int] = {
    "no_token": 401, "unreadable_token": 401, "unknown_token": 401, "forbidden": 403, "body": 400,
    "data": 400, "busy": 503, "service": 503,
}  # fmt: skip


class Match(Model):
    """What a sender's name for its data (a sourcetype, an index; globs) means: a source.

    With ``field`` the source's record is the text in this member of each document, not the document.
    """

    match: str = pydantic.Field(min_length=1)
    source: str = pydantic.Field(min_length=1)
    field: str = ""


def matched(matches: Sequence[Match], name: str, default: str) -> Match:
    """Return the first match of a name, else the default source."""
    found = next((one for one in matches if fnmatchcase(name, one.match)), None)
    return found or Match(match="*", source=default)


class RefusedError(Exception):
    """A request that is not taken: why, HTTP's status, and in how many seconds it may come again."""

    def __init__(
        self,
        why: Why,
        reason: str,
        *,
        status: int | None = None,
        retry_after_s: float = 0,
        at: int | None = None,
    ) -> None:
        """``at`` is the number (from 0) of the record that is wrong."""
        super().__init__(reason)
        self.why = why
        self.status = status or _STATUS[why]
        self.retry_after_s = retry_after_s
        self.at = at

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that go with it."""
        return {"Retry-After": str(max(1, round(self.retry_after_s)))} if self.retry_after_s else {}


Endpoint = Callable[[Request], Awaitable[Response]]
Refusal = Callable[[RefusedError], Response]


@dataclass(slots=True)
class Desk:
    """Where requests are taken; ``receiver`` is there while the transport runs.

    ``strangers`` are who sends without a token. ``answers`` counts answers by dialect and status.
    """

    name: str
    senders: Senders
    bodies: Bodies
    origin: Callable[[str, str], str]
    clock: Clock
    strangers: Strangers = field(default_factory=Strangers)
    receiver: Receiver | None = None
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)

    def endpoint(self, dialect: str, refusal: Refusal, handler: Endpoint) -> Endpoint:
        """Return an endpoint that answers what is against a request as its dialect does."""

        async def answer(request: Request) -> Response:
            try:
                response = await handler(request)
            except Exception as error:  # noqa: BLE001 - a defect must not end the connection without an answer
                refused = _refused(error)
                if refused is None:
                    _log.exception("%s: %s", self.name, request.url.path)
                    refused = RefusedError("service", "a defect of Lemnis; its log says more", status=500)
                response = refusal(refused)
            self.answers[dialect, response.status_code] += 1
            return response

        return answer

    def sender(self, request: Request) -> Sender:
        """Return who sends; raises RefusedError."""
        try:
            found = self.senders.find(request.headers.get("authorization", ""))
        except UnknownError as error:
            raise _unknown(error) from error
        return self.stranger(request) if found is self.senders.anybody else found

    def stranger(self, request: Request) -> Sender:
        """Return who sends without a token, known by the address."""
        return self.strangers.at(self.origin_of(request))

    def origin_of(self, request: Request) -> str:
        """Return where a request is from."""
        peer = request.client.host if request.client else "unknown"
        return self.origin(peer, request.headers.get("x-forwarded-for", ""))

    @asynccontextmanager
    async def body(self, request: Request, sender: Sender) -> AsyncIterator[bytes]:
        """Give a request's body, unpacked; it counts as held until the block ends. Raises RefusedError."""
        time = asyncio.get_running_loop().time
        with self.bodies.counted(0) as add:
            try:
                sender.ready(time())
                found = await self.bodies.read(request, add)
                sender.spend(len(found), time())
            except BadBodyError:
                sender.waste(self.bodies.max_body, time())
                raise
            except RateError as error:
                raise RefusedError(
                    "busy", error.what, status=429, retry_after_s=error.retry_after_s
                ) from error
            yield found

    async def take(self, sender: Sender, deliveries: Sequence[Delivery]) -> None:
        """Return when deliveries are durable; raises RefusedError for a source that is not the sender's."""
        for source in {one.source for one in deliveries}:
            self.allow(sender, source)
        if self.receiver is None:
            raise RefusedError("busy", "it is stopping", retry_after_s=5)
        await self.receiver.receive(deliveries)

    @staticmethod
    def allow(sender: Sender, source: str) -> None:
        """Raise RefusedError where a sender may not send what is of a source."""
        if not sender.may(source):
            raise RefusedError("forbidden", f"the token {sender.name} is not for the source {source[:80]}")


def _unknown(error: UnknownError) -> RefusedError:
    if not error.given:
        return RefusedError("no_token", str(error))
    return RefusedError("unknown_token" if error.readable else "unreadable_token", str(error))


def _refused(error: Exception) -> RefusedError | None:
    """Return what an error is to a sender; None for a defect."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, BadBodyError):
        return RefusedError("body", str(error), status=error.status)
    if isinstance(error, BusyError):
        return RefusedError("busy", error.what, retry_after_s=error.retry_after_s)
    if isinstance(error, ServiceError):
        _log.error("what was sent cannot be taken: %s", error)
        return RefusedError("service", "it cannot be stored for now", retry_after_s=5)
    return None
