"""Accounts, for those who look after them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from starlette.responses import Response

from lemnis.app.access import accounts
from lemnis.app.access.accounts import Invitation
from lemnis.app.access.permissions import Person, demand
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import AccessError
from lemnis.interfaces.api import models
from lemnis.interfaces.api.paging import Page, paged
from lemnis.interfaces.api.routing import USUAL_LIMIT, After, IdempotencyKey, Limit, Using, allowed, router
from lemnis.interfaces.api.services import Services
from lemnis.store import access as kept

ROUTER = router("accounts")
Reader = Annotated[Person, allowed("access.read")]
Changer = Annotated[Person, allowed("access.change")]
Id = Annotated[str, Path(pattern=r"^person-[0-9a-f]{16}$", description="The account's id.")]


@ROUTER.get("/accounts")
def list_(
    _person: Reader, using: Using, limit: Limit = USUAL_LIMIT, after: After = ""
) -> Page[models.Account]:
    """List the accounts by name."""
    found = using.access.tables.accounts()
    shown, following = paged(found, lambda one: [one.name], like="s", after=after, limit=limit)
    return Page[models.Account](items=[_account(using, one) for one in shown], next=following)


@ROUTER.get("/accounts/{id}")
def show(id: Id, _person: Reader, using: Using) -> models.Account:
    """Show an account."""
    return _account(using, accounts.find(using.access, id))


@ROUTER.post("/accounts", status_code=201)
def add(body: models.Adding, person: Changer, using: Using) -> models.Invited:
    """Add an account; the answer has the key of the link by which its owner sets the password.

    One that signs in by an identity elsewhere (`outside`) needs no link.
    """
    _not_above(using, person, body.roles)
    made, invitation = accounts.add(
        using.access, body.name, body.roles, body.teams, actor=person.name, outside=body.outside
    )
    return _invited(using, made, invitation)


@ROUTER.post("/accounts/{id}/change")
def change(
    id: Id,
    body: models.Changing,
    person: Changer,
    using: Using,
    key: IdempotencyKey = "",
) -> models.Account:
    """Change roles or teams of an account, or disable it."""
    _not_above(using, person, [*accounts.find(using.access, id).roles, *(body.roles or ())])
    changed = accounts.change(
        using.access, id, actor=person.name, roles=body.roles, teams=body.teams, disabled=body.disabled
    )
    return _account(using, changed)


@ROUTER.post("/accounts/{id}/link")
def link(
    id: Id, body: models.Linking, person: Changer, using: Using, key: IdempotencyKey = ""
) -> models.Account:
    """Let an account sign in by an identity of an OpenID provider, in the place of the one from before."""
    _not_above(using, person, accounts.find(using.access, id).roles)
    return _account(using, accounts.link(using.access, id, body.outside, actor=person.name))


@ROUTER.post("/accounts/{id}/unlink")
def unlink(id: Id, person: Changer, using: Using) -> models.Invited:
    """Take the identity elsewhere from an account and end its sessions; if nothing is left, invite anew."""
    _not_above(using, person, accounts.find(using.access, id).roles)
    return _invited(using, *accounts.unlink(using.access, id, actor=person.name))


@ROUTER.post("/accounts/{id}/reset", status_code=201)
def reset(id: Id, person: Changer, using: Using) -> models.Invited:
    """Take password, second factor and passkeys of an account away, and invite its owner anew."""
    _not_above(using, person, accounts.find(using.access, id).roles)
    invitation = accounts.reset(using.access, id, actor=person.name)
    return _invited(using, accounts.find(using.access, id), invitation)


@ROUTER.delete("/accounts/{id}/sessions", status_code=204)
def end_sessions(id: Id, person: Changer, using: Using) -> Response:
    """End every session of an account."""
    account = accounts.find(using.access, id)
    _not_above(using, person, account.roles)
    using.access.tables.end(account=account.id)
    using.access.tell("sessions_ended", account.id, actor=person.name)
    return Response(status_code=204)


def _not_above(using: Services, person: Person, roles: Any) -> None:
    """Refuse to a token what only somebody who is present may do: to give roles, take over who has them."""
    demand(person, "access.change", {"kind": "account"})
    if person.how == "token" and roles:
        given = using.access.rights.of(roles)
        if not given <= person.permissions & set(person.scopes):
            raise AccessError("a token decides on nobody who may more than it may", fix="sign in")


def _account(using: Services, one: kept.Account) -> models.Account:
    return models.Account.model_validate(_document(using, one))


def _document(using: Services, one: kept.Account) -> dict[str, Any]:
    return {
        "id": one.id, "name": one.name, "roles": list(one.roles), "teams": list(one.teams),
        "disabled": one.disabled, "second": bool(one.second), "outside": one.outside or None,
        "passkeys": len(using.access.tables.passkeys(one.id)), "created": to_iso(one.created),
    }  # fmt: skip


def _invited(using: Services, one: kept.Account, invitation: Invitation | None) -> models.Invited:
    link = {"key": invitation.secret, "until": to_iso(invitation.until)} if invitation else {}
    return models.Invited.model_validate(_document(using, one) | link)
