"""What must be true of a policy before it is run: by Rego's rules each of these would be silently undefined.

Only builtins that are there are called, every name is declared, every path into the document leads to a
field of the stage's shape, a text is compared with values that it can have, ``deny`` is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import orjson

from lemnis.contracts.counting import counted
from lemnis.contracts.errors import ContentError, UnsupportedError
from lemnis.policy.document import DOCUMENTS, Shape
from lemnis.policy.functions_texts import pattern
from lemnis.policy.tokens import Source
from lemnis.policy.tree import Binary, Call, Comprehension, Items, Literal, Module, Ref, Rule, Scalar, Term

Scope = dict[str, Shape]
_VERB = re.compile(r"%(.?)", re.DOTALL)


@cache
def builtins() -> Mapping[str, Any]:
    """Return what is known of Rego's builtins: ``evaluated`` with a probe each, ``refused`` and why."""
    found: dict[str, Any] = orjson.loads(Path(__file__).with_name("builtins.json").read_bytes())
    return found


def check_policy(module: Module, source: Source, name: str, stages: Iterable[str]) -> None:
    """Check a policy for each stage that it decides in; raises ContentError or UnsupportedError."""
    if module.package != f"lemnis.{name}":
        raise ContentError(
            f"package {module.package} in the folder of policy {name}", at=source.at(module.package_at),
            fix=f"package lemnis.{name}",
        )  # fmt: skip
    denies = [rule for rule in module.rules if rule.name == "deny"]
    wrong = [rule.span[0] for rule in denies if rule.kind != "contains"]
    if wrong or not denies:
        at = source.at(wrong[0] if wrong else module.package_at)
        raise ContentError("no rule `deny contains reason`", at=at, fix="add one: it is what is asked")
    for stage in stages:
        _Checker(module, source, DOCUMENTS[stage], f"stage {stage}").check()


def check_test(module: Module, source: Source, policy: Module) -> None:
    """Check a policy's test module; raises ContentError or UnsupportedError."""
    if module.package != f"{policy.package}_test":
        raise ContentError(
            f"package {module.package} in a test of {policy.package}", at=source.at(module.package_at),
            fix=f"package {policy.package}_test",
        )  # fmt: skip
    _Checker(module, source, None, "", policy=policy).check()


def check_module(module: Module, source: Source, document: Shape, where: str) -> None:
    """Check a module that reads an input of this shape; ``where`` names it in messages. Raises alike."""
    _Checker(module, source, document, where).check()


