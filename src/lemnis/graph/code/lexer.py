"""Words, texts and signs of JavaScript, TypeScript, Java and Go, in one pass that knows comments and texts.

No grammar: whoever reads routes needs calls, annotations, functions, and brackets that belong together. Any
text has tokens; what is left open ends with its line, or with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from lemnis.graph.code.templates import UNKNOWN

_LONGEST_REGEX = 500
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_BEFORE_REGEX_WORDS = frozenset({"return", "typeof", "case", "in", "of", "delete", "void", "throw", "await"})


class Kind(IntEnum):
    """What a token is."""

    WORD = 0
    TEXT = 1
    SIGN = 2
    OTHER = 3


@dataclass(frozen=True, slots=True)
class Token:
    """A token: a word or sign as it stands, a text without its quotes; its line from 1."""

    kind: Kind
    text: str
    line: int


@dataclass(slots=True)
class Tokens:
    """The tokens of a file, and for each bracket where its partner is."""

    all: list[Token] = field(default_factory=list)
    shut: dict[int, int] = field(default_factory=dict)
    opened: dict[int, int] = field(default_factory=dict)

    def sign(self, place: int, text: str) -> bool:
        """Say whether a sign or word stands at a place."""
        return (
            0 <= place < len(self.all)
            and self.all[place].kind is not Kind.TEXT
            and self.all[place].text == text
        )

    def word(self, place: int) -> str:
        """Return the word at a place; empty if there is none."""
        return (
            self.all[place].text if 0 <= place < len(self.all) and self.all[place].kind is Kind.WORD else ""
        )

    def line(self, place: int) -> int:
        """Return a place's line; the last one's where there is no such place."""
        return self.all[min(place, len(self.all) - 1)].line if self.all else 1

    def end(self, place: int) -> int:
        """Return where the bracket at a place is closed; where nothing closes it, the file's end."""
        return self.shut.get(place, len(self.all))

    def parts(self, place: int) -> list[range]:
        """Return what stands in a bracket, parted at its commas. Each token is looked at once a level."""
        end = self.end(place)
        found, start, here = [], place + 1, place + 1
        while here < end:
            if self.sign(here, ","):
                found.append(range(start, here))
                start = here + 1
            here = self.end(here) + 1 if here in self.shut else here + 1
        if start < end:
            found.append(range(start, end))
        return found

    def dotted(self, place: int) -> str:
        """Return the name ``a.b.c`` that begins at a place."""
        names = []
        while name := self.word(place):
            names.append(name)
            if not self.sign(place + 1, "."):
                break
            place += 2
        return ".".join(names)

    def before(self, dot: int) -> str:
        """Return the name ``a.b`` that ends before a dot; empty if something else does."""
        names: list[str] = []
        while self.sign(dot, ".") and (name := self.word(dot - 1)):
            names.insert(0, name)
            dot -= 2
        return "" if self.sign(dot, ".") else ".".join(names)

    def text(self, span: range, known: dict[str, str] | None = None) -> str | None:
        """Return what texts and known names joined by ``+`` say; None for what is no text."""
        said, text = "", False
        for place in span:
            token = self.all[place]
            if token.kind is Kind.TEXT:
                said, text = said + token.text, True
            elif token.kind is Kind.WORD:
                value = (known or {}).get(token.text)
                if place + 1 in span and self.sign(place + 1, "."):
                    continue
                said, text = said + (UNKNOWN if value is None else value), text or value is not None
            elif token.text not in {"+", "."}:
                return None
        return said if text else None


def tokens(source: str, language: str) -> Tokens:
    """Part a source text; ``language`` is ``javascript``, ``java`` or ``go``."""
    found = Tokens()
    open_: list[int] = []
    for token in _Reader(source, language).read():
        place = len(found.all)
        found.all.append(token)
        if token.kind is not Kind.SIGN:
            continue
        if token.text in _PAIRS:
            open_.append(place)
        elif open_ and _PAIRS[found.all[open_[-1]].text] == token.text:
            start = open_.pop()
            found.shut[start], found.opened[place] = place, start
    found.shut.update(dict.fromkeys(open_, len(found.all)))  # what is not closed ends with the file
    return found


