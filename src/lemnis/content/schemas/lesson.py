"""``lesson.yaml``: what an incident taught: its cause, the change set that answers it, what that costs."""

from __future__ import annotations

from typing import Annotated

import pydantic

from lemnis.content.schemas import Model

Name = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,80}$")]
Commit = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]


class Cause(Model):
    """The line that let the incident happen, and the commit that brought it in."""

    repository: str = pydantic.Field(min_length=1)
    commit: Commit
    path: str = pydantic.Field(min_length=1)
    line: int = pydantic.Field(ge=1)
    text: str = ""
    author: str = ""
    owner: str = ""
    entry_point: str = ""
    findings: tuple[str, ...] = ()


class Cost(Model):
    """What the lesson costs, as measured when it was written: a proof that finds more does not hold."""

    commits_stopped_wrongly: tuple[Commit, ...] = ()
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
