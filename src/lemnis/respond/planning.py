"""From a playbook and an incident to a plan: real reads, planned writes, refusals shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import re2

from lemnis.content.schemas.action import Action, Input
from lemnis.content.schemas.playbook import Playbook, Step
from lemnis.contracts.errors import InputError, LemnisError, ServiceError
from lemnis.contracts.ids import Json, canonical
from lemnis.contracts.response import EffectClass, Plan, PlannedAction
from lemnis.respond import effects, records
from lemnis.respond.answers import PRESENT, UNKNOWN, extract
from lemnis.respond.client import Reach
from lemnis.respond.facts import Chosen, Facts, Value, choose, holds
from lemnis.respond.records import CONNECTION, Planned, Run
from lemnis.respond.template import fill, fill_text, render

Used = Callable[[str], set[str]]
"""Gives the targets that an action was begun on within the last hour."""
_LATER = {"effect.key": "", "run.id": "(the run)", "run.started": "(when the run starts)"}
_TYPES: Mapping[str, type] = {"string": str, "integer": int, "object": dict}


@dataclass(slots=True)
class _Building:
    """A plan being made."""

    name: str
    facts: Facts
    actions: Mapping[str, Action]
    reach: Reach
    used: Used
    sleep: Callable[[float], None]
    chosen: Mapping[str, Chosen]
    acts: list[PlannedAction] = field(default_factory=list)
    groups: list[tuple[int, ...]] = field(default_factory=list)
    carry_on: set[str] = field(default_factory=set)
    outputs: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    targets: dict[str, set[str]] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)


def plan(
    name: str,
    playbook: Playbook,
    facts: Facts,
    actions: Mapping[str, Action],
    reach: Reach,
    *,
    content_digest: str,
    used: Used,
    sleep: Callable[[float], None],
    given: Mapping[str, Sequence[str]] | None = None,
) -> Planned:
    """Plan a playbook for an incident: targets are read, nothing is changed.

    What cannot or must not be done is in the plan, as an action with ``refused``. Raises InputError for
    inputs that do not fit or an action that there is not.
    """
    chosen = choose(playbook, facts, given or {})
    making = _Building(name, facts, actions, reach, used, sleep, chosen)
    for step in playbook.steps:
        _step(making, step, None)
    names = {one.action for one in making.acts} & set(actions)
    return Planned(
        plan=Plan(name, facts.incident_id, tuple(making.acts), content_digest),
        groups=tuple(making.groups),
        definitions={action: actions[action] for action in sorted(names)},
        carry_on=frozenset(making.carry_on),
        mitigates=playbook.kind == "mitigation",
        expires_min=playbook.approval.expires_min,
        given=given or {},
    )


def plan_undo(
    run: Run, planned: Planned, reach: Reach, *, content_digest: str, sleep: Callable[[float], None]
) -> Planned:
    """Plan to take back what a run did, last first; what is not there any more is left out.

    What is refused (somebody has changed it since) does not keep the rest from being taken back.
    """
    acts: list[PlannedAction] = []
    results = {str(result["key"]): result for result in run.results}
    context = effects.Context(run.id, run.incident_id, run.started, "", planned)
    for one in reversed(planned.plan.actions):
        result = results.get(records.effect_key(run.id, one))
        if result is None or not _ours(run, one, result):
            continue
        known = effects.values(context, one, str(result["key"]))
        of_run = {"@effect": known["effect.key"], "@run": run.id, "@started": known["run.started"]}
        back = PlannedAction(
            one.step, one.action + records.UNDO, one.target, one.effect, {**one.arguments, **of_run}
        )
        before, refused = _before(planned.definition(one), back, known, reach, sleep)
        if before.get("state") == PRESENT or refused:
            acts.append(_with(back, before=before, refused=refused))
    names = {one.action.removesuffix(records.UNDO) for one in acts}
    return Planned(
        plan=Plan(planned.plan.playbook, run.incident_id, tuple(acts), content_digest),
        groups=tuple((number,) for number in range(len(acts))),
        definitions={name: planned.definitions[name] for name in sorted(names)},
        carry_on=frozenset(one.step for one in acts if one.refused),
        expires_min=planned.expires_min,
        undoes=run.id,
    )


def _ours(run: Run, one: PlannedAction, result: Mapping[str, Any]) -> bool:
    """Say whether an effect is this run's to take back: it is, or it was begun and its end is not known."""
    unclear = result["key"] in run.begun and result["outcome"] not in {"done", "already"}
    back = one.effect is EffectClass.REVERSIBLE and not one.action.endswith(records.UNDO)
    return back and (bool(result["ours"]) or unclear)


