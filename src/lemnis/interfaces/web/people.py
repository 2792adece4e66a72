"""Accounts, for those who look after them: added by a link that counts once, changed, disabled, reset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import settings
from lemnis.app.access import accounts
from lemnis.app.access.people import Person, demand, may
from lemnis.app.access.service import Access
from lemnis.contracts.errors import AccessError, LemnisError, UsageError
from lemnis.interfaces.web import asking, site
from lemnis.interfaces.web.asking import Column
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.sign_in import reason_of
from lemnis.interfaces.web.statuses import status_of

if TYPE_CHECKING:
    from lemnis.app.access.accounts import Invitation
    from lemnis.store import access as kept

SIZE = 100
FILTERS = ("q", "role", "state")
STATES = ("open", "invited", "disabled")


# -- what is shown, pure -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountShown:
    """An account as a line; ``state`` is one of ``STATES``, ``proofs`` what its owner signs in by."""

    id: str
    name: str
    roles: tuple[str, ...]
    teams: tuple[str, ...]
    state: str
    proofs: tuple[str, ...]
    created: int


def shown(one: kept.Account, keys: int = 0) -> AccountShown:
    """Return an account with so many passkeys as a line. Pure."""
    proofs = (
        ("password" if one.password else ""),
        ("codes" if one.second else ""),
        (f"{keys} passkey{'s' if keys > 1 else ''}" if keys else ""),
        ("provider" if one.outside else ""),
    )
    state = "disabled" if one.disabled else "open" if any(proofs) else "invited"
    return AccountShown(
        one.id, one.name, one.roles, one.teams, state, tuple(filter(None, proofs)), one.created
    )


COLUMNS: tuple[Column[AccountShown], ...] = (
    Column("name", "Name", lambda row: row.name),
    Column("state", "State", lambda row: (STATES.index(row.state), row.name)),
    Column("created", "Added", lambda row: row.created, up=False),
)


def teams_of(text: str) -> list[str]:
    """Return the teams that somebody typed, parted by commas. Pure."""
    return [one for part in text.split(",") if (one := " ".join(part.split()))]


# -- pages -------------------------------------------------------------------------------------------------


def page(request: Request) -> Response:
    """Show all accounts."""
    return _all(request)


def _all(
    request: Request, *, why: str = "", form: Mapping[str, Any] | None = None, status: int = 200
) -> Response:
    here, access = site.at(request), _access(request)
    every = [shown(one, len(access.tables.passkeys(one.id))) for one in access.tables.accounts()]
    how = asking.asked(request.query_params, FILTERS, sort="name")
    some = [
        one
        for one in every
        if how.of("q").casefold() in f"{one.name} {' '.join(one.teams)}".casefold()
        and how.of("role") in {"", *one.roles}
        and how.of("state") in {"", one.state}
    ]
    rows, how = asking.ordered(some, COLUMNS, how)
    given = form or {}
    return here.page(
        request, "people.html", status=status, title="People", here="/people", columns=COLUMNS, asked=how,
        page=asking.paged(rows, how, SIZE), roles=sorted(access.rights.roles), states=STATES, why=why,
        total=len(every), name=given.get("name", ""), teams=given.get("teams", ""),
        providers=_providers(request), given=given,
        chosen=form.every("role") if isinstance(form, Form) else [],
    )  # fmt: skip


def one(request: Request) -> Response:
    """Show an account."""
    return _one(request, request.path_params["id"])


def _one(
    request: Request,
    name: str,
    *,
    link: Link | None = None,
    wrong: str = "",
    why: str = "",
    status: int = 200,
) -> Response:
    here, access = site.at(request), _access(request)
    account, person = accounts.find(access, name), site.whose(request)
    keys = access.tables.passkeys(account.id)
    return here.page(
        request, "person.html", status=status, title=account.name, here="/people", account=account,
        shown=shown(account, len(keys)), roles=_roles(access), link=link, wrong=wrong, why=why,
        sessions=len(access.tables.sessions(account.id)), tokens=len(access.tables.tokens(account.id)),
        own=person is not None and person.id == account.id, providers=_providers(request),
        changes=may(person, "access.change", {"kind": "account"}),
    )  # fmt: skip


def _access(request: Request) -> Access:
    found: Access = request.state.access
    return found


def _roles(access: Access) -> list[tuple[str, int]]:
    """Return each role with how many permissions it gives."""
    return [(name, len(access.rights.roles[name])) for name in sorted(access.rights.roles)]


@dataclass(frozen=True, slots=True)
class Link:
    """The address by which somebody begins, shown this once, and until when it can be used (ms)."""

    address: str
    until: int


def outside_of(issuer: str, by: str, who: str) -> str:
    """Return what is linked: a provider's subject, or the address that it verified of somebody. Pure."""
    text = who.strip()
    return f"{issuer.rstrip('/')}{'?email=' if by == 'email' else '#'}{text}" if text else ""


