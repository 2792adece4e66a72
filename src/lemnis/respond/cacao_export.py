"""A playbook of ours to CACAO 2.0. What came from CACAO goes back as it came; see ``cacao_import``.

A step of ours becomes the step of CACAO's that is nearest, with itself in ``step_extensions``: ``action`` an
action with an ``http-api`` command, ``evidence``, ``ask`` and ``python`` actions with a ``manual`` one,
``parallel``, ``if``, ``while``, ``switch``, ``playbook`` and ``end`` what CACAO calls so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import Condition, Playbook, Step
from lemnis.contracts.clock import to_iso
from lemnis.respond.cacao_import import EXTENSION

_SPACE = UUID("4f0c3c0e-0f0a-5b57-9a83-3f1de0a2a9c4")
_SOURCE = "identity--5d6c2d7e-3c4b-5d0f-8b0e-0a1f2c3d4e5f"
_TYPES = {
    "action": "action", "evidence": "action", "ask": "action", "python": "action", "command": "action",
    "parallel": "parallel", "if": "if-condition", "while": "while-condition", "switch": "switch-condition",
    "playbook": "playbook-action", "end": "end",
}  # fmt: skip
_BLOCKS = ("parallel", "then", "else", "do", "cases", "default")
_AGENT = "individual--" + str(uuid5(_SPACE, "responder"))


@dataclass(slots=True)
class _Writing:
    name: str
    actions: Mapping[str, Action]
    workflow: dict[str, dict[str, Any]] = field(default_factory=dict)

    def id(self, kind: str, path: str) -> str:
        """Return the id that a step of ours has in CACAO: always the same."""
        return f"{kind}--{uuid5(_SPACE, f'{self.name} {path}')}"


def write(name: str, playbook: Playbook, actions: Mapping[str, Action], *, at: int) -> dict[str, Any]:
    """Return a playbook as a CACAO 2.0 document; ``at`` (ms) dates one that did not come from CACAO."""
    writing = _Writing(name, actions)
    kept = playbook.cacao or _own(writing, playbook, at)
    first = _chain(writing, playbook.steps, kept["end"], None, "")
    start = kept["start"]
    if start is not None:
        follows = {"on_completion": first} if first is not None else {}
        writing.workflow[start["id"]] = {"type": "start", **start["fields"], **follows}
        first = start["id"]
    told = {"description": playbook.description} if "description" in playbook.model_fields_set else {}
    return {
        "type": kept["type"], "spec_version": "cacao-2.0", "name": playbook.title, **told, **kept["fields"],
        "workflow_start": first, "workflow": {**writing.workflow, **kept["rest"]},
    }  # fmt: skip


def _own(writing: _Writing, playbook: Playbook, at: int) -> dict[str, Any]:
    """Return what a document of a playbook of ours says beside its steps."""
    said = playbook.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"steps", "title"})
    start = {"id": writing.id("start", ""), "fields": {"name": "Start"}}
    end = {"end": {"id": writing.id("end", ""), "fields": {"name": "End"}}}
    extension = {
        "type": "extension-definition", "name": "lemnis", "created_by": _SOURCE, "version": "1",
        "schema": "https://lemnis.dev/schemas/playbook", "description": "What a Lemnis playbook says besides",
    }  # fmt: skip
    fields = {
        "id": f"playbook--{uuid5(_SPACE, writing.name)}", "created_by": _SOURCE, "created": to_iso(at),
        "modified": to_iso(at), "playbook_types": [playbook.kind],
        "agent_definitions": {_AGENT: {"type": "individual", "name": "Responder"}},
        "extension_definitions": {EXTENSION: extension}, "playbook_extensions": {EXTENSION: said},
    }  # fmt: skip
    return {"type": "playbook", "start": start, "end": end, "rest": {}, "fields": fields}


def _chain(
    writing: _Writing, steps: Sequence[Step], ends: Mapping[str, Any], follows: str | None, path: str
) -> str | None:
    """Write steps that follow each other; return the id of the first, None if there is none."""
    after = follows if ends.get("join") else None
    if "end" in ends:
        after = ends["end"]["id"]
        writing.workflow[after] = {"type": "end", **ends["end"]["fields"]}
    went: Step | None = None
    for step in reversed(steps):
        if step.cacao is not None and "went" in step.cacao:
            went = step
            continue
        after = _step(writing, step, after, path, went)
        went = None
    return after


def _step(writing: _Writing, step: Step, after: str | None, path: str, went: Step | None) -> str:
    """Write one step; return its id."""
    path = f"{path}/{step.id}"
    kept = step.cacao or {}
    kind = kept.get("type", _TYPES[step.kind])
    name = kept.get("id") or writing.id(kind, path)
    made: dict[str, Any] = {"type": kind, **(kept["fields"] if "fields" in kept else _said(writing, step))}
    inner = _inner(writing, step, kept.get("joins"), after, path)
    if went is not None and went.cacao is not None:
        joins = went.cacao["joins"]
        inner["on_success"] = _chain(writing, went.then, joins["then"], None, f"{path}/then")
        otherwise = _chain(writing, went.otherwise, joins["else"], None, f"{path}/else")
        inner |= {"on_failure": otherwise} if otherwise is not None else {}
    elif after is not None and kind != "end":
        inner["on_completion"] = after
    writing.workflow[name] = {**made, **inner}
    return name


def _said(writing: _Writing, step: Step) -> dict[str, Any]:
    """Return what a step of ours says in CACAO's words, with itself as an extension."""
    own = step.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"cacao"})
    own = {key: value for key, value in own.items() if key not in _BLOCKS}
    told: dict[str, Any] = {"name": step.title or step.id, "step_extensions": {EXTENSION: own}}
    if _TYPES[step.kind] == "action":
        told |= {"commands": [_command(writing, step)], "agent": _AGENT}
        told |= {"timeout": round(step.timeout_s * 1000)} if step.timeout_s else {}
    elif step.kind == "playbook":
        told["playbook_id"] = f"playbook--{uuid5(_SPACE, str(step.playbook))}"
    elif step.condition is not None or step.loop is not None:
        told["condition"] = _text(step.condition or step.loop)
    elif step.switch is not None:
        told["switch"] = step.switch
    return told


