"""JavaScript and TypeScript by tokens: imports, functions and their parameters, calls on routers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lemnis.graph.code.lexer import Kind, Tokens
from lemnis.graph.code.model import Span, Unit
from lemnis.graph.code.templates import UNKNOWN, Notation

_NO_METHODS = frozenset(
    {"if", "for", "while", "switch", "catch", "function", "return", "with", "await", "typeof", "super"}
)
_FUNCTION = frozenset({"async", "function"})
_EXPORTS = "module.exports"
_FAR, _DEEP = 200, 16
_USUAL = frozenset({"app", "router", "server", "api", "fastify", "instance", "route", "routes"})


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its name (empty for none), its parameters, the tokens of its body, its lines."""

    name: str
    parameters: tuple[str, ...]
    body: range
    span: Span


@dataclass(slots=True)
class Script:
    """A file's tokens, and what its names stand for."""

    path: str
    tokens: Tokens
    imports: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Span] = field(default_factory=dict)
    scopes: list[Function] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    exported: str = ""
    inside: list[int] = field(default_factory=list)

    def uses(self, *packages: str) -> bool:
        """Say whether one of the packages is imported; packages of a scope by its beginning."""
        names = {module.partition(":")[0] for module in self.imports.values()}
        return any(name == one or name.startswith(f"{one}/") for name in names for one in packages)

    def unit(self, framework: str, notation: Notation) -> Unit:
        """Return an empty unit of this file."""
        return Unit(
            self.path,
            framework,
            notation,
            imports=self.imports,
            functions=self.functions,
            exported=self.exported,
        )

    def group(self, name: str, place: int) -> str:
        """Return the group that a name means at a token: that of the function whose parameter it is."""
        number = self.inside[place] if place < len(self.inside) else -1
        for _ in range(_DEEP):
            if number < 0:
                break
            if name in self.scopes[number].parameters:
                return self.scopes[number].name
            number = self._around(number)
        return name

    def _around(self, number: int) -> int:
        start = self.scopes[number].body.start
        outer = self.inside[start - 1] if start else -1
        return outer if outer != number else -1

    def router(self, name: str) -> bool:
        """Say whether a name may be a router: made here as one, or called as they are."""
        usual = name.rpartition(".")[2]
        return name in self.made or usual in _USUAL or usual.endswith(("Router", "Routes", "App", "Server"))

    def calls(self) -> Iterator[tuple[str, str, int]]:
        """Yield (receiver, method, place of the bracket) of each call ``a.b.method(``."""
        for place, token in enumerate(self.tokens.all):
            if (
                token.kind is Kind.WORD
                and self.tokens.sign(place - 1, ".")
                and self.tokens.sign(place + 1, "(")
            ):
                yield self.tokens.before(place - 1), token.text, place + 1

    def said(self, span: range) -> str | None:
        """Return a text argument."""
        return self.tokens.text(span, self.texts)

    def paths(self, span: range) -> list[str]:
        """Return the paths of an argument: a text, or a list of them; none for what is neither."""
        if self.tokens.sign(span.start, "["):
            return [said for one in self.tokens.parts(span.start) if (said := self.said(one)) is not None]
        said = self.said(span)
        if said is None and len(span) == 1 and self.tokens.all[span.start].kind is Kind.OTHER:
            return [UNKNOWN] if self.tokens.all[span.start].text.startswith("/") else []
        return [] if said is None else [said]

    def handler(self, span: range) -> tuple[str, Span | None]:
        """Return the name of who handles, and its lines where it stands right here."""
        for _ in range(_DEEP):
            inline = self._inline(span)
            if inline is not None:
                return inline.name or "(inline)", inline.span
            name = self.tokens.dotted(span.start)
            here = span.start + max(2 * len(name.split(".")) - 1, 0)
            if not name or here not in span or not self.tokens.sign(here, "("):
                return name, None
            if name.endswith(".bind"):
                return name.removesuffix(".bind"), None
            inner = self.tokens.parts(here)
            if not inner:
                return name, None
            span = inner[-1]
        return "", None

    def _inline(self, span: range) -> Function | None:
        """Return the function that an argument is."""
        start = span.start
        start += self.tokens.sign(start, "async")
        if self.tokens.sign(start, "function"):
            place = next(
                (n for n in range(start, min(start + _DEEP, span.stop)) if self.tokens.sign(n, "(")), -1
            )
            return _function(self.tokens, place, "") if place >= 0 else None
        arrow = self.tokens.end(start) + 1 if self.tokens.sign(start, "(") else start + 1
        if self.tokens.sign(arrow, ":"):
            arrow = next(
                (n for n in range(arrow, min(arrow + _FAR, span.stop)) if self.tokens.sign(n, "=>")), arrow
            )
        return _arrow(self.tokens, arrow) if arrow in span and self.tokens.sign(arrow, "=>") else None

    def fields(self, place: int) -> dict[str, range]:
        """Return the members of an object that begins at a place."""
        found = {}
        for part in self.tokens.parts(place) if self.tokens.sign(place, "{") else ():
            token = self.tokens.all[part.start]
            if token.kind in {Kind.WORD, Kind.TEXT} and self.tokens.sign(part.start + 1, ":"):
                found[token.text] = range(part.start + 2, part.stop)
            elif token.kind is Kind.WORD:
                found[token.text] = part
        return found


