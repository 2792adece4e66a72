"""Finds what is wrong in a playbook before an incident does. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lemnis.content.schemas.action import PLACE, Action
from lemnis.content.schemas.playbook import RESERVED, Condition, Playbook, Step
from lemnis.respond import expressions
from lemnis.respond.expressions import ExpressionError

Path = tuple[str | int, ...]
_CONTEXT = frozenset({"incident.id"})


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong, and the keys that lead there in the file."""

    path: Path
    what: str


@dataclass(slots=True)
class _Lint:
    playbook: Playbook
    actions: Mapping[str, Action]
    playbooks: Mapping[str, Playbook]
    functions: frozenset[str]
    reads: dict[str, Step] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


def lint(
    name: str,
    playbook: Playbook,
    actions: Mapping[str, Action],
    playbooks: Mapping[str, Playbook],
    functions: frozenset[str] = frozenset(),
) -> Iterator[Wrong]:
    """Yield what is wrong: what is named and is not there, inputs that do not fit, conditions, cycles."""
    looking = _Lint(playbook, actions, playbooks, functions)
    looking.names = {*RESERVED, *playbook.inputs}
    yield from _steps(looking, playbook.steps, ("steps",))
    yield from _cycles(name, playbook, playbooks)
    yield from _triggers(playbook)
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
        yield from (Wrong((*here, *one.path), f"step {step.id}: {one.what}") for one in _one(looking, step))
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
    for name in sorted(set(_places(step.inputs))):
        problem = _unknown(looking, name, step)
        if problem:
            yield Wrong(("with", _holder(step, name)), problem)
    reads = step.action in looking.actions and looking.actions[str(step.action)].effect == "read"
    if (reads or step.python is not None) and step.at == "plan":
        looking.reads[step.id] = step


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
    for text in condition.expressions() if condition else ():
        yield from _expression(looking, (key,), text, gives=expressions.BOOL)


def _expression(looking: _Lint, path: Path, text: str, *, gives: str) -> Iterator[Wrong]:
    try:
        expressions.check(text, looking.names, gives=gives)
    except ExpressionError as error:
        yield Wrong(path, error.what)


def _triggers(playbook: Playbook) -> Iterator[Wrong]:
    for number, trigger in enumerate(playbook.triggers):
        if trigger.condition is not None:
            try:
                expressions.check(trigger.condition, {"severity", "incident", "entities", "trigger"})
            except ExpressionError as error:
                yield Wrong(("triggers", number, "if"), error.what)
        unknown = sorted(set(trigger.given) - set(playbook.inputs))
        yield from (Wrong(("triggers", number, "given", name), f"no input {name}") for name in unknown)


def _cycles(name: str, playbook: Playbook, playbooks: Mapping[str, Playbook]) -> Iterator[Wrong]:
    """Yield the steps by which a playbook comes to call itself."""
    for path, step in steps(playbook):
        if step.playbook is None:
            continue
        chain = _chain(str(step.playbook), (name,), playbooks)
        if chain:
            yield Wrong(
                (*path, "playbook"), f"step {step.id}: playbooks that call each other: {' → '.join(chain)}"
            )


def _chain(name: str, within: tuple[str, ...], playbooks: Mapping[str, Playbook]) -> tuple[str, ...]:
    if name in within:
        return (*within, name)
    called = playbooks.get(name)
    for step in called.walk() if called else ():
        if step.playbook is not None:
            found = _chain(step.playbook, (*within, name), playbooks)
            if found:
                return found
    return ()


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
