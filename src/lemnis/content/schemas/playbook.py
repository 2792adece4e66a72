"""``playbook.yaml``: what is to be done about an incident, step by step.

A playbook becomes a plan: every action that may be done, with its target and arguments. What can be decided
while planning is decided there (inputs, conditions over them, what reading actions answer); what depends on
how a write ends stays in the plan as a condition, with each branch's actions listed. So what is approved is
exactly what may run: at run time conditions choose among approved actions and make no others.

Inputs are taken from the incident's entities: ``select`` names their kind, and the whole of an entity's value
must match ``pattern`` (RE2), else it is left out. A named group ``g`` of input ``i`` is ``{i.g}``; the value
itself is ``{i}``. ``lemnis playbook plan --set i=value`` gives a value by hand, matched in the same way.

A step is one of:

* ``action`` with ``with`` (its inputs); ``for_each: i`` does it for each value of input ``i``. A reading
  action is done while planning; its output ``o`` is ``{step.o}`` in later steps, under the same ``for_each``.
  With ``at: run`` it is done when the run comes to it, and only conditions may use what it answers.
  ``ttl_min`` takes a reversible action back by itself after so many minutes. ``timeout_s`` bounds the step;
* ``parallel``: steps that do not depend on each other and are done at the same time;
* ``if`` with ``then`` and ``else``;
* ``while`` with ``do``: repeated while the condition holds, ``max_turns`` times at most, ``every_s`` apart;
  a condition that still holds then is a failure;
* ``switch`` (an expression) with ``cases`` (text to steps) and ``default``;
* ``playbook`` with ``with`` (its inputs): another playbook's steps in this place;
* ``python``: a function that a package registers as ``lemnis.playbook_steps``. It reads or computes, and has
  no effect; like a reading action it is done while planning, or ``at: run``;
* ``evidence``: the incident's alerts and their events go into the vault;
* ``ask``: a person answers yes or no. No answer in time is no;
* ``end``: the run ends here; ``failed`` says that it did not do what it should;
* ``command``: what an imported CACAO playbook says and no action does yet. A plan with one is refused.

A condition is the form below, or a text in CEL (https://cel.dev). CEL knows:

* ``severity`` (0 to 6, as OCSF has it), ``incident`` (``id``, ``title``), ``entities`` (kind to values),
  ``trigger`` (what began it), ``turn`` (of the innermost ``while``, from 1);
* each input: a map with ``value`` and the groups, empty if there is none; a list of them if it is ``many``;
* each earlier step: a map with ``outcome`` (``done``, ``already``, ``failed``, ``refused``, ``skipped``; of
  ``ask`` ``yes`` or ``no``), ``error`` and its outputs; under a ``for_each`` a list of them, with ``item``.

A condition in Rego is ``{rego: BODY}``, the body of a rule over ``input``, or ``{policy: NAME}``, a policy of
the content that decides at the stage ``playbook`` and denies nothing. ``input`` has what CEL knows:
``severity``, ``incident``, ``entities`` (every kind), ``trigger``, ``turn``, ``inputs.NAME`` and
``steps.NAME``. Builtins that the policy engine lacks, and names that there are not, are refused by lint.

An error in a condition is a failed step. YAML reads ``on``, ``yes`` and ``no`` as true and false: quote them.

CACAO 2.0: see ``lemnis.respond.cacao``; what CACAO has no word for goes into ``step_extensions``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
import re2

from lemnis.content.schemas import Model
from lemnis.content.schemas.action import InputName, check_pattern
from lemnis.contracts.alerts import EntityKind

StepId = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
PlaybookName = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,80}$")]
Role = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Cel = Annotated[str, pydantic.Field(min_length=1, max_length=1000)]
Rego = Annotated[str, pydantic.Field(min_length=1, max_length=10_000)]
Level = Literal["informational", "low", "medium", "high", "critical"]
FIXED = ("incident", "severity", "entities", "trigger", "turn")
RESERVED = frozenset(FIXED)
"""Names that conditions have already: no input and no step is called so."""
_WEEK_MIN = 7 * 24 * 60
_KINDS = (
    "action", "parallel", "if", "while", "switch", "playbook", "python", "evidence", "ask", "end", "command",
)  # fmt: skip
_BELONGS = {
    "with": ("action", "playbook", "python"), "for_each": ("action",), "at": ("action", "python"),
    "on_failure": ("action", "playbook", "python", "while"), "ttl_min": ("action",),
    "timeout_s": ("action", "python"), "then": ("if",), "else": ("if",), "do": ("while",),
    "max_turns": ("while",), "every_s": ("while",), "cases": ("switch",), "default": ("switch",),
}  # fmt: skip
"""Which fields belong to which kinds of steps."""


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
    """Exactly one of these. ``rego`` is the body of a rule, ``policy`` the name of one of the content."""

    has: InputName | None = None
    severity_at_least: Level | None = None
    cel: Cel | None = None
    rego: Rego | None = None
    policy: PlaybookName | None = None
    all: tuple[Condition, ...] | None = None
    any: tuple[Condition, ...] | None = None
    no: Condition | None = pydantic.Field(default=None, alias="not")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return {"cel": value} if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a condition is one of has, severity_at_least, cel, rego, policy, all, any, not")
        return self

    def places(self, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Condition]]:
        """Yield this condition and all within it, each with the keys that lead to it from ``at``."""
        yield at, self
        for name, parts in (("all", self.all or ()), ("any", self.any or ())):
            for number, part in enumerate(parts):
                yield from part.places((*at, name, number))
        if self.no is not None:
            yield from self.no.places((*at, "not"))

    def parts(self) -> Iterator[Condition]:
        """Yield this condition and all within it."""
        yield from (part for _, part in self.places())

    def inputs(self) -> Iterator[str]:
        """Yield the inputs that are asked for by ``has``."""
        yield from (part.has for part in self.parts() if part.has is not None)


class Evidence(Model):
    """What is kept as evidence."""

    alerts: Literal[True] = True
    events: bool = True


class Escalation(Model):
    """Who is asked too when nobody has answered after a while."""

    after_min: int = pydantic.Field(ge=1, le=_WEEK_MIN)
    role: Role


class Ask(Model):
    """A question to a person; empty ``role`` is anyone who may use the workspace."""

    text: str = pydantic.Field(min_length=1, max_length=2000)
    role: Role | Literal[""] = ""
    timeout_min: int = pydantic.Field(default=240, ge=1, le=_WEEK_MIN)
    escalate: Escalation | None = None


class Command(Model):
    """A command of an imported playbook that no action stands for yet; ``type`` is CACAO's."""

    type: str = pydantic.Field(min_length=1)
    text: str = ""


