"""Lessons, and how far each is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from starlette.requests import Request

from lemnis.app import lessons
from lemnis.app.access.permissions import Person
from lemnis.app.access.seeing import shown as seeable
from lemnis.app.lessons import State
from lemnis.contracts.errors import LemnisError, NotFoundError
from lemnis.interfaces.api import models
from lemnis.interfaces.api.paging import Page, paged
from lemnis.interfaces.api.routing import USUAL_LIMIT, After, Limit, Purpose, Using, allowed, router
from lemnis.interfaces.api.services import Sight, sight

ROUTER = router("lessons")
Reader = Annotated[Person, allowed("lesson.read")]
Id = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,60}$", description="A lesson's id: 2026-014abc.")
]


@ROUTER.get("/lessons")
def list_(
    request: Request, person: Reader, using: Using, limit: Limit = USUAL_LIMIT, after: After = "",
    purpose: Purpose = "",
) -> Page[models.Lesson]:  # fmt: skip
    """List the lessons, proposed, proven and merged."""
    found = lessons.list_(using.workspace)
    eyes, seen = using.eyes(person), sight(request, person, purpose)
    shown, following = paged(
        found, lambda one: [one.written.id], like="s", after=after, limit=limit,
        keep=lambda one: not eyes.incident(one.written.lesson.incident),
    )  # fmt: skip
    return Page[models.Lesson](
        items=[models.Lesson.model_validate(_document(one, seen)) for one in shown], next=following
    )


@ROUTER.get("/lessons/{id}")
def show(id: Id, request: Request, person: Reader, using: Using, purpose: Purpose = "") -> models.Lesson:
    """Show a lesson: its cause, and the last verdict on it."""
    eyes = using.eyes(person)
    try:
        found = lessons.show(using.workspace, id)
    except LemnisError as error:  # of one that cannot be read nobody knows whose incident it is of
        if isinstance(error, NotFoundError) or not eyes.all:
            raise NotFoundError(f"no lesson {id!r}", fix="GET /lessons lists them") from error
        raise
    seeable(eyes.incident(found.written.lesson.incident))
    proof = dict(found.proved.payload) if found.proved is not None else None
    seen = sight(request, person, purpose, id)
    return models.Lesson.model_validate(_document(found, seen, {"proof": proof}))


def _document(one: State, seen: Sight, more: dict[str, Any] | None = None) -> dict[str, Any]:
    lesson = one.written.lesson
    document = {
        "id": one.written.id, "incident": lesson.incident, "state": one.state, "proven": one.proven,
        "title": lesson.title, "gate": lesson.gate, "detection": lesson.detection, "threat": lesson.threat,
        "branch": one.written.branch, "cause": lesson.cause.model_dump(mode="json"), **(more or {}),
    }  # fmt: skip
    told: dict[str, Any] = seen.named(document, lesson.cause.author)
    return told