@dataclass(slots=True)
class _Reader:
    source: str
    language: str
    place: int = 0
    line: int = 1
    last: Token = field(default_factory=lambda: Token(Kind.SIGN, ";", 1))

    def read(self) -> Iterator[Token]:
        """Yield the tokens."""
        source = self.source
        while self.place < len(source):
            mark = source[self.place]
            if mark == "\n":
                self.line += 1
                self.place += 1
            elif mark.isspace():
                self.place += 1
            elif mark == "/" and source.startswith(("//", "/*"), self.place):
                self._comment()
            else:
                self.last = self._token(mark)
                yield self.last

    def _token(self, mark: str) -> Token:  # noqa: C901, PLR0911 - a case for each kind of token
        source, start = self.source, self.place
        if mark.isalpha() or mark in "_$":
            end = start + 1
            while end < len(source) and (source[end].isalnum() or source[end] in "_$"):
                end += 1
            return self._make(Kind.WORD, source[start:end], end)
        if mark.isdigit():
            end = start + 1
            while end < len(source) and (source[end].isalnum() or source[end] in "_."):
                end += 1
            return self._make(Kind.OTHER, source[start:end], end)
        if mark == '"' and self.language == "java" and source.startswith('"""', start):
            return self._raw('"""')
        if mark == "`" and self.language == "go":
            return self._raw("`")
        if mark == "`" and self.language == "javascript":
            return self._template()
        if mark in "\"'":
            return self._quoted(mark)
        if mark == "/" and self.language == "javascript" and (end := self._regex()):
            return self._make(Kind.OTHER, source[start:end], end)
        if mark == "=" and source.startswith("=>", start):
            return self._make(Kind.SIGN, "=>", start + 2)
        return self._make(Kind.SIGN, mark, start + 1)

    def _make(self, kind: Kind, text: str, end: int) -> Token:
        """Return a token; lines in it count for those after it."""
        token = Token(kind, text, self.line)
        self.line += self.source.count("\n", self.place, end)
        self.place = end
        return token

    def _comment(self) -> None:
        line = self.source.startswith("//", self.place)
        end = self.source.find("\n" if line else "*/", self.place + 2)
        end = len(self.source) if end < 0 else end if line else end + 2
        self._make(Kind.OTHER, "", end)

    def _raw(self, mark: str) -> Token:
        start = self.place + len(mark)
        end = self.source.find(mark, start)
        end = len(self.source) if end < 0 else end
        return self._make(Kind.TEXT, self.source[start:end], end + len(mark))

    def _quoted(self, mark: str) -> Token:
        said, place = [], self.place + 1
        while place < len(self.source) and self.source[place] not in {mark, "\n"}:
            if self.source[place] == "\\" and place + 1 < len(self.source):
                place += 1
                said.append(_escaped(self.source[place]))
            else:
                said.append(self.source[place])
            place += 1
        shut = place < len(self.source) and self.source[place] == mark
        return self._make(Kind.TEXT, "".join(said), place + shut)

    def _template(self) -> Token:  # noqa: C901 - a case for each mark that counts
        """Read a template; what is put into it is not known, and not looked at."""
        said, place, source = [], self.place + 1, self.source
        stack: list[int] = []  # the depth of braces in each `${`; -1 is a template within
        while place < len(source):
            mark = source[place]
            texty = not stack or stack[-1] == -1
            if texty and mark == "`":
                if not stack:
                    break
                stack.pop()
            elif texty and source.startswith("${", place):
                if not stack:
                    said.append(UNKNOWN)
                stack.append(0)
                place += 1
            elif texty and mark == "\\":
                place += 1
            elif texty and not stack:
                said.append(mark)
            elif not texty and mark == "`":
                stack.append(-1)
            elif not texty and mark in "{}":
                stack[-1] += 1 if mark == "{" else -1
                if stack[-1] < 0:
                    stack.pop()
            place += 1
        return self._make(Kind.TEXT, "".join(said), min(place + 1, len(source)))

    def _regex(self) -> int:
        """Return where the regular expression that begins here ends; 0 if it is a division."""
        last = self.last
        if last.kind is Kind.WORD and last.text not in _BEFORE_REGEX_WORDS:
            return 0
        if last.kind in {Kind.TEXT, Kind.OTHER} or (last.kind is Kind.SIGN and last.text in {")", "]"}):
            return 0
        inside = False
        for place in range(self.place + 1, min(self.place + _LONGEST_REGEX, len(self.source))):
            mark = self.source[place]
            if mark == "\n":
                return 0
            if self.source[place - 1] == "\\" and self.source[place - 2] != "\\":
                continue
            if mark == "/" and not inside:
                return place + 1
            inside = mark == "[" or (inside and mark != "]")
        return 0


def _escaped(mark: str) -> str:
    return _ESCAPES.get(mark, "\\" + mark if mark in "dwsDWSB.*+" else mark)