def script(path: str, found: Tokens) -> Script:  # noqa: C901 - a case for each word that counts
    """Read what a file's names stand for."""
    one = Script(path, found)
    for place, token in enumerate(found.all):
        if token.kind is Kind.TEXT:
            continue
        if token.text == "import":
            _import(one, place)
        elif token.text == "require" and found.sign(place + 1, "("):
            _require(one, place)
        elif token.text == "function":
            _named(one, place)
        elif token.text == "=>":
            _keep(one, _arrow(found, place))
        elif token.text == "=" and not found.sign(place + 1, "="):
            _assigned(one, place)
        elif token.text == "(" and (name := found.word(place - 1)) and name not in _NO_METHODS:
            _method(one, name, place)
        elif token.text == "default" and found.sign(place - 1, "export"):
            after = place + 1
            while found.word(after) in _FUNCTION:
                after += 1
            one.exported = one.exported or found.dotted(after)
    one.scopes.sort(key=lambda function: (function.body.start, -function.body.stop))
    one.inside = [-1] * len(found.all)
    for number, function in enumerate(one.scopes):
        _paint(one, number, function)
    return one


def _paint(one: Script, number: int, function: Function) -> None:
    """Mark a body's tokens; bodies within bodies come later, and deeper than some are not told apart."""
    depth, outer = 0, one.inside[function.body.start] if function.body.start < len(one.inside) else -1
    while outer >= 0 and depth <= _DEEP:
        depth, outer = depth + 1, one._around(outer)  # noqa: SLF001 - the same module
    if depth <= _DEEP:
        one.inside[function.body.start : function.body.stop] = [number] * len(
            range(function.body.start, min(function.body.stop, len(one.inside)))
        )


def _keep(one: Script, function: Function | None) -> None:
    if function is None:
        return
    if function.name == _EXPORTS:
        function = replace(function, name="")
    one.scopes.append(function)
    if function.name:
        one.functions.setdefault(function.name.rpartition(".")[2], function.span)


def _function(found: Tokens, bracket: int, name: str) -> Function | None:
    """Return the function whose parameters begin at a bracket, if a body follows."""
    shut = found.end(bracket)
    body = shut + 1
    if found.sign(body, ":"):  # a type of TypeScript
        body = next((n for n in range(body, min(body + _FAR, len(found.all))) if found.sign(n, "{")), body)
    if not found.sign(body, "{"):
        return None
    names = tuple(
        dict.fromkeys(found.word(part.start) for part in found.parts(bracket) if found.word(part.start))
    )  # fmt: skip
    end = found.end(body)
    return Function(name, names, range(body, end), Span(found.line(bracket), found.line(end)))


def _arrow(found: Tokens, place: int) -> Function | None:
    """Return the function of an arrow."""
    start = found.opened.get(place - 1, place - 1)
    names = (
        tuple(found.word(part.start) for part in found.parts(start) if found.word(part.start))
        if found.sign(start, "(")
        else (found.word(start),)
    )
    before = start - 1 - found.sign(start - 1, "async")
    name = ""
    if found.sign(before, "="):
        name = _name_before(found, before)
    elif found.sign(before, ":"):
        name = found.word(before - 1)
    body = place + 1
    end = found.end(body) if found.sign(body, "{") else _expression(found, body)
    return Function(name, names, range(body, end), Span(found.line(start), found.line(end)))


