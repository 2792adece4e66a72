"""Splunk's HTTP Event Collector: JSON events one after another, raw lines, health and acknowledgements.

An event's ``sourcetype`` says which source it is of. Of a text the source's record is the text, of an object
the object as a line of JSON; with ``envelope`` it is always the whole event with its time, host and fields.
What is answered with success is durable, so every acknowledgement that was given is true at once.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pydantic
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lemnis.content.schemas import Model
from lemnis.contracts.receiving import Delivery
from lemnis.ingest.transports._desk import Desk, Match, RefusedError, matched

_IN_A_THREAD = 1 << 17
_CHANNELS = 10_000
_CHANNEL = re.compile(r"[0-9A-Fa-f-]{1,64}")
_SPACE = re.compile(r"[\s,]*")
_decode = json.JSONDecoder(strict=False).raw_decode
_SAID: Mapping[int, tuple[int, str]] = {
    0: (200, "Success"), 2: (401, "Token is required"), 3: (401, "Invalid authorization"),
    4: (403, "Invalid token"), 5: (400, "No data"), 6: (400, "Invalid data format"),
    7: (400, "Incorrect index"), 8: (500, "Internal server error"), 9: (503, "Server is busy"),
    10: (400, "Data channel is missing"), 11: (400, "Invalid data channel"),
    12: (400, "Event field is required"), 13: (400, "Event field cannot be blank"),
    15: (400, "Error in handling indexed fields"), 17: (200, "HEC is healthy"),
}  # fmt: skip
_CODES = {
    "no_token": 2, "unreadable_token": 3, "unknown_token": 4, "forbidden": 7, "body": 6, "data": 6,
    "busy": 9, "service": 9,
}  # fmt: skip


class Hec(Model):
    """Which source a sourcetype is of, the default for others, and whether the whole event is the record."""

    sourcetypes: tuple[Match, ...] = ()
    default: str = "auto"
    envelope: tuple[str, ...] = pydantic.Field(default=(), description="sources that take the whole event")


class WrongError(Exception):
    """An event that is not taken: Splunk's code for it, and its number (from 0)."""

    def __init__(self, code: int, at: int) -> None:
        """``code`` is one of those above."""
        super().__init__(_SAID[code][1])
        self.code, self.at = code, at


class Collector:
    """What answers as Splunk's collector would."""

    def __init__(self, desk: Desk, settings: Hec) -> None:
        """No acknowledgement was given yet."""
        self._desk, self._settings, self._acks = desk, settings, _Acks()

    async def event(self, request: Request) -> Response:
        """Take events."""
        sender, channel = self._desk.sender(request), _channel(request)
        async with self._desk.body(request, sender) as body:
            if not body.strip():
                return _say(5)
            usual = {"sourcetype": request.query_params.get("sourcetype", "")}
            try:
                large = len(body) > _IN_A_THREAD
                lines = (
                    await asyncio.to_thread(self._lines, body, usual) if large else self._lines(body, usual)
                )
            except WrongError as error:
                return _say(error.code, **{"invalid-event-number": error.at})
            origin = self._desk.origin_of(request)
            deliveries = [Delivery(name, origin, b"".join(some)) for name, some in lines.items()]
            await self._desk.take(sender, deliveries)
        return _say(0, **self._acks.given(channel))

    def _lines(self, body: bytes, usual: Mapping[str, str]) -> dict[str, list[bytes]]:
        lines: dict[str, list[bytes]] = {}
        for found in events(body):
            source, line = record({**usual, **found}, self._settings)
            lines.setdefault(source, []).append(line)
        return lines

    async def raw(self, request: Request) -> Response:
        """Take a body as it is."""
        sender, channel = self._desk.sender(request), _channel(request)
        kind = request.query_params.get("sourcetype", "")
        source = matched(self._settings.sourcetypes, kind, self._settings.default).source
        async with self._desk.body(request, sender) as body:
            if not body.strip():
                return _say(5)
            await self._desk.take(sender, [Delivery(source, self._desk.origin_of(request), body)])
        return _say(0, **self._acks.given(channel))

    async def ack(self, request: Request) -> Response:
        """Say which acknowledgements are true."""
        sender, channel = self._desk.sender(request), _channel(request)
        if not channel:
            return _say(10)
        async with self._desk.body(request, sender) as body:
            try:
                numbers = [int(number) for number in orjson.loads(body)["acks"]]
            except (KeyError, TypeError, ValueError):
                return _say(6)
        return JSONResponse({"acks": {str(number): self._acks.known(channel, number) for number in numbers}})

    async def health(self, _: Request) -> Response:
        """Say that it is well, to whoever asks."""
        return _say(17)


