"""One action of a plan: filled in, checked against every guard, its target looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import re2

from lemnis.content.schemas.action import Action, Input
from lemnis.content.schemas.playbook import Playbook, Step
from lemnis.contracts.alerts import Entity
from lemnis.contracts.errors import InputError, LemnisError, ServiceError
from lemnis.contracts.ids import Json, canonical
from lemnis.contracts.response import EffectClass, PlannedAction
from lemnis.respond import effects, records
from lemnis.respond.answers import ABSENT, PRESENT, UNKNOWN, accepted, extract
from lemnis.respond.client import Reach
from lemnis.respond.facts import Chosen, Facts, Value
from lemnis.respond.guards import Guards, leaves
from lemnis.respond.probing import probe
from lemnis.respond.records import CONNECTION
from lemnis.respond.rego import Question
from lemnis.respond.template import fill, fill_text, render

MOST, MOST_STEPS = 1000, 5_000
"""Actions that a plan may have, and steps that are looked at for it, each turn and each call by itself."""
Function = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A Python step: arguments to outputs, both JSON. Raises LemnisError or ValueError where it cannot."""
_LATER = {"effect.key": "", "run.id": "(the run)", "run.started": "(when the run starts)"}
_TYPES: Mapping[str, type] = {"string": str, "integer": int, "object": dict}


@dataclass(slots=True)
class Building:
    """A plan being made, with all that its actions are made from.

    ``expressions`` are the conditions that are left for the run, each with its scope's prefix; ``scopes`` are
    those of called playbooks. ``rego`` are the questions that stand in expressions by their names,
    ``policies`` the texts of those that conditions may name.
    """

    facts: Facts
    actions: Mapping[str, Action]
    reach: Reach
    guards: Guards
    sleep: Callable[[float], None]
    playbooks: Mapping[str, Playbook] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    acts: list[PlannedAction] = field(default_factory=list)
    carry_on: set[str] = field(default_factory=set)
    targets: dict[str, set[str]] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    expressions: list[tuple[str, str]] = field(default_factory=list)
    scopes: dict[str, Scope] = field(default_factory=dict)
    taken: list[tuple[str, str]] = field(default_factory=list)
    rego: dict[str, Question] = field(default_factory=dict)
    looked: int = 0

    def look(self) -> None:
        """Count a step that is looked at; raises InputError when turns and calls multiply to too many."""
        self.looked += 1
        if self.looked > MOST_STEPS:
            raise InputError(
                f"the plan would have more than {MOST_STEPS:,} steps in all turns and called playbooks",
                fix="fewer turns within turns, fewer calls",
            )

    def add(self, one: PlannedAction) -> int | None:
        """Add an action; return its place, None if the very same is done before it in any case."""
        turn = one.turn if one.late or one.effect is not EffectClass.READ else 0
        identity = canonical([one.action, one.target, dict(one.arguments), one.refused, turn])
        if identity in self.seen:
            return None
        self.seen.add(identity)
        if len(self.acts) >= MOST:
            raise InputError(f"the plan would have more than {MOST} actions", fix="give it fewer values")
        self.acts.append(one)
        return len(self.acts) - 1


@dataclass(slots=True)
class Scope:
    """Where a step stands: in which playbook (called under ``prefix``), with which inputs, in which turn.

    ``known`` are values that conditions may use while planning; ``later`` the steps that end when the plan
    runs, and whether each is done for many values. ``outputs`` are those of reading steps, by step and item.
    """

    playbook: Playbook
    chosen: Mapping[str, Chosen]
    known: dict[str, Any]
    prefix: str = ""
    turn: int = 0
    within: tuple[str, ...] = ()
    later: dict[str, bool] = field(default_factory=dict)
    outputs: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)


def act(making: Building, scope: Scope, step: Step, item: Value | None) -> PlannedAction:
    """Plan one action for one item; what may not or cannot be done is refused in what is returned."""
    name = str(step.action)
    if name not in making.actions:
        raise InputError(f"step {step.id!r}: there is no action {name}", fix="`lemnis playbook lint`")
    action = making.actions[name]
    one = PlannedAction(
        scope.prefix + step.id, name, "?", EffectClass(action.effect), {}, item=item.text if item else "",
        turn=scope.turn, late=step.at == "run", ttl_min=step.ttl_min or 0, timeout_s=step.timeout_s or 0,
    )  # fmt: skip
    try:
        arguments = _arguments(scope, making, step, action, item)
        one = replace(one, arguments=arguments, target=fill_text(action.target, arguments))
        touches = tuple(
            str(Entity(kind, fill_text(text, arguments))) for kind, text in action.touches.items()
        )
        one = replace(one, touches=touches)
    except InputError as error:
        return replace(one, arguments={}, refused=error.what)
    try:
        url = making.reach(action.connection).url
    except LemnisError as error:
        return replace(one, refused=error.what)
    one = replace(one, arguments={**arguments, CONNECTION: f"{action.connection} {url}"})
    known = {**one.arguments, **effects.steady(making.facts.incident_id, one)}
    refused = leaves(action, url) or _forbidden(making, action, one)
    if step.ttl_min and action.undo is None:
        refused = refused or f"{name} cannot be taken back, so it cannot end after {step.ttl_min} minutes"
    if refused:
        return replace(one, refused=refused)
    if one.effect is EffectClass.READ:
        return one if one.late else _read(making, scope, step, one, known)
    before, refused = look(action, one, known, making.reach, making.sleep)
    return replace(one, before=before, refused=refused, undo=_undo(action, {**known, **before}))


