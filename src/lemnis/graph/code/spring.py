"""Spring MVC and WebFlux: mappings of classes and methods by annotations."""

from __future__ import annotations

from collections.abc import Iterator

from lemnis.graph.code import java
from lemnis.graph.code.annotations import Annotated, annotated
from lemnis.graph.code.lexer import Tokens
from lemnis.graph.code.model import Declared, Unit
from lemnis.graph.code.templates import Atom, Hole, braces

_SHORT = {
    "GetMapping": "GET", "PostMapping": "POST", "PutMapping": "PUT", "DeleteMapping": "DELETE",
    "PatchMapping": "PATCH",
}  # fmt: skip
_LONG = "RequestMapping"


def read(path: str, found: Tokens) -> Unit:
    """Read the controllers of a file."""
    unit = Unit(path, "spring", _starred)
    known = java.constants(found)
    for owner in annotated(found):
        if java.CLIENTS.intersection(owner.marks):
            continue
        said = java.members(found, owner.marks.get(_LONG, -1))
        prefixes = java.texts(found, said.get("value", said.get("path")), known)
        over = java.words(found, said.get("method"))
        for member in owner.members:
            for methods, one in _mapped(found, member, known):
                handler = java.calls_itself(owner, member)
                for prefix in prefixes:
                    route = Declared(
                        "", methods or tuple(over), f"{prefix}/{one}", handler, member.span.line, member.span
                    )
                    unit.declared.append(route)
    return unit


def _mapped(
    found: Tokens, member: Annotated, known: dict[str, str]
) -> Iterator[tuple[tuple[str, ...], str]]:  # fmt: skip
    for name, bracket in member.again:
        if name not in _SHORT and name != _LONG:
            continue
        said = java.members(found, bracket)
        methods = (_SHORT[name],) if name in _SHORT else tuple(sorted(java.words(found, said.get("method"))))
        for path in java.texts(found, said.get("value", said.get("path")), known):
            yield methods, path


def _starred(text: str) -> Iterator[Atom]:
    """In Spring one star is one segment, two are any number."""
    return braces(text, Hole.ONE)