class Step(Model):
    """One step; see the module's text. ``cacao`` keeps what an imported step said beyond that."""

    id: StepId
    title: str = ""
    action: str | None = pydantic.Field(default=None, pattern=r"^[a-z][a-z0-9_-]*\.[a-z][a-z0-9_]*$")
    inputs: dict[InputName, Any] = pydantic.Field(default_factory=dict, alias="with")
    for_each: InputName | None = None
    at: Literal["plan", "run"] = "plan"
    on_failure: Literal["stop", "continue"] = "stop"
    ttl_min: int | None = pydantic.Field(default=None, ge=1, le=90 * 24 * 60)
    timeout_s: float | None = pydantic.Field(default=None, gt=0, le=3600)
    parallel: tuple[Step, ...] | None = None
    condition: Condition | None = pydantic.Field(default=None, alias="if")
    then: tuple[Step, ...] = ()
    otherwise: tuple[Step, ...] = pydantic.Field(default=(), alias="else")
    loop: Condition | None = pydantic.Field(default=None, alias="while")
    do: tuple[Step, ...] = ()
    max_turns: int = pydantic.Field(default=3, ge=1, le=20)
    every_s: float = pydantic.Field(default=0, ge=0, le=3600)
    switch: Cel | None = None
    cases: dict[str, tuple[Step, ...]] = pydantic.Field(default_factory=dict)
    default: tuple[Step, ...] = ()
    playbook: PlaybookName | None = None
    python: str | None = pydantic.Field(default=None, pattern=r"^[a-z][a-z0-9_]{0,80}$")
    evidence: Evidence | None = None
    ask: Ask | None = None
    end: Literal["done", "failed"] | None = None
    command: Command | None = None
    cacao: dict[str, Any] | None = None

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = {
            name: getattr(self, name) for name in _KINDS if name not in {"if", "while"}
        } | {"if": self.condition, "while": self.loop}  # fmt: skip
        kinds = [name for name, value in given.items() if value is not None]
        if len(kinds) != 1:
            raise ValueError(f"a step is one of {', '.join(_KINDS)}; this is {', '.join(kinds) or 'none'}")
        aliases = {name: field.alias or name for name, field in type(self).model_fields.items()}
        for name in map(aliases.__getitem__, self.model_fields_set):
            if kinds[0] not in _BELONGS.get(name, kinds):
                raise ValueError(f"`{name}` belongs to {', '.join(_BELONGS[name])}, not to `{kinds[0]}`")
        for kind, needed, there in (
            ("if", "then", self.then), ("while", "do", self.do), ("switch", "cases", self.cases),
        ):  # fmt: skip
            if kinds[0] == kind and not there and self.cacao is None:
                raise ValueError(f"{'an' if kind == 'if' else 'a'} `{kind}` needs `{needed}`")
        if any(step.parallel is not None for step in self.parallel or ()):
            raise ValueError("`parallel` directly within `parallel` is one `parallel`")
        return self

    @property
    def kind(self) -> str:
        """Which kind of step it is, as YAML calls it."""
        given: dict[str, Any] = {"if": self.condition, "while": self.loop}
        return next(name for name in _KINDS if given.get(name, getattr(self, name, None)) is not None)

    def blocks(self) -> Mapping[str, tuple[Step, ...]]:
        """Return the steps within, by the name of the block: ``then``, ``case x`` and so on."""
        found = {"parallel": self.parallel or (), "then": self.then, "else": self.otherwise, "do": self.do}
        found |= {f"case {name}": steps for name, steps in self.cases.items()} | {"default": self.default}
        return {name: steps for name, steps in found.items() if steps}

    def walk(self) -> Iterator[Step]:
        """Yield this step and all within it, in order."""
        yield self
        for steps in self.blocks().values():
            for step in steps:
                yield from step.walk()


