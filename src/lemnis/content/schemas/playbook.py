"""``playbook.yaml``: what is to be done about an incident, step by step.

A playbook becomes a plan: a list of actions with their targets and arguments. Everything that decides which
actions those are (inputs, conditions, what reading actions answer) is looked up while planning, so that what
is approved is exactly what runs. There is no loop and no condition on the outcome of a write.

Inputs are taken from the incident's entities: ``select`` names their kind, and the whole of an entity's value
must match ``pattern`` (RE2), else it is left out. A named group ``g`` of input ``i`` is ``{i.g}``; the value
itself is ``{i}``. ``lemnis playbook plan --set i=value`` gives a value by hand, matched in the same way.

A step is one of:

* ``action`` with ``with`` (its inputs); ``for_each: i`` does it for each value of input ``i``. A reading
  action is done while planning; its output ``o`` is ``{step.o}`` in later steps, under the same ``for_each``;
* ``parallel``: steps that do not depend on each other and are done at the same time;
* ``if`` with ``then`` and ``else``;
* ``evidence``: the incident's alerts and their events go into the vault.

CACAO 2.0: ``action`` → ``action`` with an ``http-api`` command, ``parallel`` → ``parallel``, ``if`` →
``if-condition``, ``on_failure`` → ``on_failure``, the approval → a ``manual`` step before the first write;
``for_each``, undo and caps go into ``step_extensions``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import pydantic
import re2

from lemnis.content.schemas import Model
from lemnis.content.schemas.action import InputName, check_pattern
from lemnis.contracts.alerts import EntityKind

StepId = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Level = Literal["informational", "low", "medium", "high", "critical"]


class Select(Model):
    """An input: which entities of the incident it takes, and how many there must be."""

    select: EntityKind
    pattern: str = ".+"
    required: bool = True
    many: bool = False
    help: str = ""

    @pydantic.model_validator(mode="after")
    def _compiles(self) -> Self:
        check_pattern(self.pattern)
        return self

    @property
    def groups(self) -> frozenset[str]:
        """The names of the pattern's groups."""
        return frozenset(re2.compile(self.pattern).groupindex)


class Condition(Model):
    """Exactly one of these; decided while planning."""

    has: InputName | None = None
    severity_at_least: Level | None = None
    all: tuple[Condition, ...] | None = None
    any: tuple[Condition, ...] | None = None
    no: Condition | None = pydantic.Field(default=None, alias="not")

    @pydantic.model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a condition is one of has, severity_at_least, all, any, not")
        return self

    def inputs(self) -> Iterator[str]:
        """Yield the inputs that are asked for."""
        if self.has is not None:
            yield self.has
        for part in (*(self.all or ()), *(self.any or ()), *((self.no,) if self.no else ())):
            yield from part.inputs()


class Evidence(Model):
    """What is kept as evidence."""

    alerts: Literal[True] = True
    events: bool = True


class Step(Model):
    """One step; see the module's text."""

    id: StepId
    title: str = ""
    action: str | None = pydantic.Field(default=None, pattern=r"^[a-z][a-z0-9_-]*\.[a-z][a-z0-9_]*$")
    inputs: dict[InputName, Any] = pydantic.Field(default_factory=dict, alias="with")
    for_each: InputName | None = None
    on_failure: Literal["stop", "continue"] = "stop"
    parallel: tuple[Step, ...] | None = None
    condition: Condition | None = pydantic.Field(default=None, alias="if")
    then: tuple[Step, ...] = ()
    otherwise: tuple[Step, ...] = pydantic.Field(default=(), alias="else")
    evidence: Evidence | None = None

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [self.action, self.parallel, self.condition, self.evidence]
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("a step is one of action, parallel, if, evidence")
        if self.action is None and (self.inputs or self.for_each):
            raise ValueError("`with` and `for_each` belong to an action")
        if self.condition is None and (self.then or self.otherwise):
            raise ValueError("`then` and `else` belong to an `if`")
        if self.condition is not None and not self.then:
            raise ValueError("an `if` needs a `then`")
        if any(step.parallel is not None for step in self.parallel or ()):
            raise ValueError("`parallel` directly within `parallel` is one `parallel`")
        return self

    def walk(self) -> Iterator[Step]:
        """Yield this step and all within it, in order."""
        yield self
        for step in (*(self.parallel or ()), *self.then, *self.otherwise):
            yield from step.walk()


class Approval(Model):
    """How long an approval holds."""

    expires_min: int = pydantic.Field(default=60, ge=1, le=7 * 24 * 60)


class Playbook(Model):
    """One playbook."""

    title: str
    description: str = ""
    kind: Literal["mitigation", "remediation", "investigation", "notification", "prevention"] = "mitigation"
    trigger: Literal["alert", "incident", "hand"] = "incident"
    approval: Approval = Approval()
    inputs: dict[InputName, Select] = pydantic.Field(default_factory=dict)
    steps: tuple[Step, ...] = pydantic.Field(min_length=1)

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: set[str] = set(self.inputs)
        for step in self.walk():
            if step.id in seen:
                raise ValueError(f"{step.id!r} names two things (inputs and steps share their names)")
            seen.add(step.id)
            asked = set(step.condition.inputs() if step.condition else ())
            unknown = (asked | ({step.for_each} if step.for_each else set())) - set(self.inputs)
            if unknown:
                raise ValueError(f"step {step.id!r} asks for {', '.join(sorted(unknown))}: no such input")
        return self

    def walk(self) -> Iterator[Step]:
        """Yield every step in order."""
        for step in self.steps:
            yield from step.walk()