class _Checker:
    """One pass over a module; ``document`` is the input's shape, None in tests (there it may not be read)."""

    def __init__(
        self, module: Module, source: Source, document: Shape, where: str, *, policy: Module | None = None
    ) -> None:
        self.module = module
        self.source = source
        self.document = document
        self.where = where
        self.known = {module.package, policy.package} if policy else {module.package}
        self.names = {rule.name for rule in (policy or module).rules}
        self.functions = {rule.name for rule in module.rules if rule.parameters is not None}
        self.top: Scope = {rule.name: None for rule in module.rules}
        self.policy = policy

    def check(self) -> None:
        """Check imports and every rule."""
        for alias, path in self.module.imports.items():
            if path.removeprefix("data.") not in self.known:
                self._fail(f"import of {path}: a policy sees its own package only", self.module.package_at)
            self.top[alias] = None
        for rule in self.module.rules:
            if rule.kind == "default" and rule.name == "deny":
                self._fail("a default for deny", rule.span[0])
            for query, value in rule.branches:
                self._rule(rule, query, value)

    def _rule(self, rule: Rule, query: tuple[Literal, ...], value: Term | None) -> None:
        scope = dict(self.top)
        for parameter in rule.parameters or ():
            scope |= dict.fromkeys(self._declares(parameter))
        scope = self._query(query, scope)
        if value is not None:
            self._term(value, scope)

    # queries

    def _query(self, query: tuple[Literal, ...], outer: Scope) -> Scope:
        """Check the literals of a query; return the scope with what they declare."""
        scope = dict(outer)
        for literal in query:  # first what is declared: Rego does not mind the order
            scope |= dict.fromkeys(self._declared(literal))
        for literal in query:
            self._literal(literal, scope)
        return scope

    def _literal(self, literal: Literal, scope: Scope) -> None:
        for part in literal.withs:
            if self.policy is None:
                raise UnsupportedError(
                    "`with` in a policy", at=self.source.at(part.span[0]), fix="only tests replace the input"
                )
            if part.target != "input":
                raise UnsupportedError(
                    f"`with {part.target}`", at=self.source.at(part.span[0]), fix="only `with input as …`"
                )
            self._term(part.value, scope)
        if literal.over is not None:
            shape = self._term(literal.over, scope)
            inner = dict(scope) if literal.kind == "every" else scope
            self._bind(literal.declared, shape, inner)
            if literal.kind == "every":
                self._query(literal.body, inner)
        term = literal.term
        if isinstance(term, Binary) and term.operator == ":=":
            shape = self._term(term.right, scope)
            if isinstance(term.left, Ref) and not term.left.path:
                scope[term.left.name] = shape
            return
        if term is not None:
            self._term(term, scope)

    def _declared(self, literal: Literal) -> Iterator[str]:
        if literal.kind == "some":
            for term in literal.declared:
                yield from self._declares(term)
        if literal.term is not None and isinstance(literal.term, Binary) and literal.term.operator == ":=":
            yield from self._declares(literal.term.left)

    def _declares(self, pattern: Term) -> Iterator[str]:
        """Yield the names that a pattern brings in."""
        if isinstance(pattern, Ref) and not pattern.path:
            yield pattern.name
        elif isinstance(pattern, Items):
            for item in pattern.items:
                yield from self._declares(item)
        elif not isinstance(pattern, Scalar):
            self._fail("this brings in no name", pattern.at)

    def _bind(self, declared: tuple[Term, ...], over: Shape, scope: Scope) -> None:
        """Give the names of ``some`` or ``every`` their shapes: the last is the element."""
        for term in declared:
            scope |= dict.fromkeys(self._declares(term))
        last = declared[-1]
        if isinstance(last, Ref) and isinstance(over, list):
            scope[last.name] = over[0]

    # terms

    def _term(self, term: Term, scope: Scope) -> Shape:
        """Check a term and return its shape, None where it has no known one."""
        if isinstance(term, Ref):
            return self._ref(term, scope)
        if isinstance(term, Call):
            self._call(term, scope)
        elif isinstance(term, Items):
            for item in term.items:
                self._term(item, scope)
        elif isinstance(term, Comprehension):
            inner = self._query(term.body, scope)
            for item in term.head:
                self._term(item, inner)
        elif isinstance(term, Binary):
            self._binary(term, scope)
        return None

    def _ref(self, term: Ref, scope: Scope) -> Shape:
        for part in term.path:
            if not isinstance(part, str) and not (isinstance(part, Ref) and part.name == "_"):
                self._term(part, scope)
        if term.name == "_":
            return None
        if term.name == "data":
            self._data([p for p in term.path if isinstance(p, str)], term)
            return None
        if term.name == "input":
            if self.policy is not None:
                self._fail("a test gives its input by `with input as …` and does not read it", term.at)
            return self._follow(self.document, term)
        if term.name not in scope:
            near = get_close_matches(term.name, scope, 1)
            self._fail(
                f"{term.name} is not declared", term.at,
                f"{near[0]}?" if near else "declare it: `:=`, `some … in`, `every … in`",
            )  # fmt: skip
        if term.name in self.module.imports and term.path:
            self._data([*self.module.imports[term.name].split(".")[1:], str(term.path[0])], term)
        return self._follow(scope[term.name], term)

    def _data(self, path: list[str], term: Ref) -> None:
        """Check that a path below ``data`` leads to a rule of a package that is there."""
        package, name = ".".join(path[:2]), path[2] if len(path) > 2 else ""  # noqa: PLR2004 - lemnis.NAME
        own = {rule.name for rule in self.module.rules}
        there = own if package == self.module.package else self.names
        if package not in self.known or name not in there:
            self._fail(f"data.{'.'.join(path)}: no such rule", term.at, "policies see their own package only")

    def _follow(self, shape: Shape, term: Ref) -> Shape:
        """Follow a path into a shape; a field that is not there is a mistake."""
        for part in term.path:
            if isinstance(shape, list):
                if isinstance(part, str):
                    self._fail(f"{part!r} of a list", term.at, "name its elements: `some x in …`")
                shape = shape[0]
            elif isinstance(shape, dict):
                if not isinstance(part, str):
                    return None
                if part not in shape:
                    near = get_close_matches(part, shape, 1)
                    fix = f"{near[0]}?" if near else f"there are: {', '.join(shape)}"
                    self._fail(f"{part!r} is not in the document of {self.where}", term.at, fix)
                shape = shape[part]
            else:
                return None
        return shape

    def _call(self, term: Call, scope: Scope) -> None:
        for argument in term.arguments:
            self._term(argument, scope)
        for part in term.path:
            if not isinstance(part, str):
                self._term(part, scope)
        if term.name in self.functions:
            return
        known = builtins()
        if term.name not in known["evaluated"]:
            why = known["refused"].get(term.name, "there is no such function")
            raise UnsupportedError(
                f"{term.name} is not evaluated here: {why}", at=self.source.at(term.at),
                fix="docs/adr/0040 lists what is",
            )  # fmt: skip
        if term.name == "glob.match":
            self._glob(term)
        if term.name.startswith("regex.") and term.name != "regex.is_valid":
            self._regex(term)
        if term.name == "sprintf":
            self._sprintf(term)

    def _constant(self, term: Call) -> str:
        """Return a pattern that is written out; one that is computed could not be checked here."""
        first = term.arguments[0] if term.arguments else None
        if not isinstance(first, Scalar) or not isinstance(first.value, str):
            raise UnsupportedError(
                f"{term.name} with a computed pattern", at=self.source.at(term.at), fix="write it out"
            )
        return first.value

    def _glob(self, term: Call) -> None:
        if set(self._constant(term)) & set("[\\"):
            raise UnsupportedError(
                "glob.match with [ or a backslash", at=self.source.at(term.at),
                fix="write it with * ** ? and {a,b}, or use regex.match",
            )  # fmt: skip

    def _regex(self, term: Call) -> None:
        try:
            pattern(self._constant(term))
        except ValueError as error:
            raise ContentError(str(error), at=self.source.at(term.arguments[0].at)) from error

    def _sprintf(self, term: Call) -> None:
        """Each verb must be one that there is, and have its value."""
        layout = term.arguments[0] if term.arguments else None
        if not isinstance(layout, Scalar) or not isinstance(layout.value, str):
            raise UnsupportedError("sprintf of a computed layout", at=self.source.at(term.at))
        verbs = [verb for verb in _VERB.findall(layout.value) if verb != "%"]
        if bad := [verb for verb in verbs if verb not in {"s", "d", "v"}]:
            raise UnsupportedError(
                f"sprintf with %{bad[0]}", at=self.source.at(layout.at), fix="use %s, %d or %v"
            )
        values = term.arguments[1] if len(term.arguments) > 1 else None
        if isinstance(values, Items) and len(values.items) != len(verbs):
            self._fail(
                f"sprintf has {counted(len(verbs), 'verb')} and {counted(len(values.items), 'value')}",
                term.at,
            )

    def _binary(self, term: Binary, scope: Scope) -> None:
        if term.operator == ":=":
            self._fail("`:=` inside an expression", term.at, "give it a line of its own")
        shapes = [self._term(side, scope) for side in (term.left, term.right)]
        for shape, other in zip(shapes, (term.right, term.left), strict=True):
            if not isinstance(shape, tuple):
                continue
            if term.operator in {"==", "!=", "=", "in"}:
                for value in other.items if isinstance(other, Items) else (other,):
                    if isinstance(value, Scalar) and value.value not in shape:
                        self._fail(f"{value.value!r} is none of {', '.join(shape)}", value.at)
            elif term.operator in {"<", "<=", ">", ">="}:
                self._fail("texts compared by alphabet", term.at, "compare numbers (severity_id)")

    def _fail(self, what: str, at: int, fix: str = "") -> NoReturn:
        raise ContentError(what, at=self.source.at(at), fix=fix)
