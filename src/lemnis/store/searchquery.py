r"""The search language: what people type, parsed into a tree. Nothing of it ever becomes SQL text.

::

    powershell                 a word anywhere in message, raw record or unmapped fields
    "failed password"          the same for a phrase; in quotes * and ? are plain characters
    user.name:root             a field, by its path or the end of it (actor.user.name, user.name …)
    process.name:*sh  a?c      * is any text, ? any one character; case never matters
    dst_endpoint.port:>=1024   > >= < <=; also [1024 TO 2048], both included; times as ISO 8601
    actor.user.uid:*           the field has a value
    source:sshd class:process_activity severity:high uid:ev-…
    a b   a AND b   a OR b   NOT a   -a   (a OR b) c

AND binds more tightly than OR, and is meant where nothing is written. ``\`` before a character makes it
plain; in quotes it is needed before ``"`` and ``\`` only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lemnis.contracts.errors import InputError, Location

_FIELD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*):")
_COMPARE = re.compile(r">=|<=|>|<")
_RANGE = re.compile(r"\[\s*(\S+)\s+TO\s+([^\s\]]+)\s*\]")
_BARE = re.compile(r'(?:\\.|[^\s()"\\])+')
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"')
_MAX_LENGTH, _MAX_DEPTH = 4096, 40


@dataclass(frozen=True, slots=True)
class Term:
    r"""One test: ``value`` compared by ``operator`` (``:``, ``>``, ``>=``, ``<``, ``<=``) with a field.

    ``field`` is empty for a word. ``pattern`` is the value as a LIKE pattern with ``\`` as escape, if it
    has wildcards. ``column`` is where the term begins in the query, from 1.
    """

    field: str
    operator: str
    value: str
    pattern: str | None
    column: int


@dataclass(frozen=True, slots=True)
class Not:
    """True where its operand is not."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Group:
    """All (``AND``) or any (``OR``) of its operands."""

    operator: str
    operands: tuple[Node, ...]


Node = Term | Not | Group


def parse(text: str) -> Node | None:
    """Parse a query; None if it is blank. Raises InputError that points to the column (from 1)."""
    if len(text) > _MAX_LENGTH:
        raise problem(_MAX_LENGTH + 1, f"the query is longer than {_MAX_LENGTH} characters")
    parser = _Parser(text)
    if parser.ended():
        return None
    node = parser.alternatives(0)
    if not parser.ended():
        raise problem(parser.place + 1, "this ) closes nothing", "remove it, or put it in quotes")
    return node


def problem(column: int, what: str, fix: str = "") -> InputError:
    """Make the error that says what is wrong at a column of the query."""
    return InputError(what, at=Location("query", 1, column), fix=fix)


class _Parser:
    """Reads a query from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def ended(self) -> bool:
        """Skip blanks; say whether nothing is left."""
        while self.place < len(self.text) and self.text[self.place].isspace():
            self.place += 1
        return self.place == len(self.text)

    def alternatives(self, depth: int) -> Node:
        """Read ``a OR b``."""
        operands = [self.conjunction(depth)]
        while self.keyword("OR"):
            operands.append(self.conjunction(depth))
        return operands[0] if len(operands) == 1 else Group("OR", tuple(operands))

    def conjunction(self, depth: int) -> Node:
        """Read ``a b`` and ``a AND b``."""
        operands = [self.negation(depth)]
        while True:
            if not self.keyword("AND") and (self.ended() or self.text[self.place] == ")" or self.ahead("OR")):
                return operands[0] if len(operands) == 1 else Group("AND", tuple(operands))
            operands.append(self.negation(depth))

    def negation(self, depth: int) -> Node:
        """Read ``NOT a``, ``-a``, ``(a)`` and a term."""
        if depth > _MAX_DEPTH:
            raise problem(self.place + 1, f"the query is nested more than {_MAX_DEPTH} deep")
        if self.keyword("NOT"):
            return Not(self.negation(depth + 1))
        if self.ended() or self.ahead("AND") or self.ahead("OR"):
            raise problem(self.place + 1, "a term is missing here", "write a word or field:value")
        start = self.place
        if self.text[start] == "-":
            self.place += 1
            return Not(self.negation(depth + 1))
        if self.text[start] == "(":
            self.place += 1
            node = self.alternatives(depth + 1)
            if self.ended() or self.text[self.place] != ")":
                raise problem(start + 1, "this ( is never closed", "close it, or put it in quotes")
            self.place += 1
            return node
        return self.term()

    def ahead(self, word: str) -> bool:
        """Say whether an operator comes next."""
        self.ended()
        end = self.place + len(word)
        return self.text[self.place : end] == word and (
            end == len(self.text) or self.text[end].isspace() or self.text[end] in "()"
        )

    def keyword(self, word: str) -> bool:
        """Take an operator if it comes next."""
        found = self.ahead(word)
        if found:
            self.place += len(word)
        return found

    def term(self) -> Node:
        """Read a word, or a field with its value or range."""
        start = self.place
        match = _FIELD.match(self.text, start)
        if not match:
            return self.value("", ":", start)
        self.place = match.end()
        span = _RANGE.match(self.text, self.place)
        if span:
            self.place = span.end()
            low, high = (Term(match[1], op, span[n], None, start + 1) for n, op in ((1, ">="), (2, "<=")))
            return Group("AND", (low, high))
        compare = _COMPARE.match(self.text, self.place)
        if compare:
            self.place = compare.end()
        return self.value(match[1], compare[0] if compare else ":", start)

    def value(self, field: str, operator: str, start: int) -> Term:
        """Read a bare or quoted value."""
        quoted = _QUOTED.match(self.text, self.place)
        if quoted:
            self.place = quoted.end()
            return Term(field, operator, re.sub(r'\\(["\\])', r"\1", quoted[1]), None, start + 1)
        if self.text[self.place : self.place + 1] == '"':
            raise problem(self.place + 1, "this quote is never closed", 'close it with "')
        bare = _BARE.match(self.text, self.place)
        if not bare:
            what = f"{field}: has no value" if field else "this is neither a word nor field:value"
            raise problem(self.place + 1, what, 'write field:value, or put the text in quotes ("…")')
        self.place = bare.end()
        return Term(field, operator, *_unescape(bare[0], wild=operator == ":"), start + 1)


def _unescape(text: str, *, wild: bool) -> tuple[str, str | None]:
    """Return a bare value as plain text, and as a LIKE pattern if it has wildcards."""
    plain, pattern, wildcards = "", "", False
    pieces = re.findall(r"\\.|.", text, re.DOTALL)
    for piece in pieces:
        if wild and piece in "*?":
            plain, pattern, wildcards = plain + piece, pattern + ("%" if piece == "*" else "_"), True
        else:
            character = piece[-1]
            plain += character
            pattern += "\\" + character if character in "%_\\" else character
    return plain, pattern if wildcards else None
