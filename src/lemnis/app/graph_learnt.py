"""Lessons and policies into the graph: from an incident to what else its cause exposes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from lemnis import app
from lemnis.app import incidents, lessons, shelf
from lemnis.app.graph_collect import Account, settle
from lemnis.app.lessons import State
from lemnis.app.origins.base import line_entity
from lemnis.content import yaml
from lemnis.content.schemas.policy import Policy
from lemnis.content.schemas.threat import Threat
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import LemnisError, NotFoundError
from lemnis.graph.collect import learnt
from lemnis.graph.collect.learnt import Learnt

_ENTITIES = 200
"""So many entities of an incident, the most frequent, are told."""


def collect(workspace: app.Workspace) -> Account:
    """Read all lessons, merged or not, and the policies of the content; the same again changes nothing."""
    found = learnt.collect(_lessons(workspace), _policies(workspace))
    return replace(settle(workspace, found, "", None), name="lessons", kind="lessons")


def _lessons(workspace: app.Workspace) -> Iterator[Learnt]:
    try:
        states = lessons.list_(workspace)
    except NotFoundError:  # content that is in no git has no lessons
        return
    for state in states:
        yield _learnt(workspace, state)


def _learnt(workspace: app.Workspace, state: State) -> Learnt:
    lesson = state.written.lesson
    cause = lesson.cause
    causes = (
        [Entity(EntityKind.IMAGE, cause.image)]
        if cause.image
        else [line_entity(cause.repository, cause.path, cause.line), Entity(EntityKind.COMMIT, cause.commit)]
    )
    began: int | None
    about: tuple[Entity, ...]
    try:
        one = incidents.get(workspace, lesson.incident)
    except LemnisError:  # a lesson outlives its incident's journal
        began, about = None, ()
    else:
        began, about = one.first_event, tuple(islice(one.entities, _ENTITIES))
    return Learnt(
        lesson.id, lesson.incident, began, state.proposed.at if state.proposed else None, causes, about,
        _element(workspace, state), lesson.gate, lesson.detection, lesson.threat,
    )  # fmt: skip


def _element(workspace: app.Workspace, state: State) -> Entity | None:
    """Return what a lesson's threat threatens: a workload, or the repository; None if it cannot be read."""
    lesson = state.written.lesson
    file = f"content/threats/{lesson.threat}/threat.yaml"
    try:
        text = shelf.repository(workspace).read(state.written.commit, file).decode(errors="replace")
        element = yaml.load(text, Threat, file=file).element
    except LemnisError:  # the threat is gone or broken, which `content lint` tells
        return None
    same = element == lesson.cause.repository
    return Entity(EntityKind.REPOSITORY if same else EntityKind.WORKLOAD, element)


def _policies(workspace: app.Workspace) -> Iterator[tuple[str, Sequence[str]]]:
    for name, item in app.library(workspace).items("policies").items():
        yield name, yaml.load(item.manifest, Policy).controls
