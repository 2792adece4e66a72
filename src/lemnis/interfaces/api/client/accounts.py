"""Routes of accounts, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Problem


class Account(TypedDict):
    """An account."""

    id: str
    name: str
    roles: list[str]
    teams: list[str]
    disabled: bool
    second: bool
    passkeys: int
    outside: NotRequired[str | None]


class Adding(TypedDict):
    """An account that is to be: its owner sets the password by the link that is answered."""

    name: str
    roles: list[str]
    teams: NotRequired[list[str]]
    outside: NotRequired[str]


class Changing(TypedDict):
    """What an account is from now on; what is left out stays."""

    roles: NotRequired[list[str] | None]
    teams: NotRequired[list[str] | None]
    disabled: NotRequired[bool | None]


class Invited(TypedDict):
    """An account with the key of the link by which its owner sets the password: it counts once, until then."""

    id: str
    name: str
    roles: list[str]
    teams: list[str]
    disabled: bool
    second: bool
    passkeys: int
    outside: NotRequired[str | None]
    key: NotRequired[str | None]
    until: NotRequired[str | None]


class Linking(TypedDict):
    """By which identity elsewhere somebody signs in: `ISSUER#SUBJECT` or `ISSUER?email=ADDRESS`."""

    outside: str


class PageAccount(TypedDict):
    """PageAccount."""

    items: list[Account]
    next: NotRequired[str | None]


class AccountsClient(Caller):
    """Routes of accounts by their operations."""

    def list_people(self, *, limit: int | None = None, after: str | None = None) -> PageAccount:
        """List the accounts by name."""
        found: PageAccount = self.call("GET", "/accounts", query={"limit": limit, "after": after})
        return found

    def add_people(self, body: Adding) -> Invited:
        """Add an account; the answer has the key of the link by which its owner sets the password."""
        found: Invited = self.call("POST", "/accounts", body=body)
        return found

    def show_people(self, id: str) -> Account:
        """Show an account."""
        found: Account = self.call("GET", f"/accounts/{self.part(id)}")
        return found

    def change_people(self, id: str, body: Changing, *, key: str = "") -> Account:
        """Change roles or teams of an account, or disable it."""
        found: Account = self.call(
            "POST", f"/accounts/{self.part(id)}/change", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def link_people(self, id: str, body: Linking, *, key: str = "") -> Account:
        """Let an account sign in by an identity of an OpenID provider, in the place of the one from before."""
        found: Account = self.call(
            "POST", f"/accounts/{self.part(id)}/link", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def reset_people(self, id: str) -> Invited:
        """Take password, second factor and passkeys of an account away, and invite its owner anew."""
        found: Invited = self.call("POST", f"/accounts/{self.part(id)}/reset")
        return found

    def end_sessions_people(self, id: str) -> None:
        """End every session of an account."""
        self.call("DELETE", f"/accounts/{self.part(id)}/sessions")

    def unlink_people(self, id: str) -> Invited:
        """Take the identity elsewhere from an account and end its sessions; if nothing is left, invite anew."""
        found: Invited = self.call("POST", f"/accounts/{self.part(id)}/unlink")
        return found
