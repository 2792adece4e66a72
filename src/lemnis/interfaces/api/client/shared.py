"""What several resources speak of, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Alert(TypedDict):
    """An alert with the event that fired, as the reader may see it."""

    id: str
    rule_id: str
    title: str
    severity: Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
    time: str
    count: int
    source: str
    entities: list[str]
    tags: list[str]
    incident: NotRequired[str | None]
    matched: list[dict[str, Any]]
    event_uids: list[str]
    content_digest: str
    event: dict[str, Any]


class Because(TypedDict):
    """Why something is done."""

    reason: str


class Problem(TypedDict):
    """What is wrong (RFC 9457): `type` is a word that stays; `title` says what, `fix` what to do."""

    type: str
    title: str
    status: int
    fix: NotRequired[str]