def _command(writing: _Writing, step: Step) -> dict[str, Any]:
    if step.command is not None:
        return {"type": step.command.type, "command": step.command.text}
    action = writing.actions.get(str(step.action))
    part = (action.do or action.read) if action is not None else None
    if part is not None:
        return {"type": "http-api", "command": f"{part.request.method} {part.request.path} HTTP/1.1"}
    text = step.ask.text if step.ask is not None else f"{step.kind}: {step.title or step.id}"
    return {"type": "manual", "command": text}


def _text(condition: Condition | None) -> str:
    """Return a condition as text: CEL, Rego, or the form of ours."""
    if condition is None:
        return ""
    return (
        condition.cel
        or condition.rego
        or str(condition.model_dump(mode="json", by_alias=True, exclude_unset=True))
    )


def _inner(writing: _Writing, step: Step, joins: Any, after: str | None, path: str) -> dict[str, Any]:
    """Write the steps within a step; return where it says that they are."""

    def block(steps: Sequence[Step], key: str, ends: Any) -> str | None:
        own = {"end": {"id": writing.id("end", f"{path}/{key}"), "fields": {"name": "End"}}}
        return _chain(writing, steps, own if joins is None else ends, after, f"{path}/{key}")

    if step.parallel is not None:
        first = []
        for number, one in enumerate(step.parallel):
            steps = one.then if one.cacao is not None and one.cacao.get("branch") else (one,)
            first.append(block(steps, str(number), joins[number] if joins else None))
        return {"next_steps": first}
    if step.condition is not None or step.loop is not None:
        names = (
            {"on_true": ("then", step.then)} if step.condition is not None else {"on_true": ("do", step.do)}
        )
        if step.otherwise or (joins and joins.get("else")):
            names["on_false"] = ("else", step.otherwise)
        return {at: block(steps, key, joins[key] if joins else None) for at, (key, steps) in names.items()}
    if step.switch is not None:
        cases = {**step.cases, **({"default": step.default} if step.default else {})}
        made = {
            name: block(steps, f"case {name}", joins[name] if joins else None)
            for name, steps in cases.items()
        }
        return {"cases": made}
    return {}
