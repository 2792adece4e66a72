"""JAX-RS (Jersey, RESTEasy, Quarkus): ``@Path`` of classes and methods, ``@ApplicationPath`` of all."""

from __future__ import annotations

from lemnis.graph.code import java
from lemnis.graph.code.annotations import annotated
from lemnis.graph.code.lexer import Tokens
from lemnis.graph.code.model import Declared, Unit
from lemnis.graph.code.templates import braces

_VERBS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"})


def read(path: str, found: Tokens) -> Unit:
    """Read the resources of a file."""
    unit = Unit(path, "jax-rs", braces)
    known = java.constants(found)

    def said(marks: dict[str, int], name: str) -> str:
        return java.texts(found, java.members(found, marks.get(name, -1)).get("value"), known)[0]

    for owner in annotated(found):
        if "ApplicationPath" in owner.marks:
            unit.whole = said(owner.marks, "ApplicationPath")
        if "Path" not in owner.marks or java.CLIENTS.intersection(owner.marks):
            continue
        for member in owner.members:
            methods = tuple(sorted(_VERBS.intersection(member.marks)))
            if methods:
                one = f"{said(owner.marks, 'Path')}/{said(member.marks, 'Path')}"
                handler = java.calls_itself(owner, member)
                unit.declared.append(Declared("", methods, one, handler, member.span.line, member.span))
    return unit
