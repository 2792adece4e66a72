"""Accounts: invited by a link that counts once, changed, disabled. Each change is in the journal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lemnis.app.access import secret
from lemnis.app.access.passwords import check
from lemnis.app.access.service import INVITE, Access
from lemnis.contracts.errors import AccessError, NotFoundError, RefusedError, UsageError
from lemnis.store.access import Account

if TYPE_CHECKING:
    from lemnis.app.access.signing import SignedIn

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/@-]{0,99}")
_OUTSIDE = re.compile(
    r"(?P<issuer>https?://[^\s#?]+)(?:#(?P<subject>[^\x00-\x1f\x7f]{1,255})"
    r"|\?email=(?P<email>[^\s@]{1,64}@[A-Za-z0-9.-]{1,253}))"
)
_RESERVED = frozenset({"lemnis", "system", "nobody", "anonymous"})
VALID_MS = 24 * 60 * 60_000
"""How long an invitation can be used."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A secret by which an account gets its password, once, until then (ms)."""

    secret: str
    name: str
    until: int


def first(access: Access, *, actor: str) -> Invitation | None:
    """Return an invitation to the first account, which has every role; None if there is an account already.

    Earlier ones of that kind count no more.
    """
    if access.tables.accounts():
        return None
    access.tables.drop_once(INVITE)
    return _invitation(access, Account("", "", tuple(sorted(access.rights.roles)), ()), actor)


def add(
    access: Access,
    name: str,
    roles: Sequence[str],
    teams: Sequence[str] = (),
    *,
    actor: str,
    outside: str = "",
) -> tuple[Account, Invitation | None]:
    """Add an account; return it with its invitation, or without one if it signs in by an identity elsewhere.

    Raises UsageError for a name, role or identity that cannot be, RefusedError for one that is taken.
    """
    outside = identity(outside) if outside else ""
    account = _new(access, name, roles, teams, actor=actor, outside=outside)
    if outside:
        return account, None
    return account, _invitation(access, account, actor)


def reset(access: Access, name: str, *, actor: str) -> Invitation:
    """Take an account's password, codes, passkeys and tokens away, end its sessions, and invite anew."""
    account = find(access, name)
    _write(access, replace(account, password="", second="", disabled=False, changed=access.clock.now()))
    for passkey in access.tables.passkeys(account.id):
        access.tables.drop_passkey(passkey.id, account.id)
    for token in access.tables.tokens(account.id):
        access.tables.drop_token(token.id)
    access.tables.end(account=account.id)
    access.tell("reset", account.id, actor=actor, reason=f"account {account.name} is invited anew")
    return _invitation(access, account, actor)


def link(access: Access, name: str, outside: str, *, actor: str) -> Account:
    """Let an account sign in by an identity elsewhere (see ``identity``) in the place of the one from before.

    Raises UsageError for what is none, RefusedError for one that is another account's.
    """
    account, wanted = find(access, name), identity(outside)
    linked = replace(account, outside=wanted, changed=access.clock.now())
    _write(access, linked)
    if account.outside and account.outside != wanted:
        access.tables.end(account=account.id)
    access.tell(
        "linked", account.id, actor=actor, reason=f"account {account.name}", payload={"outside": wanted}
    )
    return linked


def unlink(access: Access, name: str, *, actor: str) -> tuple[Account, Invitation | None]:
    """Take the identity elsewhere from an account, and end its sessions.

    An account that is left without password and passkeys is invited anew. Raises RefusedError without one.
    """
    account = find(access, name)
    if not account.outside:
        raise RefusedError(f"{account.name} has no identity elsewhere")
    left = replace(account, outside="", changed=access.clock.now())
    _write(access, left)
    access.tables.end(account=account.id)
    access.tell("unlinked", account.id, actor=actor, reason=f"account {account.name}",
                payload={"outside": account.outside})  # fmt: skip
    alone = not left.password and not access.tables.passkeys(left.id)
    return left, _invitation(access, left, actor) if alone else None


def identity(text: str) -> str:
    """Return the one form of an identity elsewhere; raises UsageError for what is none.

    It is ``ISSUER#SUBJECT`` as the provider names somebody, or ``ISSUER?email=ADDRESS`` until they come for
    the first time with that address, verified by the provider: then their subject takes its place.
    """
    found = _OUTSIDE.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{text[:80]!r} is no identity at a provider",
            fix="https://id.example#SUBJECT, or https://id.example?email=ana@shop.example",
        )
    issuer, subject, email = found["issuer"].rstrip("/"), found["subject"], found["email"]
    return f"{issuer}#{subject}" if subject else f"{issuer}?email={email.casefold()}"


def change(
    access: Access,
    name: str,
    *,
    actor: str,
    roles: Sequence[str] | None = None,
    teams: Sequence[str] | None = None,
    disabled: bool | None = None,
) -> Account:
    """Change what an account is; what it has open ends where it is disabled.

    Raises RefusedError if nobody would be left who can change accounts.
    """
    account = find(access, name)
    changed = replace(
        account,
        roles=account.roles if roles is None else _roles(access, roles),
        teams=account.teams if teams is None else _teams(teams),
        disabled=account.disabled if disabled is None else disabled,
        changed=access.clock.now(),
    )
    others = (one for one in access.tables.accounts() if one.id != account.id)
    if not any(_governs(access, one) for one in (changed, *others)):
        raise RefusedError("nobody could change accounts any more", fix="make somebody else an admin first")
    _write(access, changed)
    if changed.disabled:
        access.tables.drop_once(INVITE, account.id)
        access.tables.end(account=account.id)
        for token in access.tables.tokens(account.id):
            access.tables.drop_token(token.id)
    access.tell("changed", account.id, actor=actor, reason=f"account {account.name}",
                payload={"roles": list(changed.roles), "teams": list(changed.teams),
                         "disabled": changed.disabled})  # fmt: skip
    return changed


