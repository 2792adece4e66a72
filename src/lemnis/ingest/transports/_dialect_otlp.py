"""OTLP over HTTP: ``POST /v1/logs`` in protobuf or JSON. All of an export is durable, or it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lemnis.contracts.receiving import Delivery
from lemnis.ingest.transports import _otlp
from lemnis.ingest.transports._desk import Desk, RefusedError

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_IN_A_THREAD = 1 << 16


def routes(desk: Desk) -> list[Route]:
    """Return the dialect's routes."""

    async def protobuf(request: Request) -> Response:
        await export(request, _from_protobuf)
        return Response(_otlp.response(), media_type=_PROTOBUF)

    async def json(request: Request) -> Response:
        await export(request, _from_json)
        return Response(b"{}", media_type=_JSON)

    async def export(request: Request, read: Callable[[bytes], bytes]) -> None:
        sender = desk.sender(request)
        desk.allow(sender, _otlp.SOURCE)
        async with desk.body(request, sender) as body:
            try:
                large = len(body) > _IN_A_THREAD
                lines = await asyncio.to_thread(read, body) if large else read(body)
            except _otlp.ExportError as error:
                raise RefusedError("data", str(error)) from error
            if lines:
                await desk.take(sender, [Delivery(_otlp.SOURCE, desk.origin_of(request), lines)])

    by_type = {
        _PROTOBUF: desk.endpoint("otlp", _refused_protobuf, protobuf),
        _JSON: desk.endpoint("otlp", _refused_json, json),
    }

    async def logs(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in by_type:
            return Response(f"content-type {_PROTOBUF} or {_JSON}", 415, media_type="text/plain")
        return await by_type[kind](request)

    return [Route("/v1/logs", logs, methods=["POST"])]


def _from_protobuf(body: bytes) -> bytes:
    return b"".join(_otlp.lines(_otlp.from_protobuf(body)))


def _from_json(body: bytes) -> bytes:
    return b"".join(_otlp.json_lines(body))


def _refused_json(refused: RefusedError) -> Response:
    body = orjson.dumps({"code": _code(refused), "message": str(refused)})
    return Response(body, refused.status, headers=refused.headers, media_type=_JSON)


def _refused_protobuf(refused: RefusedError) -> Response:
    body = _otlp.status(_code(refused), str(refused))
    return Response(body, refused.status, headers=refused.headers, media_type=_PROTOBUF)


def _code(refused: RefusedError) -> int:
    return _otlp.CODES[refused.why]
