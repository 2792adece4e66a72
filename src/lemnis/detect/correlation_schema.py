"""What the types beyond Sigma say in their ``correlation`` section; see docs/correlations.md."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from sigma.correlations import SigmaCorrelationTimespan
from sigma.exceptions import SigmaError

from lemnis.content.schemas import Model

MAX_BUCKETS = 1_000
MAX_RULES = 64
SCORES = {"": 10.0, "informational": 2.0, "low": 10.0, "medium": 30.0, "high": 60.0, "critical": 100.0}
"""What an alert adds to an entity's risk, by the level of its rule."""


def milliseconds(value: object) -> int:
    """Read a span of time as Sigma writes it; raises ValueError if it is none."""
    try:
        return int(SigmaCorrelationTimespan(value).seconds) * 1000  # type: ignore[arg-type]
    except SigmaError as error:
        raise ValueError("not a span of time; write 90s, 15m, 4h, 7d or 2w") from error


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Span = Annotated[int, pydantic.BeforeValidator(milliseconds)]
Names = Annotated[tuple[str, ...], pydantic.BeforeValidator(_several)]
Number = Annotated[float, pydantic.Field(strict=True, allow_inf_nan=False)]


class AtLeast(Model):
    """A condition with the one operator that the type knows."""

    gte: Number


class Beyond(Model):
    """What all of them have."""

    type: str
    rules: Annotated[Names, pydantic.Field(min_length=1, max_length=MAX_RULES)]
    timespan: Span
    group_by: Names = pydantic.Field(default=(), alias="group-by")
    aliases: dict[str, dict[str, str]] = pydantic.Field(default_factory=dict)
    generate: bool = pydantic.Field(default=False, strict=True)

    def options(self) -> dict[str, Any]:
        """Return what goes into the compiled correlation as it is."""
        return {}


class Absence(Beyond):
    """One of ``rules`` is not followed by one of ``without`` within the timespan."""

    type: Literal["absence"]
    without: Annotated[Names, pydantic.Field(min_length=1, max_length=MAX_RULES)]


class NewTerms(Beyond):
    """A value in the fields that the group did not have within the timespan before."""

    type: Literal["new_terms"]
    field: Annotated[Names, pydantic.Field(min_length=1, max_length=8)]
    learn: Span | None = None

    @pydantic.model_validator(mode="after")
    def _learned(self) -> NewTerms:
        if self.learn is not None and self.learn >= self.timespan:
            raise ValueError("learn must be shorter than the timespan")
        return self

    def options(self) -> dict[str, Any]:
        """Return the time for which a group must have been known."""
        return {"learn": self.learn or 0}


class Baseline(Beyond):
    """The count in a bucket (the timespan) is ``sigma`` standard deviations off the ``buckets`` before it."""

    type: Literal["baseline"]
    buckets: int = pydantic.Field(ge=2, le=MAX_BUCKETS, strict=True)
    sigma: Number = pydantic.Field(gt=0)
    direction: Literal["up", "down", "both"] = "up"
    condition: AtLeast = AtLeast(gte=1)

    def options(self) -> dict[str, Any]:
        """Return how far back it looks, and how far off counts."""
        return {
            "buckets": self.buckets, "sigma": float(self.sigma), "direction": self.direction,
            "threshold": float(self.condition.gte),
        }  # fmt: skip


class Sequence(Beyond):
    """The rules in their order within the timespan, unless one of ``until`` comes between."""

    type: Literal["sequence"]
    until: Annotated[Names, pydantic.Field(max_length=MAX_RULES)] = ()

    @pydantic.model_validator(mode="after")
    def _steps(self) -> Sequence:
        if len(self.rules) < 2:  # noqa: PLR2004 - from one to another
            raise ValueError("a sequence has at least two rules")
        return self


class EntityRisk(Beyond):
    """The scores of what matched, halved in each half-life, add up to the threshold."""

    type: Literal["entity_risk"]
    half_life: Span = pydantic.Field(alias="half-life")
    timespan: Span = 0
    condition: AtLeast
    scores: dict[str, Number] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _positive(self) -> EntityRisk:
        if self.condition.gte <= 0 or any(score <= 0 for score in self.scores.values()):
            raise ValueError("scores and the threshold are greater than 0")
        return self

    def options(self) -> dict[str, Any]:
        """Return what crosses the threshold, and how fast it fades."""
        return {
            "half_life": self.half_life, "threshold": float(self.condition.gte),
            "timespan": self.timespan or 10 * self.half_life,
        }  # fmt: skip


SCHEMAS: dict[str, type[Beyond]] = {
    "absence": Absence, "new_terms": NewTerms, "baseline": Baseline, "sequence": Sequence,
    "entity_risk": EntityRisk,
}  # fmt: skip