def differences(old: Planned, new: Planned) -> list[str]:
    """Say what is planned now that was not, or is no longer, or finds the world otherwise."""
    before, now = (_by_identity(one.plan.actions) for one in (old, new))
    said = [f"no longer planned: {one.action} {one.target}" for key, one in before.items() if key not in now]
    said += [f"planned now: {one.action} {one.target}" for key, one in now.items() if key not in before]
    for key in before.keys() & now.keys():
        was, found = before[key], now[key]
        if was.refused != found.refused:
            said.append(f"{was.action} {was.target}: {found.refused or 'is no longer refused'}")
        elif canonical(dict(was.before)) != canonical(dict(found.before)):
            said.append(f"{was.action} {was.target}: the target is not as it was")
    if not said and old.plan.digest != new.plan.digest:
        said.append("the content is not what it was")
    return sorted(said)


def _by_identity(acts: Sequence[PlannedAction]) -> dict[bytes, PlannedAction]:
    return {canonical([one.step, one.action, one.target, dict(one.arguments)]): one for one in acts}


def _step(making: _Building, step: Step, group: list[int] | None) -> None:
    """Plan a step; in ``parallel`` its actions go into the group that is open."""
    if step.on_failure == "continue":
        making.carry_on.add(step.id)
    if step.condition is not None:
        branch = step.then if holds(step.condition, making.chosen, making.facts.severity) else step.otherwise
        for inner in branch:
            _step(making, inner, group)
    elif step.parallel is not None:
        together: list[int] = []
        for inner in step.parallel:
            _step(making, inner, together)
        if together:
            making.groups.append(tuple(together))
    elif step.evidence is not None:
        asked: dict[str, Json] = {"alerts": list(making.facts.alert_ids), "events": step.evidence.events}
        _add(
            making,
            PlannedAction(step.id, records.COLLECT, making.facts.incident_id, EffectClass.READ, asked),
            group,
        )
    else:
        for item in _items(making, step):
            _add(making, _action(making, step, item), group)


def _items(making: _Building, step: Step) -> Iterator[Value | None]:
    """Yield what a step is done for: each value of its input, or once."""
    if step.for_each is None:
        yield None
        return
    chosen = making.chosen[step.for_each]
    if chosen.problem or not chosen.values:
        yield None
        return
    yield from chosen.values


def _add(making: _Building, one: PlannedAction, group: list[int] | None) -> None:
    """Add an action, unless the very same is in the plan already."""
    identity = canonical([one.action, one.target, dict(one.arguments), one.refused])
    if identity in making.seen:
        return
    making.seen.add(identity)
    making.acts.append(one)
    number = len(making.acts) - 1
    if group is None:
        making.groups.append((number,))
    else:
        group.append(number)


def _action(making: _Building, step: Step, item: Value | None) -> PlannedAction:
    """Plan one action for one item."""
    name = str(step.action)
    if name not in making.actions:
        raise InputError(f"step {step.id!r}: there is no action {name}", fix="`lemnis playbook lint`")
    action = making.actions[name]
    effect = EffectClass(action.effect)
    try:
        arguments = _arguments(making, step, action, item)
        target = fill_text(action.target, arguments)
    except InputError as error:
        return PlannedAction(step.id, name, "?", effect, {}, refused=error.what)
    try:
        arguments[CONNECTION] = f"{action.connection} {making.reach(action.connection).url}"
    except LemnisError as error:
        return PlannedAction(step.id, name, target, effect, arguments, refused=error.what)
    one = PlannedAction(step.id, name, target, effect, arguments)
    known = {**arguments, **effects.steady(making.facts.incident_id, one)}
    refused = _forbidden(making, action, one)
    if refused:
        return _with(one, refused=refused)
    if effect is EffectClass.READ:
        return _read(making, action, one, known, (step.id, item.text if item else ""))
    before, refused = _before(action, one, known, making.reach, making.sleep)
    return _with(one, before=before, refused=refused, undo=_undo(action, known))


