"""Finds what is wrong in a playbook before an incident does. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lemnis.content.schemas.action import PLACE, Action
from lemnis.content.schemas.playbook import RESERVED, Condition, Playbook, Step
from lemnis.contracts.errors import InputError
from lemnis.respond import deciding, expressions, rego
from lemnis.respond.expressions import ExpressionError

Path = tuple[str | int, ...]
_CONTEXT = frozenset({"incident.id"})


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong, and the keys that lead there in the file; ``line`` is one of the text that is there."""

    path: Path
    what: str
    line: int = 0


@dataclass(slots=True)
class _Lint:
    playbook: Playbook
    actions: Mapping[str, Action]
    playbooks: Mapping[str, Playbook]
    functions: frozenset[str]
    policies: Mapping[str, str]
    reads: dict[str, Step] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


def lint(
    name: str,
    playbook: Playbook,
    actions: Mapping[str, Action],
    playbooks: Mapping[str, Playbook],
    functions: frozenset[str] = frozenset(),
    *,
    policies: Mapping[str, str] | None = None,
) -> Iterator[Wrong]:
    """Yield what is wrong: what is named and is not there, inputs that do not fit, conditions, cycles."""
    looking = _Lint(playbook, actions, playbooks, functions, policies or {})
    looking.names = {*RESERVED, *playbook.inputs}
    yield from _steps(looking, playbook.steps, ("steps",))
    yield from _cycles(name, playbook, playbooks)
    yield from _triggers(looking)
    if playbook.approval.on_timeout == "run":
        final = [
            step.id
            for step in playbook.walk()
            if step.action in actions and actions[str(step.action)].effect == "irreversible"
        ]
        if final:
            said = f"`on_timeout: run` is only for what can be undone; {', '.join(final)} cannot"
            yield Wrong(("approval", "on_timeout"), said)


def steps(playbook: Playbook) -> Iterator[tuple[Path, Step]]:
    """Yield every step with the keys that lead to it."""
    yield from _walk(playbook.steps, ("steps",))


def _walk(found: Sequence[Step], path: Path) -> Iterator[tuple[Path, Step]]:
    for number, step in enumerate(found):
        here = (*path, number)
        yield here, step
        for block, inner in step.blocks().items():
            yield from _walk(inner, (*here, *_block(block)))


def _block(name: str) -> Path:
    return ("cases", name.removeprefix("case ")) if name.startswith("case ") else (name,)


def _steps(looking: _Lint, found: Sequence[Step], path: Path) -> Iterator[Wrong]:
    for number, step in enumerate(found):
        here = (*path, number)
        if step.loop is not None:  # its condition may ask for what is done in it
            looking.names |= {inner.id for inner in step.walk()}
        for one in _one(looking, step):
            yield Wrong((*here, *one.path), f"step {step.id}: {one.what}", one.line)
        for block, inner in step.blocks().items():
            yield from _steps(looking, inner, (*here, *_block(block)))
        looking.names.add(step.id)


def _one(looking: _Lint, step: Step) -> Iterator[Wrong]:
    """Yield what is wrong in a step, not in those within it."""
    for key, condition in (("if", step.condition), ("while", step.loop)):
        yield from _condition(looking, key, condition)
    if step.switch is not None:
        yield from _expression(looking, ("switch",), step.switch, gives=expressions.TEXT)
    if step.action is not None:
        yield from _action(looking, step)
    elif step.playbook is not None:
        yield from _called(looking, step)
    elif step.python is not None and step.python not in looking.functions:
        yield Wrong(("python",), f"no package registers a function {step.python}")
    if step.command is not None:
        yield Wrong(("command",), f"no action stands for this {step.command.type} command yet")
    yield from _texts(looking, step)
    reads = step.action in looking.actions and looking.actions[str(step.action)].effect == "read"
    if (reads or step.python is not None) and step.at == "plan":
        looking.reads[step.id] = step


def _texts(looking: _Lint, step: Step) -> Iterator[Wrong]:
    """Yield the places of a step's texts that nothing fills."""
    asks = step.ask.text if step.ask is not None and step.cacao is None else ""
    for where, texts in ((("ask", "text"), asks), (("with",), step.inputs)):
        for name in sorted(set(_places(texts))):
            problem = _unknown(looking, name, step)
            if problem:
                yield Wrong(where if asks else (*where, _holder(step, name)), problem)


def _holder(step: Step, name: str) -> str:
    """Return the key of ``with`` in which a name stands."""
    return next(key for key, value in step.inputs.items() if name in set(_places(value)))


def _action(looking: _Lint, step: Step) -> Iterator[Wrong]:
    action = looking.actions.get(str(step.action))
    if action is None:
        yield Wrong(("action",), f"there is no action {step.action}")
        return
    missing, extra = set(action.inputs) - set(step.inputs), set(step.inputs) - set(action.inputs)
    yield from (Wrong(("action",), f"{step.action} needs {name}") for name in sorted(missing))
    yield from (Wrong(("with", name), f"{step.action} takes no {name}") for name in sorted(extra))
    if step.ttl_min and action.undo is None:
        yield Wrong(("ttl_min",), f"{step.action} cannot be taken back")
    if step.at == "run" and action.effect != "read":
        yield Wrong(("at",), f"{step.action} has an effect: only what reads can wait for the run")


