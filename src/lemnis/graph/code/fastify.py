"""Fastify: shorthand routes, ``route({...})``, plugins that are registered under a prefix."""

from __future__ import annotations

from lemnis.graph.code.javascript import Script, script
from lemnis.graph.code.lexer import Tokens
from lemnis.graph.code.model import VERBS, Declared, Mounted, Unit
from lemnis.graph.code.templates import UNKNOWN, colons, optional

_VERBS = frozenset({*VERBS, "all"})


def read(path: str, found: Tokens) -> Unit:
    """Read a file that uses Fastify, or is a plugin of it."""
    one = script(path, found)
    unit = one.unit("fastify", colons)
    if one.uses("express", "@nestjs"):
        return unit
    plugin = one.uses("fastify") or any("fastify" in function.parameters for function in one.scopes)
    for receiver, word, bracket in one.calls() if plugin else ():
        if not receiver or not one.router(receiver):
            continue
        parts = found.parts(bracket)
        if word == "register" and parts:
            _registered(one, unit, receiver, parts, bracket)
        elif word == "route" and parts and found.sign(parts[0].start, "{"):
            _route(one, unit, receiver, parts[0].start, bracket)
        elif word in _VERBS and len(parts) > 1:
            methods = () if word == "all" else (word.upper(),)
            for each in one.paths(parts[0]):
                _add(one, unit, receiver, methods, each, parts[-1], bracket)
    return unit


def _add(  # noqa: PLR0917 - as they stand in the call
    one: Script, unit: Unit, receiver: str, methods: tuple[str, ...], path: str, last: range, bracket: int
) -> None:
    if one.tokens.sign(last.start, "{"):  # options with the handler among them
        last = one.fields(last.start).get("handler", last)
    name, span = one.handler(last)
    if name:
        line, group = one.tokens.line(bracket), one.group(receiver, bracket)
        unit.declared += [Declared(group, methods, each, name, line, span) for each in optional(path)]


def _route(one: Script, unit: Unit, receiver: str, place: int, bracket: int) -> None:
    members = one.fields(place)
    url, last = members.get("url", members.get("path")), members.get("handler")
    if url is None:
        return
    named = one.paths(members["method"]) if "method" in members else []
    methods = tuple(sorted({each.upper() for each in named}))
    for path in one.paths(url):
        if last is None:  # a method: handler(request, reply) {...}
            line = one.tokens.line(place)
            span = one.functions.get("handler")
            unit.declared.append(Declared(one.group(receiver, bracket), methods, path, "handler", line, span))
        else:
            _add(one, unit, receiver, methods, path, last, bracket)


def _registered(one: Script, unit: Unit, receiver: str, parts: list[range], bracket: int) -> None:
    prefix = ""
    if len(parts) > 1:
        said = one.fields(parts[1].start).get("prefix")
        prefix = "" if said is None else one.said(said) or UNKNOWN
    name = one.tokens.dotted(parts[0].start)
    if name in {"require", "import"}:
        inner = one.tokens.parts(parts[0].start + 1)
        module = one.said(inner[0]) if inner else None
        child = "" if module is None else f"module:{module}"
    else:
        child = name
    if child:
        unit.mounted.append(Mounted(one.group(receiver, bracket), prefix, child))
