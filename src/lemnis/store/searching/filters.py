r"""The filter part of the search language, parsed into a tree. docs/search.md describes it.

::

    powershell                 a word anywhere in message, raw record or unmapped fields
    "failed password"          the same for a phrase; in quotes * and ? are plain characters
    user.name:root             a field, by its path or the end of it (actor.user.name, user.name …)
    process.name:*sh  a?c      * is any text, ? any one character; case never matters
    cmd_line:/curl.+\|\s*sh/   a regular expression (RE2) anywhere in it; also without a field
    src_endpoint.ip:10.0.0.0/8 a network
    user.name:(root OR admin)  one of several values
    dst_endpoint.port:>=1024   > >= < <=; also [1024 TO 2048], {1 TO 5} without its ends, [1024 TO *]
    time:[-1d@d TO now]  earliest=-24h latest=now
    actor.user.uid:*           the field has a value
    source:sshd class:process_activity severity:high uid:ev-…
    a b   a AND b   a OR b   NOT a   -a   (a OR b) c

AND binds more tightly than OR, and is meant where nothing is written. ``\`` before a character makes it
plain; in quotes it is needed before ``"`` and ``\`` only.
"""

from __future__ import annotations

import re

import re2

from lemnis.store.searching.tree import Group, Node, Not, Term, problem

MAX_LENGTH, MAX_DEPTH, MAX_REGEX = 16_384, 40, 1_000
MAX_TERMS, MAX_SCANS = 2_000, 250
"""So many tests; so many of them words, patterns and expressions, for which each text is read anew."""
_FIELD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*):")
_COLUMN = re.compile(r'(?:([A-Za-z_][\w.]*)|"((?:\\.|[^"\\])+)")\s*(:|==|=|!=|>=|<=|>|<)\s*(>=|<=|>|<)?')
_COMPARE = re.compile(r">=|<=|>|<")
_RANGE = re.compile(r"([\[{])\s*(\S+)\s+TO\s+([^\s\]}]+)\s*([\]}])")
_BARE = re.compile(r'(?:\\.|[^\s()"\\|])+')
_INSIDE = re.compile(r'(?:\\.|[^\s()"\\|\]])+')
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"')
_REGEX = re.compile(r"/((?:\\.|[^\s/\\])+)/(?=[\s)|\]]|$)")
_BOUND = re.compile(r"(earliest|latest)=")


def parse(text: str) -> Node | None:
    """Parse a filter; None if it is blank. Raises InputError that points to the column (from 1)."""
    reader = Filters(text)
    node = reader.filter()
    if not reader.ended():
        reader.astray()
    return node


