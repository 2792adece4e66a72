"""Go's net/http: ``HandleFunc`` and ``Handle``, with the patterns of Go 1.22 (``GET host/items/{id}``)."""

from __future__ import annotations

from lemnis.graph.code import golang
from lemnis.graph.code.lexer import Tokens
from lemnis.graph.code.model import Declared, Unit
from lemnis.graph.code.templates import REST, braces

_OTHERS = ("github.com/gin-gonic/gin", "github.com/labstack/echo", "github.com/go-chi/chi")
_PAIR = 2


def read(path: str, found: Tokens) -> Unit:
    """Read a file that uses net/http and no router beside it."""
    one = golang.source(path, found)
    unit = one.unit("net/http", braces)
    if not one.uses("net/http") or one.uses(*_OTHERS):
        return unit
    for receiver, word, bracket in one.calls():
        parts = found.parts(bracket)
        if word not in {"HandleFunc", "Handle"} or not receiver or len(parts) != _PAIR:
            continue
        said, (name, span) = one.said(parts[0]), one.handler(parts[1])
        if said is None or not name:
            continue
        method, blank, rest = said.partition(" ")
        methods, where = ((method,), rest.strip()) if blank else ((), said)
        slash = where.find("/")
        pattern = where[slash:] if slash >= 0 else where  # a host may stand before
        if pattern.endswith("/"):
            pattern += REST
        unit.declared.append(Declared("", methods, pattern, name, found.line(bracket), span))
    return unit
