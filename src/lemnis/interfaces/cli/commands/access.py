"""``lemnis access``: who may sign in to the console, and what they may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    messages,
    show_table,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lemnis.app.access.accounts import Invitation
    from lemnis.app.access.service import Access
    from lemnis.store.access import Account

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.")]
RoleOption = Annotated[
    list[str] | None, typer.Option("--role", metavar="ROLE", help="A role; may be repeated.")
]
TeamOption = Annotated[
    list[str] | None, typer.Option("--team", metavar="TEAM", help="A team; may be repeated.")
]


def register(app: typer.Typer) -> None:
    """Add the commands about access."""
    access = group(app, "access")
    access.command("list")(list_)
    for command in (add, change, reset, token):
        access.command(command.__name__)(command)


def list_(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List the accounts, what they may and since when; with --json one object a line, with `name`.

    Example: lemnis access list
    """
    opened = _open(workspace)
    found = opened.tables.accounts()
    if json:
        for one in found:
            emit(_document(opened, one))
        return
    rows = (
        (one.name, ", ".join(one.roles), ", ".join(one.teams), _ways(opened, one), to_iso(one.created))
        for one in found
    )
    show_table(counted(len(found), "account"), ("name", "roles", "teams", "signs in by", "since"), rows)


def add(
    name: NameArgument,
    role: RoleOption = None,
    team: TeamOption = None,
    outside: Annotated[
        str,
        typer.Option(metavar="ISSUER#SUBJECT", help="Signs in by this identity of an OpenID provider only."),
    ] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Add an account, and print the link by which its owner sets a password: it counts once, for a day.

    Example: lemnis access add ana --role analyst --team soc
    """
    opened = _open(workspace)
    from lemnis.app.access import accounts

    who = actor_name(actor)
    account, invitation = accounts.add(
        opened, name, role or ["viewer"], team or (), actor=who, outside=outside
    )
    _invited(opened, account, invitation, json=json)


def change(
    name: NameArgument,
    role: RoleOption = None,
    team: TeamOption = None,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Let it in no more; let it in again.")
    ] = None,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Change an account's roles or teams, which replaces them all, or disable it, which ends its sessions.

    Example: lemnis access change ana --role analyst --role responder
    """
    opened = _open(workspace)
    from lemnis.app.access import accounts

    changed = accounts.change(
        opened, name, actor=actor_name(actor), roles=role, teams=team, disabled=disabled
    )
    if json:
        emit(_document(opened, changed))
    else:
        state = "disabled" if changed.disabled else ", ".join(changed.roles)
        console.print(f"{changed.name}: {state}", markup=False)


def reset(
    name: NameArgument, actor: ActorOption = "", json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Take an account's password and second factors away, end its sessions, and print a link for a new one.

    Example: lemnis access reset ana
    """
    opened = _open(workspace)
    from lemnis.app.access import accounts

    invitation = accounts.reset(opened, name, actor=actor_name(actor))
    _invited(opened, accounts.find(opened, name), invitation, json=json)


def token(
    name: NameArgument,
    label: Annotated[str, typer.Option("--label", help="What the token is for.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", metavar="PERMISSION", help="What it may, of what the account may; repeat it."
        ),
    ] = None,
    days: Annotated[float, typer.Option(min=0.01, max=366, help="After so many days it is over.")] = 30,
    revoke: Annotated[str, typer.Option(metavar="ID", help="End this token instead of making one.")] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Make a token for the API, which is printed once; without --label or --revoke, list those there are.

    Example: lemnis access token ci --label "nightly report" --scope incident.read --days 90
    """
    opened = _open(workspace)
    from lemnis.app.access import accounts, tokens

    account, who = accounts.find(opened, name), actor_name(actor)
    if revoke:
        tokens.revoke(opened, revoke, account, actor=who)
        if json:
            emit({"id": revoke, "revoked": True})
        return
    if not label:
        _tokens(opened, account, json=json)
        return
    made, key = tokens.make(opened, account, label, scope or (), days=days, actor=who)
    if json:
        emit(
            {
                "id": made.id,
                "name": made.name,
                "scopes": made.scopes,
                "until": to_iso(made.until),
                "token": key,
            }
        )
        return
    messages.print(f"until {to_iso(made.until)}; it is shown this once:", markup=False)
    console.print(key, markup=False, soft_wrap=True)


def _open(workspace: Path | None) -> Access:
    from importlib.util import find_spec

    from lemnis import app
    from lemnis.app.access.service import Access
    from lemnis.contracts.errors import ServiceError

    if find_spec("argon2") is None:
        raise ServiceError("the console is not installed", fix='pip install "lemnis[console]"')
    return Access(app.open_workspace(workspace))


def _document(access: Access, one: Account) -> dict[str, Any]:
    return {
        "id": one.id, "name": one.name, "roles": one.roles, "teams": one.teams, "disabled": one.disabled,
        "password": bool(one.password), "second": bool(one.second), "outside": one.outside or None,
        "passkeys": len(access.tables.passkeys(one.id)), "sessions": len(access.tables.sessions(one.id)),
        "tokens": len(access.tables.tokens(one.id)), "created": to_iso(one.created),
    }  # fmt: skip


def _ways(access: Access, one: Account) -> str:
    ways = [
        *(["password"] if one.password else []), *(["code"] if one.second else []),
        *(["passkey"] if access.tables.passkeys(one.id) else []), *([one.outside] if one.outside else []),
    ]  # fmt: skip
    return "disabled" if one.disabled else ", ".join(ways) or "invited"


def _invited(access: Access, account: Account, invitation: Invitation | None, *, json: bool) -> None:
    from lemnis.app import settings
    from lemnis.content.schemas.console import Console
    from lemnis.interfaces.console import address

    read = settings.load(access.workspace).console or Console()
    link = f"{address(read, read.host, read.port)}/welcome/{invitation.secret}" if invitation else ""
    if json:
        until = to_iso(invitation.until) if invitation else None
        emit({**_document(access, account), "link": link or None, "until": until})
    elif link:
        messages.print(f"for {account.name} alone, once, within a day:", markup=False)
        console.print(link, markup=False, soft_wrap=True)
    else:
        console.print(f"{account.name} signs in as {account.outside}", markup=False)


def _tokens(access: Access, account: Account, *, json: bool) -> None:
    found = access.tables.tokens(account.id)
    if json:
        for one in found:
            used = to_iso(one.used) if one.used else None
            emit({"id": one.id, "name": one.name, "scopes": one.scopes, "created": to_iso(one.created),
                  "until": to_iso(one.until), "used": used})  # fmt: skip
        return
    rows = (
        (
            one.id,
            one.name,
            ", ".join(one.scopes),
            to_iso(one.until),
            to_iso(one.used) if one.used else "never",
        )
        for one in found
    )
    show_table(f"tokens of {account.name}", ("id", "for", "scopes", "until", "used"), rows)
