"""Reads Rego (version 1) into a tree: the part of the language that policies here may be written in.

Stricter than OPA where OPA is lenient: names are declared (``:=``, ``some``, ``every``), an expression that
goes on in the next line has its operator at the end of the line, rule heads are plain names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NoReturn

from lemnis.contracts.errors import ContentError, UnsupportedError
from lemnis.policy.tokens import Source, Token, tokens, value
from lemnis.policy.tree import (
    Binary,
    Call,
    Comprehension,
    Items,
    Literal,
    Module,
    Ref,
    Rule,
    Scalar,
    Term,
    With,
)

KEYWORDS = frozenset(
    {
        "as", "default", "else", "every", "false", "if", "import", "in", "not", "null", "package",
        "some", "true", "with",
    }
)  # fmt: skip
_COMPARE = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_COMPUTE = frozenset({"+", "-", "*", "/", "%", "|", "&"})
_CONSTANTS = {"true": True, "false": False, "null": None}
_MAX_DEPTH = 60
_KEPT = 512


@lru_cache(maxsize=_KEPT)
def parse(source: Source) -> Module:
    """Return the tree of a module; raises ContentError or UnsupportedError with line and column."""
    return _Parser(source).module()


class _Parser:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.words = tokens(source)
        self.place = 0
        self.free = [False]  # whether lines may break here
        self.depth = 0

    # words

    @property
    def here(self) -> Token:
        return self.words[self.place]

    @property
    def last(self) -> int:
        return self.words[self.place - 1].end if self.place else 0

    def fail(self, what: str, *, at: int | None = None) -> NoReturn:
        raise ContentError(what, at=self.source.at(self.here.start if at is None else at))

    def refuse(self, what: str, fix: str, at: int) -> NoReturn:
        raise UnsupportedError(what, at=self.source.at(at), fix=fix)

    def take(self) -> Token:
        word = self.here
        self.place += 1
        return word

    def sees(self, *texts: str) -> bool:
        return self.here.kind in {"sign", "name"} and self.here.text in texts

    def skip(self, text: str) -> bool:
        if self.sees(text):
            self.place += 1
            return True
        return False

    def need(self, text: str) -> Token:
        if not self.sees(text):
            self.fail(f"expected {text!r}, found {self.here.text or 'the end'!r}")
        return self.take()

    def name(self) -> Token:
        if self.here.kind != "name" or self.here.text in KEYWORDS:
            self.fail(f"expected a name, found {self.here.text or 'the end'!r}")
        return self.take()

    def touches(self, text: str) -> bool:
        """Say whether this sign follows the last word without a space."""
        return self.sees(text) and self.here.start == self.last

    @contextmanager
    def breaking(self, free: bool) -> Iterator[None]:  # noqa: FBT001 - read as a word
        self.free.append(free)
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail("nested too deeply")
        yield
        self.free.pop()
        self.depth -= 1

    # modules and rules

    def module(self) -> Module:
        self.need("package")
        at = self.here.start
        package = self.dotted()
        imports: dict[str, str] = {}
        while self.skip("import"):
            start = self.here.start
            path = self.dotted()
            alias = self.name().text if self.skip("as") else path.rpartition(".")[2]
            if path in {"rego.v1", "future.keywords"} or path.startswith("future.keywords."):
                continue
            if not path.startswith("data."):
                self.refuse(f"import of {path}", "only rego.v1 and data.… can be imported", start)
            imports[alias] = path
        rules = []
        while self.here.kind != "end":
            if not self.here.newline:
                self.fail(f"unexpected {self.here.text!r}")
            rules.append(self.rule())
        return Module(package, at, imports, tuple(rules))

    def dotted(self) -> str:
        parts = [self.name().text]
        while self.skip("."):
            parts.append(self.name().text)
        return ".".join(parts)

    def rule(self) -> Rule:
        start = self.here.start
        default = self.skip("default")
        name = self.name().text
        if self.touches("[") or self.touches("."):
            self.refuse("a rule's head with a path", "write `name contains value` or `name := value`", start)
        parameters = None
        if self.touches("("):
            self.take()
            with self.breaking(True):
                parameters = self.listed(")", self.expression)
        kind, head = "value", None
        if self.sees("contains") and parameters is None:
            self.take()
            kind, head = "contains", self.expression()
        elif self.skip(":=") or self.skip("="):
            head = self.expression()
        if default:
            return Rule(name, "default", (start, self.last), None, (((), head),))
        branches = [(self.body() if self.skip("if") else (), head)]
        if kind == "value" and head is None and not branches[0][0]:
            self.fail("expected `if`, `contains` or `:=`")
        while self.skip("else"):
            other = self.expression() if self.skip(":=") or self.skip("=") else None
            branches.append((self.body() if self.skip("if") else (), other))
        return Rule(name, kind, (start, self.last), parameters, tuple(branches))

    def body(self) -> tuple[Literal, ...]:
        if self.sees("{"):
            self.take()
            with self.breaking(False):
                return self.query("}")
        with self.breaking(False):
            return (self.literal(),)

    def query(self, end: str) -> tuple[Literal, ...]:
        found = [self.literal()]
        while not self.sees(end):
            if not self.skip(";") and not self.here.newline:
                self.fail(f"expected `;`, a new line or {end!r}, found {self.here.text or 'the end'!r}")
            if not self.sees(end):
                found.append(self.literal())
        self.take()
        return tuple(found)

    # literals

    def literal(self) -> Literal:
        start = self.here.start
        negated = self.skip("not")
        kind, term, over = "term", None, None
        declared: tuple[Term, ...] = ()
        body: tuple[Literal, ...] = ()
        if self.sees("some", "every"):
            kind = self.take().text
            declared = self.declarations()
            if not self.skip("in"):
                self.refuse(
                    f"`{kind}` without `in`", "write `some x in xs` or `some i, x in xs`", start
                )  # a name that nothing binds is silently undefined in the engine
            over = self.expression()
            if kind == "every":
                self.need("{")
                with self.breaking(False):
                    body = self.query("}")
        else:
            term = self.expression()
        withs = []
        while self.sees("with"):
            withs.append(self.with_())
        return Literal(kind, (start, self.last), term, declared, over, body, negated, tuple(withs))

    def declarations(self) -> tuple[Term, ...]:
        found = [self.term()]
        while self.skip(","):
            found.append(self.term())
        return tuple(found)

    def with_(self) -> With:
        start = self.take().start
        target = self.dotted()
        self.need("as")
        first = self.here.start
        term = self.expression()
        return With(target, term, (start, self.last), (first, self.last))

    # terms

    def operator(self, known: frozenset[str], *, bar: bool = True) -> str:
        """Return the operator that stands here, if the expression goes on with it."""
        if self.here.kind not in {"sign", "name"} or self.here.text not in known:
            return ""
        if self.here.newline and not self.free[-1]:
            return ""
        return "" if self.here.text == "|" and not bar else self.here.text

    def expression(self, *, bar: bool = True) -> Term:
        left = self.comparison(bar=bar)
        while operator := self.operator(frozenset({":=", "="}), bar=bar):
            at = self.take().start
            left = Binary(operator, left, self.comparison(bar=bar), at)
        return left

    def comparison(self, *, bar: bool) -> Term:
        left = self.computed(bar=bar)
        while operator := self.operator(_COMPARE, bar=bar):
            at = self.take().start
            left = Binary(operator, left, self.computed(bar=bar), at)
        return left

    def computed(self, *, bar: bool) -> Term:
        left = self.term()
        while operator := self.operator(_COMPUTE, bar=bar):
            at = self.take().start
            left = Binary(operator, left, self.term(), at)
        return left

    def term(self) -> Term:
        word = self.here
        if word.kind in {"string", "raw", "number"}:
            self.take()
            return Scalar(value(self.source, word), word.start)
        if word.kind == "name" and word.text in _CONSTANTS:
            self.take()
            return Scalar(_CONSTANTS[word.text], word.start)
        return self.reference() if word.kind == "name" else self.enclosed()

    def enclosed(self) -> Term:
        word = self.take()
        if word.text == "-":
            return Binary("-", Scalar(0, word.start), self.term(), word.start)
        if word.text == "[":
            return self.collection(word.start, "array", "]")
        if word.text == "{":
            return self.collection(word.start, "set", "}")
        if word.text != "(":
            self.fail(f"expected a value, found {word.text or 'the end'!r}", at=word.start)
        with self.breaking(True):
            inner = self.expression()
            self.need(")")
        return inner

    def reference(self) -> Term:
        start = self.name()
        parts = [start.text]
        while self.touches(".") or self.touches("["):
            if not self.dot_name():
                break
            parts.append(self.words[self.place - 1].text)
        if self.touches("("):
            self.take()
            with self.breaking(True):
                arguments = self.listed(")", self.expression)
            return Call(".".join(parts), arguments, self.path(), start.start)
        return Ref(parts[0], (*parts[1:], *self.path()), start.start)

    def dot_name(self) -> bool:
        if not self.touches("."):
            return False
        self.take()
        if self.here.kind != "name" or self.here.start != self.last:
            self.fail("expected a name after the dot")
        self.take()
        return True

    def path(self) -> tuple[str | Term, ...]:
        found: list[str | Term] = []
        while self.touches(".") or self.touches("["):
            if self.dot_name():
                found.append(self.words[self.place - 1].text)
                continue
            self.take()
            with self.breaking(True):
                term = self.expression()
                self.need("]")
            found.append(term.value if isinstance(term, Scalar) and isinstance(term.value, str) else term)
        return tuple(found)

    def listed(self, end: str, one: Callable[[], Term]) -> tuple[Term, ...]:
        found: list[Term] = []
        while not self.sees(end):
            found.append(one())
            if not self.sees(end):
                self.need(",")
        self.take()
        return tuple(found)

    def collection(self, at: int, kind: str, end: str) -> Term:
        """Read what stands in brackets: an array, set, object, or a comprehension of one."""
        with self.breaking(True):
            if self.skip(end):
                return Items("object" if kind == "set" else kind, (), at)
            head = [self.expression(bar=False)]
            if kind == "set" and self.skip(":"):
                kind = "object"
                head.append(self.expression(bar=False))
            if self.skip("|"):
                with self.breaking(False):
                    return Comprehension(tuple(head), self.query(end), at)
            while not self.skip(end):
                self.need(",")
                if self.skip(end):
                    break
                head.append(self.expression())
                if kind == "object":
                    self.need(":")
                    head.append(self.expression())
            return Items(kind, tuple(head), at)
