"""``lesson.yaml``: what an incident taught: its cause, the change set that answers it, what that costs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from lemnis.content.schemas import Model

Name = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,80}$")]
Commit = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]

Image = Annotated[str, pydantic.Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Cause(Model):
    """What let the incident happen: a line and the commit that brought it in, or an image without proof."""

    repository: str = ""
    commit: Commit | Literal[""] = ""
    path: str = ""
    line: int = pydantic.Field(default=0, ge=1)  # none for an image; who names one, names it from 1
    image: Image | Literal[""] = ""
    text: str = ""
    author: str = ""
    owner: str = ""
    entry_point: str = ""
    findings: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _one_of_both(self) -> Self:
        line = (self.repository, self.commit, self.path, self.line)
        if any(line) if self.image else not all(line):
            raise ValueError("a cause is a line (repository, commit, path, line), or an image")
        return self

    @property
    def change(self) -> str:
        """What a gate has to stop: the commit, or the image's digest."""
        return self.commit or self.image

    @property
    def place(self) -> str:
        """Where it is: ``path:line``, or ``image DIGEST``."""
        return f"image {self.image}" if self.image else f"{self.path}:{self.line}"


class Cost(Model):
    """What the lesson costs, as measured when it was written: a proof that finds more does not hold."""

    commits_stopped_wrongly: tuple[Commit, ...] = ()
    images_stopped_wrongly: tuple[Image, ...] = ()
    alerts_added: int = pydantic.Field(default=0, ge=0)


class Lesson(Model):
    """One lesson. ``retired`` says why it need not hold any more: then `lesson check` leaves it alone."""

    id: str = pydantic.Field(pattern=r"^\d{4}-[0-9a-z]{3,16}$")
    incident: str = pydantic.Field(min_length=1)
    title: str = pydantic.Field(min_length=1)
    cause: Cause
    gate: Name
    detection: Name
    threat: Name
    cost: Cost = Cost()
    old_digest: str = pydantic.Field(pattern=r"^sha256:[0-9a-f]{64}$")
    trace: tuple[str, ...] = ()
    retired: str = ""
