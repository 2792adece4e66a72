"""Routes of sources, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Problem


class PageSource(TypedDict):
    """PageSource."""

    items: list[Source]
    next: NotRequired[str | None]


class Source(TypedDict):
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
    last_ms: NotRequired[int | None]
    alarms: list[dict[str, Any]]
    blind: list[dict[str, Any]]


class SourcesClient(Caller):
    """Routes of sources by their operations."""

    def list_sources(self, *, limit: int | None = None, after: str | None = None) -> PageSource:
        """List the sources that ever spoke: rate, lag, rejects, silence, and what is blind meanwhile."""
        found: PageSource = self.call("GET", "/sources", query={"limit": limit, "after": after})
        return found
