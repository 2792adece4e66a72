"""Findings, and what people decide about them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import pydantic

from lemnis.interfaces.api.models.base import Given, SeverityName, Told

FindingState = Literal["open", "accepted", "false_positive", "mitigated", "fixed"]
FindingDecisionName = Literal["accept", "false_positive", "mitigated", "fixed", "reopen", "assign"]
FindingId = Annotated[str, pydantic.Field(pattern=r"^(fd|fp)-[0-9a-f]{16}$")]


class FindingDecision(Told):
    """What was decided about a finding: when, by whom, why, until which day, or whose it became."""

    decision: FindingDecisionName
    at: str
    by: str
    reason: str
    until: str | None = None
    to: str | None = None


class Finding(Told):
    """What is to be mended: findings of several tools about one thing are one.

    ``state`` is how it stands by the last decision; ``void`` says why that one no longer counts. ``version``
    counts the decisions.
    """

    id: str
    severity: SeverityName
    kind: str
    title: str
    path: str
    line: int
    resource: str
    tools: list[str]
    findings: list[str]
    first_seen: str
    fixed_at: str | None = None
    fix: str
    state: FindingState = "open"
    owner: str = ""
    void: str = ""
    version: int = 0
    decided: FindingDecision | None = None


class FindingWord(Given):
    """What is decided, and why; to accept takes the last day on which it counts, within a year.

    ``to`` is who it is assigned to.
    """

    decision: FindingDecisionName
    reason: Annotated[str, pydantic.Field(max_length=2000)] = ""
    until: date | None = None
    to: Annotated[str, pydantic.Field(max_length=100, pattern=r"^[^\x00-\x1f]*$")] = ""


class DecidingFinding(FindingWord):
    """What is decided about a finding."""


class DecidingFindings(FindingWord):
    """What is decided about several findings."""

    ids: Annotated[list[FindingId], pydantic.Field(min_length=1, max_length=500)]


class FindingDecided(Told):
    """Whether something was decided about one of several findings; if not, why, and what to do."""

    id: str
    done: bool
    title: str = ""
    fix: str = ""