def routes(desk: Desk, settings: Hec) -> list[Route]:
    """Return the dialect's routes."""
    collector = Collector(desk, settings)
    made = []
    for paths, handler, method in (
        (("", "/event", "/event/1.0", "/1.0"), collector.event, "POST"),
        (("/raw", "/raw/1.0"), collector.raw, "POST"),
        (("/ack", "/ack/1.0"), collector.ack, "POST"),
        (("/health", "/health/1.0"), collector.health, "GET"),
    ):
        endpoint = desk.endpoint("hec", refusal, handler)
        made += [Route(f"/services/collector{path}", endpoint, methods=[method]) for path in paths]
    return made


def refusal(refused: RefusedError) -> Response:
    """Answer with Splunk's code."""
    if refused.status == 413:  # noqa: PLR2004 - RFC 9110, 15.5.14: Splunk has no code for it
        return JSONResponse({"text": str(refused), "code": 6}, 413)
    if refused.status == 500:  # noqa: PLR2004 - a defect
        return _say(8)
    response = _say(_CODES[refused.why])
    response.headers.update(refused.headers)
    return response


def _say(code: int, **more: Any) -> Response:
    status, text = _SAID[code]
    return JSONResponse({"text": text, "code": code, **more}, status)


def _channel(request: Request) -> str:
    """Return the channel that a request names; raises RefusedError for what can be none."""
    channel = request.headers.get("x-splunk-request-channel") or request.query_params.get("channel", "")
    if channel and not _CHANNEL.fullmatch(channel):
        raise RefusedError("data", "the channel is no GUID")
    return channel


def events(body: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the events of a body: objects one after another, with or without space or commas between.

    Raises WrongError for what is no object.
    """
    number = 0
    rest: str | None = None
    lines = iter(body.split(b"\n"))
    for line in lines:
        if not line.strip():
            continue
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:  # several on one line, or one on several
            rest = b"\n".join([line, *lines]).decode("utf-8", "replace")
            break
        for one in found if isinstance(found, list) else [found]:
            yield _object(one, number)
            number += 1
    place = 0 if rest is None else _SPACE.match(rest, 0).end()  # type: ignore[union-attr]
    while rest is not None and place < len(rest):
        try:
            found, place = _decode(rest, place)
        except (json.JSONDecodeError, RecursionError) as error:
            raise WrongError(6, number) from error
        for one in found if isinstance(found, list) else [found]:
            yield _object(one, number)
            number += 1
        place = _SPACE.match(rest, place).end()  # type: ignore[union-attr]


def _object(found: Any, number: int) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise WrongError(6, number)
    event = found.get("event")
    if event is None:
        raise WrongError(12, number)
    if event in ("", {}):
        raise WrongError(13, number)
    if not isinstance(found.get("fields", {}), dict):
        raise WrongError(15, number)
    return found


def record(found: Mapping[str, Any], settings: Hec) -> tuple[str, bytes]:
    """Return an event's source, and its record as a line."""
    match = matched(settings.sourcetypes, str(found.get("sourcetype") or ""), settings.default)
    event = found["event"]
    if match.source in settings.envelope:
        event = dict(found)
    elif match.field and isinstance(event, dict):
        event = event.get(match.field, event)
    if isinstance(event, str):
        return match.source, one_line(event)
    return match.source, dumped(event)


def dumped(value: object) -> bytes:
    """Return a value as a line of JSON; what orjson cannot say (numbers beyond 64 bits), as Python does."""
    try:
        return orjson.dumps(value) + b"\n"
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def one_line(text: str) -> bytes:
    """Return a text as one line: what broke it into several is written out."""
    if "\n" in text or "\r" in text:
        text = text.rstrip("\r\n").replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\r")
    return text.encode("utf-8", "backslashreplace") + b"\n"


class _Acks:
    """How many acknowledgements each channel was given; the channels used last are remembered."""

    def __init__(self) -> None:
        self._given: OrderedDict[str, int] = OrderedDict()

    def given(self, channel: str) -> dict[str, int]:
        """Return what is added to an answer: the number of its acknowledgement, if it has a channel."""
        if not channel:
            return {}
        number = self._given.pop(channel, 0)
        self._given[channel] = number + 1
        while len(self._given) > _CHANNELS:
            self._given.popitem(last=False)
        return {"ackId": number}

    def known(self, channel: str, number: int) -> bool:
        """Say whether a number was given in a channel: then what it stands for is durable."""
        return 0 <= number < self._given.get(channel, 0)
