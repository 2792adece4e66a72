"""Tokens for the API: each has scopes, and an end; what it may is never more than its account may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lemnis.app.access import secret
from lemnis.app.access.service import TOKEN, TOKEN_PREFIX, Access
from lemnis.content.schemas.role import PERMISSIONS
from lemnis.contracts.errors import NotFoundError, RefusedError, UsageError
from lemnis.store.access import Account, Token

if TYPE_CHECKING:
    from lemnis.contracts.ids import Json

_DAY = 86_400_000
MOST_DAYS = 366
_MOST = 100
_LONGEST = 100


def make(
    access: Access, account: Account, name: str, scopes: Sequence[str], *, days: float, actor: str
) -> tuple[Token, str]:
    """Make a token; return it with its key, which is kept nowhere.

    Raises UsageError for a scope that there is not or that the account has not, RefusedError for too many.
    """
    allowed = access.rights.of(account.roles)
    for one in scopes:
        if one not in PERMISSIONS:
            raise UsageError(f"no permission {one!r}", fix=f"one of {', '.join(PERMISSIONS)}")
        if one not in allowed:
            raise UsageError(f"{account.name} may not {PERMISSIONS[one]}", fix="leave that scope out")
    if not scopes:
        raise UsageError(
            "a token without scopes may do nothing", fix=f"give some of {', '.join(sorted(allowed))}"
        )
    if not 0 < len(name.strip()) <= _LONGEST or not 0 < days <= MOST_DAYS:
        raise UsageError("a token needs a name, and an end within a year", fix="say what it is for")
    if account.disabled or len(access.tables.tokens(account.id)) >= _MOST:
        raise RefusedError(f"{account.name} is disabled, or has {_MOST} tokens", fix="revoke some")
    key, now = TOKEN_PREFIX + secret.new(access.random), access.clock.now()
    token = Token(
        secret.new_id("token", access.random), account.id, name.strip(), secret.known_as(key, TOKEN),
        tuple(sorted(set(scopes))), now, now + int(days * _DAY),
    )  # fmt: skip
    access.tables.put_token(token)
    payload: dict[str, Json] = {"token": token.id, "scopes": list(token.scopes), "until": token.until}
    access.tell("token_made", account.id, actor=actor, reason=token.name, payload=payload)
    return token, key


def revoke(access: Access, token: str, account: Account, *, actor: str) -> None:
    """End a token of an account; raises NotFoundError if it has no such token."""
    if not access.tables.drop_token(token, account.id):
        raise NotFoundError(
            f"{account.name} has no token {token!r}", fix="`lemnis access token NAME` lists them"
        )
    access.tell("token_revoked", account.id, actor=actor, payload={"token": token})
