"""Webhooks that begin playbooks: POST /playbooks/NAME, JSON, with a bearer token."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lemnis.contracts.errors import LemnisError, ServiceError

if TYPE_CHECKING:
    from lemnis.app.respond_service import Responder

LOG = logging.getLogger("lemnis.respond")
MAX_BYTES = 1_000_000


def application(responder: Responder, token: str) -> Starlette:
    """Return what answers: 202 with the plans that were made, 401, 400 for what is no JSON object, 413."""

    async def take(request: Request) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), token.encode()):
            return JSONResponse({"error": "no"}, 401)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                return JSONResponse({"error": f"larger than {MAX_BYTES:,} bytes"}, 413)
        try:
            said: Any = orjson.loads(bytes(body))
            if not isinstance(said, dict):
                return JSONResponse({"error": "it is no JSON object"}, 400)
            plans = await run_in_threadpool(responder.webhook, request.path_params["name"], said)
        except (orjson.JSONDecodeError, LemnisError, ValueError) as error:
            return JSONResponse({"error": getattr(error, "what", str(error))}, 400)
        return JSONResponse({"plans": plans}, 202)

    return Starlette(routes=[Route("/playbooks/{name:str}", take, methods=["POST"])])


async def serve(responder: Responder, stop: asyncio.Event) -> None:
    """Listen until ``stop``, where the settings say so; that it cannot is told, and costs nothing else."""
    from lemnis.ingest.transports import _asgi

    hooks = responder.read.webhooks
    if hooks is None:
        return
    token = os.environ.get(hooks.token_env, "").strip()
    if not token:
        LOG.error("webhooks are not taken: the variable %s is empty", hooks.token_env)
        return
    app = application(responder, token)
    server = _asgi.Server("webhooks", app, host=hooks.host, port=hooks.port, connections=64)
    try:
        await server.run(stop, listening=lambda host, port: LOG.info("webhooks: %s:%d", host, port))
    except ServiceError as error:
        LOG.error("webhooks are not taken: %s", error)  # noqa: TRY400 - told in full
