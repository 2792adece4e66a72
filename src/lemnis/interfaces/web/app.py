"""The pages of the console as one application: each module of a page brings its routes."""

from __future__ import annotations

import hashlib
import logging
from functools import cache

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lemnis import app
from lemnis.app.board import Board
from lemnis.contracts.errors import NotFoundError, ServiceError
from lemnis.interfaces.web import (
    account,
    cases,
    controls,
    detections,
    drift,
    editor,
    entity,
    events,
    incident,
    lessons,
    loop,
    paths,
    people,
    pipeline,
    playbooks,
    posture,
    queue,
    risk,
    rule_pages,
    search,
    sign_in,
    site,
    sources,
)
from lemnis.interfaces.web.site import Site
from lemnis.interfaces.web.static_files import STATIC

LOG = logging.getLogger("lemnis.console")
_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"
PAGES = (
    loop,
    queue,
    incident,
    cases,
    search,
    events,
    entity,
    editor,
    detections,
    rule_pages,
    pipeline,
    playbooks,
    sources,
    lessons,
    posture,
    paths,
    drift,
    controls,
    risk,
    sign_in,
    account,
    people,
)


def build(workspace: app.Workspace, *, stream: str = "") -> Starlette:
    """Return the pages over a workspace; ``stream`` is the address of live events, where there are any.

    Raises ContentError where content that every page needs is wrong.
    """
    routes: list[BaseRoute] = [Route("/static/{name}", static, methods=["GET"])]
    for page in PAGES:
        routes += page.ROUTES
    made = Starlette(routes=routes, exception_handlers={404: missing, 405: missing, 500: broken})
    made.state.site = Site(workspace, Board(workspace), stream)
    return made


async def static(request: Request) -> Response:
    """Serve a file of ours; what is asked for with its digest may be kept for ever."""
    name = request.path_params["name"]
    found = _files().get(name)
    if found is None:
        return Response("no such file", 404)
    data, kind, tag = found
    wanted = request.query_params.get("v")
    headers = {"cache-control": _FOR_EVER if wanted == tag else "no-cache", "etag": f'"{tag}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=kind)


@cache
def _files() -> dict[str, tuple[bytes, str, str]]:
    found = {}
    for path in STATIC.iterdir():
        if path.suffix in _KINDS:
            data = path.read_bytes()
            found[path.name] = data, _KINDS[path.suffix], hashlib.sha256(data).hexdigest()[:12]
    return found


async def missing(request: Request, _error: Exception) -> Response:
    """Tell that there is no such page."""
    if site.whose(request) is None:
        return site.to_sign_in(request)
    error = NotFoundError("no page has this address", fix="the menu leads to all that there are")
    return site.trouble(request, error)


async def broken(request: Request, error: Exception) -> Response:
    """Tell that something nobody foresaw went wrong; what, is in the log and not on the page."""
    LOG.error("%s %s failed: %s: %s", request.method, request.url.path, type(error).__name__, error)
    return site.trouble(
        request, ServiceError("a defect of Lemnis", fix="the log of the console says what; please report it")
    )
