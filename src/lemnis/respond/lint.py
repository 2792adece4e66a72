"""Finds what is wrong in a playbook before an incident does. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lemnis.content.schemas.action import PLACE, Action
from lemnis.content.schemas.playbook import Playbook, Step

_CONTEXT = frozenset({"incident.id"})


def lint(playbook: Playbook, actions: Mapping[str, Action]) -> list[str]:
    """Return what is wrong: actions that there are not, inputs that do not fit, names that nothing gives."""
    said: list[str] = []
    reads: dict[str, Step] = {}
    for step in playbook.walk():
        if step.action is None:
            continue
        action = actions.get(step.action)
        if action is None:
            said.append(f"step {step.id}: there is no action {step.action}")
            continue
        missing, extra = set(action.inputs) - set(step.inputs), set(step.inputs) - set(action.inputs)
        said += [f"step {step.id}: {step.action} needs {name}" for name in sorted(missing)]
        said += [f"step {step.id}: {step.action} takes no {name}" for name in sorted(extra)]
        said += [
            f"step {step.id}: {problem}"
            for name in sorted(set(_places(step.inputs)))
            if (problem := _unknown(name, step, playbook, reads, actions))
        ]
        if action.effect == "read":
            reads[step.id] = step
    return said


def _unknown(
    name: str, step: Step, playbook: Playbook, reads: Mapping[str, Step], actions: Mapping[str, Action]
) -> str:
    """Say why nothing gives a name in a step; empty if something does."""
    head, _, tail = name.partition(".")
    if name in _CONTEXT:
        return ""
    if head in playbook.inputs:
        return _unknown_input(head, tail, step, playbook)
    if head in reads:
        read = reads[head]
        outputs = actions[str(read.action)].outputs
        if tail not in outputs:
            return f"step {head} has no output {tail}"
        return "" if read.for_each in {None, step.for_each} else f"step {head} has another for_each"
    return f"nothing gives {{{name}}}"


def _unknown_input(head: str, tail: str, step: Step, playbook: Playbook) -> str:
    select = playbook.inputs[head]
    if tail and tail not in select.groups:
        return f"input {head} has no group {tail}"
    if select.many and step.for_each != head:
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
