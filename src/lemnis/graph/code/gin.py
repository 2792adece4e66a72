"""Gin: routes, groups."""

from __future__ import annotations

from lemnis.graph.code import golang
from lemnis.graph.code.lexer import Tokens
from lemnis.graph.code.model import VERBS, Declared, Unit
from lemnis.graph.code.templates import colons

_VERBS = frozenset(one.upper() for one in VERBS)


def read(path: str, found: Tokens, framework: str = "gin", package: str = "github.com/gin-gonic/gin") -> Unit:
    """Read a file that uses Gin; handlers come last."""
    one = golang.source(path, found)
    unit = one.unit(framework, colons)
    if not one.uses(package):
        return unit
    golang.grouped(one, unit, "Group")
    for receiver, word, bracket in one.calls():
        parts = found.parts(bracket)
        if receiver and word in {*_VERBS, "Any"} and len(parts) > 1:
            add(one, unit, receiver, (word,) if word in _VERBS else (), parts[0], parts[-1], bracket)
        elif receiver and word == "Handle" and len(parts) > 2:  # noqa: PLR2004 - method, path, handler
            add(one, unit, receiver, (one.said(parts[0]) or "",), parts[1], parts[-1], bracket)
    return unit


def add(  # noqa: PLR0917 - as they stand in the call
    one: golang.Source, unit: Unit, receiver: str, methods: tuple[str, ...], path: range, last: range, at: int
) -> None:  # fmt: skip
    """Add a route."""
    said, (name, span) = one.said(path), one.handler(last)
    if said is not None and name:
        named = tuple(sorted(one.upper() for one in methods if one))
        unit.declared.append(Declared(one.group(receiver, at), named, said, name, one.tokens.line(at), span))
