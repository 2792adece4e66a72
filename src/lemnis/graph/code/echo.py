"""Echo: routes, groups; the handler is the second argument, what comes after wraps it."""

from __future__ import annotations

from lemnis.graph.code import golang
from lemnis.graph.code.gin import add
from lemnis.graph.code.lexer import Tokens
from lemnis.graph.code.model import VERBS, Unit
from lemnis.graph.code.templates import colons

_VERBS = frozenset(one.upper() for one in VERBS)


def read(path: str, found: Tokens) -> Unit:
    """Read a file that uses Echo."""
    one = golang.source(path, found)
    unit = one.unit("echo", colons)
    if not one.uses("github.com/labstack/echo"):
        return unit
    golang.grouped(one, unit, "Group")
    for receiver, word, bracket in one.calls():
        parts = found.parts(bracket)
        if receiver and word in {*_VERBS, "Any"} and len(parts) > 1:
            add(one, unit, receiver, (word,) if word in _VERBS else (), parts[0], parts[1], bracket)
        elif receiver and word == "Add" and len(parts) > 2:  # noqa: PLR2004 - method, path, handler
            add(one, unit, receiver, (one.said(parts[0]) or "",), parts[1], parts[2], bracket)
    return unit
