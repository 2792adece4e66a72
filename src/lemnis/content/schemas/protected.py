"""``protected/NAME.yaml``: what response must never touch, whoever approves it.

``entities`` are globs by the kind of entity; those of ``address`` may also be networks (CIDR). An action says
in ``touches`` which entities its target is.
"""

from __future__ import annotations

from ipaddress import ip_network

import pydantic

from lemnis.content.schemas import Model
from lemnis.contracts.alerts import EntityKind

KIND = "protected"


class Protected(Model):
    """One set."""

    title: str
    reason: str = pydantic.Field(min_length=1)
    entities: dict[EntityKind, tuple[str, ...]] = pydantic.Field(min_length=1)

    @pydantic.field_validator("entities")
    @classmethod
    def _networks(cls, value: dict[EntityKind, tuple[str, ...]]) -> dict[EntityKind, tuple[str, ...]]:
        for text in value.get(EntityKind.ADDRESS, ()):
            if "/" in text:
                ip_network(text)
        return value
