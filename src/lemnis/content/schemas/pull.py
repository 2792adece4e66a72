r"""``pull.yaml``: an interface that is asked for records again and again: where, how, and how it pages.

::

    name: acme                              # the folder's name
    title: Acme audit log
    source: acme_audit                      # what the records are
    url: https://api.acme.example           # the workspace may name another (an own server)
    path: /v1/{organisation}/events
    values:                                 # what the workspace has to say
      organisation: {title: the organisation's short name}
      kind: {title: which events, default: all}
    login: {kind: header, value: "Bearer {secret}"}
    headers: {Accept: application/json}
    query: {from: "{since}", kind: "{kind}", limit: "100"}
    time: iso                               # how {since} and {until} are written
    records: data/items                     # members that lead to the list; "" where the answer is the list
    next: {link: true}
    resume: cursor

**next** says how a page leads to the next: ``{link: true}``, the ``Link`` header's ``next`` (RFC 8288);
``{url: "@odata.nextLink"}``, a member that holds an address; ``{field: nextPageToken, parameter:
pageToken}``, a member whose value is asked with.

**resume: cursor** goes on from the last page's next, or asks for the last page again where it has none:
for interfaces that list the oldest first. **resume: window** asks for ``{since}`` to ``{until}``, window by
window of ``slice_s``, for any order; each begins ``overlap_s`` before the last one's end. **resume: recent**
begins at the first page each time and ends with one that has nothing new: for interfaces that list the newest
first and know no times; the source has to name its records.

What interfaces tell late is asked for again: the last ``late_s``, four times in that time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import pydantic

from lemnis.content.schemas import Expression, Model

Name = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")]
PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
TIMES = frozenset({"since", "until"})


class Value(Model):
    """What the workspace says: ``match`` is what it must look like, all of it."""

    title: str
    default: str = ""
    match: Expression = r"[A-Za-z0-9._@-]+"


class HeaderLogin(Model):
    """A header that holds the secret."""

    kind: Literal["header"]
    name: str = "Authorization"
    value: str = "Bearer {secret}"


class ClientLogin(Model):
    """OAuth 2.0 client credentials (RFC 6749, section 4.4): the value ``client_id``, and the secret."""

    kind: Literal["client_credentials"]
    url: str = pydantic.Field(pattern=r"^https://")
    scope: str


class ServiceAccountLogin(Model):
    """A signed statement for a token (RFC 7523); the secret is the service account's JSON key file."""

    kind: Literal["service_account"]
    url: str = pydantic.Field(default="https://oauth2.googleapis.com/token", pattern=r"^https://")
    scope: str
    subject: str = ""


Login = HeaderLogin | ClientLogin | ServiceAccountLogin


class Next(Model):
    """How a page leads to the next; see the module."""

    link: bool = False
    url: str = ""
    field: str = ""
    parameter: str = ""

    @pydantic.model_validator(mode="after")
    def _one(self) -> Next:
        if sum((self.link, bool(self.url), bool(self.field))) != 1 or bool(self.field) != bool(
            self.parameter
        ):
            raise ValueError("one of `link: true`, `url`, or `field` with `parameter`")
        return self


class Pull(Model):
    """One interface."""

    name: Name
    title: str
    source: str
    url: str = pydantic.Field(pattern=r"^https://")
    path: str = pydantic.Field(pattern=r"^/")
    values: Mapping[Name, Value] = pydantic.Field(default_factory=dict)
    login: Annotated[Login, pydantic.Field(discriminator="kind")] | None = None
    headers: Mapping[str, str] = pydantic.Field(default_factory=dict)
    query: Mapping[str, str] = pydantic.Field(default_factory=dict)
    time: Literal["iso", "iso_seconds", "date", "epoch_s", "epoch_ms"] = "iso"
    records: str = ""
    next: Next = Next(link=True)
    resume: Literal["cursor", "window", "recent"] = "cursor"
    every_s: float = pydantic.Field(default=60, ge=1, le=86_400)
    slice_s: int = pydantic.Field(default=86_400, ge=60, le=31_536_000)
    overlap_s: int = pydantic.Field(default=0, ge=0, le=604_800)
    late_s: int = pydantic.Field(default=0, ge=0, le=604_800)

    @pydantic.model_validator(mode="after")
    def _places(self) -> Pull:
        known = set(self.values)
        login = self.login
        texts = [(self.url, known), (self.path, known), *((text, known) for text in self.headers.values())]
        texts += [(text, known | TIMES) for text in self.query.values()]
        if isinstance(login, HeaderLogin):
            texts.append((login.value, {"secret"}))
        elif isinstance(login, ClientLogin):
            texts.append((login.url, known))
        elif isinstance(login, ServiceAccountLogin):
            texts.append((login.subject, known))
        for text, names in texts:
            for name in PLACE.findall(text):
                if name not in names:
                    raise ValueError(f"{text!r}: there is no value {name!r}")
        if isinstance(login, ClientLogin) and "client_id" not in known:
            raise ValueError("client credentials need the value `client_id`")
        if self.resume == "window" and not any("{since}" in text for text in self.query.values()):
            raise ValueError("`resume: window` needs {since} in the query")
        return self