def _outside(request: Request, form: Form) -> str:
    """Return the identity that a form names; raises UsageError where it names none."""
    issuer = {name: issuer for name, _, issuer in _providers(request)}.get(form.get("provider", ""))
    found = outside_of(issuer, form.get("by", ""), form.get("who", "")) if issuer else ""
    if not found:
        raise UsageError("who it is at the provider is missing", fix="choose a provider, and name them there")
    return found


def _providers(request: Request) -> list[tuple[str, str, str]]:
    """Return the providers that people can sign in with: name, title and issuer."""
    read = settings.load(site.at(request).workspace).console
    return [(one.name, one.title or one.name, one.issuer) for one in read.openid] if read is not None else []


def _link(request: Request, invitation: Invitation) -> Link:
    read = settings.load(site.at(request).workspace).console
    origin = (read.url.rstrip("/") if read is not None else "") or request.state.visitor.origin
    base = str(request.scope.get("root_path", ""))
    return Link(f"{origin}{base}/welcome/{invitation.secret}", invitation.until)


# -- what forms do -----------------------------------------------------------------------------------------


def _changer(request: Request) -> Person:
    """Return who is present and may change accounts: a token gives nobody roles by a form."""
    person = site.whose(request)
    demand(person, "access.change", {"kind": "account"})
    if person is None or person.how != "session":
        raise AccessError("a token may not do this", fix="sign in, or ask the API")
    return person


def add(request: Request, form: Form) -> Response:
    """Add an account, and show the link by which its owner sets the password, once."""
    access, actor = _access(request), _changer(request).name
    try:
        made, invitation = accounts.add(
            access,
            form.get("name", ""),
            form.every("role"),
            teams_of(form.get("teams", "")),
            actor=actor,
            outside=_outside(request, form) if form.get("provider") else "",
        )
    except LemnisError as error:
        return _all(request, why=reason_of(error), form=form, status=status_of(error))
    return _one(request, made.id, link=_link(request, invitation) if invitation else None)


def act(request: Request, form: Form) -> Response:
    """Change an account; what is wrong is told where it was asked."""
    name, what = request.path_params["id"], form.get("do", "")
    step = _STEPS.get(what)
    if step is None:
        raise UsageError("the page has no such form", fix="load it again")
    _changer(request)
    account = accounts.find(_access(request), name)
    try:
        return step(request, account, form)
    except LemnisError as error:
        wrong = {"change": "roles", "link": "by", "unlink": "by"}.get(what, "end")
        return _one(request, account.id, wrong=wrong, why=reason_of(error), status=status_of(error))


def _change(request: Request, account: kept.Account, form: Form) -> Response:
    accounts.change(
        _access(request), account.id, actor=_changer(request).name, roles=form.every("role"),
        teams=teams_of(form.get("teams", "")),
    )  # fmt: skip
    return site.back(request, f"/people/{account.id}", f"{account.name} is changed", "It counts at once.")


def _link_to(request: Request, account: kept.Account, form: Form) -> Response:
    accounts.link(_access(request), account.id, _outside(request, form), actor=_changer(request).name)
    return site.back(request, f"/people/{account.id}", f"{account.name} signs in by the provider")


def _unlink(request: Request, account: kept.Account, _form: Form) -> Response:
    person = _changer(request)
    if account.id == person.id and not account.password:
        raise UsageError("this would shut you out", fix="ask somebody else who looks after accounts")
    _, invitation = accounts.unlink(_access(request), account.id, actor=person.name)
    if invitation is not None:
        return _one(request, account.id, link=_link(request, invitation))
    return site.back(request, f"/people/{account.id}", "The provider signs them in no more")


def _disable(request: Request, account: kept.Account, form: Form) -> Response:
    off = form.get("do") == "disable"
    accounts.change(_access(request), account.id, actor=_changer(request).name, disabled=off)
    told = "Sessions and tokens are over." if off else "Tokens from before are gone."
    return site.back(
        request, f"/people/{account.id}", f"{account.name} {'is disabled' if off else 'may sign in'}", told
    )


def _reset(request: Request, account: kept.Account, _form: Form) -> Response:
    person = _changer(request)
    if account.id == person.id:
        raise UsageError("this would shut you out", fix="change your own password on your own page")
    invitation = accounts.reset(_access(request), account.id, actor=person.name)
    return _one(request, account.id, link=_link(request, invitation))


def _end(request: Request, account: kept.Account, _form: Form) -> Response:
    access = _access(request)
    access.tables.end(account=account.id)
    access.tell("sessions_ended", account.id, actor=_changer(request).name)
    return site.back(request, f"/people/{account.id}", f"{account.name}'s sessions are over")


_STEPS: Mapping[str, Callable[[Request, kept.Account, Form], Response]] = {
    "change": _change, "link": _link_to, "unlink": _unlink,
    "disable": _disable, "enable": _disable, "reset": _reset, "end": _end,
}  # fmt: skip

ROUTES = (
    site.shows("/people", page, "access.read"),
    site.does("/people", add, "access.change"),
    site.shows("/people/{id}", one, "access.read"),
    site.does("/people/{id}", act, "access.change"),
)
