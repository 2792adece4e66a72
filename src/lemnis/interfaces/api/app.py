"""The API of a workspace, as an ASGI application that is mounted at ``/api/v1``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lemnis import __version__
from lemnis.app.board import Board
from lemnis.contracts.errors import LemnisError
from lemnis.interfaces.api import (
    alerts,
    cases,
    events,
    evidence,
    findings,
    handling,
    incidents,
    journal,
    keys,
    lessons,
    models,
    oneself,
    openid,
    people,
    playbooks,
    rules,
    sources,
    stream,
    unnamed,
)
from lemnis.interfaces.api.problem import problem
from lemnis.interfaces.api.routing import ERRORS
from lemnis.interfaces.api.services import Services, Slots

if TYPE_CHECKING:
    from lemnis.app import Workspace
    from lemnis.app.access.service import Access
    from lemnis.content.schemas.console import Console

LOG = logging.getLogger("lemnis.api")
BASE = "/api/v1"
_ABOUT = (
    "Everything that the console shows and does. Lists come in pages: `next` is the cursor of the next. "
    "Answers to GET have an ETag. Changes take an Idempotency-Key, and If-Match where somebody may have "
    "changed the same. Errors are problem documents (RFC 9457). Personal data is masked unless X-Purpose "
    "says what it is needed for."
)
_OPEN = (
    "/session", "/session/passkey", "/session/passkey/begin", "/welcome", "/openid", "/openid/{name}",
    "/openid/{name}/callback",
)  # fmt: skip
"""Paths for which nobody has to be signed in, but to delete."""
_ROUTERS = (
    incidents.ROUTER, handling.ROUTER, evidence.ROUTER, cases.ROUTER, alerts.ROUTER, events.ROUTER,
    findings.ROUTER, rules.ROUTER, sources.ROUTER, playbooks.ROUTER, lessons.ROUTER, journal.ROUTER,
    oneself.ROUTER, keys.ROUTER, people.ROUTER, stream.ROUTER,
)  # fmt: skip


def build(workspace: Workspace, access: Access, read: Console, board: Board | None = None) -> FastAPI:
    """Return the API; ``board`` is the view of incidents, if there is one already."""
    made = FastAPI(
        title="Lemnis", version=__version__, description=_ABOUT, openapi_url="/openapi.json", docs_url=None,
        redoc_url=None, redirect_slashes=False, separate_input_output_schemas=False,
        generate_unique_id_function=_operation,
    )  # fmt: skip
    made.state.services = Services(
        workspace, access, board or Board(workspace, engine=access.engine), read, Slots()
    )
    made.state.hub = stream.Hub(access.journal)
    for one in _ROUTERS:
        made.include_router(one, responses=ERRORS)
    for one in (oneself.OPEN, keys.OPEN, openid.ROUTER):
        made.include_router(one, responses=ERRORS)
    made.add_exception_handler(LemnisError, _told)
    made.add_exception_handler(RequestValidationError, _invalid)
    made.add_exception_handler(HTTPException, _http)
    made.add_exception_handler(Exception, _defect)
    made.openapi = lambda: _described(made)  # type: ignore[method-assign] # as FastAPI's documentation has it
    return made


def _operation(route: APIRoute) -> str:
    """Name an operation as its function and module are: ``list_incidents``."""
    return f"{route.name.rstrip('_')}_{route.endpoint.__module__.rpartition('.')[2]}"


async def _told(request: Request, error: Exception) -> Response:
    if not isinstance(error, LemnisError):
        return problem(status=500, title="a defect of Lemnis")
    return problem(error, hide=await run_in_threadpool(unnamed.hiding, request, error))


async def _invalid(_request: Request, error: Exception) -> Response:
    """Say what is wrong with what was sent, and where."""
    wrong = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [
        {"where": ".".join(str(part) for part in one["loc"]), "what": str(one["msg"])[:300]}
        for one in wrong[:50]
    ]
    first = f"{errors[0]['where']}: {errors[0]['what']}" if errors else "it cannot be read"
    return problem(status=422, title=first, fix="see `errors`", more={"errors": errors})


async def _http(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    title = str(error.detail) if isinstance(error, HTTPException) else "a defect of Lemnis"
    return problem(status=status, title=title.lower(), headers=headers)


async def _defect(request: Request, error: Exception) -> Response:
    """Tell of what nobody foresaw: whole in the log, and nothing of it to who asked."""
    LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(
        status=500, title="a defect of Lemnis", fix="the log of the console says more; please report"
    )


def _described(made: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: with problems, and how one is recognised."""
    if made.openapi_schema is None:
        from fastapi.openapi.utils import get_openapi  # noqa: PLC0415 - once

        found = get_openapi(
            title=made.title, version=made.version, description=made.description, routes=made.routes,
            openapi_version="3.1.0", servers=[{"url": BASE}], separate_input_output_schemas=False,
        )  # fmt: skip
        parts = found.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = models.Problem.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            parts["schemas"].pop(unused, None)
        parts["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "A token: lmn_…"},
            "session": {"type": "apiKey", "in": "cookie", "name": "lemnis",
                        "description": "A session; changes also need its X-CSRF-Token (see /me)."},
        }  # fmt: skip
        found["security"] = [{"token": []}, {"session": []}]
        for path in _OPEN:
            for one in (v for m, v in found["paths"][path].items() if m != "delete"):
                one["security"] = []
        made.openapi_schema = found
    return made.openapi_schema
