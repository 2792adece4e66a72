"""Signing in by providers of OpenID Connect: there, and back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lemnis.app.access import openid
from lemnis.contracts.errors import AccessError, NotFoundError
from lemnis.interfaces.api import guard, models
from lemnis.interfaces.api.routing import Using
from lemnis.interfaces.api.services import Services

ROUTER = APIRouter(tags=["self"])
Name = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9_-]{0,30}$", description="The provider's name in the settings.")
]
_BASE = "/api/v1"


@ROUTER.get("/openid")
def list_(using: Using) -> list[models.Provider]:
    """List the providers that one can sign in with."""
    return [
        models.Provider(name=one.name, title=one.title or one.name, url=f"{_BASE}/openid/{one.name}")
        for one in using.settings.openid
    ]


@ROUTER.get("/openid/{name}", status_code=303, response_class=RedirectResponse)
def begin(
    name: Name,
    request: Request,
    using: Using,
    onward: Annotated[str, Query(alias="next", max_length=500, description="The page to go on to.")] = "/",
) -> Response:
    """Go to the provider to sign in; what comes back counts in this browser alone."""
    provider = _provider(using, name)
    visit, fresh = guard.visit(request)
    target = openid.begin(
        using.access, provider, redirect=_redirect(request, using, name), visit=visit, onward=_own(onward)
    )
    response = RedirectResponse(target, 303)
    if fresh:
        guard.visited(request, response, visit)
    return response


@ROUTER.get("/openid/{name}/callback", status_code=303, response_class=RedirectResponse)
def finish(
    name: Name,
    request: Request,
    using: Using,
    *,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Come back from the provider, signed in."""
    if error or not code or not state:
        raise AccessError("the provider did not let you in", fix="sign in again")
    visit, fresh = guard.visit(request)
    signed, onward = openid.finish(
        using.access, _provider(using, name), state=state, code=code, visit="" if fresh else visit,
        address=request.state.visitor.address, agent=request.headers.get("user-agent", ""),
    )  # fmt: skip
    response = RedirectResponse(onward, 303)
    guard.signed_in(request, response, signed)
    return response


def _provider(using: Services, name: str) -> openid.Provider:
    found: dict[str, Any] = using.providers
    if name not in found:
        raise NotFoundError(f"no provider {name!r}", fix="`console: {openid: …}` in lemnis.yaml")
    return found[name]  # type: ignore[no-any-return]


def _redirect(request: Request, using: Services, name: str) -> str:
    base = using.settings.url.rstrip("/") or request.state.visitor.origin
    return f"{base}{_BASE}/openid/{name}/callback"


def _own(path: str) -> str:
    """Return a path of ours; the first page for what leads elsewhere."""
    ours = (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and path.isprintable()
        and "\\" not in path
    )
    return path if ours else "/"
