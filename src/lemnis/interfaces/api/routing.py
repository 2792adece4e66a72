"""What all routes do alike: who may, tags of what is read, changes that are done once however often asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from lemnis.app import Workspace
from lemnis.app.access.permissions import Person
from lemnis.contracts.errors import LemnisError, RefusedError, StaleError, UsageError
from lemnis.contracts.journal import Unchanged
from lemnis.interfaces.api.guard import require
from lemnis.interfaces.api.paging import MOST, USUAL
from lemnis.interfaces.api.problem import MEDIA, problem
from lemnis.interfaces.api.services import Services, services
from lemnis.store.access import Answered

_DAY = 86_400_000
_LONGEST_KEY = 200
_PROBLEM = {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": _PROBLEM}
    for status, what in {
        400: "It cannot be read", 401: "Nobody is signed in", 403: "It is not yours to do",
        404: "There is no such thing", 409: "Refused as things stand", 412: "It changed meanwhile",
        413: "Too large", 422: "Something given is wrong", 429: "Too much at once; Retry-After says when",
        500: "Something does not hold", 503: "Something needed is missing",
    }.items()
}  # fmt: skip
"""What every route may answer beside what it is for."""
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many on a page.")]
After = Annotated[
    str, Query(max_length=2000, description="The cursor of the page, as the one before gave it.")
]
Purpose = Annotated[
    str,
    Header(
        alias="X-Purpose", max_length=300,
        description="What personal data is needed for; without it pseudonyms stand in its place.",
    ),
]  # fmt: skip
IfMatch = Annotated[
    str, Header(alias="If-Match", max_length=200, description="Only if it is still as this tag says.")
]
_KEY = "Idempotency-Key"
IdempotencyKey = Annotated[
    str,
    Header(
        alias=_KEY, max_length=_LONGEST_KEY,
        description="With the same key, the same is done once and answered alike for a day.",
    ),
]  # fmt: skip
USUAL_LIMIT = USUAL
_UNKEPT = UsageError(
    "this is answered with what is kept nowhere", fix=f"send no {_KEY}: asked again, it is done again"
)


async def _using(request: Request) -> Services:
    return services(request)


Using = Annotated[Services, Depends(_using)]


def allowed(permission: str) -> Any:
    """Return what gives a route the person, who may do this; others are refused."""

    async def check(request: Request) -> Person:
        return require(request, permission)

    return Depends(check)


class TaggedRoute(APIRoute):
    """Answers to GET have a tag, by which they are not sent again; a POST with a key is done once.

    Those that take no key answer with a secret or a file, which is kept nowhere.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            if request.method == "GET":
                return _tagged(request, await inner(request))
            key = request.headers.get("idempotency-key", "")
            person = getattr(request.state, "person", None)
            if request.method != "POST" or not key or person is None:
                return await inner(request)
            if not any(one.alias == _KEY for one in self.dependant.header_params):
                return problem(_UNKEPT)
            return await _once(request, inner, person, key)

        return handler


def router(tag: str) -> APIRouter:
    """Return the router of a resource."""
    return APIRouter(route_class=TaggedRoute, tags=[tag])


def _tagged(request: Request, response: Response) -> Response:
    if response.status_code != 200 or isinstance(response, StreamingResponse):  # noqa: PLR2004 - of HTTP
        return response
    tag = response.headers.get("etag") or f'"{hashlib.sha256(response.body).hexdigest()[:20]}"'
    response.headers["etag"] = tag
    response.headers["cache-control"] = "private, no-cache"
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers={"etag": tag, "cache-control": "private, no-cache"})
    return response


async def _once(
    request: Request, inner: Callable[[Request], Coroutine[Any, Any, Response]], person: Person, key: str
) -> Response:
    """Do what is asked unless it was done: then answer as then."""
    if len(key) > _LONGEST_KEY or not key.isprintable():
        return problem(UsageError("the idempotency key is too long, or no text"))
    using = services(request)
    tables, now = using.access.tables, using.workspace.clock.now()
    rights = person.how, sorted(person.permissions), person.scopes, person.teams
    said = f"{request.url.path}?{request.url.query}\0{request.headers.get('x-purpose', '')}\0{rights}\0"
    asked = hashlib.sha256(said.encode() + await request.body()).hexdigest()
    wanted = Answered(person.id, key, asked, 0, "", now)
    before = await run_in_threadpool(tables.claim, wanted, forget=now - _DAY)
    if before is not None:
        return _again(before, asked)
    status = 0
    body = b""
    try:
        response = await inner(request)
        status, body = response.status_code, bytes(response.body)
    finally:
        done = status if 200 <= status < 300 else 0  # noqa: PLR2004 - what failed changed nothing
        kept = Answered(person.id, key, asked, done, body.decode("utf-8", "replace"), now)
        await run_in_threadpool(tables.answer, kept)
    return response


def _again(before: Answered, asked: str) -> Response:
    if before.request != asked:
        return problem(UsageError("this idempotency key was used for something else", fix="take a new one"))
    if not before.status:
        return problem(
            RefusedError(
                "this is being done, or was broken off", fix="look whether it was done before asking anew"
            )
        )
    return Response(
        before.body, before.status, {"idempotency-replayed": "true"},
        "application/json" if before.body else None,
    )  # fmt: skip


def unchanged(given: str, version: int) -> None:
    """Raise StaleError where somebody changed meanwhile what a request is about."""
    known = {one.strip().removeprefix("W/").strip('"').partition("-")[0] for one in given.split(",")}
    if given and given != "*" and str(version) not in known:
        raise StaleError("it changed meanwhile", fix="look at it again")


def following(using: Services, given: str, subjects: Sequence[str]) -> Workspace:
    """Return the workspace for a change of what the journal says of these, if it is as the tag says.

    Raises StaleError if it is not. Where it is no more when the change is written, the journal raises it.
    """
    version = using.journal.last(subjects)
    unchanged(given, version)
    if not given or given == "*":
        return using.workspace
    return replace(using.workspace, only=Unchanged(frozenset(subjects), version))


def versioned(response: Response, version: int, document: Any) -> None:
    """Give an answer the tag of a thing: its version, which changes ask for, and what was told of it."""
    raw = orjson.dumps(document, default=str, option=orjson.OPT_SORT_KEYS)
    response.headers["etag"] = f'"{version}-{hashlib.sha256(raw).hexdigest()[:12]}"'


__all__ = [
    "ERRORS", "After", "IdempotencyKey", "IfMatch", "LemnisError", "Limit", "Purpose", "TaggedRoute", "Using",
    "allowed", "following", "router", "unchanged", "versioned",
]  # fmt: skip
