"""What was learnt: what incidents were about, what caused them, and what is done about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.graph.collect import Collected, Gatherer

METHOD: Final = "lesson"


@dataclass(frozen=True, slots=True)
class Learnt:
    """A lesson: of which incident and since when (ms), from which causes, about what, and what it adds.

    ``causes`` are lines, commits or images; ``about`` is what the incident's alerts were about; ``element``
    is what its threat threatens. ``at`` is the incident's first event, ``since`` when the lesson was written.
    """

    lesson: str
    incident: str
    at: int | None
    since: int | None
    causes: Sequence[Entity]
    about: Sequence[Entity]
    element: Entity | None
    gate: str
    detection: str
    threat: str


def collect(lessons: Iterable[Learnt], policies: Iterable[tuple[str, Sequence[str]]]) -> Collected:
    """Say what lessons were learnt from and add; ``policies`` are names with the controls they enforce."""
    said = Gatherer(METHOD)
    for one in lessons:
        said.read += 1
        _tell(said, one)
    for name, controls in policies:
        said.read += 1
        for control in controls:
            said.say(
                Entity(EntityKind.POLICY, name), "enforces", Entity(EntityKind.CONTROL, control),
                f"policies/{name}",
            )  # fmt: skip
    return said.done()


def _tell(said: Gatherer, one: Learnt) -> None:
    where = f"lessons/{one.lesson}"
    lesson, incident = Entity(EntityKind.LESSON, one.lesson), Entity(EntityKind.INCIDENT, one.incident)
    threat = Entity(EntityKind.THREAT, one.threat)
    gate, detection = Entity(EntityKind.POLICY, one.gate), Entity(EntityKind.DETECTION, one.detection)
    for entity in one.about:
        said.say(incident, "about", entity, where, since=one.at)
    for entity in one.causes:
        said.say(incident, "caused_by", entity, where, since=one.at)
    said.say(lesson, "learnt_from", incident, where, since=one.since)
    for entity in (gate, detection, threat):
        said.say(lesson, "adds", entity, where, since=one.since)
    said.say(gate, "mitigates", threat, where, since=one.since)
    said.say(detection, "detects", threat, where, since=one.since)
    if one.element is not None:
        said.say(threat, "threatens", one.element, where, since=one.at)
