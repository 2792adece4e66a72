"""``exceptions/NAME/filter.yml``: what rules shall not tell, for whom, until when: a Sigma filter that ends.

::

    title: The vulnerability scanner looks for what it looks for
    logsource: {category: webserver}
    filter:
      rules: [web_scanner_user_agent]    # ids or names of rules, or names of detections; `any`: all of them
      selection: {c-ip: 192.0.2.10}
      condition: not selection           # what must hold, too, for the rules to fire
    x-lemnis:
      owner: priya@shop.example
      expires: 2026-12-31                # the last day, UTC
      reason: weekly scan of our own, agreed with operations
      ticket: OPS-114                    # may be left out
      keep: 1000                         # alerts held back that are kept a day; this many unless it says so

All but ``x-lemnis`` is Sigma, which lets other tools read the file as the filter that it is.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pydantic

from lemnis.content.schemas import Model
from lemnis.contracts.clock import from_iso

KIND = "rule_exceptions"
_DAY = 86_400_000


class Terms(Model):
    """Who answers for the exception, why it is, and its last day (UTC)."""

    owner: str = pydantic.Field(min_length=1)
    expires: date
    reason: str = pydantic.Field(min_length=10)
    ticket: str = ""
    keep: int = pydantic.Field(default=1000, ge=0, le=100_000)

    @pydantic.field_validator("expires", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        if not (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)):
            raise ValueError("a day, such as 2026-12-31")
        return value

    @property
    def until(self) -> int:
        """The instant (ms) at which it ends: events of that time and later are told again."""
        return from_iso(self.expires.isoformat()) + _DAY


class RuleException(Model):
    """The whole file; what Sigma itself says of filters is checked where it is compiled."""

    title: str = pydantic.Field(min_length=1)
    id: str = ""
    name: str = ""
    description: str = ""
    author: str = ""
    status: str = ""
    level: str = ""
    date: str = ""
    modified: str = ""
    references: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    falsepositives: tuple[str, ...] = ()
    logsource: dict[str, str]
    filter: dict[str, Any]
    terms: Terms = pydantic.Field(alias="x-lemnis")

    @property
    def rules(self) -> frozenset[str] | None:
        """The rules it is for, as it names them; None: all of the log source."""
        named = self.filter.get("rules", ())
        if isinstance(named, str):
            return None if named.lower() == "any" else frozenset({named})
        return frozenset(map(str, named)) or None


MODEL = RuleException
