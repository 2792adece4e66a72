"""``handling.yaml``: how severe and urgent an incident is, and how soon it must be answered.

::

    title: How incidents are weighed
    severity:
      raised_by: {critical: 1}       # steps above the worst alert, by the most critical asset in it
    priority:
      severity: {low: 10, medium: 25, high: 45, critical: 65, ...}
      criticality: {unknown: 10, low: 0, medium: 10, high: 25, critical: 45}
      privileged: 15                 # an account in it has rights that others lack
      risk: {60: 5, 150: 15}         # by the risk of the riskiest entity, from this on
      live: {high: 10, critical: 15, exploited: 25, same: 30}   # an open finding lives in what it is about
      levels: {medium: 35, high: 55, critical: 90}
    sla:                             # from detection on; time on hold does not count
      critical: {acknowledge: 15m, contain: 4h, resolve: 3d}
      ...
    near_percent: 25                 # with less of a timer's time left it is told as near
"""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from lemnis.content.schemas import Model
from lemnis.content.schemas.grouping import SeverityName, Span, every_severity

KIND = "handling"
CriticalityName = Literal["unknown", "low", "medium", "high", "critical"]
PriorityName = Literal["low", "medium", "high", "critical"]
Points = Annotated[int, pydantic.Field(ge=0, le=1000)]


class SeverityPolicy(Model):
    """By how many steps the most critical asset in an incident raises its severity, up to critical."""

    raised_by: dict[CriticalityName, Annotated[int, pydantic.Field(ge=0, le=5)]] = pydantic.Field(
        default_factory=dict
    )


class LivePolicy(Model):
    """What the gravest open finding adds that lives in the image, container or workload under attack.

    ``exploited``: its vulnerability is known to be; ``same``: the alerts are about that very weakness.
    """

    high: Points = 10
    critical: Points = 15
    exploited: Points = 25
    same: Points = 30


class PriorityPolicy(Model):
    """What adds up to a priority, and from how many points on it is which."""

    severity: Annotated[dict[SeverityName, Points], pydantic.AfterValidator(every_severity)]
    criticality: dict[CriticalityName, Points] = pydantic.Field(default_factory=dict)
    privileged: Points = 0
    risk: dict[Annotated[int, pydantic.Field(ge=0)], Points] = pydantic.Field(default_factory=dict)
    live: LivePolicy = LivePolicy()
    levels: dict[Literal["medium", "high", "critical"], Points]

    @pydantic.field_validator("levels")
    @classmethod
    def _rising(cls, value: dict[str, int]) -> dict[str, int]:
        steps = [value.get(name) for name in ("medium", "high", "critical")]
        if None in steps or steps != sorted(steps, key=lambda step: step or 0):
            raise ValueError("medium, high and critical must all be there, each at least the one before")
        return value


class Within(Model):
    """Within how long after detection something must be done."""

    acknowledge: Span
    contain: Span
    resolve: Span


class Handling(Model):
    """How incidents are handled."""

    title: str
    description: str = ""
    severity: SeverityPolicy = SeverityPolicy()
    priority: PriorityPolicy
    sla: dict[PriorityName, Within]
    near_percent: Annotated[int, pydantic.Field(ge=1, le=90)] = 25
    """With less than this part of its time left a timer is near."""

    @pydantic.field_validator("sla")
    @classmethod
    def _every(cls, value: dict[str, Within]) -> dict[str, Within]:
        missing = [name for name in PriorityName.__args__ if name not in value]  # type: ignore[attr-defined]
        if missing:
            raise ValueError(f"nothing is said of {', '.join(missing)}")
        return value
