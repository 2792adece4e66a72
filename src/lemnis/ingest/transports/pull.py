"""Interfaces that are asked for records again and again: ``content/pulls`` says how each is asked.

::

    transports:
      okta:
        kind: pull
        api: okta
        values: {domain: acme.okta.com}
        secret_env: OKTA_TOKEN

How far it came is stored with what came. What comes twice, because an interface tells some things late, is
left out where it is known, and known by its id in the lake.
"""

from __future__ import annotations

from collections.abc import Mapping

import pydantic
import re2

from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas import Model
from lemnis.content.schemas import pull as described
from lemnis.content.schemas.settings import Url, Variable
from lemnis.contracts.clock import SystemClock
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.receiving import Transport
from lemnis.ingest.transports import Setup, _logins
from lemnis.ingest.transports._paging import fill
from lemnis.ingest.transports._pulling import Puller
from lemnis.ingest.transports._web import safe


class Settings(Model):
    """One interface of one account.

    ``values`` are what its description asks for; the secret is in a variable or a file. ``url`` and
    ``token_url`` stand for the addresses of the description (an own server), ``ca`` is the PEM file that its
    certificate leads to. The first time, the last ``start_hours`` are asked for.
    """

    api: str = pydantic.Field(min_length=1)
    values: dict[str, str] = pydantic.Field(default_factory=dict)
    source: str = ""
    secret_env: Variable = ""
    secret_file: str = ""
    url: Url | None = None
    token_url: Url | None = None
    ca: str = ""
    every_s: float | None = pydantic.Field(default=None, ge=1, le=86_400)
    start_hours: float = pydantic.Field(default=24, ge=0, le=24 * 180)

    @pydantic.field_validator("url", "token_url")
    @classmethod
    def _safe(cls, value: str | None) -> str | None:
        return safe(value) if value else value


def build(name: str, settings: Settings, setup: Setup) -> Transport:
    """Return what asks; raises UsageError for what does not fit, ContentError for a wrong description."""
    try:
        item = Library.open(setup.root / "content").get("pulls", settings.api)
    except NotFoundError as error:
        raise UsageError(error.what, fix=error.fix) from error
    pull = yaml.load(item.manifest, described.Pull)
    values = _values(pull, settings.values)
    return Puller(
        name, pull, settings.url or fill(pull.url, values), values, _login(pull, settings, setup, values),
        setup.clock, source=settings.source or pull.source, every_s=settings.every_s or pull.every_s,
        start_ms=round(settings.start_hours * 3_600_000),
        ca=setup.path(settings.ca) if settings.ca else None,
    )  # fmt: skip


def _values(pull: described.Pull, given: Mapping[str, str]) -> dict[str, str]:
    """Return every value that the description asks for."""
    if unknown := sorted(given.keys() - pull.values.keys()):
        known = ", ".join(pull.values) or "none"
        raise UsageError(f"{pull.name} has no value {unknown[0]!r}", fix=f"there are: {known}")
    found = {}
    for name, value in pull.values.items():
        text = given.get(name, value.default)
        if not re2.fullmatch(value.match, text):
            what = f"{text!r} cannot be it" if text else "it is not given"
            raise UsageError(
                f"{pull.name} needs the value {name}, {value.title}: {what}", fix=f"values: {{{name}: …}}"
            )
        found[name] = text
    return found


def _login(
    pull: described.Pull, settings: Settings, setup: Setup, values: Mapping[str, str]
) -> _logins.Login:
    login = pull.login
    if login is None:
        return _logins.Header()
    secret = setup.secret(env=settings.secret_env, file=settings.secret_file)
    if isinstance(login, described.HeaderLogin):
        if not (secret.isascii() and secret.isprintable()):
            raise UsageError("the secret holds what no header can carry", fix="printable ASCII, one line")
        return _logins.Header(login.name, fill(login.value, {"secret": secret}))
    url = settings.token_url or fill(login.url, values)
    if isinstance(login, described.ClientLogin):
        return _logins.Token(url, SystemClock(), _logins.Client(values["client_id"], secret, login.scope))
    account = _logins.ServiceAccount.read(secret, scope=login.scope, subject=fill(login.subject, values))
    return _logins.Token(url, SystemClock(), account)