def _read(
    making: Building, scope: Scope, step: Step, one: PlannedAction, known: Mapping[str, Any]
) -> PlannedAction:
    """Do a reading action; its outputs are for later steps."""
    try:
        outputs = ask(making.actions[one.action], making.reach, known)
    except (ServiceError, InputError) as error:
        return replace(one, refused=error.what)
    scope.outputs[(step.id, one.item)] = outputs
    return replace(one, before=outputs)


def ask(action: Action, reach: Reach, known: Mapping[str, Any]) -> dict[str, Any]:
    """Make a reading action's request and return its outputs; raises ServiceError, InputError."""
    if action.read is None:
        raise InputError("the action has nothing to read")
    request = render(action.read.request, known)
    answer = reach(action.connection).send(request, timeout=action.timeout_s, service=action.aws_service)
    if not accepted(action.read, answer, known):
        raise ServiceError(f"{request.line} answered {answer.status} {answer.text()}")
    return extract(action.outputs, answer)


def look(
    action: Action, one: PlannedAction, known: Mapping[str, Any], reach: Reach, sleep: Callable[[float], None]
) -> tuple[dict[str, Json], str]:
    """Look at a target: what state it is in, and why nothing may be done if that is so."""
    undoing = one.action.endswith(records.UNDO)
    try:
        caller = effects.reach(reach, one)
        if action.blind:
            return {"state": PRESENT if undoing else "cannot be asked"}, ""
        state = probe(action, caller, known, sleep)
    except LemnisError as error:
        return {}, error.what
    if state.name == UNKNOWN:
        return {"state": UNKNOWN}, f"the target is in a state that the action does not know: {state.said}"
    if undoing and state.name == PRESENT and not state.ours and action.probe and action.probe.ours:
        return {"state": PRESENT}, "what is there now is not what that run made"
    return {"state": state.name, **(state.kept if state.name == ABSENT else {})}, ""


def unfit(wanted: Input, value: Any) -> str:
    """Say why a value does not fit an input; empty if it does."""
    if not isinstance(value, _TYPES[wanted.type]) or isinstance(value, bool):
        return f"{value!r} is no {wanted.type}"
    if isinstance(value, str) and not re2.fullmatch(wanted.pattern, value):
        return f"{value!r} does not match {wanted.pattern}"
    return ""


def filled(scope: Scope, making: Building, step: Step, item: Value | None) -> dict[str, Any]:
    """Fill a step's ``with``; raises InputError naming what is missing."""
    if step.for_each is not None and item is None:
        raise InputError(scope.chosen[step.for_each].problem or f"there is no {step.for_each}")
    known = _known(scope, making, step, item)
    arguments: dict[str, Any] = {}
    for name, template in step.inputs.items():
        try:
            arguments[name] = fill(template, known)
        except InputError as error:
            wanted = error.what.removeprefix("there is no ").partition(".")[0]
            problem = scope.chosen[wanted].problem if wanted in scope.chosen else ""
            raise InputError(problem or error.what) from error
    return arguments


def _arguments(
    scope: Scope, making: Building, step: Step, action: Action, item: Value | None
) -> dict[str, Any]:
    """Fill a step's ``with`` and check it against the action's inputs."""
    arguments = filled(scope, making, step, item)
    different = set(action.inputs) ^ set(arguments)
    if different:
        raise InputError(f"inputs do not fit: {', '.join(sorted(different))}")
    for name, value in arguments.items():
        problem = unfit(action.inputs[name], value)
        if problem:
            raise InputError(f"{name}: {problem}")
    return arguments


def _known(scope: Scope, making: Building, step: Step, item: Value | None) -> dict[str, Any]:
    """Return what a step's templates may use: single inputs, the item, outputs of what was read for it."""
    known: dict[str, Any] = {"incident.id": making.facts.incident_id}
    for name, chosen in scope.chosen.items():
        if len(chosen.values) == 1 and not chosen.problem:
            known |= chosen.values[0].names(name)
    if item is not None and step.for_each is not None:
        known |= item.names(step.for_each)
    for (other, text), outputs in scope.outputs.items():
        if text in {"", item.text if item else ""}:
            known |= {f"{other}.{key}": value for key, value in outputs.items()}
    return known


def _forbidden(making: Building, action: Action, one: PlannedAction) -> str:
    """Say why a target must not be touched: it is protected, or a cap is reached."""
    if one.effect is EffectClass.READ:
        return ""
    targets = making.targets.setdefault(one.action, set())
    problem = making.guards.forbids(action, one, targets)
    if not problem and one.target not in targets and len(targets) >= action.caps.targets_per_run:
        number, cap = len(targets) + 1, action.caps.targets_per_run
        problem = f"{one.target} would be target {number}, and a run's cap is {cap}"
    if not problem:
        targets.add(one.target)
    return problem


def _undo(action: Action, known: Mapping[str, Any]) -> str:
    if action.undo is None:
        return ""
    later = {f"found.{name}": f"({name})" for name in (action.probe.found if action.probe else ())}
    try:
        return render(action.undo.request, {**_LATER, **later, **known}).line
    except InputError as error:
        return f"(cannot be shown: {error.what})"