def _expression(found: Tokens, place: int) -> int:
    """Return where an expression ends, or how far it was looked for."""
    start = place
    while place < min(len(found.all), start + _FAR):
        if found.all[place].kind is Kind.SIGN and found.all[place].text in ",);]}":
            return place - (place > start)
        place = found.end(place) + 1 if place in found.shut else place + 1
    return min(place, len(found.all)) - 1


def _name_before(found: Tokens, equals: int) -> str:
    """Return the name ``a.b`` before an equals sign; a type of TypeScript's may stand between."""
    place = equals - 1
    names = [found.word(place)] if found.word(place) else []
    while names and found.sign(place - 1, ".") and found.word(place - 2):
        place -= 2
        names.insert(0, found.word(place))
    return ".".join(names)


def _named(one: Script, place: int) -> None:
    found = one.tokens
    after = place + 1 + found.sign(place + 1, "*")
    name = found.word(after)
    bracket = after + bool(name)
    before = place - 1 - found.sign(place - 1, "async")
    if not name and found.sign(before, "="):
        name = _name_before(found, before)
    elif not name and found.sign(before, ":"):
        name = found.word(before - 1)
    if found.sign(bracket, "("):
        _keep(one, _function(found, bracket, name))


def _method(one: Script, name: str, bracket: int) -> None:
    """Keep a method of a class or an object."""
    before = bracket - 2
    if one.tokens.word(before) == "function" or one.tokens.sign(before, "."):
        return
    function = _function(one.tokens, bracket, name)
    if function is not None:
        _keep(one, function)


def _assigned(one: Script, equals: int) -> None:
    found = one.tokens
    name, value = _name_before(found, equals), equals + 1
    if not name:
        return
    if found.sign(value, "await") or found.sign(value, "new"):
        value += 1
    if value < len(found.all) and found.all[value].kind is Kind.TEXT:
        one.texts.setdefault(name, found.all[value].text)
    made = found.dotted(value)
    if name in {_EXPORTS, "exports"}:
        one.exported = one.exported or ("" if made in _FUNCTION else made)
    elif made and found.sign(value + 2 * made.count(".") + 1, "("):
        one.made.setdefault(name, value)


def _import(one: Script, place: int) -> None:
    """Read ``import a, {b as c} from "m"`` and ``import * as d from "m"``."""
    found, names, here = one.tokens, [], place + 1
    while here < min(len(found.all), place + _FAR) and found.all[here].kind is not Kind.TEXT:
        if found.sign(here, "{"):
            names += [(part, True) for part in found.parts(here)]
            here = found.end(here)
        elif found.word(here) and found.word(here) not in {"from", "type", "as"}:
            names.append((range(here, here + 1), False))
        here += 1
    if here >= len(found.all) or found.all[here].kind is not Kind.TEXT:
        return
    module = found.all[here].text
    for part, inner in names:
        words = [found.all[n].text for n in part if found.word(n) and found.word(n) not in {"as", "type"}]
        if words:
            one.imports[words[-1]] = f"{module}:{words[0]}" if inner and words[0] != "default" else module


def _require(one: Script, place: int) -> None:
    """Read ``a = require("m")``, ``{b: c} = require("m")``, ``d = require("m").d``."""
    found = one.tokens
    parts = found.parts(place + 1)
    module = one.said(parts[0]) if parts else None
    equals = place - 1
    if module is None or not found.sign(equals, "="):
        return
    after = found.end(place + 1) + 1
    what = found.word(after + 1) if found.sign(after, ".") else ""
    if found.sign(equals - 1, "}") and (start := found.opened.get(equals - 1)) is not None:
        for part in found.parts(start):
            words = [found.all[n].text for n in part if found.word(n)]
            if words:
                one.imports[words[-1]] = f"{module}:{words[0]}"
    elif name := found.word(equals - 1):
        one.imports[name] = f"{module}:{what}" if what else module
