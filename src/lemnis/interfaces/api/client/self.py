"""Routes of self, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Problem


class ChangingPassword(TypedDict):
    """The old password, and the new one."""

    old: str
    new: str


class Confirming(TypedDict):
    """A code of the second factor that was begun."""

    key: str
    code: str


class MakingToken(TypedDict):
    """What a token is for, what it may, and for how many days."""

    name: str
    scopes: list[str]
    days: NotRequired[float]


class Me(TypedDict):
    """Who one is here, and what one may."""

    id: str
    name: str
    roles: list[str]
    teams: list[str]
    how: str
    permissions: list[str]
    csrf: NotRequired[str | None]


class NewToken(TypedDict):
    """A token that was just made, with its key."""

    id: str
    name: str
    scopes: list[str]
    created: str
    until: str
    used: NotRequired[str | None]
    key: str


class Passkey(TypedDict):
    """A passkey of one's own."""

    id: str
    name: str
    created: str
    used: NotRequired[str | None]


class PasskeyMade(TypedDict):
    """What the browser answered when it made a passkey (as JSON), and what to call it."""

    answer: dict[str, Any]
    name: NotRequired[str]


class PasskeyProven(TypedDict):
    """What the browser answered when it proved a passkey."""

    answer: dict[str, Any]


class Provider(TypedDict):
    """A provider of OpenID Connect, and where one begins to sign in by it."""

    name: str
    title: str
    url: str


class Proving(TypedDict):
    """The own password: an open session alone is not enough."""

    password: str


class Renaming(TypedDict):
    """What something is to be called."""

    name: str


class Second(TypedDict):
    """Whether codes are asked for, how many spare ones are left, and when one was taken last."""

    on: bool
    spare: NotRequired[int]
    used: NotRequired[str | None]


class SecondBegun(TypedDict):
    """A second factor that is to be confirmed: the secret for an authenticator, and that as an address."""

    key: str
    secret: str
    uri: str


class Session(TypedDict):
    """A session of one's own."""

    id: str
    how: str
    began: str
    seen: str
    until: str
    address: str
    agent: str
    current: bool


class SigningIn(TypedDict):
    """Name and password, and a code where the account has a second factor."""

    name: str
    password: str
    code: NotRequired[str]


class Spare(TypedDict):
    """Codes that count once each."""

    codes: list[str]


class Token(TypedDict):
    """A token for the API. Its key is told once, when it is made."""

    id: str
    name: str
    scopes: list[str]
    created: str
    until: str
    used: NotRequired[str | None]


class Welcoming(TypedDict):
    """An invitation, and the password (and, for the first account, the name) that it is taken with."""

    key: str
    name: NotRequired[str]
    password: str


