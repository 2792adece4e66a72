"""From a playbook and an incident to a plan: real reads, planned writes, refusals shown.

What conditions need of a run (how a write ended, what a person answered) stays in the plan as a condition,
with the actions of every branch and every turn listed, so that whoever approves sees all that may be done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import Playbook, Step
from lemnis.contracts.errors import InputError, LemnisError
from lemnis.contracts.ids import Json, canonical
from lemnis.contracts.response import (
    Act,
    Choice,
    EffectClass,
    End,
    Loop,
    Node,
    Plan,
    PlannedAction,
    Together,
)
from lemnis.respond import building, deciding, records
from lemnis.respond.building import Building, Function, Scope
from lemnis.respond.client import Reach
from lemnis.respond.expressions import ExpressionError
from lemnis.respond.facts import Facts, Value, choose
from lemnis.respond.guards import Guards
from lemnis.respond.records import Planned

DEEPEST = 8
"""So many playbooks may call each other in a row."""
_TRUE = "true"


def plan(
    name: str,
    playbook: Playbook,
    facts: Facts,
    actions: Mapping[str, Action],
    reach: Reach,
    *,
    content_digest: str,
    guards: Guards,
    sleep: Callable[[float], None],
    given: Mapping[str, Sequence[str]] | None = None,
    playbooks: Mapping[str, Playbook] | None = None,
    functions: Mapping[str, Function] | None = None,
    policies: Mapping[str, str] | None = None,
) -> Planned:
    """Plan a playbook for an incident: targets are read, nothing is changed.

    What cannot or must not be done is in the plan, as an action with ``refused``. Raises InputError for
    inputs that do not fit or an action that there is not.
    """
    making = Building(facts, actions, reach, guards, sleep, playbooks or {}, functions or {}, policies or {})
    scope = _scope(playbook, facts, given or {}, within=(name,))
    program = _steps(making, scope, playbook.steps)
    names = {one.action for one in making.acts if one.action in actions}
    definitions = {action: actions[action] for action in sorted(names)}
    parts = {name: playbook, **{one.within[-1]: one.playbook for one in making.scopes.values()}}
    return Planned(
        plan=Plan(
            name, facts.incident_id, tuple(making.acts), records.made_of(parts, definitions), program,
            {
                **terms(playbook), "known": _needed(making, scope), "many": sorted(_many(making, scope)),
                **({"rego": {name: one.json() for name, one in making.rego.items()}} if making.rego else {}),
            },
        ),
        definitions=definitions,
        carry_on=frozenset(making.carry_on),
        mitigates=playbook.kind == "mitigation",
        given=given or {},
        trigger=facts.trigger,
        library=content_digest,
        taken=tuple(making.taken),
    )  # fmt: skip


def terms(playbook: Playbook) -> dict[str, Json]:
    """Return who may approve a playbook's plans, and its limits, as they are part of what is approved."""
    return {**playbook.approval.model_dump(mode="json"), "deadline_min": playbook.deadline_min}


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
    return {canonical(one.identity): one for one in acts}


def _scope(
    playbook: Playbook,
    facts: Facts,
    given: Mapping[str, Sequence[str]],
    *,
    within: tuple[str, ...],
    prefix: str = "",
    turn: int = 0,
) -> Scope:
    chosen = choose(playbook, facts, given)
    many = {name: one.many for name, one in playbook.inputs.items()}
    return Scope(playbook, chosen, deciding.known(facts, chosen, many), prefix, turn, within)


def _needed(making: Building, scope: Scope) -> dict[str, Json]:
    """Return the values that conditions of the run need, by scope: what was known when it was planned."""
    found: dict[str, Json] = {}
    for prefix, text in making.expressions:
        values = making.scopes[prefix].known if prefix else scope.known
        words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text))
        wanted = set(values) if words & set(making.rego) else words  # Rego may compute what it asks for
        kept = found.setdefault(prefix, {})
        if isinstance(kept, dict):
            kept |= {name: value for name, value in values.items() if name in wanted}
    return found


def _many(making: Building, scope: Scope) -> set[str]:
    """Return the steps of the run that are done for many values."""
    scopes = {"": scope, **making.scopes}
    return {
        prefix + name for prefix, one in scopes.items() for name, many in one.later.items() if many
    }  # fmt: skip


def _steps(making: Building, scope: Scope, steps: Sequence[Step]) -> tuple[Node, ...]:
    return tuple(node for step in steps for node in _step(making, scope, step))


