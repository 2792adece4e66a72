"""Rego's words: tokens with their places. Comments and spacing are dropped; where lines break is kept."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from lemnis.contracts.errors import ContentError, Location

MAX_SOURCE = 200_000
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*)
      | (?P<newline>\n)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<raw>`[^`]*`)
      | (?P<number>(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>:=|==|!=|<=|>=|[=<>+\-*/%|&()\[\]{}.,;:])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word: its kind, its text as written, where it stands, and whether a line break comes before it."""

    kind: str
    text: str
    start: int
    end: int
    newline: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A module's text and the file it is from."""

    file: str
    text: str

    def at(self, offset: int) -> Location:
        """Return the line and column of an offset."""
        before = self.text[:offset]
        return Location(self.file, before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def tokens(source: Source) -> list[Token]:
    """Return the words of a module, ending in one of kind ``end``; raises ContentError with the place."""
    if len(source.text) > MAX_SOURCE:
        raise ContentError(f"larger than {MAX_SOURCE:,} characters", at=Location(source.file), fix="split it")
    found: list[Token] = []
    place, broken = 0, True
    while place < len(source.text):
        match = _TOKEN.match(source.text, place)
        if match is None:
            raise ContentError(f"unexpected {source.text[place]!r}", at=source.at(place))
        kind = match.lastgroup or ""
        if kind == "newline":
            broken = True
        elif kind != "space":
            found.append(Token(kind, match.group(), place, match.end(), broken))
            broken = False
        place = match.end()
    return [*found, Token("end", "", place, place, True)]


def value(source: Source, token: Token) -> str | int | float:
    """Return what a string or number stands for."""
    if token.kind == "raw":
        return token.text[1:-1]
    try:
        found: str | int | float = json.loads(token.text)
    except ValueError as error:
        raise ContentError(f"not a {token.kind}: {token.text}", at=source.at(token.start)) from error
    return found
