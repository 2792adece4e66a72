"""Which values of a resource a check looks at, read off its Rego.

By this a check is asked once of all resources that are alike in what it looks at, and it never passes one
whose value there is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lemnis.contracts.resources import Steps
from lemnis.policy.tree import Binary, Call, Comprehension, Items, Literal, Module, Ref, Scalar, Term

ANY = "*"
"""A step that may be each: what a variable leads to."""
Scope = dict[str, Steps | None]


@dataclass(slots=True)
class Reads:
    """A tree of names: what lies below a node that is ``whole`` is looked at altogether."""

    whole: bool = False
    below: dict[str | int, Reads] = field(default_factory=dict)

    def add(self, steps: Steps, *, whole: bool) -> None:
        """Add a way that is looked at: the value with all in it, or only what there is in it."""
        node = self
        for step in steps:
            node = node.below.setdefault(step, Reads())
        node.whole = node.whole or whole

    def touch(self, steps: Steps) -> bool:
        """Say whether what is looked at has to do with the value at ``steps``."""
        if self.whole or not steps or not self.below:
            return True  # with nothing below, how much there is was asked for
        return any(
            node.touch(steps[1:])
            for node in (self.below.get(steps[0]), self.below.get(ANY))
            if node is not None
        )

    def project(self, value: Any) -> Any:
        """Return a value with only what is looked at; what is walked through keeps its keys or its length."""
        if self.whole or not isinstance(value, dict | list):
            return value
        if not self.below:
            return dict.fromkeys(value, "") if isinstance(value, dict) else [""] * len(value)
        every = self.below.get(ANY)
        if isinstance(value, list):
            nodes = [self.below.get(number) for number in range(len(value))]
            each = (
                [_NOTHING if node is None else node for node in nodes]
                if every is None
                else [_both(node, every) for node in nodes]
            )
            return [node.project(item) for node, item in zip(each, value, strict=True)]
        if every is not None:
            return {key: _both(self.below.get(key), every).project(item) for key, item in value.items()}
        return {key: node.project(value[key]) for key, node in self.below.items() if key in value}


_NOTHING = Reads()


def _both(one: Reads | None, other: Reads) -> Reads:
    """Return what either looks at."""
    if one is None or one is other:
        return other
    merged = Reads(one.whole or other.whole, dict(one.below))
    for key, node in other.below.items():
        merged.below[key] = _both(merged.below.get(key), node)
    return merged


def reads(module: Module, places: str = "resources") -> Reads:
    """Return what a module looks at of each resource of ``input.<places>``."""
    walk = _Walk(places)
    for rule in module.rules:
        for query, value in rule.branches:
            parameters = [name for term in rule.parameters or () for name in _names(term)]
            scope = walk.query(query, dict.fromkeys(parameters))
            if value is not None:
                walk.term(value, scope)
    return walk.found


class _Walk:
    def __init__(self, places: str) -> None:
        self.places = places
        self.found = Reads()

    def query(self, query: Sequence[Literal], outer: Scope) -> Scope:
        scope = dict(outer)
        for _ in range(2):  # Rego does not mind the order: what is declared below is known above
            for literal in query:
                self._declare(literal, scope)
        for literal in query:
            self._literal(literal, scope)
        return scope

    def _declare(self, literal: Literal, scope: Scope) -> None:
        if literal.over is not None and literal.kind == "some":
            scope.update(self._bound(literal, scope))
        elif literal.kind == "some":
            scope.update(dict.fromkeys(name for term in literal.declared for name in _names(term)))
        term = literal.term
        if isinstance(term, Binary) and term.operator == ":=" and isinstance(term.left, Ref):
            way = self._way(term.right, scope) if isinstance(term.right, Ref) else None
            scope[term.left.name] = way

    def _bound(self, literal: Literal, scope: Scope) -> Scope:
        """Return the names that ``some … in`` or ``every … in`` bring in: the last is the element."""
        found: Scope = dict.fromkeys(name for term in literal.declared for name in _names(term))
        over, last = literal.over, literal.declared[-1]
        if isinstance(over, Ref) and isinstance(last, Ref):
            way = self._way(over, scope)
            if self._resources(over):
                found[last.name] = ()
            elif way is not None:
                found[last.name] = (*way, ANY)
        return found

    def _literal(self, literal: Literal, scope: Scope) -> None:
        if literal.over is not None:
            way = self._way(literal.over, scope) if isinstance(literal.over, Ref) else None
            if way is not None:
                self.found.add(way, whole=False)
            elif not (isinstance(literal.over, Ref) and self._resources(literal.over)):
                self.term(literal.over, scope)
            last = literal.declared[-1]
            if way is not None and not isinstance(last, Ref):
                self.found.add((*way, ANY), whole=True)  # taken apart, or compared as it is
            if literal.kind == "every":
                self.query(literal.body, scope | self._bound(literal, scope))
            return
        term = literal.term
        if isinstance(term, Binary) and term.operator == ":=":
            alias = isinstance(term.right, Ref) and isinstance(term.left, Ref)
            way = self._way(term.right, scope) if isinstance(term.right, Ref) else None
            if alias and way is not None:
                self.found.add(way, whole=False)
                return
            self.term(term.right, scope)
        elif term is not None:
            self.term(term, scope)

    def term(self, term: Term, scope: Scope) -> None:
        """Take up what a term looks at."""
        if isinstance(term, Ref):
            way = self._way(term, scope)
            if way is not None:
                self.found.add(way, whole=True)
            for part in _terms(term.path):
                self.term(part, scope)
        elif isinstance(term, Comprehension):
            inner = self.query(term.body, scope)
            for item in term.head:
                self.term(item, inner)
        else:
            for item in _parts(term):
                self.term(item, scope)

    def _resources(self, term: Ref) -> bool:
        return term.name == "input" and term.path == (self.places,)

    def _way(self, term: Term, scope: Scope) -> Steps | None:
        """Return the way from a resource that a reference takes; None for what is not of one."""
        if not isinstance(term, Ref):
            return None
        path = list(term.path)
        if term.name == "input":
            if path[:1] != [self.places] or len(path) < 2:  # noqa: PLR2004 - input.resources[i]
                return None
            base: Steps | None = ()
            path = path[2:]
        else:
            base = scope.get(term.name)
        return None if base is None else (*base, *map(_step, path))


def _step(part: str | Term) -> str | int:
    if isinstance(part, str):
        return part
    if isinstance(part, Scalar) and isinstance(part.value, str | int | float) and part.value is not True:
        return part.value if isinstance(part.value, str) else int(part.value)
    return ANY


def _names(pattern: Term) -> Iterator[str]:
    if isinstance(pattern, Ref):
        yield pattern.name
    elif isinstance(pattern, Items):
        for item in pattern.items:
            yield from _names(item)


def _parts(term: Term) -> tuple[Term, ...]:
    """Return what a call, a collection or two sides of an operator are made of."""
    if isinstance(term, Call):
        return (*term.arguments, *_terms(term.path))
    if isinstance(term, Items):
        return term.items
    return (term.left, term.right) if isinstance(term, Binary) else ()


def _terms(path: Iterable[str | Term]) -> Iterator[Term]:
    yield from (part for part in path if not isinstance(part, str))
