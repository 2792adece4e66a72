"""CACAO 2.0 to a playbook of ours, such that ``cacao_export`` gives the very same document back.

CACAO chains steps by their ids; a playbook of ours nests them. What a step says beyond that is kept in its
``cacao`` (``id``, ``fields``), what no step reaches in the playbook's ``rest``. A step that Lemnis wrote has
itself in its ``step_extensions``. Commands become steps that no action stands for yet, manual ones questions;
a foreign condition stays as it is written, and lint says that it is none until somebody writes it in CEL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lemnis.contracts.errors import InputError, Location
from lemnis.respond.cacao_check import Place, wrong

EXTENSION = "extension-definition--0d2c8a34-8a5e-5c1f-9d0a-6f1c2f6f5b55"
"""The extension that holds what CACAO has no word for; its id never changes."""
_STRUCTURE = frozenset({"type", "on_completion", "next_steps", "on_true", "on_false", "cases"})
_MINUTE = 60_000
_TOP = frozenset({"name", "description", "workflow", "workflow_start", "type", "spec_version"})


@dataclass(slots=True)
class _Reading:
    workflow: Mapping[str, Mapping[str, Any]]
    file: str
    seen: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def name(self, cacao_id: str, step: Mapping[str, Any]) -> str:
        """Return an id of ours for a step: its name, made unique."""
        base = re.sub(r"[^a-z0-9]+", "_", str(step.get("name", "")).lower()).strip("_")[:32]
        base = base if re.match(r"^[a-z]", base) else f"step_{base}".rstrip("_")
        found, number = base, 2
        while found in self.names:
            found, number = f"{base}_{number}", number + 1
        self.names.add(found)
        self.seen[cacao_id] = found
        return found


def read(document: Any, *, file: str = "") -> dict[str, Any]:
    """Return a CACAO playbook as the plain data of a ``playbook.yaml``.

    Raises InputError, with the place in the document, for one that is not valid, or that has a shape which
    nested steps cannot have.
    """
    for place, why in wrong(document):
        raise refused(file, place, why)
    reading = _Reading(document["workflow"], file)
    first = document["workflow_start"]
    begins = reading.workflow[first] if reading.workflow[first]["type"] == "start" else None
    if begins is not None:
        reading.seen[first] = "start"
    steps, end = _block(reading, begins.get("on_completion") if begins is not None else first, None)
    own = document.get("playbook_extensions", {}).get(EXTENSION)
    if own is not None:
        return {**own, "title": document["name"], "steps": steps}
    start = {"id": first, "fields": _fields(begins)} if begins is not None else None
    kept = {name: value for name, value in document.items() if name not in _TOP}
    rest = {name: step for name, step in reading.workflow.items() if name not in reading.seen}
    found: dict[str, Any] = {
        "title": document["name"],
        "kind": (document.get("playbook_types") or ["mitigation"])[0],
        "triggers": [{"by": "hand"}],
        "steps": steps,
        "cacao": {"type": document["type"], "start": start, "fields": kept, "rest": rest, "end": end},
    }
    if "description" in document:
        found["description"] = document["description"]
    return found


def refused(file: str, place: Place, why: str) -> InputError:
    """Return the error that names a place in a document."""
    where = ".".join(map(str, place)) or "the document"
    return InputError(f"{where}: {why}", at=Location(file) if file else None)


def _block(
    reading: _Reading, name: str | None, stop: str | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the steps from one on, and how they end: at an end step, where ``stop`` is, or with nothing."""
    steps: list[dict[str, Any]] = []
    while name is not None and name != stop:
        step = reading.workflow[name]
        if step["type"] == "end" and EXTENSION not in step.get("step_extensions", {}):
            reading.seen[name] = "end"
            return steps, {"end": {"id": name, "fields": _fields(step)}}
        if name in reading.seen:
            why = "two branches lead here, and nested steps cannot do that"
            raise refused(reading.file, ("workflow", name), why)
        steps.append(_step(reading, name, step))
        if "on_success" in step:
            steps.append(_went(reading, name, step))
            return steps, {}
        name = step.get("on_completion")
    return steps, {"join": True} if stop is not None and name == stop else {}


def _fields(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in step.items() if key not in _STRUCTURE}


