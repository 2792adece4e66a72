"""A plan's conditions for people: which actions are done when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lemnis.contracts.response import Act, Choice, End, Loop, Node, Plan, Together


def outline(plan: Plan) -> list[str]:
    """Return a plan's order as lines, indented; nothing if it is a plain list."""
    if all(isinstance(node, Act) for node in plan.program):
        return []
    return ["order:", *_lines(plan, plan.program, "  ")]


def _lines(plan: Plan, nodes: Sequence[Node], indent: str) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Act):
            one = plan.actions[node.number]
            yield f"{indent}{one.step} {one.action} {one.target}"
        elif isinstance(node, End):
            yield f"{indent}{node.step} ends the run: {node.outcome}"
        else:
            yield from _several(plan, node, indent)


def _several(plan: Plan, node: Together | Choice | Loop, indent: str) -> Iterator[str]:
    deeper = indent + "  "
    if isinstance(node, Together):
        yield f"{indent}at the same time:"
        for branch in node.branches:
            yield from _lines(plan, branch, deeper)
    elif isinstance(node, Choice):
        for name, nodes in (*node.cases.items(), ("anything else", node.otherwise)):
            yield f"{indent}{node.step}: {node.expression} is {name}:"
            yield from _lines(plan, nodes, deeper)
    else:
        for number, turn in enumerate(node.turns, start=1):
            yield f"{indent}{node.step}: turn {number}, while {node.expression}:"
            yield from _lines(plan, turn, deeper)
