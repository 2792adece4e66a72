"""Routes of lessons, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Problem


class Lesson(TypedDict):
    """A lesson, and how far it is: proposed, proven or merged."""

    id: str
    incident: str
    state: str
    proven: bool
    title: str
    gate: NotRequired[str | None]
    detection: NotRequired[str | None]
    threat: NotRequired[str | None]


class PageLesson(TypedDict):
    """PageLesson."""

    items: list[Lesson]
    next: NotRequired[str | None]


class LessonsClient(Caller):
    """Routes of lessons by their operations."""

    def list_lessons(
        self, *, limit: int | None = None, after: str | None = None, purpose: str = ""
    ) -> PageLesson:
        """List the lessons, proposed, proven and merged."""
        found: PageLesson = self.call(
            "GET", "/lessons", query={"limit": limit, "after": after}, headers={"X-Purpose": purpose}
        )
        return found

    def show_lessons(self, id: str, *, purpose: str = "") -> Lesson:
        """Show a lesson: its cause, and the last verdict on it."""
        found: Lesson = self.call("GET", f"/lessons/{self.part(id)}", headers={"X-Purpose": purpose})
        return found
