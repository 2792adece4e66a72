"""Checks CACAO 2.0 playbooks (OASIS, Security Playbooks 2.0): what is wrong, and where. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Place = tuple[str | int, ...]
TYPES = (
    "start", "end", "action", "playbook-action", "parallel", "if-condition", "while-condition",
    "switch-condition",
)  # fmt: skip
NEXT = ("on_completion", "on_success", "on_failure")
"""Where a step says what follows it."""
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "action": ("commands", "agent"), "playbook-action": ("playbook_id",), "parallel": ("next_steps",),
    "if-condition": ("condition", "on_true"), "while-condition": ("condition", "on_true"),
    "switch-condition": ("switch", "cases"), "start": (), "end": (),
}  # fmt: skip
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ID = re.compile(rf"^[a-z][a-z0-9-]*--{_UUID}$")
_TOP = ("id", "name", "created_by", "created", "modified", "workflow_start", "workflow")


def wrong(document: Any) -> Iterator[tuple[Place, str]]:
    """Yield the places of what makes a document no CACAO 2.0 playbook, and why."""
    if not isinstance(document, Mapping):
        yield (), "a playbook is an object"
        return
    if document.get("type") not in {"playbook", "playbook-template"}:
        yield ("type",), f"{document.get('type')!r} is no playbook"
    if document.get("spec_version") != "cacao-2.0":
        yield ("spec_version",), f"{document.get('spec_version')!r} is not cacao-2.0"
    for name in _TOP:
        if name not in document:
            yield (), f"`{name}` is missing"
    workflow = document.get("workflow")
    if not isinstance(workflow, Mapping):
        yield ("workflow",), "the workflow is an object of steps by their ids"
        return
    yield from _agents(document)
    if document.get("workflow_start") not in workflow:
        yield ("workflow_start",), f"there is no step {document.get('workflow_start')}"
    for name, step in workflow.items():
        yield from _step(str(name), step, workflow)
    if isinstance(document.get("workflow_start"), str):
        yield from _circles(document["workflow_start"], workflow)


def _agents(document: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    for kind in ("agent_definitions", "target_definitions"):
        found = document.get(kind, {})
        for name, one in found.items() if isinstance(found, Mapping) else ():
            place = (kind, name)
            if not isinstance(one, Mapping) or not isinstance(one.get("type"), str):
                yield place, "it has no type"
            elif _ID.match(name) and not name.startswith(one["type"]):
                yield (*place, "type"), f"{one['type']!r} is not the type that its id {name!r} says"


def _step(name: str, step: Any, workflow: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    place = ("workflow", name)
    if not _ID.match(name):
        yield place, f"{name!r} is no id: TYPE--UUID"
    kind = step.get("type") if isinstance(step, Mapping) else None
    if not isinstance(step, Mapping) or kind not in TYPES:
        yield (*place, "type"), f"{kind!r} is no type of step: {', '.join(TYPES)}"
        return
    for needed in _REQUIRED[kind]:
        if needed not in step:
            yield place, f"`{needed}` is missing"
    if "on_completion" in step and ("on_success" in step or "on_failure" in step):
        yield place, "`on_completion` excludes `on_success` and `on_failure`"
    for at, follows in targets(step):
        if follows not in workflow:
            yield (*place, *at), f"there is no step {follows}"


def targets(step: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Yield the steps that a step leads to, and where it says so."""
    for key in (*NEXT, "on_true", "on_false"):
        if isinstance(step.get(key), str):
            yield (key,), step[key]
    several = step.get("next_steps")
    for number, one in enumerate(several if isinstance(several, Sequence) else ()):
        yield ("next_steps", number), str(one)
    cases = step.get("cases")
    for name, one in (cases if isinstance(cases, Mapping) else {}).items():
        yield ("cases", name), str(one)


def _circles(start: str, workflow: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Yield a step that leads back to one before it: only a while-condition repeats."""
    state: dict[str, bool] = {}
    stack: list[tuple[str, Iterator[tuple[Place, str]]]] = []

    def enter(name: str) -> None:
        state[name] = True
        step = workflow.get(name)
        stack.append((name, targets(step) if isinstance(step, Mapping) else iter(())))

    enter(start)
    while stack:
        name, left = stack[-1]
        for at, follows in left:
            if state.get(follows):
                yield ("workflow", name, *at), f"it leads back to {follows}, and would never end"
                return
            if follows not in state and follows in workflow:
                enter(follows)
                break
        else:
            state[name] = False
            stack.pop()
