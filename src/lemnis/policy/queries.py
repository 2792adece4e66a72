"""Makes functions of queries: of literals, and of the terms in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from lemnis.contracts.errors import ContentError, UnsupportedError
from lemnis.policy import operators
from lemnis.policy.functions import FUNCTIONS
from lemnis.policy.names import declared, free, names_in
from lemnis.policy.steps import Env, Get, Step, anything, enough, field_true, looped, pairs, true
from lemnis.policy.tokens import Source
from lemnis.policy.tree import Binary, Call, Comprehension, Items, Literal, Module, Ref, Rule, Scalar, Term
from lemnis.policy.values import UNDEFINED, Budget, Set, equal

Scope = dict[str, int]


class Running(Protocol):
    """What a rule needs of the run it is asked in."""

    budget: Budget
    document: Any
    known: dict[int, Any]

    def under(self, document: Any) -> Running:
        """Return a run over another document."""
        ...


class World(Protocol):
    """The rules that there are."""

    def has(self, package: str, name: str) -> bool:
        """Say whether there is such a rule."""
        ...

    def rule(self, package: str, name: str) -> Any:
        """Return a rule's value, or a function's: ``run, arguments`` to value."""
        ...


Value = Callable[[Running], Any]
_FIRST = 1


class Maker:
    """Compiles one rule; counts the places that its names take."""

    def __init__(self, world: World, module: Module, source: Source) -> None:
        self.world = world
        self.module = module
        self.source = source
        self.places = _FIRST
        self.loops: list[tuple[Get, int]] = []

    def env(self, run: Running) -> Env:
        """Return the places, with nothing in them but the run."""
        return [run, *[None] * (self.places - _FIRST)]

    def fail(self, what: str, at: int, fix: str = "") -> NoReturn:
        """Raise ContentError with the place."""
        raise ContentError(what, at=self.source.at(at), fix=fix)

    def place(self) -> int:
        """Return a place that nothing uses."""
        self.places += 1
        return self.places - 1

    # rules and queries

    def chain(self, rule: Rule, scope: Scope) -> Get:
        """Return what gives a rule's value: that of the first branch that holds."""
        parts = []
        for query, head in rule.branches:
            holds = self.collect(query, (head or Scalar(True, rule.span[0]),), scope)
            parts.append(holds)
        name = rule.name

        def value(env: Env) -> Any:
            for part in parts:
                found: list[Any] = []
                part(env, found.append)
                if found:
                    return agreed(name, found, env[0].budget)
            return UNDEFINED

        return value

    def collect(
        self, query: Sequence[Literal], heads: Sequence[Term], outer: Scope, *, every: bool = False
    ) -> Callable[[Env, Callable[[Any], Any]], None]:
        """Return what hands the head's value (of several heads: a list) on for every way the query holds.

        A constant head is handed on once, unless ``every`` way counts.
        """
        sink = self.place()
        scope, ordered = self.scope(query, outer)
        kept, self.loops = self.loops, []
        gets = [self.term(head, scope) for head in heads]
        loops, self.loops = self.loops, kept
        constant = not every and all(isinstance(head, Scalar) for head in heads)
        get = gets[0] if len(gets) == 1 else operators.call(gets, operators.together)

        def last(env: Env) -> bool:
            value = get(env)
            if value is not UNDEFINED:
                env[sink](value)
            return constant

        first = self.steps(ordered, scope, looped(loops, last))

        def run(env: Env, take: Callable[[Any], Any]) -> None:
            env[sink] = take
            first(env)

        return run

    def scope(self, query: Sequence[Literal], outer: Scope) -> tuple[Scope, list[Literal]]:
        """Give places to the names that a query declares; put its literals in an order that binds first."""
        scope = dict(outer)
        gives: list[set[str]] = []
        for literal in query:
            names = set(declared(literal))
            gives.append(names)
            scope |= {name: self.place() for name in sorted(names)}
        own = set().union(*gives) if gives else set()
        waiting = list(range(len(query)))
        needs = [set(free(literal)) & own - gives[n] for n, literal in enumerate(query)]
        bound: set[str] = set()
        done: list[Literal] = []
        while waiting:
            ready = next((n for n in waiting if needs[n] <= bound), None)
            if ready is None:
                self.fail("these lines need each other's names", query[waiting[0]].span[0])
            waiting.remove(ready)
            bound |= gives[ready]
            done.append(query[ready])
        return scope, done

    def steps(self, query: Sequence[Literal], scope: Scope, step: Step) -> Step:
        """Return the step through all literals and on to ``step``."""
        for literal in reversed(query):
            step = self.literal(literal, scope, step)
        return step

    # literals

    def literal(self, literal: Literal, scope: Scope, after: Step) -> Step:
        """Return the step through one literal."""
        if literal.withs:
            return self.under(literal, scope, after)
        if not literal.negated:
            return self.plain(literal, scope, after)
        inner = self.plain(literal, scope, enough)
        return lambda env: False if inner(env) else after(env)

    def under(self, literal: Literal, scope: Scope, after: Step) -> Step:
        """Return the step through a literal under ``with input as …``."""
        if len(literal.withs) > 1 or literal.withs[0].target != "input":
            raise UnsupportedError("`with` of more than the input", at=self.source.at(literal.span[0]))
        outside, inside = self.place(), self.place()
        kept, self.loops = self.loops, []
        given = self.term(literal.withs[0].value, scope)
        loops, self.loops = self.loops, kept

        def back(env: Env) -> bool:
            env[inside], env[0] = env[0], env[outside]
            enough = after(env)
            env[0] = env[inside]
            return enough

        bare = Literal(
            literal.kind,
            literal.span,
            literal.term,
            literal.declared,
            literal.over,
            literal.body,
            literal.negated,
        )
        step = self.literal(bare, scope, back)

        def run(env: Env) -> bool:
            document = given(env)
            if document is UNDEFINED:
                return False
            env[outside] = env[0]
            env[0] = env[0].under(document)
            enough = step(env)
            env[0] = env[outside]
            return enough

        return looped(loops, run)

    def plain(self, literal: Literal, scope: Scope, after: Step) -> Step:
        """Return the step through a literal that is neither negated nor under another input."""
        kept, self.loops = self.loops, []
        if literal.kind == "some":
            step = self.some(literal, scope, after)
        elif literal.kind == "every":
            step = self.every(literal, scope, after)
        elif isinstance(literal.term, Binary) and literal.term.operator == ":=":
            step = self.assign(literal.term, scope, after)
        elif literal.term is None:
            self.fail("an empty line", literal.span[0])
        elif isinstance(literal.term, Ref) and (name := self.field(literal.term, scope)):
            step = field_true(scope[literal.term.name], name, after)
        else:
            step = true(self.term(literal.term, scope), after)
        loops, self.loops = self.loops, kept
        return looped(loops, step)

    def field(self, term: Ref, scope: Scope) -> str:
        """Return the name of the one field of a bound name that a term is; empty if it is another."""
        path = term.path
        return path[0] if term.name in scope and len(path) == 1 and isinstance(path[0], str) else ""

    def assign(self, term: Binary, scope: Scope, after: Step) -> Step:
        """``pattern := term``."""
        get = self.term(term.right, scope)
        if isinstance(term.left, Ref) and not term.left.path and term.left.name != "_":
            place = scope[term.left.name]

            def simple(env: Env) -> bool:
                value = get(env)
                if value is UNDEFINED:
                    return False
                env[place] = value
                return after(env)

            return simple
        take = self.pattern(term.left, scope)

        def step(env: Env) -> bool:
            value = get(env)
            return value is not UNDEFINED and take(env, value) and after(env)

        return step

    def some(self, literal: Literal, scope: Scope, after: Step) -> Step:
        """``some x in xs``, ``some k, x in xs``."""
        if isinstance(only := literal.declared[0], Ref) and len(literal.declared) == 1 and only.name in scope:
            return self.some_of(literal, scope[only.name], scope, after)
        names, over = self.over(literal, scope)

        def step(env: Env) -> bool:
            spend = env[0].budget.spend
            for one in pairs(over(env)):
                spend(1)
                if names(env, one) and after(env):
                    return True
            return False

        return step

    def some_of(self, literal: Literal, place: int, scope: Scope, after: Step) -> Step:
        """``some x in xs``."""
        if literal.over is None:
            self.fail("`some` without `in`", literal.span[0])
        over = self.term(literal.over, scope)

        def step(env: Env) -> bool:
            values = over(env)
            if not isinstance(values, list | dict | Set):
                return False
            env[0].budget.spend(len(values))
            for value in values.values() if isinstance(values, dict) else values:
                env[place] = value
                if after(env):
                    return True
            return False

        return step

    def every(self, literal: Literal, scope: Scope, after: Step) -> Step:
        """``every x in xs { … }``."""
        inner = dict(scope)
        for term in literal.declared:
            inner |= {name: self.place() for name in names_in(term)}
        names, over = self.over(literal, inner, outer=scope)
        within, ordered = self.scope(literal.body, inner)
        body = self.steps(ordered, within, enough)

        def step(env: Env) -> bool:
            value = over(env)
            if not isinstance(value, list | dict | Set):
                return False
            spend = env[0].budget.spend
            for one in pairs(value):
                spend(1)
                if not (names(env, one) and body(env)):
                    return False
            return after(env)

        return step

    def over(
        self, literal: Literal, scope: Scope, *, outer: Scope | None = None
    ) -> tuple[Callable[[Env, tuple[Any, Any]], bool], Get]:
        """Return what binds a pair of key and value to the declared names, and what gives the collection."""
        if literal.over is None or len(literal.declared) > 2:  # noqa: PLR2004 - key and value
            self.fail(f"`{literal.kind}` of more than a key and a value", literal.span[0])
        get = self.term(literal.over, scope if outer is None else outer)
        takes = [self.pattern(term, scope) for term in literal.declared]
        if len(takes) == 1:
            only = takes[0]
            return lambda env, pair: only(env, pair[1]), get
        name, value = takes
        return lambda env, pair: name(env, pair[0]) and value(env, pair[1]), get

    def pattern(self, term: Term, scope: Scope) -> Callable[[Env, Any], bool]:
        """Return what binds a value to a pattern's names, and says whether it fits."""
        if isinstance(term, Ref) and not term.path:
            if term.name == "_":
                return anything
            if term.name not in scope:
                scope[term.name] = self.place()
            place = scope[term.name]

            def bind(env: Env, value: Any) -> bool:
                env[place] = value
                return True

            return bind
        if isinstance(term, Scalar):
            wanted = term.value
            return lambda env, value: equal(value, wanted, env[0].budget)
        if isinstance(term, Items) and term.kind == "array":
            parts = [self.pattern(item, scope) for item in term.items]

            def fits(env: Env, value: Any) -> bool:
                same = isinstance(value, list) and len(value) == len(parts)
                return same and all(take(env, one) for take, one in zip(parts, value, strict=True))

            return fits
        return self.fail("only names, constants and arrays of them can be matched", term.at)

    # terms

    def term(self, term: Term, scope: Scope) -> Get:
        """Return what gives a term's value, or ``UNDEFINED``; its ``[_]`` become loops around the literal."""
        if isinstance(term, Scalar):
            return operators.Constant(term.value)
        if isinstance(term, Ref):
            return self.ref(term, scope)
        if isinstance(term, Call):
            return self.along(self.call(term, scope), term.path, scope)
        if isinstance(term, Items):
            return self.items(term, scope)
        if isinstance(term, Comprehension):
            return self.comprehension(term, scope)
        return self.binary(term, scope)

    def ref(self, term: Ref, scope: Scope) -> Get:
        """Return what gives the value of a name and the way on from it."""
        path = term.path
        if term.name in scope:
            place = scope[term.name]
            if path and isinstance(path[0], str):
                return self.along(operators.field_at(place, path[0]), path[1:], scope)
            start: Get = lambda env: env[place]  # noqa: E731
        elif term.name == "input":
            start = lambda env: env[0].document  # noqa: E731
        elif term.name == "data" or term.name in self.module.imports:
            way = [*self.module.imports.get(term.name, "data").split("."), *map(str, path)]
            package, name = ".".join(way[1:3]), way[3] if len(way) > 3 else ""  # noqa: PLR2004 - data.lemnis.x.rule
            if not self.world.has(package, name):
                self.fail(f"{'.'.join(way)}: no such rule", term.at)
            path = path[4 - (len(way) - len(path)) :]
            start = self.rule_value(package, name)
        elif self.world.has(self.module.package, term.name):
            start = self.rule_value(self.module.package, term.name)
        else:
            self.fail(f"{term.name} is not declared", term.at)
        return self.along(start, path, scope)

    def rule_value(self, package: str, name: str) -> Get:
        """Return what gives a rule's value."""
        value = self.world.rule(package, name)
        return lambda env: value(env[0])

    def along(self, start: Get, path: Sequence[str | Term], scope: Scope) -> Get:
        """Return what follows a path from a value; ``[_]`` becomes a loop."""
        get = start
        for part in path:
            if isinstance(part, str):
                get = operators.field(get, part)
            elif isinstance(part, Ref) and part.name == "_" and not part.path:
                place = self.place()
                self.loops.append((get, place))
                get = operators.at_place(place)
            else:
                get = operators.index(get, self.term(part, scope))
        return get

    def call(self, term: Call, scope: Scope) -> Get:
        """Return what gives the value of a function of the module, or of a builtin."""
        gets = [self.term(argument, scope) for argument in term.arguments]
        if self.world.has(self.module.package, term.name):
            own = self.world.rule(self.module.package, term.name)
            return operators.call(gets, lambda env, values: own(env[0], values))
        builtin = FUNCTIONS.get(term.name)
        if builtin is None:
            raise UnsupportedError(
                f"{term.name} is not evaluated here: there is no such function", at=self.source.at(term.at)
            )
        does = builtin.call
        return operators.call(gets, lambda env, values: does(env[0].budget, values))

    def items(self, term: Items, scope: Scope) -> Get:
        """Return what makes an array, a set or an object."""
        gets = [self.term(item, scope) for item in term.items]
        if term.kind == "array":
            return operators.call(gets, operators.together)
        if term.kind == "set":
            return operators.call(gets, lambda env, values: Set(values, env[0].budget))
        return operators.call(gets, lambda env, values: operators.object_of(values[::2], values[1::2], env))

    def comprehension(self, term: Comprehension, scope: Scope) -> Get:
        """Return what makes an array, a set or an object of a query."""
        kind = "object" if len(term.head) > 1 else "set" if self.source.text[term.at] == "{" else "array"
        collect = self.collect(term.body, term.head, scope, every=kind == "array")

        def value(env: Env) -> Any:
            found: list[Any] = []
            collect(env, found.append)
            if kind == "array":
                return found
            if kind == "set":
                return Set(found, env[0].budget)
            return operators.object_of([name for name, _ in found], [one for _, one in found], env)

        return value

    def binary(self, term: Binary, scope: Scope) -> Get:
        """Return what gives an operator's value."""
        if term.operator == ":=":
            self.fail("`:=` inside an expression", term.at)
        left, right = self.term(term.left, scope), self.term(term.right, scope)
        return operators.BINARY[term.operator](left, right)


def agreed(name: str, values: Sequence[Any], budget: Budget) -> Any:
    """Return the one value among these; raises ContentError for two."""
    found = UNDEFINED
    for value in values:
        if value is UNDEFINED:
            continue
        if found is not UNDEFINED and not equal(found, value, budget):
            raise ContentError(f"not evaluated: {name} has two values")
        found = value
    return found
