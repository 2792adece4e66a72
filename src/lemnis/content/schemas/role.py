"""``roles/NAME.yaml``: what people with a role may do in the console and over its API.

::

    title: Analyst
    includes: [viewer]                  # what these roles may, this one may too
    permissions: [incident.change, incident.close]

Rules over who asks and what about are policies of the stage ``access``: they take away, roles give.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import pydantic

from lemnis.content.schemas import Model

PERMISSIONS: Mapping[str, str] = MappingProxyType(
    {
        "alert.read": "see alerts, with the events that made them",
        "incident.read": "see incidents and cases, their timelines, tasks and reviews",
        "incident.change": "take, assign, move and merge incidents, write notes, tasks and links",
        "incident.close": "close incidents with a verdict",
        "evidence.read": "read what was collected as evidence",
        "event.search": "search the events of the lake",
        "entity.read": "see entities, services and the graph of what runs what",
        "finding.read": "see findings of scanners",
        "finding.change": "decide on findings: accept, suppress, ask for an exception",
        "exception.approve": "approve exceptions from gates that others asked for, and withdraw them",
        "gate.read": "see gates, what they decided, the exceptions from them, and attestations",
        "posture.read": "see checks, attack paths, controls and risks",
        "rule.read": "see detections, their tests and noise",
        "rule.change": "write detections and policies, and try them on past events and decisions",
        "source.read": "see sources, their rates, rejects and silences",
        "playbook.read": "see playbooks, plans and runs",
        "playbook.plan": "plan a playbook: targets are read, nothing is changed",
        "playbook.approve": "approve or refuse plans and answer what runs ask",
        "playbook.run": "begin, cancel and undo runs",
        "lesson.read": "see lessons and their proof",
        "lesson.change": "propose lessons and write reviews",
        "journal.read": "read the account of every decision",
        "personal.read": "see personal data unmasked, for a purpose that is written down",
        "access.read": "see accounts, sessions and tokens",
        "access.change": "add, change and disable accounts",
    }
)
"""Every permission there is, and what it allows."""
Name = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Role(Model):
    """One role: what it may, beside what the roles may that it includes."""

    title: str = pydantic.Field(min_length=1)
    description: str = ""
    includes: tuple[Name, ...] = ()
    permissions: tuple[str, ...] = ()

    @pydantic.field_validator("permissions")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if one not in PERMISSIONS:
                raise ValueError(f"no permission {one!r}: one of {', '.join(PERMISSIONS)}")
        return value