class Filters:
    """Reads a query from left to right; filters here, stages in ``pipes``.

    ``columns`` are tests of computed columns (``count > 5``), as ``where`` has them.
    """

    def __init__(self, text: str) -> None:
        """Begin at the beginning; raises InputError if the query is too long."""
        if len(text) > MAX_LENGTH:
            raise problem(
                MAX_LENGTH + 1, f"the query is longer than {MAX_LENGTH} characters",
                "narrow it by a pattern or a regular expression",
            )  # fmt: skip
        self.text = text
        self.place = 0
        self.brackets = 0
        self.columns = False
        self._of = ""
        self._terms = self._scans = 0

    # -- reading -------------------------------------------------------------------------------------------

    def ended(self) -> bool:
        """Skip blanks; say whether nothing is left."""
        while self.place < len(self.text) and self.text[self.place].isspace():
            self.place += 1
        return self.place == len(self.text)

    def next(self) -> str:
        """Return the next character that is no blank; nothing at the end."""
        return "" if self.ended() else self.text[self.place]

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Take what a pattern matches here, after blanks."""
        self.ended()
        found = pattern.match(self.text, self.place)
        if found:
            self.place = found.end()
        return found

    def astray(self) -> None:
        """Raise the error for what cannot stand here."""
        what = {")": "this ) closes nothing", "]": "this ] closes nothing"}.get(
            self.next(), "this cannot stand here"
        )
        raise problem(self.place + 1, what, "remove it, or put it in quotes")

    # -- filters -------------------------------------------------------------------------------------------

    def filter(self) -> Node | None:
        """Read a filter up to a ``|``, the ``]`` around it, or the end; None if it is blank."""
        return None if self.over() else self.alternatives(0)

    def over(self) -> bool:
        """Say whether a filter or stage ends here."""
        following = self.next()
        return not following or following == "|" or (following == "]" and self.brackets > 0)

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
            if not self.keyword("AND") and (self.over() or self.text[self.place] == ")" or self.ahead("OR")):
                return operands[0] if len(operands) == 1 else Group("AND", tuple(operands))
            operands.append(self.negation(depth))

    def negation(self, depth: int) -> Node:
        """Read ``NOT a``, ``-a``, ``(a)`` and a term."""
        if depth > MAX_DEPTH:
            raise problem(self.place + 1, f"the query is nested more than {MAX_DEPTH} deep")
        if self.keyword("NOT"):
            return Not(self.negation(depth + 1))
        if self.over() or self.ahead("AND") or self.ahead("OR"):
            raise problem(self.place + 1, "a term is missing here", "write a word or field:value")
        start = self.place
        if self.text[start] == "-":
            self.place += 1
            return Not(self.negation(depth + 1))
        if self.text[start] == "(":
            return self.nested(depth)
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise problem(start + 1, f"the query has more than {MAX_TERMS} terms", "split it")
        found = self.column(start, depth) if self.columns and not self._of else self.term(start, depth)
        self._scans += isinstance(found, Term) and (
            not found.field or found.regex or found.pattern is not None
        )
        if self._scans > MAX_SCANS:
            what = f"the query has more than {MAX_SCANS} words and patterns"
            raise problem(start + 1, what, "say in which field, or make one regular expression of them")
        return found

    def nested(self, depth: int) -> Node:
        """Read what is in parentheses."""
        start = self.place
        self.place += 1
        node = self.alternatives(depth + 1)
        if self.next() != ")":
            raise problem(start + 1, "this ( is never closed", "close it, or put it in quotes")
        self.place += 1
        return node

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

    def term(self, start: int, depth: int) -> Node:
        """Read a word, or a field with its value, values or range."""
        if self._of:
            return self.value(self._of, self.comparison(), start)
        bound = _BOUND.match(self.text, start)
        if bound:
            self.place = bound.end()
            return self.value("time", ">=" if bound[1] == "earliest" else "<", start)
        match = _FIELD.match(self.text, start)
        if not match:
            return self.value("", ":", start)
        self.place = match.end()
        return self.tested(match[1], start, depth)

    def column(self, start: int, depth: int) -> Node:
        """Read the test of a computed column: ``count > 5``, ``name = "x"``, or ``field:value``."""
        match = _COLUMN.match(self.text, start)
        if not match:
            return self.term(start, depth)
        self.place = match.end()
        name = match[1] or re.sub(r'\\(["\\])', r"\1", match[2])
        if match[3] == ":":
            self.place = match.end() if not match[4] else match.start(4)
            return self.tested(name, start, depth)
        node = self.value(name, ":" if match[3] in {"=", "==", "!="} else match[3], start)
        return Not(node) if match[3] == "!=" else node

    def tested(self, name: str, start: int, depth: int) -> Node:
        """Read what a field is tested for."""
        span = _RANGE.match(self.text, self.place)
        if span:
            self.place = span.end()
            return _range(name, span, start + 1)
        if self.text[self.place : self.place + 1] == "(":
            self._of = name
            try:
                return self.nested(depth)
            finally:
                self._of = ""
        return self.value(name, self.comparison(), start)

    def comparison(self) -> str:
        """Take ``>``, ``>=``, ``<`` or ``<=`` if one comes next."""
        compare = _COMPARE.match(self.text, self.place)
        self.place = compare.end() if compare else self.place
        return compare[0] if compare else ":"

    def value(self, field: str, operator: str, start: int) -> Term:
        """Read a bare or quoted value, or a regular expression."""
        quoted = _QUOTED.match(self.text, self.place)
        if quoted:
            self.place = quoted.end()
            plain = re.sub(r'\\(["\\])', r"\1", quoted[1])
            return Term(field, operator, plain, None, start + 1, quoted=True)
        if self.text[self.place : self.place + 1] == '"':
            raise problem(self.place + 1, "this quote is never closed", 'close it with "')
        expression = _REGEX.match(self.text, self.place) if operator == ":" else None
        if expression:
            self.place = expression.end()
            return Term(field, ":", _expression(expression[1], start + 1), None, start + 1, regex=True)
        bare = (_INSIDE if self.brackets else _BARE).match(self.text, self.place)
        if not bare:
            what = f"{field}: has no value" if field else "this is neither a word nor field:value"
            raise problem(self.place + 1, what, 'write field:value, or put the text in quotes ("…")')
        self.place = bare.end()
        return Term(field, operator, *_unescape(bare[0], wild=operator == ":"), start + 1)


def _range(name: str, span: re.Match[str], column: int) -> Node:
    """Return the tests of a range; ``*`` leaves an end open."""
    low = Term(name, ">=" if span[1] == "[" else ">", span[2], None, column)
    high = Term(name, "<=" if span[4] == "]" else "<", span[3], None, column)
    ends = [term for term in (low, high) if term.value != "*"]
    if not ends:
        return Term(name, ":", "*", "%", column)
    return ends[0] if len(ends) == 1 else Group("AND", tuple(ends))


def _expression(text: str, column: int) -> str:
    r"""Return a regular expression as RE2 has it (``\/`` is ``/``); raises InputError."""
    text = re.sub(r"\\(.)", lambda found: "/" if found[1] == "/" else found[0], text)
    if len(text) > MAX_REGEX:
        raise problem(column, f"the regular expression is longer than {MAX_REGEX} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        re2.compile(text, options)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error.args[0]
        fix = "RE2 has no backreferences and no look-around, and bounds what it repeats"
        raise problem(column, f"this regular expression cannot be used: {why}", fix) from error
    return text


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
