"""``exceptions/NAME.yaml``: an approved deviation from one policy, for one place or finding, until a day.

::

    policy: new_findings_below_medium
    fingerprint: fp-0123456789abcdef
    stages: [pull_request, build]             # where it counts; everywhere if left out
    reason: The command is built from a fixed list.
    owner: anna@example.org
    approved_by: security-lead@example.org
    approved: 2026-11-01
    expires: 2026-12-31
    compensating_control: The service runs without a shell.
    assets: [shop, "host:web-1"]              # an alert about one of these, or its code, makes it void

``policy: scan`` waives a scanner that did not look: ``where`` names the tool.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Self

import pydantic

from lemnis.content.schemas import Model
from lemnis.content.schemas.policy import Stage


class Request(Model):
    """An exception that somebody asks for: ``requests/NAME.yaml``, as an editor writes it.

    ``where`` is a pattern for the reason's place (``app/*.py:*``). ``assets`` are what it puts at risk: names
    of services, or entities such as ``host:web-1``.
    """

    policy: str = pydantic.Field(min_length=1)
    where: str = ""
    fingerprint: str = pydantic.Field(default="", pattern=r"^(fp-[0-9a-f]{16})?$")
    reason: str = pydantic.Field(min_length=10)
    owner: str = pydantic.Field(min_length=1)
    expires: date
    stages: tuple[Stage, ...] = ()
    assets: tuple[Annotated[str, pydantic.Field(min_length=1, max_length=300)], ...] = ()
    compensating_control: str = ""

    @pydantic.model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if not (self.where or self.fingerprint):
            raise ValueError("where or fingerprint must say what it is about")
        return self


class Exemption(Request):
    """One exception that is approved. Once an alert touches its assets after ``approved``, it is void."""

    approved_by: str = pydantic.Field(min_length=1)
    approved: date | None = None

    @pydantic.model_validator(mode="after")
    def _holds(self) -> Self:
        if self.assets and self.approved is None:
            raise ValueError("approved must say from when on alerts about its assets count")
        if self.owner.strip().lower() == self.approved_by.strip().lower():
            raise ValueError("owner and approved_by must be two people")
        return self
