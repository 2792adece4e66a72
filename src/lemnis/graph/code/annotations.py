"""Classes and methods with what is written before them: annotations of Java, decorators of TypeScript."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lemnis.graph.code.lexer import Kind, Tokens
from lemnis.graph.code.model import Span

_TYPES = frozenset({"class", "interface", "record"})
_ENDS = frozenset({";", "}"})


@dataclass(slots=True)
class Annotated:
    """A class or method: its annotations by name, each with the place of its bracket (-1 without one)."""

    kind: str
    name: str
    span: Span
    marks: dict[str, int]
    again: list[tuple[str, int]] = field(default_factory=list)
    members: list[Annotated] = field(default_factory=list)


def annotated(found: Tokens) -> Iterator[Annotated]:
    """Yield the classes of a file, with their methods that have annotations."""
    classes: list[tuple[int, Annotated]] = []
    marks: list[tuple[str, int]] = []
    place, size = 0, len(found.all)
    while place < size:
        while classes and place >= classes[-1][0]:
            yield classes.pop()[1]
        token = found.all[place]
        if found.sign(place, "@") and found.word(place + 1) and found.word(place + 1) != "interface":
            name = found.dotted(place + 1)
            after = place + 2 + 2 * name.count(".")
            bracketed = found.sign(after, "(")
            marks.append((name.rpartition(".")[2], after if bracketed else -1))
            place = found.end(after) + 1 if bracketed else after
        elif (
            token.kind is Kind.WORD
            and token.text in _TYPES
            and found.word(place + 1)
            and not found.sign(place - 1, ".")
        ):
            body = _body(found, place)
            made = Annotated(
                "class", found.word(place + 1), Span(token.line, found.line(found.end(body))), dict(marks)
            )
            made.again = marks
            classes.append((found.end(body), made))
            marks, place = [], body + 1
        elif found.sign(place, "(") and found.word(place - 1):
            shut = found.end(place)
            if marks and classes:
                classes[-1][1].members.append(_method(found, place, shut, marks))
                marks = []
                place = shut
            place += 1
        elif token.kind is Kind.SIGN and token.text in _ENDS:
            marks, place = [], place + 1
        else:
            place += 1
    yield from (made for _, made in reversed(classes))


def _body(found: Tokens, place: int) -> int:
    """Return where a class's body begins."""
    while place < len(found.all) and not found.sign(place, "{") and not found.sign(place, ";"):
        place = found.end(place) + 1 if place in found.shut else place + 1
    return place


def _method(found: Tokens, bracket: int, shut: int, marks: list[tuple[str, int]]) -> Annotated:
    body = shut + 1
    while body < len(found.all) and not found.sign(body, "{") and not found.sign(body, ";"):
        body = found.end(body) + 1 if body in found.shut else body + 1
    end = found.end(body) if found.sign(body, "{") else body
    span = Span(found.line(bracket - 1), found.line(end))
    return Annotated("method", found.word(bracket - 1), span, dict(reversed(marks)), marks)
