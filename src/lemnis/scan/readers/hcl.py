"""HCL (native syntax specification, version 2) as a tree with places: literals are values, the rest is text.

Own, since python-hcl2 gives no lines and took 4.8 s for 54 kB of Terraform where this takes a hundredth of it
(ADR 0082). What an expression computes is not evaluated here: ``Raw`` keeps its text.
"""

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
_DEPTH = 60
_OPERATORS = frozenset(["==", "!=", "<=", ">=", "<", ">", "&&", "||", "+", "-", "*", "/", "%", "?"])


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
class _Word:
    kind: str
    text: str
    value: Any
    start: int
    end: int


def parse(text: str, file: str = "") -> Body:
    """Read a file; raises RecordError with line and column."""
    return _Parser(text, file).whole()


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self.words = list(self._tokens())
        self.place = 0
        self.depth = 0

    # words

    def _tokens(self) -> Iterator[_Word]:
        at, size, text = 0, len(self.text), self.text
        while at < size:
            found = _TOKEN.match(text, at)
            if found is None:
                raise self.wrong(f"unexpected {text[at : at + 10]!r}", at)
            kind, start = str(found.lastgroup), at
            at = found.end()
            if kind == "string":
                value, at = self._quoted(at)
                yield _Word("string", text[start:at], value, start, at)
            elif kind == "heredoc":
                value, at = self._heredoc(found.group(), at)
                yield _Word("string", text[start:at], value, start, at)
            elif kind == "comment":
                if not found.group().startswith("/*"):
                    continue
            elif kind != "space":
                yield _Word(kind, found.group(), None, start, at)
        yield _Word("end", "", None, size, size)

    def _quoted(self, at: int, depth: int = 0) -> tuple[Any, int]:
        """Read a text after its opening quote; return it and where it ends."""
        if depth > _DEPTH:
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
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= offset else (low, middle)
        return low + 1, offset - self.starts[low] + 1

    def wrong(self, what: str, offset: int) -> RecordError:
        line, column = self.at(min(offset, len(self.text)))
        return RecordError(f"not HCL: {what}", at=Location(self.file, line, column))

    @property
    def here(self) -> _Word:
        return self.words[self.place]

    def take(self) -> _Word:
        word = self.here
        self.place += word.kind != "end"
        return word

    def need(self, text: str) -> None:
        if self.here.text != text or self.here.kind == "string":
            raise self.wrong(f"{text!r} expected, not {self.here.text[:20]!r}", self.here.start)
        self.take()

    def lines(self) -> None:
        while self.here.kind == "newline":
            self.take()

    # bodies

    def whole(self) -> Body:
        body = self.body()
        if self.here.kind != "end":
            raise self.wrong(f"unexpected {self.here.text[:20]!r}", self.here.start)
        return body

    def body(self) -> Body:
        found = Body()
        self.deeper()
        self.lines()
        while self.here.kind == "name":
            word = self.take()
            line, column = self.at(word.start)
            if self.here.text == "=" and self.here.kind == "sign":
                self.take()
                node = self.expression()
                found.attributes[word.text] = Node(node.value, line, column)
            else:
                labels = []
                while self.here.kind in {"string", "name"}:
                    label = self.take()
                    labels.append(label.value if isinstance(label.value, str) else label.text.strip('"'))
                self.need("{")
                inner = self.body()
                self.need("}")
                found.blocks.append(Block(word.text, tuple(labels), inner, line, column))
            if self.here.text == "," or (self.here.kind not in {"newline", "end"} and self.here.text != "}"):
                raise self.wrong(f"a new line expected, not {self.here.text[:20]!r}", self.here.start)
            self.lines()
        self.depth -= 1
        return found

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.wrong("nested too deeply", self.here.start)

    # expressions

    def expression(self, *, inside: bool = False) -> Node:
        """Read an expression; ``inside`` brackets it may go on in the next line."""
        self.deeper()
        if inside:
            self.lines()
        first = self.here
        node = self.primary()
        if inside:
            self.lines()
        if self.here.kind == "sign" and self.here.text in _OPERATORS:
            self.rest(inside=inside)
            node = self.raw(first)
        self.depth -= 1
        return node

    def rest(self, *, inside: bool) -> None:
        """Go on to where an expression ends that is not looked into."""
        while True:
            word = self.here
            if word.kind == "end" or (word.kind == "newline" and not inside):
                last = self.words[self.place - 1].text
                if word.kind == "newline" and last in _OPERATORS | {":"}:
                    self.take()
                    continue
                return
            if word.kind == "sign" and word.text in {",", ")", "]", "}"}:
                return
            if word.kind == "sign" and word.text in {"(", "[", "{"}:
                self.balanced()
            else:
                self.take()

    def balanced(self) -> None:
        depth = 0
        while self.here.kind != "end":
            word = self.take()
            if word.kind == "sign":
                depth += (word.text in {"(", "[", "{"}) - (word.text in {")", "]", "}"})
            if not depth:
                return
        raise self.wrong("a bracket without its end", self.here.start)

    def raw(self, first: _Word) -> Node:
        return Node(
            Raw(self.text[first.start : self.words[self.place - 1].end].strip()), *self.at(first.start)
        )

    def primary(self) -> Node:
        word = self.here
        place = self.at(word.start)
        if word.kind == "string":
            return Node(self.take().value, *place)
        if word.kind == "number":
            self.take()
            return Node(float(word.text) if re.search(r"[.eE]", word.text) else int(word.text), *place)
        if word.text == "-" and self.words[self.place + 1].kind == "number":
            self.take()
            return Node(-self.primary().value, *place)
        if word.kind == "name":
            return self.named(word)
        if word.text in {"[", "{"}:
            return self.list_(word) if word.text == "[" else self.object_(word)
        if word.text in {"(", "!", "-"}:
            self.balanced() if word.text == "(" else self.take()
            self.rest(inside=False)
            return self.raw(word)
        raise self.wrong(f"a value expected, not {word.text[:20]!r}", word.start)

    def named(self, word: _Word) -> Node:
        self.take()
        place = self.at(word.start)
        if word.text in {"true", "false", "null"} and self.here.text not in {".", "["}:
            return Node({"true": True, "false": False, "null": None}[word.text], *place)
        if self.here.text == "(" and self.here.kind == "sign":
            node = self.call(word)
            if self.here.text not in {".", "["}:
                return node
        self.traversal()
        return self.raw(word)

    def traversal(self) -> None:
        while self.here.kind == "sign" and self.here.text in {".", "["}:
            if self.take().text == ".":
                self.take()
            else:
                self.place -= 1
                self.balanced()

    def call(self, word: _Word) -> Node:
        self.take()
        arguments: list[Node] = []
        self.lines()
        while self.here.text != ")" or self.here.kind == "string":
            arguments.append(self.expression(inside=True))
            self.lines()
            if self.here.text == "...":
                self.take()
                self.lines()
            if self.here.text == ",":
                self.take()
                self.lines()
            elif self.here.text != ")":
                raise self.wrong(f"')' expected, not {self.here.text[:20]!r}", self.here.start)
        self.take()
        text = self.text[word.start : self.words[self.place - 1].end]
        return Node(Call(word.text, tuple(arguments), text), *self.at(word.start))

    def list_(self, word: _Word) -> Node:
        start = self.place
        self.take()
        self.lines()
        if self.here.text == "for" and self.here.kind == "name":
            return self.skipped(start, word)
        items: list[Node] = []
        while self.here.text != "]" or self.here.kind == "string":
            items.append(self.expression(inside=True))
            self.lines()
            if self.here.text == ",":
                self.take()
                self.lines()
            elif self.here.text != "]":
                raise self.wrong(f"']' expected, not {self.here.text[:20]!r}", self.here.start)
        self.take()
        if self.here.text in {".", "["} and self.here.kind == "sign":
            self.traversal()
            return self.raw(word)
        return Node(items, *self.at(word.start))

    def object_(self, word: _Word) -> Node:
        start = self.place
        self.take()
        self.lines()
        if self.here.text == "for" and self.here.kind == "name" and self.words[self.place + 1].kind == "name":
            return self.skipped(start, word)
        items: dict[str, Node] = {}
        while self.here.text != "}" or self.here.kind == "string":
            key = self.here
            name = self.key()
            if self.here.text not in {"=", ":"}:
                raise self.wrong(f"'=' expected, not {self.here.text[:20]!r}", self.here.start)
            self.take()
            node = self.expression()
            items[name] = Node(node.value, *self.at(key.start))
            if self.here.text == ",":
                self.take()
            elif self.here.kind != "newline" and self.here.text != "}":
                raise self.wrong(f"'}}' expected, not {self.here.text[:20]!r}", self.here.start)
            self.lines()
        self.take()
        return Node(items, *self.at(word.start))

    def key(self) -> str:
        word = self.here
        if word.text == "(":
            self.balanced()
            return self.text[word.start : self.words[self.place - 1].end]
        if word.kind not in {"string", "name", "number"}:
            raise self.wrong(f"a key expected, not {word.text[:20]!r}", word.start)
        self.take()
        if word.kind == "name" and self.here.text == ".":
            self.traversal()
            return self.text[word.start : self.words[self.place - 1].end]
        return word.value if isinstance(word.value, str) else word.value.text if word.value else word.text

    def skipped(self, start: int, word: _Word) -> Node:
        self.place = start
        self.balanced()
        self.traversal()
        return self.raw(word)
