"""A filter compiled for one class after the other; times at its top become bounds."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from lemnis.contracts.errors import InputError
from lemnis.store.searching import terms
from lemnis.store.searching.fields import TEXT, Classes
from lemnis.store.searching.terms import Test
from lemnis.store.searching.tree import Group, Node, Not, Term, problem
from lemnis.store.searching.veils import Veil

Tested = Callable[[Sequence[Term]], Test]
"""Compiles terms of one field, of whose values one shall be there."""


def bounds(node: Node | None, now: int) -> tuple[Node | None, int | None, int | None]:
    """Take the bounds of ``time`` from the top of a filter: what is left, and [start, end) in ms."""
    parts = node.operands if isinstance(node, Group) and node.operator == "AND" else (node,) if node else ()
    rest: list[Node] = []
    start: int | None = None
    end: int | None = None
    for part in parts:
        inner, low, high = _bound(part, now)
        if inner is not None:
            rest.append(inner)
        start = low if start is None else start if low is None else max(start, low)
        end = high if end is None else end if high is None else min(end, high)
    left = None if not rest else rest[0] if len(rest) == 1 else Group("AND", tuple(rest))
    return left, start, end


def _bound(node: Node, now: int) -> tuple[Node | None, int | None, int | None]:
    if isinstance(node, Group) and node.operator == "AND":
        return bounds(node, now)
    if not isinstance(node, Term) or node.field != "time" or node.pattern or node.regex:
        return node, None, None
    at = terms.moment(node, now)
    low = {">=": at, ">": at + 1, ":": at}.get(node.operator)
    high = {"<": at, "<=": at + 1, ":": at + 1}.get(node.operator)
    return None, low, high


def tree(node: Node | None, tested: Tested) -> Test:
    """Return a filter as SQL: ``true`` and ``false`` are folded, values of one field asked for at once."""
    if node is None:
        return "true", []
    if isinstance(node, Not):
        test, values = tree(node.operand, tested)
        known = {"true": "false", "false": "true"}.get(test)
        return (known, []) if known else (f"({test}) IS NOT TRUE", values)
    if isinstance(node, Term):
        return tested([node])
    parts = [tested(some) if isinstance(some, list) else tree(some, tested) for some in _parts(node)]
    absorbs, nothing = ("true", "false") if node.operator == "OR" else ("false", "true")
    if any(test == absorbs for test, _ in parts):
        return absorbs, []
    left = [part for part in parts if part[0] != nothing]
    if not left:
        return nothing, []
    joined = f" {node.operator} ".join(f"({test})" for test, _ in left)
    return joined, [value for _, values in left for value in values]


def _parts(node: Group) -> list[Node | list[Term]]:
    """Return the operands of a group; of an OR, plain terms of one field together."""
    if node.operator == "AND":
        return list(node.operands)
    together: dict[str, list[Term]] = {}
    rest: list[Node | list[Term]] = []
    for one in node.operands:
        if isinstance(one, Term) and terms.plain(one) and one.field != "class":
            together.setdefault(one.field, []).append(one)
        else:
            rest.append(one)
    return [*rest, *together.values()]


@dataclass(slots=True)
class Compiler:
    """Compiles filters for classes, and notes which terms none of them could use."""

    classes: Classes
    now: int
    veil: Veil = field(default_factory=Veil)
    used: set[int] = field(default_factory=set)
    failed: dict[int, InputError | Callable[[], InputError]] = field(default_factory=dict)

    def test(self, name: str, node: Node | None) -> Test:
        """Return a boolean SQL expression for a class of what is seen, and the values for its ``?``."""
        found = tree(node, lambda some: self.terms(name, some))
        if self.veil.only is None or found[0] == "false":
            return found
        apart = Compiler(self.classes, self.now)  # what is wrong with it is nothing that who asks has written
        seen = tree(self.veil.only, lambda some: apart.terms(name, some))
        if seen[0] == "false":
            return seen
        tests = [one for one in (seen, found) if one[0] != "true"]
        values = [value for _, some in tests for value in some]
        return " AND ".join(f"({test})" for test, _ in tests) or "true", values

    def check(self) -> None:
        """Raise the error of the first term that no class could use."""
        unused = sorted(column for column in self.failed if column not in self.used)
        if unused:
            failed = self.failed[unused[0]]
            raise (
                failed if isinstance(failed, InputError) else failed()
            )  # to find what was meant takes a while

    def terms(self, name: str, some: Sequence[Term]) -> Test:
        """Compile terms of one field; false where this class lacks the field."""
        term = some[0]
        if term.field == "class":
            return self.of_class(name, term)
        columns = {one.column for one in some}
        paths = self.classes.paths(name, term.field)
        if not term.field:
            paths = tuple(path for path in TEXT if path in self.classes.leaves(name))
        tests: list[Test] = []
        for path in paths:
            try:
                test = terms.at(self.classes.schemas[name], path, some, self.now)
                tests.append(
                    test if term.field or not self.veil.hides else self.veiled(name, path, some, test)
                )
            except InputError as error:
                self.failed[term.column] = error
        if tests or not term.field:
            self.used |= columns
        elif term.column not in self.failed:
            self.failed[term.column] = partial(self.classes.unknown, term.field, term.column)
        if not tests:
            return "false", []
        return " OR ".join(f"({test})" if len(tests) > 1 else test for test, _ in tests), [
            value for _, values in tests for value in values
        ]

    def veiled(self, name: str, path: str, some: Sequence[Term], test: Test) -> Test:
        """Return the test of a word that holds without the event's personal values too."""
        bare = self.veil.without(self.classes.schemas[name], path)
        again, values = terms.on(bare, pa.string(), some, self.now)
        return f"CASE WHEN {test[0]} THEN coalesce({again}, false) ELSE false END", [*test[1], *values]

    def of_class(self, name: str, term: Term) -> Test:
        """Say whether a class is the one that is asked for."""
        known = [other for other in self.classes.schemas if _is(term, other)]
        if not known:
            fix = "there are " + (", ".join(self.classes.schemas) or "no events yet")
            self.failed[term.column] = problem(term.column, f"there is no class {term.value}", fix)
        else:
            self.used.add(term.column)
        return ("true" if name in known else "false"), []


def _is(term: Term, name: str) -> bool:
    """Say whether a class's name is what ``class:`` asks for."""
    if term.regex:
        return bool(terms.found(term.value, name))
    if term.pattern is None:
        return name == term.value.lower()
    return fnmatch.fnmatchcase(name, term.value.lower())