class SelfClient(Caller):
    """Routes of self by their operations."""

    def me_oneself(self) -> Me:
        """Say who one is, and what one may."""
        found: Me = self.call("GET", "/me")
        return found

    def list_keys(self) -> list[Passkey]:
        """List one's own passkeys."""
        found: list[Passkey] = self.call("GET", "/me/passkeys")
        return found

    def add_keys(self, body: PasskeyMade) -> Passkey:
        """Keep the passkey that the browser made."""
        found: Passkey = self.call("POST", "/me/passkeys", body=body)
        return found

    def begin_keys(self, body: Proving) -> dict[str, Any]:
        """Return what the browser makes a passkey by (`navigator.credentials.create`)."""
        found: dict[str, Any] = self.call("POST", "/me/passkeys/begin", body=body)
        return found

    def drop_keys(self, id: str) -> None:
        """Forget a passkey of one's own."""
        self.call("DELETE", f"/me/passkeys/{self.part(id)}")

    def rename_keys(self, id: str, body: Renaming, *, key: str = "") -> Passkey:
        """Call a passkey of one's own something else."""
        found: Passkey = self.call(
            "POST", f"/me/passkeys/{self.part(id)}/rename", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def change_password_oneself(self, body: ChangingPassword) -> None:
        """Change the own password; other sessions end."""
        self.call("POST", "/me/password", body=body)

    def show_second_oneself(self) -> Second:
        """Say whether codes of an authenticator are asked for, and how many spare ones are left."""
        found: Second = self.call("GET", "/me/second")
        return found

    def begin_second_oneself(self, body: Proving) -> SecondBegun:
        """Begin a second factor: an authenticator takes the secret, and a code of it confirms it."""
        found: SecondBegun = self.call("POST", "/me/second", body=body)
        return found

    def confirm_second_oneself(self, body: Confirming) -> Spare:
        """Let the second factor count, by its first code; the spare codes are told this once."""
        found: Spare = self.call("POST", "/me/second/confirm", body=body)
        return found

    def drop_second_oneself(self, body: Proving) -> None:
        """Take the own second factor away."""
        self.call("POST", "/me/second/drop", body=body)

    def renew_spare_oneself(self, body: Proving) -> Spare:
        """Make new spare codes, told this once; those from before count no more."""
        found: Spare = self.call("POST", "/me/second/spare", body=body)
        return found

    def sessions_oneself(self) -> list[Session]:
        """List one's own sessions, the last used first."""
        found: list[Session] = self.call("GET", "/me/sessions")
        return found

    def end_sessions_oneself(self) -> None:
        """Sign out everywhere, here too; tokens stay."""
        self.call("DELETE", "/me/sessions")

    def end_session_oneself(self, id: str) -> None:
        """End a session of one's own."""
        self.call("DELETE", f"/me/sessions/{self.part(id)}")

    def list_tokens_oneself(self) -> list[Token]:
        """List one's own tokens, the newest first."""
        found: list[Token] = self.call("GET", "/me/tokens")
        return found

    def make_token_oneself(self, body: MakingToken) -> NewToken:
        """Make a token: its key is told this once. It may what its scopes say, and never more than oneself."""
        found: NewToken = self.call("POST", "/me/tokens", body=body)
        return found

    def revoke_token_oneself(self, id: str) -> None:
        """End a token of one's own."""
        self.call("DELETE", f"/me/tokens/{self.part(id)}")

    def list_openid(self) -> list[Provider]:
        """List the providers that one can sign in with."""
        found: list[Provider] = self.call("GET", "/openid")
        return found

    def begin_openid(self, name: str, *, next: str | None = None) -> None:
        """Go to the provider to sign in; what comes back counts in this browser alone."""
        self.call("GET", f"/openid/{self.part(name)}", query={"next": next})

    def finish_openid(
        self, name: str, *, state: str | None = None, code: str | None = None, error: str | None = None
    ) -> None:
        """Come back from the provider, signed in."""
        self.call(
            "GET", f"/openid/{self.part(name)}/callback", query={"state": state, "code": code, "error": error}
        )

    def sign_in_oneself(self, body: SigningIn) -> Me:
        """Sign in: the answer sets the session's cookie. Needs the token of the page's form, as every change."""
        found: Me = self.call("POST", "/session", body=body)
        return found

    def sign_out_oneself(self) -> None:
        """Sign out: the session is worth nothing any more."""
        self.call("DELETE", "/session")

    def sign_in_keys(self, body: PasskeyProven) -> Me:
        """Sign in by a passkey: the answer sets the session's cookie."""
        found: Me = self.call("POST", "/session/passkey", body=body)
        return found

    def ask_keys(self) -> dict[str, Any]:
        """Return what the browser proves a passkey by (`navigator.credentials.get`)."""
        found: dict[str, Any] = self.call("POST", "/session/passkey/begin")
        return found

    def welcome_oneself(self, body: Welcoming) -> Me:
        """Take an invitation: set the password, and sign in."""
        found: Me = self.call("POST", "/welcome", body=body)
        return found
