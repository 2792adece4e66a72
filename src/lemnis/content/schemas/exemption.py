"""``exceptions/NAME.yaml``: an approved deviation from one policy, for one place or finding, until a day."""

from __future__ import annotations

from datetime import date
from typing import Self

import pydantic

from lemnis.content.schemas import Model


class Exemption(Model):
    """One exception. ``where`` is a pattern for the reason's place (``app/*.py:*``)."""

    policy: str = pydantic.Field(min_length=1)
    where: str = ""
    fingerprint: str = pydantic.Field(default="", pattern=r"^(fp-[0-9a-f]{16})?$")
    reason: str = pydantic.Field(min_length=10)
    owner: str = pydantic.Field(min_length=1)
    approved_by: str = pydantic.Field(min_length=1)
    expires: date

    @pydantic.model_validator(mode="after")
    def _holds(self) -> Self:
        if not (self.where or self.fingerprint):
            raise ValueError("where or fingerprint must say what it is about")
        if self.owner.strip().lower() == self.approved_by.strip().lower():
            raise ValueError("owner and approved_by must be two people")
        return self