def _step(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    """Plan a step; yield what of it is left to be done."""
    making.look()
    if step.on_failure == "continue":
        making.carry_on.add(scope.prefix + step.id)
    try:
        yield from _BY_KIND[step.kind](making, scope, step)
    except ExpressionError as error:
        one = _own(scope, step, records.CONDITION, refused=error.what)
        yield from _do(making, one)


def _do(making: Building, one: PlannedAction) -> Iterator[Node]:
    number = making.add(one)
    if number is not None:
        yield Act(number)


def _own(
    scope: Scope, step: Step, action: str, arguments: Mapping[str, Json] | None = None, **more: Any
) -> PlannedAction:
    """Make an action of Lemnis itself: it asks, collects or computes, and has no effect."""
    target = more.pop("target", scope.prefix + step.id)
    given = {"turn": scope.turn, "timeout_s": step.timeout_s or 0, **more}
    return PlannedAction(
        scope.prefix + step.id, action, target, EffectClass.READ, arguments or {}, **given
    )  # fmt: skip


def _action(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    items = _items(scope, step)
    acts = [building.act(making, scope, step, item) for item in items]
    many = step.for_each is not None
    if acts[0].effect is EffectClass.READ and step.at == "plan":
        read = [_value(one, many=many) for one in acts]
        scope.known[step.id] = read if many else read[0]
    else:
        scope.later[step.id] = many
    for one in acts:
        yield from _do(making, one)


def _value(one: PlannedAction, *, many: bool) -> dict[str, Any]:
    """Return what conditions see of an action that was done while planning."""
    value = {"outcome": "failed" if one.refused else "done", "error": one.refused, **one.before}
    return {**value, "item": one.item} if many else value


def _items(scope: Scope, step: Step) -> list[Value | None]:
    """Return what a step is done for: each value of its input, or once."""
    if step.for_each is None:
        return [None]
    chosen = scope.chosen[step.for_each]
    return [None] if chosen.problem or not chosen.values else list(chosen.values)


def _parallel(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    branches: list[tuple[Node, ...]] = []
    for inner in step.parallel or ():
        nodes = tuple(_step(making, scope, inner))
        apart = len({making.acts[one.number].step if isinstance(one, Act) else "" for one in nodes}) == 1
        if apart and all(isinstance(one, Act) for one in nodes):
            branches += [(one,) for one in nodes]  # one action for each of many values
        elif nodes:
            branches.append(nodes)
    if len(branches) > 1:
        yield Together(tuple(branches))
    else:
        yield from (node for branch in branches for node in branch)


def _if(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    if step.condition is None:
        return
    decided = deciding.decide(step.condition, scope, making)
    if isinstance(decided, bool):
        making.taken.append((scope.prefix + step.id, _TRUE if decided else "else"))
        _skip(scope, step.otherwise if decided else step.then)
        yield from _steps(making, scope, step.then if decided else step.otherwise)
        return
    making.expressions.append((scope.prefix, decided))
    then = _branch(making, scope, step.then)
    otherwise = _branch(making, scope, step.otherwise)
    yield Choice(scope.prefix + step.id, decided, {_TRUE: then}, otherwise)


def _switch(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    found, decided = deciding.text(step.switch or "", scope)
    if decided:
        taken = step.cases.get(found, step.default)
        making.taken.append((scope.prefix + step.id, found if found in step.cases else "else"))
        for steps in (*step.cases.values(), step.default):
            if steps is not taken:
                _skip(scope, steps)
        yield from _steps(making, scope, taken)
        return
    making.expressions.append((scope.prefix, found))
    cases = {name: _branch(making, scope, steps) for name, steps in step.cases.items()}
    yield Choice(scope.prefix + step.id, found, cases, _branch(making, scope, step.default))


def _while(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    """Plan every turn; one whose condition is known already is decided here."""
    if step.loop is None:
        return
    outer, turns, left = scope.turn, [], ""
    _expect(scope, step.do)
    try:
        for turn in range(1, step.max_turns + 1):
            scope.turn = turn
            decided = deciding.decide(step.loop, scope, making)
            if decided is False:
                break
            left = decided if isinstance(decided, str) else _TRUE
            turns.append(_branch(making, scope, step.do))
        else:
            scope.turn = step.max_turns + 1
            left = left if deciding.decide(step.loop, scope, making) is not False else ""
    finally:
        scope.turn = outer
    if not turns:
        _skip(scope, step.do)
        return
    made = isinstance(decided, str)
    making.expressions += [(scope.prefix, left)] if made else []
    if made or left:
        yield Loop(scope.prefix + step.id, left or _TRUE, tuple(turns), step.every_s)
    else:
        making.taken.append((scope.prefix + step.id, "do"))
        yield from (node for turn in turns for node in turn)


def _skip(scope: Scope, steps: Sequence[Step]) -> None:
    """Note that these steps are not done: conditions see that they were skipped."""
    for one in (inner for step in steps for inner in step.walk()):
        scope.later.pop(one.id, None)
        scope.known[one.id] = [] if one.for_each is not None else dict(records.SKIPPED)


def _expect(scope: Scope, steps: Sequence[Step]) -> None:
    """Note the steps of a loop that end when the plan runs: its condition may ask for them at once."""
    for one in (inner for step in steps for inner in step.walk()):
        if one.at == "run" or one.ask is not None or one.action is not None:
            scope.later.setdefault(one.id, one.for_each is not None)


def _branch(making: Building, scope: Scope, steps: Sequence[Step]) -> tuple[Node, ...]:
    """Plan steps that may not be done: what they do first, others still have to do."""
    seen = set(making.seen)
    try:
        return _steps(making, scope, steps)
    finally:
        making.seen = seen


def _playbook(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    name = str(step.playbook)
    if name not in making.playbooks:
        raise InputError(f"step {step.id!r}: there is no playbook {name}", fix="`lemnis playbook lint`")
    if name in scope.within or len(scope.within) >= DEEPEST:
        chain = " → ".join((*scope.within, name))
        raise InputError(f"step {step.id!r}: playbooks that call each other: {chain}")
    called = making.playbooks[name]
    given = {key: _texts(scope, making, step, key) for key in step.inputs}
    prefix = f"{scope.prefix}{step.id}/"
    inner = _scope(
        called, making.facts, given, within=(*scope.within, name), prefix=prefix, turn=scope.turn
    )  # fmt: skip
    making.scopes[prefix] = inner
    nodes = _steps(making, inner, called.steps)
    if step.on_failure == "continue":
        making.carry_on |= {one.step for one in making.acts if one.step.startswith(prefix)}
    yield from nodes


def _texts(scope: Scope, making: Building, step: Step, key: str) -> list[str]:
    """Return the values of a called playbook's input: one text, a list, or all of an input ``{name}``."""
    wanted = step.inputs[key]
    name = wanted[1:-1] if isinstance(wanted, str) else ""
    if name in scope.chosen and wanted == f"{{{name}}}":
        return [one.text for one in scope.chosen[name].values]
    found = building.filled(scope, making, replace_with(step, {key: wanted}), None)[key]
    return [str(one) for one in found] if isinstance(found, list | tuple) else [str(found)]


def replace_with(step: Step, inputs: Mapping[str, Any]) -> Step:
    """Return a step with these inputs alone."""
    return step.model_copy(update={"inputs": dict(inputs)})


def _python(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    name = str(step.python)
    one = _own(scope, step, records.PYTHON + name, late=step.at == "run")
    if name not in making.functions:
        raise InputError(f"step {step.id!r}: there is no function {name}", fix="install what registers it")
    try:
        arguments = building.filled(scope, making, step, None)
        one = replace(one, arguments=arguments)
        if not one.late:
            scope.outputs[(step.id, "")] = outputs = dict(making.functions[name](arguments))
            canonical(outputs)
            one = replace(one, before=outputs)
    except (LemnisError, ValueError, TypeError, LookupError) as error:
        one = replace(one, refused=getattr(error, "what", f"{name}: {error}"))
    if one.late:
        scope.later[step.id] = False
    else:
        scope.known[step.id] = _value(one, many=False)
    yield from _do(making, one)


def _evidence(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    events = step.evidence is not None and step.evidence.events
    asked: dict[str, Json] = {"alerts": list(making.facts.alert_ids), "events": events}
    scope.later[step.id] = False
    yield from _do(making, _own(scope, step, records.COLLECT, asked, target=making.facts.incident_id))


def _ask(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    if step.ask is None:
        return
    scope.later[step.id] = False
    asked = step.ask.model_dump(mode="json")
    one = _own(scope, step, records.ASK, asked, late=True)
    if step.cacao is None:  # an imported text is no template
        try:
            text = building.filled(scope, making, replace_with(step, {"text": step.ask.text}), None)["text"]
            one = replace(one, arguments={**asked, "text": str(text)})
        except InputError as error:
            one = replace(one, refused=error.what)
    yield from _do(making, one)


def _end(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    del making
    yield End(scope.prefix + step.id, str(step.end))


def _command(making: Building, scope: Scope, step: Step) -> Iterator[Node]:
    if step.command is not None:
        kind = step.command.type
        refused = f"no action stands for this {kind} command yet: {step.command.text[:80]}"
        yield from _do(making, _own(scope, step, f"cacao.{kind}", refused=refused))


_BY_KIND: Mapping[str, Callable[[Building, Scope, Step], Iterator[Node]]] = {
    "action": _action, "parallel": _parallel, "if": _if, "while": _while, "switch": _switch,
    "playbook": _playbook, "python": _python, "evidence": _evidence, "ask": _ask, "end": _end,
    "command": _command,
}  # fmt: skip
