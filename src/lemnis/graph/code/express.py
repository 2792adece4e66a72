"""Express (and Koa's router): routes, ``route()`` chains, routers mounted by ``use``."""

from __future__ import annotations

from lemnis.graph.code.javascript import Script, script
from lemnis.graph.code.lexer import Tokens
from lemnis.graph.code.model import VERBS, Declared, Mounted, Unit
from lemnis.graph.code.templates import colons, optional

_VERBS = frozenset({*VERBS, "all", "del"})


def read(path: str, found: Tokens) -> Unit:
    """Read a file that uses Express, or whose routers come from other files; not Fastify's or Nest's."""
    one = script(path, found)
    unit = one.unit("express", colons)
    if one.uses("fastify", "@nestjs") or any("fastify" in function.parameters for function in one.scopes):
        return unit
    for receiver, word, bracket in one.calls():
        if word == "use" and receiver and one.router(receiver):
            _used(one, unit, receiver, bracket)
        elif word in _VERBS and receiver and one.router(receiver):
            parts = found.parts(bracket)
            if len(parts) > 1:
                _add(one, unit, receiver, word, one.paths(parts[0]), parts[-1], bracket)
        elif word == "route" and receiver and one.router(receiver):
            _chain(one, unit, receiver, bracket)
    return unit


def _add(  # noqa: PLR0917 - as they stand in the call
    one: Script, unit: Unit, receiver: str, word: str, paths: list[str], last: range, bracket: int
) -> None:
    name, span = one.handler(last)
    methods = () if word == "all" else ("DELETE",) if word == "del" else (word.upper(),)
    group = one.group(receiver, bracket)
    for path in (each for one_of in paths for each in optional(one_of)):
        if name:
            unit.declared.append(Declared(group, methods, path, name, one.tokens.line(bracket), span))


def _chain(one: Script, unit: Unit, receiver: str, bracket: int) -> None:
    """Read ``router.route("/x").get(f).post(g)``."""
    parts = one.tokens.parts(bracket)
    paths = one.paths(parts[0]) if parts else []
    here = one.tokens.end(bracket) + 1
    while one.tokens.sign(here, ".") and one.tokens.sign(here + 2, "("):
        inner = one.tokens.parts(here + 2)
        if one.tokens.word(here + 1) in _VERBS and inner:
            _add(one, unit, receiver, one.tokens.word(here + 1), paths, inner[-1], here + 2)
        here = one.tokens.end(here + 2) + 1


def _used(one: Script, unit: Unit, receiver: str, bracket: int) -> None:
    """Read ``app.use("/prefix", auth, router)``: each that may be a router is put under the prefix."""
    parts = one.tokens.parts(bracket)
    paths = one.paths(parts[0]) if parts else []
    for part in parts[1:] if paths else parts:
        child = _child(one, part)
        for prefix in paths or [""]:
            if child:
                unit.mounted.append(Mounted(one.group(receiver, bracket), prefix, child))


def _child(one: Script, part: range) -> str:
    """Return the group that an argument is: a name, ``require("./x")``, or what a function makes."""
    name = one.tokens.dotted(part.start)
    inner = one.tokens.parts(part.start + 1) if name == "require" else []
    if inner and (module := one.said(inner[0])) is not None:
        return f"module:{module}"
    called = part.start + 2 * name.count(".") + 1
    if called not in part:
        return one.group(name, part.start)
    routers = ("router", "routes") if one.tokens.sign(called, ".") else ("Router", "Routes")
    return name if name and name.endswith(routers) else ""