def _step(reading: _Reading, name: str, step: Mapping[str, Any]) -> dict[str, Any]:
    own = step.get("step_extensions", {}).get(EXTENSION)
    ours = reading.name(name, step) if own is None else str(own["id"])
    reading.seen[name] = ours
    fields = _fields(step)
    if "on_success" in step:
        fields = {key: value for key, value in fields.items() if key not in {"on_success", "on_failure"}}
    inner = _INNER[step["type"]](reading, step)
    if own is not None:
        inner = {key: value for key, value in inner.items() if key in _BLOCKS}
        return {**own, **{key: value for key, value in inner.items() if value}}
    kept = {"id": name, "type": step["type"], "fields": fields, **inner.pop("_kept", {})}
    title = {"title": step["name"]} if "name" in step else {}
    return {"id": ours, **title, **inner, "cacao": kept}


_BLOCKS = frozenset({"parallel", "then", "else", "do", "cases", "default"})


def _went(reading: _Reading, name: str, step: Mapping[str, Any]) -> dict[str, Any]:
    """Return the branch that follows how a step ended."""
    ours = reading.seen[name]
    then, joins = _block(reading, step["on_success"], None)
    otherwise, joins_else = _block(reading, step.get("on_failure"), None)
    made = {
        "id": reading.name(f"{name} went", {"name": f"{ours} went"}),
        "if": f"{ours}.outcome in ['done', 'already']", "then": then,
        "cacao": {"went": name, "joins": {"then": joins, "else": joins_else}},
    }  # fmt: skip
    return {**made, "else": otherwise} if otherwise else made


def _end(reading: _Reading, step: Mapping[str, Any]) -> dict[str, Any]:
    del reading, step
    return {"end": "done"}


def _action(reading: _Reading, step: Mapping[str, Any]) -> dict[str, Any]:
    del reading
    first: Mapping[str, Any] = next(iter(step["commands"]), {})
    kind, text = str(first.get("type", "manual")), str(first.get("command", first.get("command_b64", "")))
    if kind == "manual":
        minutes = max(1, round(step["timeout"] / _MINUTE)) if isinstance(step.get("timeout"), int) else 240
        return {"ask": {"text": text or str(step.get("name", "?")), "timeout_min": minutes}}
    return {"command": {"type": kind, "text": text}}


def _called(reading: _Reading, step: Mapping[str, Any]) -> dict[str, Any]:
    del reading
    return {"playbook": "cacao_" + re.sub(r"[^a-z0-9]+", "_", str(step["playbook_id"]).rpartition("--")[2])}


def _parallel(reading: _Reading, step: Mapping[str, Any]) -> dict[str, Any]:
    branches, joins = [], []
    for first in step["next_steps"]:
        steps, join = _block(reading, first, step.get("on_completion"))
        own = len(steps) == 1 and "cacao" not in steps[0]
        branches.append(steps[0] if own else _branch(reading, steps))
        joins.append(join)
    return {"parallel": branches, "_kept": {"joins": joins}}


def _branch(reading: _Reading, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a branch as one step: several are held together by a condition that is always true."""
    held = {"id": reading.name(f"branch {len(reading.names)}", {"name": "branch"}), "if": {"cel": "true"}}
    return {**held, "then": steps, "cacao": {"branch": True}}


def _if(reading: _Reading, step: Mapping[str, Any]) -> dict[str, Any]:
    then, joins = _block(reading, step["on_true"], step.get("on_completion"))
    otherwise, joins_else = _block(reading, step.get("on_false"), step.get("on_completion"))
    kept = {"joins": {"then": joins, "else": joins_else}}
    made = {"if": {"cel": str(step["condition"])}, "then": then, "_kept": kept}
    return {**made, "else": otherwise} if otherwise else made


def _while(reading: _Reading, step: Mapping[str, Any]) -> dict[str, Any]:
    do, joins = _block(reading, step["on_true"], step.get("on_completion"))
    return {"while": {"cel": str(step["condition"])}, "do": do, "_kept": {"joins": {"do": joins}}}


def _switch(reading: _Reading, step: Mapping[str, Any]) -> dict[str, Any]:
    cases, joins = {}, {}
    for name, first in step["cases"].items():
        cases[name], joins[name] = _block(reading, first, step.get("on_completion"))
    found = {"cases": {name: one for name, one in cases.items() if name != "default"}}
    default = {"default": cases["default"]} if "default" in cases else {}
    return {"switch": str(step["switch"]), **found, **default, "_kept": {"joins": joins}}


_INNER = {
    "end": _end, "action": _action, "playbook-action": _called, "parallel": _parallel,
    "if-condition": _if, "while-condition": _while, "switch-condition": _switch,
}  # fmt: skip
