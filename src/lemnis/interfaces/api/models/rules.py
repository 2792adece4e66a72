"""Detections that are written: versions, what lint says, what a rule would have found."""

from __future__ import annotations

from typing import Any

import pydantic

from lemnis.interfaces.api.models.base import Given, Told


class RuleVersion(Told):
    """A text that a detection had: ``how`` is ships, kept, committed, proposed, or here (not committed).

    ``at_ms`` is 0 where nobody knows.
    """

    id: str
    how: str
    at_ms: int
    by: str
    why: str
    tag: str
    commit: str
    branch: str
    text: str


class RuleText(Given):
    """The text of a rule."""

    text: str = pydantic.Field(max_length=60_000)


class TryingRule(RuleText):
    """A rule to be tried on the events of the last days; seconds after which it is ended."""

    days: float = pydantic.Field(default=7, gt=0, le=366)
    timeout: float = pydantic.Field(default=20, gt=0, le=60)


class SavingRule(RuleText):
    """A rule to be kept, and why."""

    reason: str = pydantic.Field(default="", max_length=300)


class LintFinding(Told):
    """Something wrong with a rule's text, by which check, and where (from 1); a warning may be left."""

    check: str
    level: str
    what: str
    fix: str
    line: int | None = None
    column: int | None = None


class Linted(Told):
    """What is wrong with a rule's text."""

    findings: list[LintFinding]


class TriedAlert(Told):
    """An alert that a rule would have given: the fields that matched, and its event."""

    id: str
    rule_id: str
    title: str
    time: str
    entities: list[str]
    matched: list[dict[str, Any]]
    event_uids: list[str]
    event: dict[str, Any]


class TriedRule(Linted):
    """What a rule would have found: how many alerts (a thousand at most) in how many events, and the newest.

    Not ``whole``: it took too long, or there were too many.
    """

    sound: bool
    count: int
    events: int
    whole: bool
    alerts: list[TriedAlert]


class ProposedRule(Told):
    """The branch that a proposal is on."""

    name: str
    branch: str
