"""HCL (native syntax specification, version 2) as a tree with places: literals are values, the rest is text.

Own, since python-hcl2 gives no lines and took 4.8 s for 54 kB of Terraform where this takes a hundredth of it
(ADR 0082). What an expression computes is not evaluated here: ``Raw`` keeps its text. JSON is read as the
expression that it is, so that its places are known too.
"""

from __future__ import annotations

import re

from lemnis.scan.readers.hcl_words import DEPTH, Block, Body, Call, Node, Raw, Template, Word, Words

__all__ = ["Block", "Body", "Call", "Node", "Raw", "Template", "parse", "parse_json"]
_OPERATORS = frozenset(["==", "!=", "<=", ">=", "<", ">", "&&", "||", "+", "-", "*", "/", "%", "?"])


def parse(text: str, file: str = "") -> Body:
    """Read a file; raises RecordError with line and column."""
    return _Parser(text, file).whole()


def parse_json(text: str, file: str = "") -> Node:
    """Read a JSON document that is known to be one; raises RecordError with line and column."""
    parser = _Parser(text, file)
    node = parser.expression(inside=True)
    parser.lines()
    if parser.here.kind != "end":
        raise parser.wrong(f"unexpected {parser.here.text[:20]!r}", parser.here.start)
    return node


class _Parser(Words):
    def __init__(self, text: str, file: str) -> None:
        super().__init__(text, file)
        self.words = list(self.tokens())
        self.place = 0
        self.depth = 0

    @property
    def here(self) -> Word:
        return self.words[self.place]

    def take(self) -> Word:
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
        if self.depth > DEPTH:
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

    def raw(self, first: Word) -> Node:
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

    def named(self, word: Word) -> Node:
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

    def call(self, word: Word) -> Node:
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

    def list_(self, word: Word) -> Node:
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

    def object_(self, word: Word) -> Node:
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

    def skipped(self, start: int, word: Word) -> Node:
        self.place = start
        self.balanced()
        self.traversal()
        return self.raw(word)
