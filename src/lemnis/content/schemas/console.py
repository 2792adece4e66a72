"""The settings of the console (``console:`` in ``lemnis.yaml``): where it listens, who signs in how."""

from __future__ import annotations

from typing import Annotated, Self

import pydantic

from lemnis.content.schemas import Model

Https = Annotated[
    str, pydantic.Field(pattern=r"^(https://[^\s]+|http://(127\.0\.0\.1|localhost)(:\d+)?(/[^\s]*)?)$")
]
Variable = Annotated[str, pydantic.Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,127})?$")]
Host = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")]


class Tls(Model):
    """Files of a certificate (with what leads to it) and its key, in PEM, relative to the workspace."""

    certificate: str = pydantic.Field(min_length=1)
    key: str = pydantic.Field(min_length=1)


class OpenId(Model):
    """A provider of OpenID Connect that people sign in with.

    Who signs in for the first time gets an account with ``roles``, and those that ``groups`` gives for the
    names in the claim ``groups_claim``; with neither, only who has an account by ``lemnis access add
    --outside`` gets in. ``domains`` are those of addresses that may; a provider must have verified them.
    """

    name: Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
    title: str = ""
    issuer: Https
    client_id: str = pydantic.Field(min_length=1)
    secret_env: Variable = ""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    roles: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = pydantic.Field(default_factory=dict)
    groups_claim: str = "groups"
    domains: tuple[Host, ...] = ()


class Console(Model):
    """Where the console listens, and for whom.

    ``url`` is how browsers reach it, where that is not ``http(s)://host:port``. ``hosts`` are further names
    that it answers to; others are refused. Behind a proxy that ends TLS, ``proxies`` are its addresses (or
    networks): what they say of who asks and of TLS is believed, and nobody else.
    """

    host: str = "127.0.0.1"
    port: int = pydantic.Field(default=8687, ge=0, le=65_535)
    url: Annotated[str, pydantic.Field(pattern=r"^(https?://[^\s/]+)?$")] = ""
    hosts: tuple[Host, ...] = ()
    tls: Tls | None = None
    proxies: tuple[str, ...] = ()
    connections: int = pydantic.Field(default=512, ge=8, le=65_536)
    session_hours: float = pydantic.Field(default=12, gt=0, le=24 * 30)
    idle_minutes: float = pydantic.Field(default=60, gt=0, le=24 * 60)
    openid: tuple[OpenId, ...] = ()

    @pydantic.model_validator(mode="after")
    def _safe(self) -> Self:
        names = [one.name for one in self.openid]
        if len(set(names)) != len(names):
            raise ValueError("openid: two providers have the same name")
        return self

    @pydantic.field_validator("proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from ipaddress import ip_network  # noqa: PLC0415 - where there are some

        for one in value:
            ip_network(one, strict=False)
        return value
