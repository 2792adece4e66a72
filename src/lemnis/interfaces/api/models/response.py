"""Playbooks, plans, runs, and what runs ask."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from lemnis.interfaces.api.models.base import Given, Reason, Told


class Playbook(Told):
    """A playbook."""

    name: str
    title: str
    kind: str
    trigger: str
    inputs: list[str]


class Planning(Given):
    """For which incident a playbook is to be planned, and inputs by hand."""

    playbook: Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
    incident: Annotated[str, pydantic.Field(pattern=r"^in-[0-9a-f]{16}$")]
    inputs: dict[
        Annotated[str, pydantic.Field(max_length=100)],
        Annotated[list[Annotated[str, pydantic.Field(max_length=1000)]], pydantic.Field(max_length=100)],
    ] = pydantic.Field(default_factory=dict, max_length=50)


class Plan(Told):
    """A plan: exactly what would be done. Its digest is what is approved; a plan of another digest is not."""

    digest: str
    playbook: str
    incident: str
    by: str
    at: str
    undoes: str
    approvable: bool
    writes: bool
    given: list[str]
    quorum: int
    missing: int
    roles: list[str]
    people: list[str]
    actions: list[dict[str, Any]]
    program: list[dict[str, Any]]
    blast: list[dict[str, Any]]


class Approving(Given):
    """Why a plan may be run; ``digest`` repeats which one, so that nobody approves what they did not see."""

    digest: Annotated[str, pydantic.Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    reason: Reason


class Approved(Told):
    """An approval: until when a run may begin, and how many are missing still."""

    approval: str
    digest: str
    actor: str
    expires: str
    missing: int
    people: list[str]


class Run(Told):
    """A run of a plan, with the outcome of each step so far."""

    id: str
    incident: str
    plan: str
    playbook: str
    undoes: str
    actor: str
    started: str
    finished: str | None = None
    outcome: str
    waits_until: str | None = None
    results: list[dict[str, Any]]


class Requested(Run):
    """A run that was asked for and has not begun: ``state`` is what it waits for, ``says`` so for people."""

    state: Literal["begins", "waits_for_approval", "waits_for_serve"]
    says: str


class Cancelling(Given):
    """Why a run does nothing more."""

    reason: Reason


class Question(Told):
    """What a run asks."""

    run: str
    step: str
    incident: str
    text: str
    role: str
    until: str


class Answering(Given):
    """What a run is answered."""

    step: Annotated[str, pydantic.Field(min_length=1, max_length=100)]
    answer: Annotated[str, pydantic.Field(min_length=1, max_length=1000)]
    reason: Annotated[str, pydantic.Field(max_length=2000)] = ""
