"""Rules, sources, lessons and entries of the journal."""

from __future__ import annotations

from typing import Any

from lemnis.interfaces.api.models.base import Told


class Rule(Told):
    """A detection. One that is not ``usable`` has no id and title."""

    name: str
    id: str
    title: str
    level: str
    tags: list[str]
    cases: int
    own: bool
    usable: bool


class RuleDetail(Rule):
    """A detection with the text of its file."""

    text: str


class Source(Told):
    """How a source does: what came of it, what was usual, what is wrong and what is blind meanwhile."""

    name: str
    host: str
    state: str
    why: list[str]
    learning: bool
    events: int
    rejects: int
    reasons: dict[str, int]
    rate: float
    last_ms: int | None = None
    alarms: list[dict[str, Any]]
    blind: list[dict[str, Any]]


class Lesson(Told):
    """A lesson, and how far it is: proposed, proven or merged."""

    id: str
    incident: str
    state: str
    proven: bool
    title: str
    gate: str | None = None
    detection: str | None = None
    threat: str | None = None


class JournalEntry(Told):
    """An entry of the journal; ``hash`` covers all of it and ``previous``.

    Both are told to who sees personal data alone: a name that is masked could be guessed by them.
    """

    seq: int
    at: str
    kind: str
    subject: str
    actor: str
    reason: str
    payload: dict[str, Any]
    previous: str | None = None
    hash: str | None = None