def _arguments(making: _Building, step: Step, action: Action, item: Value | None) -> dict[str, Any]:
    """Fill a step's ``with`` and check it against the action's inputs."""
    if step.for_each is not None and item is None:
        raise InputError(making.chosen[step.for_each].problem or f"there is no {step.for_each}")
    known = _known(making, step, item)
    arguments: dict[str, Any] = {}
    for name, template in step.inputs.items():
        try:
            arguments[name] = fill(template, known)
        except InputError as error:
            wanted = error.what.removeprefix("there is no ").partition(".")[0]
            problem = making.chosen[wanted].problem if wanted in making.chosen else ""
            raise InputError(problem or error.what) from error
    different = set(action.inputs) ^ set(arguments)
    if different:
        raise InputError(f"inputs do not fit: {', '.join(sorted(different))}")
    for name, value in arguments.items():
        problem = unfit(action.inputs[name], value)
        if problem:
            raise InputError(f"{name}: {problem}")
    return arguments


def _known(making: _Building, step: Step, item: Value | None) -> dict[str, Any]:
    """Return what a step's templates may use: single inputs, the item, outputs of what was read for it."""
    known: dict[str, Any] = {"incident.id": making.facts.incident_id}
    for name, chosen in making.chosen.items():
        if len(chosen.values) == 1 and not chosen.problem:
            known |= chosen.values[0].names(name)
    if item is not None and step.for_each is not None:
        known |= item.names(step.for_each)
    for (other, text), outputs in making.outputs.items():
        if text in {"", item.text if item else ""}:
            known |= {f"{other}.{key}": value for key, value in outputs.items()}
    return known


def unfit(wanted: Input, value: Any) -> str:
    """Say why a value does not fit an input; empty if it does."""
    if not isinstance(value, _TYPES[wanted.type]) or isinstance(value, bool):
        return f"{value!r} is no {wanted.type}"
    if isinstance(value, str) and not re2.fullmatch(wanted.pattern, value):
        return f"{value!r} does not match {wanted.pattern}"
    return ""


def _forbidden(making: _Building, action: Action, one: PlannedAction) -> str:
    """Say why a target must not be touched: it is protected, or a cap is reached."""
    if one.effect is EffectClass.READ:
        return ""
    protected = next((glob for glob in action.never if fnmatchcase(one.target, glob)), "")
    if protected:
        return f"{one.target} is protected ({protected})"
    targets = making.targets.setdefault(one.action, set())
    if one.target not in targets and len(targets) >= action.caps.targets_per_run:
        number, cap = len(targets) + 1, action.caps.targets_per_run
        return f"{one.target} would be target {number}, and a run's cap is {cap}"
    problem = effects.over(action, {*making.used(one.action), *targets, one.target}, one.target)
    if not problem:
        targets.add(one.target)
    return problem


def _read(
    making: _Building, action: Action, one: PlannedAction, known: Mapping[str, Any], place: tuple[str, str]
) -> PlannedAction:
    """Do a reading action; its outputs are for later steps."""
    if action.read is None:
        return _with(one, refused="the action has nothing to read")
    try:
        request = render(action.read.request, known)
        answer = making.reach(action.connection).send(
            request, timeout=action.timeout_s, service=action.aws_service
        )
        if answer.status not in action.read.expect:
            return _with(one, refused=f"{request.line} answered {answer.status} {answer.text()}")
        outputs = extract(action.outputs, answer)
    except (ServiceError, InputError) as error:
        return _with(one, refused=error.what)
    making.outputs[place] = outputs
    return _with(one, before=outputs)


def _before(
    action: Action, one: PlannedAction, known: Mapping[str, Any], reach: Reach, sleep: Callable[[float], None]
) -> tuple[dict[str, Json], str]:
    """Look at a target: what state it is in, and why nothing may be done if that is so."""
    try:
        state = effects.probe(action, effects.reach(reach, one), known, sleep)
    except LemnisError as error:
        return {}, error.what
    if state.name == UNKNOWN:
        return {"state": UNKNOWN}, f"the target is in a state that the action does not know: {state.said}"
    undoing = one.action.endswith(records.UNDO)
    if undoing and state.name == PRESENT and not state.ours and action.probe and action.probe.ours:
        return {"state": PRESENT}, "what is there now is not what that run made"
    return {"state": state.name}, ""


def _undo(action: Action, known: Mapping[str, Any]) -> str:
    if action.undo is None:
        return ""
    try:
        return render(action.undo.request, {**_LATER, **known}).line
    except InputError as error:
        return f"(cannot be shown: {error.what})"


def _with(
    one: PlannedAction,
    *,
    before: Mapping[str, Json] | None = None,
    refused: str = "",
    undo: str = "",
) -> PlannedAction:
    return PlannedAction(
        one.step, one.action, one.target, one.effect, one.arguments, undo or one.undo,
        before if before is not None else one.before, refused or one.refused,
    )  # fmt: skip
