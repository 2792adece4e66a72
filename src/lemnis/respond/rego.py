"""Conditions in Rego: checked by the policy room before they are believed, bounded when evaluated. Pure.

A condition is the body of a rule, or a policy of the content that decides at the stage ``playbook``: it holds
if the policy denies nothing. ``input`` has ``severity``, ``incident``, ``entities`` (every kind, some empty),
``trigger``, ``turn``, ``inputs`` and ``steps``, by their names. What is not there makes a condition false, as
Rego has it; what the engine lacks, what nobody declared and what a step cannot be are errors with their line.

In an expression of CEL a question stands as a name; what it asks is in the plan, and so in what is approved.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any

from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import FIXED, Playbook, Select, Step
from lemnis.contracts.alerts import EntityKind
from lemnis.contracts.errors import ContentError, Location
from lemnis.contracts.ids import canonical, digest
from lemnis.policy import Engine
from lemnis.policy.check import check_module
from lemnis.policy.document import DOCUMENTS
from lemnis.policy.engine import UNDEFINED
from lemnis.policy.parser import parse
from lemnis.policy.tokens import Source
from lemnis.policy.tree import Module, Ref
from lemnis.respond.expressions import ExpressionError

STEPS = 200_000
"""About half a second of work."""
NAME = re.compile(r"\brego_[0-9a-f]{16}\b")
_BODY = "package lemnis.condition\nimport rego.v1\ndefault holds := false\nholds if {\n"
_BEFORE = _BODY.count("\n")
_HOLDS = "data.lemnis.condition.holds"
_OUTCOMES = ("done", "already", "failed", "refused", "skipped", "yes", "no")
_WHERE = "a playbook's conditions"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a module, its rule, and which names of conditions are inputs (the others are steps)."""

    module: str
    query: str
    inputs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name by which an expression of CEL refers to it."""
        return f"rego_{digest(canonical([self.module, self.query, list(self.inputs)]))[7:23]}"

    def json(self) -> dict[str, Any]:
        """Return it as a plan keeps it."""
        return {"module": self.module, "query": self.query, "inputs": list(self.inputs)}


def read(kept: Mapping[str, Any]) -> Question:
    """Read a question back from a plan."""
    return Question(kept["module"], kept["query"], tuple(kept["inputs"]))


def of_body(body: str, inputs: Collection[str] = ()) -> Question:
    """Return the question that a rule's body asks."""
    return Question(f"{_BODY}{body}\n}}\n", _HOLDS, tuple(sorted(inputs)))


def of_policy(name: str, text: str, inputs: Collection[str] = ()) -> Question:
    """Return the question whether a policy denies nothing."""
    return Question(text, f"data.lemnis.{name}.deny", tuple(sorted(inputs)))


def check(question: Question, shape: Mapping[str, Any]) -> None:
    """Check a condition against what there is; raises ExpressionError, at the line of a body if it is one."""
    try:
        _check(question, shape)
    except ContentError as error:
        line = error.at.line if error.at is not None else None
        own = None if line is None or question.query != _HOLDS else max(1, line - _BEFORE)
        raise ExpressionError(error.what, at=Location("", own), fix=error.fix) from error


def _check(question: Question, shape: Mapping[str, Any]) -> None:
    module = _parsed(question.module)
    if question.query == _HOLDS and [one.name for one in module.rules] != ["holds", "holds"]:
        raise ContentError("more than the body of a rule", at=Location("", _BEFORE + 1))
    check_module(module, Source("", question.module), dict(shape), _WHERE)


def steps_of(question: Question) -> frozenset[str] | None:
    """Return the steps that a condition asks for; None if it may ask for any."""
    found: set[str] = set()
    for ref in _refs(_parsed(question.module)):
        if ref.name != "input":
            continue
        names = [part for part in ref.path[:2] if isinstance(part, str)]
        if len(names) < min(len(ref.path), 2) or not names or names == ["steps"]:
            return None
        if names[0] == "steps":
            found.add(names[1])
    return frozenset(found)


def holds(question: Question, values: Mapping[str, Any]) -> bool:
    """Say whether a condition holds; raises ExpressionError where that cannot be evaluated."""
    try:
        with Engine(steps=STEPS) as engine:
            said = engine.evaluate([question.module], question.query, document(values, question.inputs))
    except ContentError as error:
        raise ExpressionError(f"a condition in Rego has no value: {error.what}") from error
    if question.query == _HOLDS:
        return said is True
    if said is UNDEFINED or not isinstance(said, list):
        raise ExpressionError(f"{question.query} has no value")
    return not said


def document(values: Mapping[str, Any], inputs: Collection[str]) -> dict[str, Any]:
    """Return what a condition sees of the names that CEL knows."""
    entities = dict.fromkeys((kind.value for kind in EntityKind), ()) | dict(values.get("entities", {}))
    return {
        **{name: values.get(name) for name in ("severity", "incident", "turn")},
        "stage": "playbook",
        "entities": {kind: list(found) for kind, found in entities.items()},
        "trigger": dict(values.get("trigger", {})),
        "inputs": {name: one for name, one in values.items() if name in inputs},
        "steps": {name: one for name, one in values.items() if name not in {*FIXED, *inputs}},
    }


def shape(playbook: Playbook | None, names: Collection[str], actions: Mapping[str, Action]) -> dict[str, Any]:
    """Return the shape of that document for a playbook of which these names are known; None is a trigger."""
    known = {step.id: step for step in playbook.walk()} if playbook is not None else {}
    inputs = playbook.inputs if playbook is not None else {}
    return {
        **DOCUMENTS["playbook"],
        "inputs": {name: _input(one) for name, one in inputs.items() if name in names},
        "steps": {name: _step(one, actions) for name, one in known.items() if name in names},
    }


def _input(one: Select) -> Any:
    fields_of = {"value": None, **dict.fromkeys(one.groups)}
    return [fields_of] if one.many else fields_of


def _step(step: Step, actions: Mapping[str, Action]) -> Any:
    """Return what conditions see of a step; None where nobody can say."""
    own: dict[str, Any] = {"outcome": _OUTCOMES, "error": None}
    action = actions.get(str(step.action))
    if step.ask is not None:
        return {**own, "by": None, "reason": None}
    if step.evidence is not None:
        return {**own, "evidence": [None]}
    if action is None:
        return None
    own |= dict.fromkeys(action.outputs) | ({"evidence": [None]} if action.collect is not None else {})
    return [{**own, "item": None}] if step.for_each is not None else own


@lru_cache(maxsize=512)
def _parsed(module: str) -> Module:
    return parse(Source("", module))


def _refs(node: Any) -> Iterator[Ref]:
    """Yield every reference in a tree."""
    if isinstance(node, Ref):
        yield node
    if is_dataclass(node):
        for one in fields(node):
            yield from _refs(getattr(node, one.name))
    elif isinstance(node, tuple | list):
        for item in node:
            yield from _refs(item)
