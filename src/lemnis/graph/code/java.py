"""Java by tokens: what the members of annotations say."""

from __future__ import annotations

from lemnis.graph.code.annotations import Annotated
from lemnis.graph.code.lexer import Kind, Tokens
from lemnis.graph.code.templates import UNKNOWN

CLIENTS = frozenset({"FeignClient", "RegisterRestClient", "HttpExchange"})
"""What marks an interface as one that others answer."""


def constants(found: Tokens) -> dict[str, str]:
    """Return the texts that names of the file stand for."""
    said: dict[str, str] = {}
    for place, token in enumerate(found.all):
        if token.kind is Kind.SIGN and token.text == "=" and (name := found.word(place - 1)):
            after = place + 1
            if after < len(found.all) and found.all[after].kind is Kind.TEXT and found.sign(after + 1, ";"):
                said.setdefault(name, found.all[after].text)
    return said


def members(found: Tokens, bracket: int) -> dict[str, range]:
    """Return the members of an annotation; one without a name is its ``value``."""
    said = {}
    for part in found.parts(bracket) if bracket >= 0 else ():
        if found.word(part.start) and found.sign(part.start + 1, "=") and not found.sign(part.start + 2, "="):
            said[found.word(part.start)] = range(part.start + 2, part.stop)
        else:
            said.setdefault("value", part)
    return said


def texts(found: Tokens, span: range | None, known: dict[str, str]) -> list[str]:
    """Return the texts of a member: one, or several in braces; ``UNKNOWN`` for what is computed."""
    if span is None:
        return [""]
    parts = found.parts(span.start) if found.sign(span.start, "{") else [span]
    said = []
    for part in parts:
        one = found.text(part, known)
        said.append(UNKNOWN if one is None else one)
    return said or [""]


def words(found: Tokens, span: range | None) -> list[str]:
    """Return the last word of each name in a member: ``RequestMethod.GET`` is ``GET``."""
    if span is None:
        return []
    parts = found.parts(span.start) if found.sign(span.start, "{") else [span]
    return [found.dotted(part.start).rpartition(".")[2] for part in parts if part]


def calls_itself(owner: Annotated, member: Annotated) -> str:
    """Return a method's name with its class."""
    return f"{owner.name}.{member.name}"
