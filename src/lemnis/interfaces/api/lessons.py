"""Lessons, and how far each is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path

from lemnis.app import lessons
from lemnis.app.access.permissions import Person
from lemnis.app.access.seeing import shown as seeable
from lemnis.app.lessons import State
from lemnis.interfaces.api import models
from lemnis.interfaces.api.paging import Page, paged
from lemnis.interfaces.api.routing import USUAL_LIMIT, After, Limit, Using, allowed, router

ROUTER = router("lessons")
Reader = Annotated[Person, allowed("lesson.read")]
Id = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,60}$", description="A lesson's id: 2026-014abc.")
]


@ROUTER.get("/lessons")
def list_(person: Reader, using: Using, limit: Limit = USUAL_LIMIT, after: After = "") -> Page[models.Lesson]:
    """List the lessons, proposed, proven and merged."""
    found = lessons.list_(using.workspace)
    eyes = using.eyes(person)
    shown, following = paged(
        found, lambda one: [one.written.id], like="s", after=after, limit=limit,
        keep=lambda one: not eyes.incident(one.written.lesson.incident),
    )  # fmt: skip
    return Page[models.Lesson](
        items=[models.Lesson.model_validate(_document(one)) for one in shown], next=following
    )


@ROUTER.get("/lessons/{id}")
def show(id: Id, person: Reader, using: Using) -> models.Lesson:
    """Show a lesson: its cause, and the last verdict on it."""
    found = lessons.show(using.workspace, id)
    seeable(using.eyes(person).incident(found.written.lesson.incident))
    proof = dict(found.proved.payload) if found.proved is not None else None
    return models.Lesson.model_validate(_document(found) | {"proof": proof})


def _document(one: State) -> dict[str, Any]:
    lesson = one.written.lesson
    return {
        "id": one.written.id, "incident": lesson.incident, "state": one.state, "proven": one.proven,
        "title": lesson.title, "gate": lesson.gate, "detection": lesson.detection, "threat": lesson.threat,
        "branch": one.written.branch, "cause": lesson.cause.model_dump(mode="json"),
    }  # fmt: skip