def _called(looking: _Lint, step: Step) -> Iterator[Wrong]:
    called = looking.playbooks.get(str(step.playbook))
    if called is None:
        yield Wrong(("playbook",), f"there is no playbook {step.playbook}")
        return
    extra = sorted(set(step.inputs) - set(called.inputs))
    yield from (Wrong(("with", name), f"{step.playbook} takes no {name}") for name in extra)


def _condition(looking: _Lint, key: str, condition: Condition | None) -> Iterator[Wrong]:
    for path, part in condition.places((key,)) if condition else ():
        if part.cel is not None:
            yield from _expression(looking, path, part.cel, gives=expressions.BOOL)
        shape = rego.shape(looking.playbook, looking.names, looking.actions)
        yield from _question(part, path, looking.policies, looking.playbook.inputs, shape)


def _question(
    part: Condition,
    path: Path,
    policies: Mapping[str, str],
    inputs: Collection[str],
    shape: Mapping[str, Any],
) -> Iterator[Wrong]:
    """Yield what is wrong with a condition in Rego, if it is one."""
    if part.rego is None and part.policy is None:
        return
    key = "rego" if part.rego is not None else "policy"
    try:
        rego.check(deciding.asked(part, policies, inputs), shape)
    except InputError as error:
        line = error.at.line or 0 if error.at is not None else 0
        said = f"{error.what} ({error.fix})" if error.fix else error.what
        yield Wrong((*path, key), said if key == "rego" else f"policy {part.policy}: {said}", line)


def _expression(looking: _Lint, path: Path, text: str, *, gives: str) -> Iterator[Wrong]:
    try:
        expressions.check(text, looking.names, gives=gives)
    except ExpressionError as error:
        yield Wrong(path, error.what)


def _triggers(looking: _Lint) -> Iterator[Wrong]:
    shape = rego.shape(None, (), {})
    for number, trigger in enumerate(looking.playbook.triggers):
        here: Path = ("triggers", number, "if")
        for path, part in trigger.condition.places(here) if trigger.condition else ():
            if part.cel is not None:
                try:
                    expressions.check(part.cel, {"severity", "incident", "entities", "trigger"})
                except ExpressionError as error:
                    yield Wrong(path, error.what)
            yield from _question(part, path, looking.policies, (), shape)
        unknown = sorted(set(trigger.given) - set(looking.playbook.inputs))
        yield from (Wrong(("triggers", number, "given", name), f"no input {name}") for name in unknown)


def _cycles(name: str, playbook: Playbook, playbooks: Mapping[str, Playbook]) -> Iterator[Wrong]:
    """Yield the steps by which a playbook comes to call itself."""
    calls = {one: [step.playbook for step in book.walk() if step.playbook] for one, book in playbooks.items()}
    for path, step in steps(playbook):
        if step.playbook is None:
            continue
        chain = _chain(str(step.playbook), name, calls)
        if chain:
            yield Wrong(
                (*path, "playbook"), f"step {step.id}: playbooks that call each other: {' → '.join(chain)}"
            )


def _chain(first: str, name: str, calls: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a way from a playbook over its call of ``first`` to one that is on it; each is seen once."""
    way: list[str] = [name]
    over: set[str] = set()

    def follow(one: str) -> bool:
        if one in way:
            way.append(one)
            return True
        if one in over or len(way) > len(calls) + 1:
            return False
        way.append(one)
        if any(follow(called) for called in calls.get(one, ())):
            return True
        over.add(way.pop())
        return False

    return tuple(way) if follow(first) else ()


def _unknown(looking: _Lint, name: str, step: Step) -> str:
    """Say why nothing gives a name in a step; empty if something does."""
    head, _, tail = name.partition(".")
    if name in _CONTEXT:
        return ""
    if head in looking.playbook.inputs:
        return _unknown_input(looking.playbook, head, tail, step)
    if head in looking.reads:
        return _unknown_output(looking, looking.reads[head], tail, step)
    if head in looking.names:
        return f"{{{name}}} is only known when the plan runs: what is done with it must be known before"
    return f"nothing gives {{{name}}}"


def _unknown_output(looking: _Lint, read: Step, tail: str, step: Step) -> str:
    if read.python is not None:
        return ""
    outputs = looking.actions[str(read.action)].outputs
    if tail not in outputs:
        return f"step {read.id} has no output {tail}"
    return "" if read.for_each in {None, step.for_each} else f"step {read.id} has another for_each"


def _unknown_input(playbook: Playbook, head: str, tail: str, step: Step) -> str:
    select = playbook.inputs[head]
    if tail and tail not in select.groups:
        return f"input {head} has no group {tail}"
    if select.many and step.for_each != head and step.playbook is None:
        return f"input {head} may have many values: use `for_each: {head}`"
    return ""


def _places(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _places(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _places(item)
    elif isinstance(value, str):
        yield from (found[1] for found in PLACE.finditer(value) if found[1])
