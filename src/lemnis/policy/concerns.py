"""What a policy's answer can depend on, read off its Rego: it is asked only what it is about, and that once.

Both are upper bounds: a policy may depend on less than is said here, never on more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import takewhile

from lemnis.policy.tree import Binary, Items, Literal, Module, Ref, Scalar, Term

Way = tuple[str, ...]


def concerns(module: Module, name: str) -> frozenset[str] | None:
    """Return the values of ``input.<name>`` at which ``deny`` can have members; None if at any.

    A rule says so itself, by a condition of its query: ``input.<name> == "…"``, or ``in`` a set or array.
    """
    found: frozenset[str] = frozenset()
    for rule in module.rules:
        if rule.name != "deny":
            continue
        if rule.kind != "contains":
            return None
        for query, _ in rule.branches:
            said = next((some for one in query if (some := _said(one, name)) is not None), None)
            if said is None:
                return None
            found |= said
    return found


def looks(module: Module) -> frozenset[Way]:
    """Return the ways into ``input`` that a module takes, each as far as it is of names."""
    return frozenset(_ways(module.rules))


def _said(one: Literal, name: str) -> frozenset[str] | None:
    """Return the values that a condition allows ``input.<name>`` to have; None if it says nothing of it."""
    if one.kind != "term" or one.negated or one.withs or not isinstance(one.term, Binary):
        return None
    left, right = one.term.left, one.term.right
    if one.term.operator == "==":
        other = right if _is(left, name) else left if _is(right, name) else None
        return _texts((other,)) if other is not None else None
    if one.term.operator == "in" and _is(left, name) and isinstance(right, Items):
        return _texts(right.items) if right.kind in {"set", "array"} else None
    return None


def _is(term: Term, name: str) -> bool:
    return isinstance(term, Ref) and term.name == "input" and term.path == (name,)


def _texts(terms: tuple[Term, ...]) -> frozenset[str] | None:
    """Return what terms are that are texts; None if one is anything else."""
    texts = [one.value for one in terms if isinstance(one, Scalar) and isinstance(one.value, str)]
    return frozenset(texts) if len(texts) == len(terms) else None


def _ways(node: object) -> Iterator[Way]:
    if isinstance(node, tuple):
        for one in node:
            yield from _ways(one)
    elif is_dataclass(node):
        if isinstance(node, Ref) and node.name == "input":
            yield tuple(map(str, takewhile(lambda part: isinstance(part, str), node.path)))
        for one in fields(node):
            yield from _ways(getattr(node, one.name))
