"""NestJS: controllers and their methods by decorators; the global prefix."""

from __future__ import annotations

from lemnis.graph.code.annotations import Annotated, annotated
from lemnis.graph.code.javascript import Script, script
from lemnis.graph.code.lexer import Tokens
from lemnis.graph.code.model import Declared, Unit
from lemnis.graph.code.templates import UNKNOWN, colons, optional

_VERBS = {
    "Get": "GET", "Post": "POST", "Put": "PUT", "Delete": "DELETE", "Patch": "PATCH", "Head": "HEAD",
    "Options": "OPTIONS", "All": "",
}  # fmt: skip


def read(path: str, found: Tokens) -> Unit:
    """Read a file with controllers, or with what sets a prefix for all."""
    one = script(path, found)
    unit = one.unit("nest", colons)
    if not one.uses("@nestjs"):
        return unit
    for each in annotated(found):
        paths = _paths(one, each, "Controller")
        if each.kind == "class" and paths is not None:
            for member in each.members:
                _member(one, unit, each.name, paths, member)
    for _, word, bracket in one.calls():
        if word == "setGlobalPrefix":
            parts = found.parts(bracket)
            unit.whole = (one.said(parts[0]) if parts else None) or UNKNOWN
    return unit


def _member(one: Script, unit: Unit, owner: str, prefixes: list[str], member: Annotated) -> None:
    for name, verb in _VERBS.items():
        for path in _paths(one, member, name) or ():
            for each in (more for prefix in prefixes for more in optional(f"{prefix}/{path}")):
                methods = (verb,) if verb else ()
                handler = f"{owner}.{member.name}"
                unit.declared.append(Declared("", methods, each, handler, member.span.line, member.span))


def _paths(one: Script, each: Annotated, name: str) -> list[str] | None:
    """Return the paths that a decorator says, one empty path if it says none; None if it is not there."""
    bracket = each.marks.get(name)
    if bracket is None:
        return None
    parts = one.tokens.parts(bracket) if bracket >= 0 else []
    if not parts:
        return [""]
    first = parts[0]
    if one.tokens.sign(first.start, "{"):
        said = one.fields(first.start).get("path")
        return [""] if said is None else one.paths(said) or [UNKNOWN]
    return one.paths(first) or [UNKNOWN]
