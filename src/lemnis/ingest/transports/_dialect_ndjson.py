"""The plain dialect: ``POST /ingest/{source}``, the body being records as the source's parser reads them.

For most sources that is a JSON object a line, or a JSON array; for others lines of text.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lemnis.contracts.receiving import Delivery
from lemnis.ingest.transports._desk import Desk, RefusedError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def routes(desk: Desk) -> list[Route]:
    """Return the dialect's routes."""

    async def ingest(request: Request) -> Response:
        sender = desk.sender(request)
        source = request.path_params["source"]
        if not _NAME.fullmatch(source):
            raise RefusedError("data", f"{source[:80]!r} is no name of a source", status=404)
        desk.allow(sender, source)
        async with desk.body(request, sender) as body:
            if not body.strip():
                raise RefusedError("data", "there is nothing in the body")
            await desk.take(sender, [Delivery(source, desk.origin_of(request), body)])
        return JSONResponse({"taken": len(body)})

    endpoint = desk.endpoint("ndjson", refusal, ingest)
    return [Route("/ingest/{source}", endpoint, methods=["POST", "PUT"])]


def refusal(refused: RefusedError) -> Response:
    """Say what is wrong in JSON."""
    headers = refused.headers
    if refused.status == 401:  # noqa: PLR2004 - RFC 9110, 15.5.2
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": str(refused)}, refused.status, headers=headers)