class Approval(Model):
    """Who may approve, and how long all of it holds; nobody's answer is no.

    ``quorum`` different people of ``role`` (or of the role it is escalated to) approve; empty is anyone who
    may use the workspace. A run waits ``timeout_min`` for them and is refused then; once approved it must
    begin within ``expires_min``. ``on_timeout: run`` is only for playbooks whose every write can be undone.
    """

    expires_min: int = pydantic.Field(default=60, ge=1, le=_WEEK_MIN)
    role: Role | Literal[""] = ""
    quorum: int = pydantic.Field(default=1, ge=1, le=10)
    timeout_min: int = pydantic.Field(default=240, ge=1, le=_WEEK_MIN)
    escalate: Escalation | None = None
    on_timeout: Literal["deny", "run"] = "deny"


class Trigger(Model):
    """What begins a playbook by itself, in ``lemnis serve``, where lemnis.yaml turns it on.

    ``if`` is a condition (no inputs, no steps); ``cron`` has five fields, in UTC. ``entities`` of a
    webhook or a finding are ``kind:{place}``, where a place is keys of the JSON that came, joined by dots, or
    what ``lemnis findings list --json`` calls it; of a finding, those without a value are left out. ``given``
    are inputs as ``--set`` gives them. ``sla`` is a timer of an incident that ran out or is near: ``trigger``
    has ``timer``, ``state`` (``breached``, ``near``), ``priority`` and ``due`` (ms).
    """

    by: Literal["alert", "incident", "finding", "sla", "schedule", "webhook", "hand"]
    condition: Condition | None = pydantic.Field(default=None, alias="if")
    cron: str = ""
    entities: tuple[str, ...] = ()
    given: dict[InputName, tuple[str, ...]] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.by == "schedule") != bool(self.cron):
            raise ValueError("a schedule has a `cron`, and nothing else has")
        if self.cron and len(self.cron.split()) != len(("minute", "hour", "day", "month", "weekday")):
            raise ValueError("`cron` has five fields: minute, hour, day of month, month, day of week")
        if self.condition is not None and next(self.condition.inputs(), None) is not None:
            raise ValueError("`has` asks for an input, and what begins a playbook has none yet")
        if self.entities and self.by not in {"webhook", "finding"}:
            raise ValueError(
                "`entities` belong to a webhook or a finding: what else begins a playbook has its own"
            )
        return self


class Playbook(Model):
    """One playbook. ``trigger: incident`` is short for ``triggers: [{by: incident}]``."""

    title: str
    description: str = ""
    kind: Literal[
        "attack", "detection", "engagement", "investigation", "mitigation", "notification", "prevention",
        "remediation",
    ] = "mitigation"  # fmt: skip
    triggers: tuple[Trigger, ...] = pydantic.Field(default=(Trigger(by="incident"),), min_length=1)
    approval: Approval = Approval()
    deadline_min: int = pydantic.Field(default=24 * 60, ge=1, le=30 * 24 * 60)
    inputs: dict[InputName, Select] = pydantic.Field(default_factory=dict)
    steps: tuple[Step, ...] = pydantic.Field(min_length=1)
    cacao: dict[str, Any] | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("trigger"), str):
            if "triggers" in value:
                raise ValueError("`trigger` is short for `triggers`: give one of them")
            rest = {name: one for name, one in value.items() if name != "trigger"}
            return {**rest, "triggers": [{"by": value["trigger"]}]}
        return value

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: set[str] = set(self.inputs)
        taken = RESERVED & seen
        for step in self.walk():
            if step.id in seen:
                raise ValueError(f"{step.id!r} names two things (inputs and steps share their names)")
            seen.add(step.id)
            taken |= RESERVED & {step.id}
            asked = {name for one in (step.condition, step.loop) if one for name in one.inputs()}
            unknown = (asked | ({step.for_each} if step.for_each else set())) - set(self.inputs)
            if unknown:
                raise ValueError(f"step {step.id!r} asks for {', '.join(sorted(unknown))}: no such input")
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))}: what conditions call so already")
        return self

    @property
    def trigger(self) -> str:
        """What begins it, in words."""
        return ", ".join(dict.fromkeys(one.by for one in self.triggers))

    def walk(self) -> Iterator[Step]:
        """Yield every step in order."""
        for step in self.steps:
            yield from step.walk()
