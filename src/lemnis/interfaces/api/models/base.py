"""What all models share: names that are allowed, what is sent, what is told, what is wrong."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

VerdictName = Literal[
    "unknown", "false_positive", "true_positive", "disregard", "suspicious", "benign", "test",
    "insufficient_data", "security_risk", "managed_externally", "duplicate",
]  # fmt: skip
StatusName = Literal["unknown", "new", "in_progress", "on_hold", "resolved", "closed"]
SeverityName = Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
PriorityName = Literal["low", "medium", "high", "critical"]
Text = Annotated[str, pydantic.Field(min_length=1, max_length=10_000, pattern=r"\S")]
Reason = Annotated[str, pydantic.Field(min_length=1, max_length=2000, pattern=r"\S")]
PersonName = Annotated[
    str, pydantic.Field(min_length=1, max_length=100, pattern=r"^[^\s\x00-\x1f][^\x00-\x1f]*$")
]


class Given(pydantic.BaseModel):
    """What is sent to us: fields that are not known are a mistake."""

    model_config = pydantic.ConfigDict(extra="forbid")


class Told(pydantic.BaseModel):
    """What is told: further fields may come."""

    model_config = pydantic.ConfigDict(extra="allow")


class Problem(Told):
    """What is wrong (RFC 9457): ``type`` is a word that stays; ``title`` says what, ``fix`` what to do."""

    type: str
    title: str
    status: int
    fix: str = ""


class Changed(Told):
    """What a word says: it was done."""

    done: bool = True
