"""Oneself: signing in and out, the own sessions, tokens, password and second factor."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lemnis.app.access import accounts, second, secret, signing, tokens
from lemnis.app.access.permissions import Person
from lemnis.app.access.service import COOKIE
from lemnis.app.access.signing import SignedIn
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import AccessError, NotFoundError, StrangerError
from lemnis.interfaces.api import guard, models
from lemnis.interfaces.api.routing import TaggedRoute, Using
from lemnis.store import access as kept

ROUTER = APIRouter(route_class=TaggedRoute, tags=["self"])
OPEN = APIRouter(tags=["self"])
"""What nobody has to be signed in for."""
Id = Annotated[str, Path(min_length=1, max_length=100)]


async def _person(request: Request) -> Person:
    person: Person | None = request.state.person
    if person is None:
        raise StrangerError("sign in first", fix="sign in, or send a token")
    return person


async def _present(request: Request) -> Person:
    """Return who is signed in: a token changes nothing of the account that it is of."""
    person = await _person(request)
    if person.how != "session":
        raise AccessError("a token may not do this", fix="sign in")
    return person


Whoever = Annotated[Person, Depends(_person)]
Present = Annotated[Person, Depends(_present)]


@OPEN.post("/session", response_model=models.Me)
def sign_in(body: models.SigningIn, request: Request, using: Using) -> Any:
    """Sign in: the answer sets the session's cookie. Needs the token of the page's form, as every change."""
    visitor = request.state.visitor
    signed = signing.sign_in(
        using.access, body.name, body.password, address=visitor.address, code=body.code,
        agent=request.headers.get("user-agent", ""),
    )  # fmt: skip
    return begun(request, signed)


@OPEN.post("/welcome", response_model=models.Me)
def welcome(body: models.Welcoming, request: Request, using: Using) -> Any:
    """Take an invitation: set the password, and sign in."""
    address, agent = request.state.visitor.address, request.headers.get("user-agent", "")
    signing.patience(using.access, "", address)
    try:
        signed = accounts.accept(
            using.access, body.key, body.name, body.password, address=address, agent=agent
        )
    except AccessError:
        signing.fail(using.access, "", address)
        raise
    return begun(request, signed)


@ROUTER.delete("/session", status_code=204)
def sign_out(request: Request, _person: Present, using: Using) -> Response:
    """Sign out: the session is worth nothing any more."""
    signing.sign_out(using.access, request.state.cookie)
    response = Response(status_code=204)
    guard.signed_out(request, response)
    return response


@ROUTER.get("/me")
def me(request: Request, person: Whoever) -> models.Me:
    """Say who one is, and what one may."""
    return _me(person, request.state.csrf if person.how == "session" else None)


@ROUTER.get("/me/sessions")
def sessions(request: Request, person: Present, using: Using) -> list[models.Session]:
    """List one's own sessions, the last used first."""
    here = secret.known_as(request.state.cookie, COOKIE)
    return [
        models.Session(
            id=one.id[:16],
            how=one.how,
            began=to_iso(one.began),
            seen=to_iso(one.seen),
            until=to_iso(one.until),
            address=one.address,
            agent=one.agent,
            current=one.id == here,
        )
        for one in using.access.tables.sessions(person.id)
    ]


@ROUTER.delete("/me/sessions/{id}", status_code=204)
def end_session(id: Id, person: Present, using: Using) -> Response:
    """End a session of one's own."""
    mine = [one.id for one in using.access.tables.sessions(person.id) if one.id[:16] == id]
    if not mine:
        raise NotFoundError("no such session of yours")
    using.access.tables.end(id=mine[0])
    using.access.tell("session_ended", person.id, actor=person.name)
    return Response(status_code=204)


@ROUTER.delete("/me/sessions", status_code=204)
def end_sessions(request: Request, person: Present, using: Using) -> Response:
    """Sign out everywhere, here too; tokens stay."""
    signing.sign_out_everywhere(using.access, accounts.find(using.access, person.id))
    response = Response(status_code=204)
    guard.signed_out(request, response)
    return response


@ROUTER.get("/me/tokens")
def list_tokens(person: Present, using: Using) -> list[models.Token]:
    """List one's own tokens, the newest first."""
    return [models.Token.model_validate(_token(one)) for one in using.access.tables.tokens(person.id)]


