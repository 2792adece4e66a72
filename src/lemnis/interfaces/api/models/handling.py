"""How incidents are worked on: tasks, links, merges, reviews, evidence, cases."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import pydantic

from lemnis.interfaces.api.models.base import Given, PersonName, Reason, Text, Told

Someone = Annotated[str, pydantic.Field(max_length=100, pattern=r"^[^\x00-\x1f]*$")]
Due = Annotated[str, pydantic.Field(max_length=40)]
Url = Annotated[str, pydantic.Field(min_length=1, max_length=2000)]
IncidentId = Annotated[str, pydantic.Field(pattern=r"^in-[0-9a-f]{16}$")]
AlertId = Annotated[str, pydantic.Field(pattern=r"^al-[0-9a-f]{16}$")]
Name = Annotated[str, pydantic.Field(min_length=1, max_length=500)]
Line = Annotated[str, pydantic.Field(min_length=1, max_length=2000, pattern=r"\S")]
Lines = Annotated[list[Line], pydantic.Field(max_length=50)]


class Because(Given):
    """Why something is done."""

    reason: Reason


class AddingTask(Given):
    """Something to do: what, by whom (`me` is oneself), until when (a time, or how long: `4h`)."""

    title: Annotated[str, pydantic.Field(min_length=1, max_length=500, pattern=r"\S")]
    assignee: Someone = ""
    due: Due | None = None


class ChangingTask(Given):
    """What changes of a task; what is left out stays. To drop one takes a reason."""

    state: Literal["open", "doing", "done", "dropped"] | None = None
    assignee: Someone | None = None
    due: Due | None = None
    reason: Annotated[str, pydantic.Field(max_length=2000)] = ""


class AddingLink(Given):
    """Something elsewhere; without a kind it is guessed by the address."""

    url: Url
    title: Annotated[str, pydantic.Field(max_length=200)] = ""
    kind: Literal["ticket", "pull_request", "commit", "document", "chat", "other"] | None = None


class RemovingLink(Given):
    """Which link is taken away, and why."""

    url: Url
    reason: Reason


class Merging(Given):
    """With which incident one is merged, and why."""

    other: IncidentId
    reason: Reason


class Splitting(Given):
    """What is parted from an incident: these alerts, all of these rules, all about these entities."""

    alerts: Annotated[list[AlertId], pydantic.Field(max_length=1000)] = pydantic.Field(default_factory=list)
    rules: Annotated[list[Name], pydantic.Field(max_length=100)] = pydantic.Field(default_factory=list)
    entities: Annotated[list[Name], pydantic.Field(max_length=100)] = pydantic.Field(default_factory=list)
    reason: Reason


class FactGiven(Given):
    """Something that happened, and what shows it."""

    at: Due
    what: Line
    reference: Annotated[str, pydantic.Field(max_length=500)] = ""


class ActionGiven(Given):
    """What is to be done, by whom, until which day."""

    what: Line
    owner: Annotated[str, pydantic.Field(min_length=1, max_length=100, pattern=r"\S")]
    due: date


class Reviewing(Given):
    """A review; its timeline is the journal's where none is given."""

    timeline: Annotated[list[FactGiven], pydantic.Field(min_length=1, max_length=1000)] | None = None
    went_well: Lines
    went_badly: Lines
    lucky: Lines
    contributing_causes: Annotated[list[Line], pydantic.Field(min_length=2, max_length=50)]
    detection_gap: Line
    control_that_failed: Line
    actions: Annotated[list[ActionGiven], pydantic.Field(min_length=1, max_length=50)]


class Reviewed(Told):
    """An incident's review, or the facts that one would begin with."""

    recorded: bool
    review: dict[str, Any] | None = None
    facts: list[dict[str, Any]]


class Evidence(Told):
    """A piece of evidence: its digest, what it is, who has it, and every act on it."""

    id: str
    incident: str
    title: str
    holder: str
    custody: list[dict[str, Any]]


class HandingOver(Given):
    """Why a package is made, and for whom, if it is handed on."""

    reason: Reason
    to: Annotated[str, pydantic.Field(max_length=200)] = ""


class Case(Told):
    """The work file over some incidents. ``version`` grows with each change of it."""

    id: str
    title: str
    version: int
    owner: str
    open: bool
    incidents: list[str]
    opened: str
    by: str
    updated: str
    closed: str | None = None
    closed_by: str | None = None
    closed_because: str | None = None
    notes: list[dict[str, Any]]


class OpeningCase(Given):
    """What a case is called, and why it is opened."""

    title: Annotated[str, pydantic.Field(min_length=1, max_length=300, pattern=r"\S")]
    reason: Annotated[str, pydantic.Field(max_length=2000)] = ""


class AddingToCase(Given):
    """Which incident a case is about, too."""

    incident: IncidentId
    reason: Annotated[str, pydantic.Field(max_length=2000)] = ""


class AssigningCase(Given):
    """Who owns a case from now on."""

    owner: PersonName


class NotingCase(Given):
    """What is written down of a case."""

    text: Text
