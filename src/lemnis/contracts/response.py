"""Plans of response actions: what approval is bound to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lemnis.contracts.ids import Json, canonical, digest


class EffectClass(StrEnum):
    """What an action does to the world; it decides retries and whether approval is asked."""

    READ = "read"
    REVERSIBLE = "reversible"
    IRREVERSIBLE = "irreversible"


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One action of a plan: what would be done to which target, what undoes it, and what was read first.

    ``item`` is the value of a ``for_each``, ``turn`` the turn of a loop (from 1, 0 outside). ``late`` marks a
    reading action that is done when the run comes to it. ``ttl_min`` and ``timeout_s`` are 0 where there is
    none. ``touches`` are the entities that the target is, as ``kind:value``.
    """

    step: str
    action: str
    target: str
    effect: EffectClass
    arguments: Mapping[str, Json]
    undo: str = ""
    before: Mapping[str, Json] = field(default_factory=dict)
    refused: str = ""
    item: str = ""
    turn: int = 0
    late: bool = False
    ttl_min: int = 0
    timeout_s: float = 0
    touches: tuple[str, ...] = ()

    @property
    def identity(self) -> list[Json]:
        """What makes it this action and no other, as JSON: step, turn, action, target and arguments."""
        whole: list[Json] = [self.step, self.action, self.target, dict(self.arguments)]
        return [*whole, self.turn] if self.turn else whole


@dataclass(frozen=True, slots=True)
class Act:
    """The action at this place of the plan's list is done."""

    number: int


@dataclass(frozen=True, slots=True)
class Together:
    """Branches that are done at the same time, each in its own order."""

    branches: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a CEL expression gives, as text, chooses the nodes that are done; else ``otherwise``."""

    step: str
    expression: str
    cases: Mapping[str, tuple[Node, ...]]
    otherwise: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Loop:
    """Turns that are done one after the other while the expression is true; still true at the end: failed."""

    step: str
    expression: str
    turns: tuple[tuple[Node, ...], ...]
    every_s: float = 0


@dataclass(frozen=True, slots=True)
class End:
    """The run ends here."""

    step: str
    outcome: str


Node = Act | Together | Choice | Loop | End
"""What a plan's program is made of."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a playbook may do for an incident. Approval is bound to ``digest``.

    ``program`` says in which order and under which conditions; ``terms`` are who may approve, and deadlines.
    """

    playbook: str
    incident_id: str
    actions: tuple[PlannedAction, ...]
    content_digest: str
    program: tuple[Node, ...] = ()
    terms: Mapping[str, Json] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of all that whoever approves sees: actions, order, conditions, what was found, refusals."""
        acts = [
            [
                a.step, a.action, a.target, a.effect.value, dict(a.arguments), a.undo, dict(a.before),
                a.refused, a.item, a.turn, a.late, a.ttl_min, a.timeout_s, list(a.touches),
            ]
            for a in self.actions
        ]  # fmt: skip
        program = [node_json(node) for node in self.program]
        whole = [self.playbook, self.incident_id, self.content_digest, acts, program, dict(self.terms)]
        return digest(canonical(whole))


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Yield nodes and all within them, in order."""
    for node in nodes:
        yield node
        for inner in _within(node):
            yield from walk(inner)


def _within(node: Node) -> Iterator[tuple[Node, ...]]:
    if isinstance(node, Together):
        yield from node.branches
    elif isinstance(node, Choice):
        yield from (*node.cases.values(), node.otherwise)
    elif isinstance(node, Loop):
        yield from node.turns


def node_json(node: Node) -> dict[str, Json]:
    """Return a node as JSON."""
    if isinstance(node, Act):
        return {"do": node.number}
    if isinstance(node, Together):
        return {"together": [_many(branch) for branch in node.branches]}
    if isinstance(node, Choice):
        cases: dict[str, Json] = {name: _many(nodes) for name, nodes in node.cases.items()}
        return {
            "step": node.step, "choose": node.expression, "cases": cases, "otherwise": _many(node.otherwise)
        }  # fmt: skip
    if isinstance(node, Loop):
        turns: list[Json] = [_many(turn) for turn in node.turns]
        return {"step": node.step, "while": node.expression, "turns": turns, "every_s": node.every_s}
    return {"step": node.step, "end": node.outcome}


def read_node(data: Mapping[str, Any]) -> Node:
    """Read a node back."""
    if "do" in data:
        return Act(data["do"])
    if "together" in data:
        return Together(tuple(_read_many(branch) for branch in data["together"]))
    if "choose" in data:
        cases = {name: _read_many(nodes) for name, nodes in data["cases"].items()}
        return Choice(data["step"], data["choose"], cases, _read_many(data["otherwise"]))
    if "while" in data:
        turns = tuple(_read_many(turn) for turn in data["turns"])
        return Loop(data["step"], data["while"], turns, data["every_s"])
    return End(data["step"], data["end"])


def _many(nodes: tuple[Node, ...]) -> list[Json]:
    return [node_json(node) for node in nodes]


def _read_many(data: list[Mapping[str, Any]]) -> tuple[Node, ...]:
    return tuple(read_node(one) for one in data)
