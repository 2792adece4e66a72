"""Go by tokens: functions, imports, and the calls on routers, whatever framework they are of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lemnis.graph.code.lexer import Kind, Tokens
from lemnis.graph.code.model import Mounted, Span, Unit
from lemnis.graph.code.templates import UNKNOWN, Notation

_DEEP, _FAR = 16, 60


@dataclass(frozen=True, slots=True)
class Function:
    """A function: name, names of its parameters, the tokens of its body, its lines."""

    name: str
    parameters: tuple[str, ...]
    body: range
    span: Span


@dataclass(slots=True)
class Source:
    """A file's tokens, functions and texts."""

    path: str
    tokens: Tokens
    packages: frozenset[str] = frozenset()
    functions: dict[str, Span] = field(default_factory=dict)
    scopes: list[Function] = field(default_factory=list)
    named: dict[str, Function] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def uses(self, *packages: str) -> bool:
        """Say whether a package is imported, in any version."""
        return any(name == one or name.startswith(f"{one}/") for name in self.packages for one in packages)

    def unit(self, framework: str, notation: Notation) -> Unit:
        """Return an empty unit of this file."""
        return Unit(self.path, framework, notation, functions=self.functions)

    def said(self, span: range) -> str | None:
        """Return a text argument."""
        return self.tokens.text(span, self.texts)

    def scope(self, place: int) -> Function | None:
        """Return the named function around a token."""
        low, high = 0, len(self.scopes)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.scopes[middle].body.start <= place else (low, middle)
        return self.scopes[low - 1] if low and place in self.scopes[low - 1].body else None

    def group(self, name: str, place: int) -> str:
        """Return the group that a name means: a variable is its function's, a field (``s.r``) the file's."""
        around = self.scope(place)
        return f"{around.name}/{name}" if around and "." not in name else name

    def calls(self) -> Iterator[tuple[str, str, int]]:
        """Yield (receiver, method, place of the bracket) of each call ``a.method(``; a plain one has none."""
        found = self.tokens
        for place, token in enumerate(found.all):
            if token.kind is Kind.WORD and found.sign(place + 1, "("):
                yield self._receiver(place), token.text, place + 1

    def _receiver(self, place: int) -> str:
        """Return whom a method is called on; what ``r.With(..)`` or ``r.Use(..)`` gives back is ``r``."""
        for _ in range(_DEEP):
            if not self.tokens.sign(place - 1, "."):
                return ""
            if name := self.tokens.before(place - 1):
                return name
            start = self.tokens.opened.get(place - 2)
            if start is None or self.tokens.word(start - 1) not in {"With", "Use", "Methods"}:
                return ""
            place = start - 1
        return ""

    def handler(self, span: range) -> tuple[str, Span | None]:
        """Return who handles: a name, a function written right here, or what a wrapper is given."""
        for _ in range(_DEEP):
            if not span:
                break
            if self.tokens.sign(span.start, "func"):
                end = span.stop - 1
                return "(inline)", Span(self.tokens.line(span.start), self.tokens.line(end))
            start = span.start + self.tokens.sign(span.start, "&")
            name = self.tokens.dotted(start)
            after = start + max(2 * name.count(".") + 1, 0)
            if after not in span or not self.tokens.sign(after, "("):
                return name, None
            inner = self.tokens.parts(after)
            if not inner:
                return name, None
            span = inner[-1]
        return "", None


def source(path: str, found: Tokens) -> Source:
    """Read a file's imports, functions and texts."""
    one = Source(path, found)
    packages: set[str] = set()
    for place, token in enumerate(found.all):
        if token.kind is not Kind.WORD and token.text != "=":
            continue
        if token.text == "import":
            end = found.end(place + 1) if found.sign(place + 1, "(") else place + 3
            packages |= {t.text for t in found.all[place : end + 1] if t.kind is Kind.TEXT}
        elif token.text == "func":
            _function(one, place)
        elif token.text == "=" and place + 1 < len(found.all) and found.all[place + 1].kind is Kind.TEXT:
            name = found.word(place - 1) or found.word(place - 2)
            if name:
                one.texts.setdefault(name, found.all[place + 1].text)
    one.packages = frozenset(packages)
    return one


def _function(one: Source, place: int) -> None:
    """Keep a function that has a name: ``func name(``, ``func (s *T) name(``."""
    found, here = one.tokens, place + 1
    kind = ""
    if found.sign(here, "("):
        inner = [found.word(n) for n in range(here + 1, found.end(here)) if found.word(n)]
        kind = inner[1] if len(inner) > 1 else ""
        here = found.end(here) + 1
    name = found.word(here)
    if not name or not found.sign(here + 1, "("):
        return
    shut = found.end(here + 1)
    body = next((n for n in range(shut + 1, min(shut + _FAR, len(found.all))) if found.sign(n, "{")), -1)
    if body < 0:
        return
    end = found.end(body)
    names = tuple(found.word(part.start) for part in found.parts(here + 1))
    span = Span(found.line(place), found.line(end))
    one.scopes.append(Function(name, names, range(body, end), span))
    one.named.setdefault(name, one.scopes[-1])
    one.functions.setdefault(name, span)
    if kind:
        one.functions.setdefault(f"{kind}.{name}", span)


def grouped(one: Source, unit: Unit, word: str) -> None:
    """Read ``g := r.Group("/x")``, and routers that are handed to functions of the same file.

    A group that is handed on without a name is one of the place where it is made.
    """
    found = one.tokens
    for receiver, called, bracket in one.calls():
        parts = found.parts(bracket)
        if called == word and receiver and parts:
            name = _given(found, bracket) or f"@{bracket}"
            prefix = one.said(parts[0])
            mounted = Mounted(
                one.group(receiver, bracket), UNKNOWN if prefix is None else prefix, one.group(name, bracket)
            )
            unit.mounted.append(mounted)
        elif not receiver or receiver in one.functions:
            handed(one, unit, called, parts, word, bracket)


def handed(  # noqa: PLR0917 - as they stand in the call
    one: Source, unit: Unit, called: str, parts: list[range], word: str, bracket: int
) -> None:
    """Read ``register(api)``: what the function calls its parameter is put where ``api`` is."""
    target = one.named.get(called)
    if target is None:
        return
    for part, parameter in zip(parts, target.parameters, strict=False):
        name = one.tokens.dotted(part.start)
        after = part.start + 2 * name.count(".") + 1
        if name.endswith(f".{word}") and one.tokens.sign(after, "("):
            name = f"@{after}"
        elif not name or after in part:
            continue
        unit.mounted.append(Mounted(one.group(name, bracket), "", f"{called}/{parameter}"))


def _given(found: Tokens, bracket: int) -> str:
    """Return the name that the result of a call ``a.b(`` is given by ``:=`` or ``=``."""
    place = bracket - 1
    while found.sign(place - 1, ".") and found.word(place - 2):
        place -= 2
    if not found.sign(place - 1, "="):
        return ""
    place -= 2 + found.sign(place - 2, ":")
    names = [found.word(place)] if found.word(place) else []
    while names and found.sign(place - 1, ".") and found.word(place - 2):
        place -= 2
        names.insert(0, found.word(place))
    return ".".join(names)
