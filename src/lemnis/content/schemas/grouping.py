"""``grouping.yaml``: what ties alerts together, and when what is tied together is an incident."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, get_args

import pydantic

from lemnis.content.schemas import Model
from lemnis.contracts.alerts import EntityKind

SeverityName = Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")


def _span(value: object) -> object:
    """Read ``15m`` as milliseconds."""
    if isinstance(value, str):
        found = _SPAN.fullmatch(value)
        if found is None:
            raise ValueError("not a span of time; write 90s, 15m, 4h or 7d")
        return int(found[1]) * _UNITS[found[2]]
    raise ValueError("a span of time needs its unit; write 90s, 15m, 4h or 7d")


Span = Annotated[int, pydantic.BeforeValidator(_span), pydantic.Field(le=30 * 86_400_000)]


def every_severity(value: dict[SeverityName, int]) -> dict[SeverityName, int]:
    """Return what is said of severities; raises ValueError if that is not something of each."""
    missing = [name for name in get_args(SeverityName) if name not in value]
    if missing:
        raise ValueError(f"nothing is said of {', '.join(missing)}")
    return value


class Tie(Model):
    """What sharing an entity weighs for two alerts at most ``within`` apart.

    Both must have at least the severity ``from``, and one of them at least ``one_from``.
    """

    within: Span
    weight: int = pydantic.Field(ge=1, le=100)
    at_least: SeverityName = pydantic.Field(default="unknown", alias="from")
    one_from: SeverityName = "unknown"


class Common(Model):
    """Entities that say little: names (``*`` and ``?`` stand for anything) or, of addresses, networks."""

    kind: EntityKind
    values: tuple[str, ...] = pydantic.Field(min_length=1)
    at_most: int = pydantic.Field(default=0, ge=0, le=99)
    because: str = ""

    @pydantic.model_validator(mode="after")
    def _networks(self) -> Common:
        if self.kind is EntityKind.ADDRESS:
            for value in self.values:
                if not any(wild in value for wild in "*?"):
                    ipaddress.ip_network(value)
        return self


class Risk(Model):
    """What a group of alerts amounts to: each rule once by its severity, each tactic after the first."""

    open_at: int = pydantic.Field(ge=1)
    severity: Annotated[
        dict[SeverityName, Annotated[int, pydantic.Field(ge=0, le=1000)]],
        pydantic.AfterValidator(every_severity),
    ]
    tactic: int = pydantic.Field(default=0, ge=0, le=1000)


class Suppress(Model):
    """Repeated alerts of these rules (ids or titles; ``*`` for all) are one within a window.

    They repeat one another if they have the same values in the fields ``by``; without, the same entities.
    """

    rules: tuple[str, ...] = pydantic.Field(min_length=1)
    by: tuple[str, ...] = ()
    window: Span = pydantic.Field(alias="for")


class Same(Model):
    """Alerts of these rules (ids or titles) are the same with the same values in the fields ``by``."""

    rules: tuple[str, ...] = pydantic.Field(min_length=1)
    by: tuple[str, ...] = pydantic.Field(min_length=1)


class Fingerprints(Model):
    """What makes alerts of a rule the same: fields, where it is named; else entities of these kinds."""

    entities: tuple[EntityKind, ...] = pydantic.Field(min_length=1)
    rules: tuple[Same, ...] = ()


class Grouping(Model):
    """How alerts become incidents."""

    title: str
    description: str = ""
    ties: dict[EntityKind, Annotated[tuple[Tie, ...], pydantic.Field(min_length=1)]]
    common: tuple[Common, ...] = ()
    risk: Risk
    suppress: tuple[Suppress, ...] = ()
    fingerprint: Fingerprints | None = None
