"""Webhooks that begin playbooks: POST /playbooks/NAME, JSON, signed or with a bearer token.

A signature holds for five minutes (GitHub's, which is over the body alone, for ever), and what was delivered
once begins nothing again: the journal remembers the deliveries, for which playbook each was.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lemnis.content.schemas.settings import Webhooks
from lemnis.contracts.errors import LemnisError, NotFoundError, RefusedError, ServiceError
from lemnis.ingest import signatures

if TYPE_CHECKING:
    from lemnis.app.respond_service import Responder

LOG = logging.getLogger("lemnis.respond")
MAX_BYTES = 1_000_000
_STATUS = {NotFoundError: 404, RefusedError: 409}


@dataclass(frozen=True, slots=True)
class Proof:
    """What a sender has to show: a bearer token, a signature, or both; an empty one is not asked for."""

    token: str = ""
    secret: str = ""
    signature: str = "standard"

    def check(self, headers: Mapping[str, str], body: bytes, now_s: int) -> str:
        """Return the delivery's id, empty if nothing tells it; raises SignatureError if it is not proven."""
        if self.token:
            given = headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                raise signatures.SignatureError("the bearer token is not the right one")
        if not self.secret:
            return ""
        if self.signature == "github":
            signatures.github(headers, body, self.secret)
            return hashlib.sha256(body).hexdigest()
        if self.signature == "slack":
            signatures.slack(headers, body, self.secret, now_s)
            return headers["x-slack-signature"]
        signatures.standard(headers, body, self.secret, now_s)
        return headers.get("webhook-id", "")


def application(responder: Responder, proof: Proof) -> Starlette:
    """Return what answers: 202 with the plans that were made, and none for what came before.

    401 without proof, 400 for what is no JSON object, 404 for a playbook that no webhook begins, 409 for a
    delivery that was for another playbook, 413.
    """

    async def take(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                return _no(413, f"larger than {MAX_BYTES:,} bytes")
        try:
            now = responder.workspace.clock.now()
            delivery = proof.check(request.headers, bytes(body), now // 1000)
            said: Any = orjson.loads(bytes(body))
            if not isinstance(said, dict):
                return _no(400, "it is no JSON object")
            plans = await run_in_threadpool(responder.webhook, request.path_params["name"], said, delivery)
        except signatures.SignatureError as error:
            return _no(401, str(error))
        except LemnisError as error:
            return _no(_STATUS.get(type(error), 400), error.what)
        except (orjson.JSONDecodeError, ValueError) as error:
            return _no(400, str(error))
        return JSONResponse({"plans": plans}, 202)

    return Starlette(routes=[Route("/playbooks/{name:str}", take, methods=["POST"])])


def _no(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)


def proof(hooks: Webhooks) -> Proof | None:
    """Return what senders have to show, from the environment; None, and told, if a variable is empty."""
    found = {name: os.environ.get(name, "").strip() for name in (hooks.token_env, hooks.secret_env) if name}
    for name, value in found.items():
        if not value:
            LOG.error("webhooks are not taken: the variable %s is empty", name)
            return None
    return Proof(found.get(hooks.token_env, ""), found.get(hooks.secret_env, ""), hooks.signature)


async def serve(responder: Responder, stop: asyncio.Event) -> None:
    """Listen until ``stop``, where the settings say so; that it cannot is told, and costs nothing else."""
    from lemnis.ingest.transports import _asgi

    hooks = responder.read.webhooks
    shown = proof(hooks) if hooks is not None else None
    if hooks is None or shown is None:
        return
    app = application(responder, shown)
    server = _asgi.Server("webhooks", app, host=hooks.host, port=hooks.port, connections=64)
    try:
        await server.run(stop, listening=lambda host, port: LOG.info("webhooks: %s:%d", host, port))
    except ServiceError as error:
        LOG.error("webhooks are not taken: %s", error)  # noqa: TRY400 - told in full