@ROUTER.post("/me/tokens", status_code=201)
def make_token(body: models.MakingToken, person: Present, using: Using) -> models.NewToken:
    """Make a token: its key is told this once. It may what its scopes say, and never more than oneself."""
    account = accounts.find(using.access, person.id)
    made, key = tokens.make(using.access, account, body.name, body.scopes, days=body.days, actor=person.name)
    return models.NewToken.model_validate(_token(made) | {"key": key})


@ROUTER.delete("/me/tokens/{id}", status_code=204)
def revoke_token(id: Id, person: Present, using: Using) -> Response:
    """End a token of one's own."""
    tokens.revoke(using.access, id, accounts.find(using.access, person.id), actor=person.name)
    return Response(status_code=204)


@ROUTER.post("/me/password", status_code=204)
def change_password(
    body: models.ChangingPassword, request: Request, person: Present, using: Using
) -> Response:
    """Change the own password; other sessions end."""
    signing.change_password(
        using.access,
        person,
        body.old,
        body.new,
        cookie=request.state.cookie,
        address=request.state.visitor.address,
    )
    return Response(status_code=204)


@ROUTER.get("/me/second")
def show_second(person: Present, using: Using) -> models.Second:
    """Say whether codes of an authenticator are asked for, and how many spare ones are left."""
    state = second.state(accounts.find(using.access, person.id))
    if state is None:
        return models.Second(on=False)
    return models.Second(on=True, spare=state.spare, used=to_iso(state.used))


@ROUTER.post("/me/second/spare", status_code=201)
def renew_spare(body: models.Proving, request: Request, person: Present, using: Using) -> models.Spare:
    """Make new spare codes, told this once; those from before count no more."""
    account = proven(request, using, person, body.password)
    return models.Spare(codes=list(second.renew(using.access, account)))


@ROUTER.post("/me/second", status_code=201)
def begin_second(body: models.Proving, request: Request, person: Present, using: Using) -> models.SecondBegun:
    """Begin a second factor: an authenticator takes the secret, and a code of it confirms it."""
    account = proven(request, using, person, body.password)
    begun = second.begin(using.access, account)
    return models.SecondBegun(key=begun.key, secret=begun.secret, uri=begun.uri)


@ROUTER.post("/me/second/confirm")
def confirm_second(body: models.Confirming, person: Present, using: Using) -> models.Spare:
    """Let the second factor count, by its first code; the spare codes are told this once."""
    account = accounts.find(using.access, person.id)
    return models.Spare(codes=list(second.confirm(using.access, account, body.key, body.code)))


@ROUTER.post("/me/second/drop", status_code=204)
def drop_second(body: models.Proving, request: Request, person: Present, using: Using) -> Response:
    """Take the own second factor away."""
    second.drop(using.access, proven(request, using, person, body.password), actor=person.name)
    return Response(status_code=204)


def proven(request: Request, using: Any, person: Person, password: str) -> kept.Account:
    """Return the own account, of somebody who knows its password: an open session alone is not enough."""
    address = request.state.visitor.address
    signing.patience(using.access, person.name, address)
    account = accounts.find(using.access, person.id)
    if not using.access.passwords.fits(account.password, password):
        signing.fail(using.access, person.name, address)
        raise AccessError("the password is wrong")
    return account


def begun(request: Request, signed: SignedIn) -> Response:
    """Answer somebody whose session began: who they are, and the cookie."""
    me_ = _me(signed.person, secret.csrf(signed.cookie))
    response = JSONResponse(me_.model_dump())
    guard.signed_in(request, response, signed)
    return response


def _me(person: Person, csrf: str | None) -> models.Me:
    allowed = person.permissions & set(person.scopes) if person.how == "token" else person.permissions
    return models.Me(
        id=person.id, name=person.name, roles=list(person.roles), teams=list(person.teams), how=person.how,
        permissions=sorted(allowed), csrf=csrf,
    )  # fmt: skip


def _token(one: kept.Token) -> dict[str, Any]:
    return {
        "id": one.id, "name": one.name, "scopes": list(one.scopes), "created": to_iso(one.created),
        "until": to_iso(one.until), "used": to_iso(one.used) if one.used else None,
    }  # fmt: skip
