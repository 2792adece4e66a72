"""Passkeys: made, listed, dropped, and signed in by."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from lemnis.app.access import accounts, passkeys
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import RefusedError
from lemnis.interfaces.api import models
from lemnis.interfaces.api.oneself import Present, begun, proven
from lemnis.interfaces.api.routing import IdempotencyKey, TaggedRoute, Using
from lemnis.interfaces.api.services import Services
from lemnis.interfaces.api.visitor import named, numbers
from lemnis.store import access as kept

ROUTER = APIRouter(route_class=TaggedRoute, tags=["self"])
OPEN = APIRouter(tags=["self"])
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{8,1400}$", description="The passkey's id.")]


@ROUTER.get("/me/passkeys")
def list_(person: Present, using: Using) -> list[models.Passkey]:
    """List one's own passkeys."""
    return [_told(one) for one in using.access.tables.passkeys(person.id)]


@ROUTER.post("/me/passkeys/begin")
def begin(body: models.Proving, request: Request, person: Present, using: Using) -> dict[str, Any]:
    """Return what the browser makes a passkey by (`navigator.credentials.create`)."""
    account = proven(request, using, person, body.password)
    return passkeys.begin(using.access, account, _site(request, using))


@ROUTER.post("/me/passkeys", status_code=201)
def add(body: models.PasskeyMade, request: Request, person: Present, using: Using) -> models.Passkey:
    """Keep the passkey that the browser made."""
    account = accounts.find(using.access, person.id)
    return _told(passkeys.add(using.access, account, _site(request, using), body.answer, body.name))


@ROUTER.delete("/me/passkeys/{id}", status_code=204)
def drop(id: Id, person: Present, using: Using) -> Response:
    """Forget a passkey of one's own."""
    passkeys.drop(using.access, accounts.find(using.access, person.id), id)
    return Response(status_code=204)


@ROUTER.post("/me/passkeys/{id}/rename")
def rename(
    id: Id, body: models.Renaming, person: Present, using: Using, key: IdempotencyKey = ""
) -> models.Passkey:
    """Call a passkey of one's own something else."""
    return _told(passkeys.rename(using.access, accounts.find(using.access, person.id), id, body.name))


@OPEN.post("/session/passkey/begin")
def ask(request: Request, using: Using) -> dict[str, Any]:
    """Return what the browser proves a passkey by (`navigator.credentials.get`)."""
    return passkeys.ask(using.access, _site(request, using))


@OPEN.post("/session/passkey", response_model=models.Me)
def sign_in(body: models.PasskeyProven, request: Request, using: Using) -> Any:
    """Sign in by a passkey: the answer sets the session's cookie."""
    signed = passkeys.sign_in(
        using.access, _site(request, using), body.answer, address=request.state.visitor.address,
        agent=request.headers.get("user-agent", ""),
    )  # fmt: skip
    return begun(request, signed)


def _site(request: Request, using: Services) -> passkeys.Site:
    """Return what passkeys are bound to; raises RefusedError where that is numbers: browsers want a name."""
    origin = using.settings.url.rstrip("/") or request.state.visitor.origin
    host = urlsplit(origin).hostname or ""
    if numbers(host):
        there = named(request.state.visitor, using.settings.url)
        fix = f"open {there}" if there else "give it one, and name it in `console: {hosts: […]}`"
        raise RefusedError("passkeys need a host name", fix=fix)
    return host, origin


def _told(one: kept.Passkey) -> models.Passkey:
    used = to_iso(one.used) if one.used else None
    return models.Passkey(id=one.id, name=one.name, created=to_iso(one.created), used=used)
