"""The words of HCL, with their places, and what its parser makes of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lemnis.contracts.errors import Location, RecordError

_TOKEN = re.compile(
    r"(?P<space>[ \t\r]+)|(?P<comment>#[^\n]*|//[^\n]*|/\*.*?\*/)|(?P<newline>\n)"
    r"|(?P<heredoc><<-?[A-Za-z_][\w-]*[^\S\n]*\n)|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d][\w-]*)|(?P<string>\")|(?P<sign>=>|==|!=|<=|>=|&&|\|\||\.\.\.|[=<>!?:.,+\-*/%(){}\[\]&|])",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
DEPTH = 60


@dataclass(frozen=True, slots=True)
class Raw:
    """What is no literal: its text as written."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function called with arguments that were read."""

    name: str
    arguments: tuple[Node, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text with ``${…}`` in it, as written."""

    text: str


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place: text, number, bool, None, list or dict of nodes, Raw, Call or Template."""

    value: Any
    line: int
    column: int


@dataclass(slots=True)
class Body:
    """A body: attributes by name, blocks in order."""

    attributes: dict[str, Node] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Block:
    """A block: its type, its labels, its body, its place."""

    type: str
    labels: tuple[str, ...]
    body: Body
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Word:
    """A word: its kind, its text, what a quoted one says, and where it begins and ends."""

    kind: str
    text: str
    value: Any
    start: int
    end: int


class Words:
    """A text, taken apart into words; raises RecordError with line and column for what is none."""

    def __init__(self, text: str, file: str) -> None:
        """``file`` is named in errors."""
        self.text = text
        self.file = file
        self.starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def tokens(self) -> Iterator[Word]:
        """Yield the words, and ``end`` after the last."""
        at, size, text = 0, len(self.text), self.text
        while at < size:
            found = _TOKEN.match(text, at)
            if found is None:
                raise self.wrong(f"unexpected {text[at : at + 10]!r}", at)
            kind, start = str(found.lastgroup), at
            at = found.end()
            if kind == "string":
                value, at = self._quoted(at)
                yield Word("string", text[start:at], value, start, at)
            elif kind == "heredoc":
                value, at = self._heredoc(found.group(), at)
                yield Word("string", text[start:at], value, start, at)
            elif kind == "comment":
                if not found.group().startswith("/*"):
                    continue
            elif kind != "space":
                yield Word(kind, found.group(), None, start, at)
        yield Word("end", "", None, size, size)

    def _quoted(self, at: int, depth: int = 0) -> tuple[Any, int]:
        """Read a text after its opening quote; return it and where it ends."""
        if depth > DEPTH:
            raise self.wrong("nested too deeply", at)
        parts: list[str] = []
        template, text = False, self.text
        while at < len(text):
            char = text[at]
            if char == '"':
                whole = "".join(parts)
                return (Template(whole) if template else whole), at + 1
            if char == "\n":
                break
            if char == "\\":
                escape = text[at + 1 : at + 2]
                if escape in {"u", "U"}:
                    digits = text[at + 2 : at + (6 if escape == "u" else 10)]
                    if not re.fullmatch(r"[0-9a-fA-F]+", digits) or int(digits, 16) > sys.maxunicode:
                        raise self.wrong("no character of this number", at)
                    parts.append(chr(int(digits, 16)))
                    at += 2 + len(digits)
                    continue
                parts.append(_ESCAPES.get(escape, escape))
                at += 2
            elif char in "$%" and text[at + 1 : at + 2] == "{":
                if text[at - 1 : at] == char and parts and parts[-1] == char:
                    parts.append("{")
                    at += 2
                    continue
                end = self._interpolated(at + 2, depth)
                parts.append(text[at:end])
                template, at = True, end
            else:
                parts.append(char)
                at += 1
        raise self.wrong("a text that does not end", at)

    def _interpolated(self, at: int, deep: int) -> int:
        """Return where ``${…}`` ends whose inside begins at ``at``."""
        depth, text = 1, self.text
        while at < len(text):
            char = text[at]
            if char == '"':
                _, at = self._quoted(at + 1, deep + 1)
                continue
            depth += (char == "{") - (char == "}")
            at += 1
            if not depth:
                return at
        raise self.wrong("${ without }", at)

    def _heredoc(self, opening: str, at: int) -> tuple[Any, int]:
        marker = opening.strip().lstrip("<-")
        lines: list[str] = []
        while at < len(self.text):
            end = self.text.find("\n", at)
            end = len(self.text) if end < 0 else end
            line = self.text[at:end]
            if line.strip() == marker:
                if opening.startswith("<<-"):
                    indent = min((len(x) - len(x.lstrip()) for x in lines if x.strip()), default=0)
                    lines = [x[indent:] for x in lines]
                whole = "".join(f"{x}\n" for x in lines)
                return (Template(whole) if "${" in whole or "%{" in whole else whole), end
            lines.append(line)
            at = end + 1
        raise self.wrong(f"<<{marker} without its end", at)

    def at(self, offset: int) -> tuple[int, int]:
        """Return the line and column (from 1) of a place in the text."""
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= offset else (low, middle)
        return low + 1, offset - self.starts[low] + 1

    def wrong(self, what: str, offset: int) -> RecordError:
        """Return the error to raise for what is wrong at a place."""
        line, column = self.at(min(offset, len(self.text)))
        return RecordError(f"not HCL: {what}", at=Location(self.file, line, column))
