"""People: accounts, sessions, tokens, second factors and passkeys."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

from lemnis.interfaces.api.models.base import Given, Told


class Me(Told):
    """Who one is here, and what one may."""

    id: str
    name: str
    roles: list[str]
    teams: list[str]
    how: str
    permissions: list[str]
    csrf: str | None = None


class Provider(Told):
    """A provider of OpenID Connect, and where one begins to sign in by it."""

    name: str
    title: str
    url: str


class SigningIn(Given):
    """Name and password, and a code where the account has a second factor."""

    name: Annotated[str, pydantic.Field(max_length=100)]
    password: Annotated[str, pydantic.Field(max_length=1000)]
    code: Annotated[str, pydantic.Field(max_length=40)] = ""


class Welcoming(Given):
    """An invitation, and the password (and, for the first account, the name) that it is taken with."""

    key: Annotated[str, pydantic.Field(max_length=100)]
    name: Annotated[str, pydantic.Field(max_length=100)] = ""
    password: Annotated[str, pydantic.Field(max_length=1000)]


class Token(Told):
    """A token for the API. Its key is told once, when it is made."""

    id: str
    name: str
    scopes: list[str]
    created: str
    until: str
    used: str | None = None


class NewToken(Token):
    """A token that was just made, with its key."""

    key: str


class MakingToken(Given):
    """What a token is for, what it may, and for how many days."""

    name: Annotated[str, pydantic.Field(min_length=1, max_length=100, pattern=r"\S")]
    scopes: Annotated[
        list[Annotated[str, pydantic.Field(max_length=60)]], pydantic.Field(min_length=1, max_length=50)
    ]
    days: Annotated[float, pydantic.Field(gt=0, le=366)] = 30


class Session(Told):
    """A session of one's own."""

    id: str
    how: str
    began: str
    seen: str
    until: str
    address: str
    agent: str
    current: bool


class Account(Told):
    """An account."""

    id: str
    name: str
    roles: list[str]
    teams: list[str]
    disabled: bool
    second: bool
    passkeys: int
    outside: str | None = None


class Adding(Given):
    """An account that is to be: its owner sets the password by the link that is answered.

    With an identity elsewhere (``outside``, see Linking) it signs in by that, and there is no link.
    """

    name: Annotated[str, pydantic.Field(min_length=1, max_length=64)]
    roles: Annotated[list[Annotated[str, pydantic.Field(max_length=63)]], pydantic.Field(max_length=20)]
    teams: list[Annotated[str, pydantic.Field(max_length=100)]] = pydantic.Field(
        default_factory=list, max_length=50
    )
    outside: Annotated[str, pydantic.Field(max_length=800)] = ""


class Linking(Given):
    """By which identity elsewhere somebody signs in: ``ISSUER#SUBJECT`` or ``ISSUER?email=ADDRESS``."""

    outside: Annotated[str, pydantic.Field(min_length=1, max_length=800)]


class Changing(Given):
    """What an account is from now on; what is left out stays."""

    roles: (
        Annotated[list[Annotated[str, pydantic.Field(max_length=63)]], pydantic.Field(max_length=20)] | None
    ) = None
    teams: (
        Annotated[list[Annotated[str, pydantic.Field(max_length=100)]], pydantic.Field(max_length=50)] | None
    ) = None
    disabled: bool | None = None


class Invited(Account):
    """An account with the key of the link by which its owner sets the password: it counts once, until then.

    There is none for an account that signs in by an identity elsewhere.
    """

    key: str | None = None
    until: str | None = None


class ChangingPassword(Given):
    """The old password, and the new one."""

    old: Annotated[str, pydantic.Field(max_length=1000)]
    new: Annotated[str, pydantic.Field(max_length=1000)]


class Proving(Given):
    """The own password: an open session alone is not enough."""

    password: Annotated[str, pydantic.Field(max_length=1000)]


class SecondBegun(Told):
    """A second factor that is to be confirmed: the secret for an authenticator, and that as an address."""

    key: str
    secret: str
    uri: str


class Confirming(Given):
    """A code of the second factor that was begun."""

    key: Annotated[str, pydantic.Field(max_length=100)]
    code: Annotated[str, pydantic.Field(max_length=40)]


class Second(Told):
    """Whether codes are asked for, how many spare ones are left, and when one was taken last."""

    on: bool
    spare: int = 0
    used: str | None = None


class Spare(Told):
    """Codes that count once each."""

    codes: list[str]


class Passkey(Told):
    """A passkey of one's own."""

    id: str
    name: str
    created: str
    used: str | None = None


class Renaming(Given):
    """What something is to be called."""

    name: Annotated[str, pydantic.Field(min_length=1, max_length=100, pattern=r"\S")]


class PasskeyMade(Given):
    """What the browser answered when it made a passkey (as JSON), and what to call it."""

    answer: dict[str, Any]
    name: Annotated[str, pydantic.Field(max_length=100)] = ""


class PasskeyProven(Given):
    """What the browser answered when it proved a passkey."""

    answer: dict[str, Any]