def accept(
    access: Access, key: str, name: str, password: str, *, address: str = "", agent: str = ""
) -> SignedIn:
    """Take an invitation: set the password (and the name, where it is the first account), and sign in.

    Raises AccessError for an invitation that was used or is over, UsageError for a name or password that
    cannot be: then the invitation can still be used.
    """
    from lemnis.app.access import signing

    hashed, now = secret.known_as(key, INVITE), access.clock.now()
    offered = access.tables.look_once(hashed, INVITE, now)
    if offered is None:
        raise AccessError("the invitation was used, or is over", fix="ask for a new one")
    known = str(offered["name"]) or name_of(name)
    check(password, known)
    stored = access.passwords.hash(password)
    if access.tables.take_once(hashed, INVITE, now) is None:
        raise AccessError("the invitation was used", fix="ask for a new one")
    if offered["account"]:
        account = access.tables.account(id=str(offered["account"]))
        if account is None or account.disabled:
            raise AccessError("the account is no more", fix="ask for a new one")
    elif access.tables.accounts():
        raise AccessError("there is an account by now", fix="ask whoever has it for an invitation")
    else:
        account = _new(access, known, offered["roles"], offered["teams"], actor=known)
    account = replace(account, password=stored, changed=now)
    _write(access, account)
    access.tell("accepted", account.id, actor=account.name, reason="the password was set by an invitation")
    return signing.begin(access, account, "password", address=address, agent=agent)


def invited(access: Access, key: str) -> str | None:
    """Return for whom an invitation is (empty: the name is to be chosen); None if it is none any more."""
    offered = access.tables.look_once(secret.known_as(key, INVITE), INVITE, access.clock.now())
    return None if offered is None else str(offered["name"])


def find(access: Access, name: str) -> Account:
    """Return an account by its name or id; raises NotFoundError."""
    found = access.tables.account(id=name) if name.startswith("person-") else None
    found = found or access.tables.account(name=name.casefold() or "-")
    if found is None:
        raise NotFoundError(f"no account {name!r}", fix="`lemnis access list` shows them")
    return found


def name_of(text: str) -> str:
    """Return the one form of a name that accounts may have; raises UsageError."""
    name = text.strip().casefold()
    if not _NAME.fullmatch(name) or name in _RESERVED or name.startswith("person-"):
        raise UsageError(
            f"{text!r} can be no account's name",
            fix="take small letters, digits and . _ - + @, 64 at most; `lemnis` is taken",
        )
    return name


def _new(
    access: Access, name: str, roles: Sequence[str], teams: Sequence[str], *, actor: str, outside: str = ""
) -> Account:
    known, made = name_of(name), access.clock.now()
    account = Account(
        secret.new_id("person", access.random), known, _roles(access, roles), _teams(teams), outside=outside,
        created=made, changed=made,
    )  # fmt: skip
    _write(access, account)
    access.tell("added", account.id, actor=actor, reason=f"account {known}",
                payload={"name": known, "roles": list(account.roles), "teams": list(account.teams),
                         "outside": outside})  # fmt: skip
    return account


def _invitation(access: Access, to: Account, actor: str) -> Invitation:
    """Keep an invitation to an account, or to one that is to be made like this one (which has no id).

    Those from before count no more.
    """
    if to.id:
        access.tables.drop_once(INVITE, to.id)
    key, now = secret.new(access.random), access.clock.now()
    data = {"name": to.name, "roles": list(to.roles), "teams": list(to.teams), "account": to.id, "by": actor}
    access.tables.put_once(secret.known_as(key, INVITE), INVITE, data, until=now + VALID_MS, now=now)
    return Invitation(key, to.name, now + VALID_MS)


def _write(access: Access, account: Account) -> None:
    if access.tables.put_account(account):
        return
    other = access.tables.account(outside=account.outside) if account.outside else None
    if other is not None and other.id != account.id:
        raise RefusedError(f"this identity is {other.name}'s already", fix="unlink it there first")
    raise RefusedError(f"there is an account {account.name!r} already", fix="choose another name")


def _governs(access: Access, account: Account) -> bool:
    return not account.disabled and "access.change" in access.rights.of(account.roles)


def _roles(access: Access, roles: Sequence[str]) -> tuple[str, ...]:
    known = access.rights.roles
    for one in roles:
        if one not in known:
            raise UsageError(f"no role {one!r}", fix=f"one of {', '.join(sorted(known))}")
    return tuple(sorted(set(roles)))


def _teams(teams: Sequence[str]) -> tuple[str, ...]:
    for one in teams:
        if not _TEAM.fullmatch(one):
            raise UsageError(f"{one!r} can be no team's name", fix="letters, digits, spaces and . _ / @ -")
    return tuple(sorted(set(teams)))
