"""URL templates of every framework in one form, and whether they answer a requested path.

A template is a row of segments: a text, a text with holes, digits, anything, or any number of segments. The
notations differ only in how a hole is written; each is read by one pass over the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import unquote

UNKNOWN = "\uffff"
"""Stands in a template for what the code computes: any number of segments."""
REST = "\ufffe"
"""Stands in a template for any number of segments, as the code says."""
MOST = 64
"""A template with more segments ends in any number of them."""
LONGEST = 2_000
"""So does one with more characters."""
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class Hole(IntEnum):
    """What a segment takes, the most specific first."""

    TEXT = 0
    MIXED = 1
    DIGITS = 2
    ONE = 3
    REST = 4


Atom = str | Hole


@dataclass(frozen=True, slots=True)
class Part:
    """One segment: what it takes, and the texts around and between its holes."""

    hole: Hole
    texts: tuple[str, ...] = ()

    def takes(self, value: str) -> bool:
        """Say whether it takes a segment of a path, decoded."""
        if self.hole is Hole.TEXT:
            return value == self.texts[0]
        if self.hole is Hole.DIGITS:
            return value.isdigit()
        return self.hole is not Hole.MIXED or self._fits(value)

    def _fits(self, value: str) -> bool:
        first, *between, last = self.texts
        if len(value) <= sum(map(len, self.texts)) or not value.startswith(first) or not value.endswith(last):
            return False
        place, end = len(first), len(value) - len(last)
        for text in between:
            place = value.find(text, place, end)
            if place < 0:
                return False
            place += len(text)
        return True


@dataclass(frozen=True, slots=True)
class Template:
    """A template as it is shown, and its segments."""

    text: str
    parts: tuple[Part, ...]

    @property
    def rank(self) -> tuple[int, ...]:
        """Order templates that answer the same path: the smallest is the most specific."""
        return tuple(part.hole for part in self.parts)

    def answers(self, segments: Sequence[str]) -> bool:
        """Say whether it answers a path's segments; in time of segments times parts at most."""
        parts = self.parts
        here = part = mark = 0
        star = -1
        while here < len(segments):
            if part < len(parts) and parts[part].hole is Hole.REST:
                star, mark = part, here
                part += 1
            elif part < len(parts) and parts[part].takes(segments[here]):
                here, part = here + 1, part + 1
            elif star >= 0:
                mark += 1
                here, part = mark, star + 1
            else:
                return False
        return all(one.hole is Hole.REST for one in parts[part:])


Notation = Callable[[str], Iterable[Atom]]


def segments(path: str) -> list[str]:
    """Return the decoded segments of a requested path; a query, a fragment and empty ones are left out."""
    bare = path.partition("?")[0].partition("#")[0]
    return [unquote(part) for part in bare.split("/") if part]


def template(text: str, notation: Notation) -> Template:
    """Read a template in a notation."""
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("/")[0] + "/" + UNKNOWN
    found: list[list[Atom]] = [[]]
    for atom in notation(text):
        for piece in _pieces(atom):
            if isinstance(piece, Hole):
                found[-1].append(piece)
                continue
            for number, part in enumerate(piece.split("/")):
                if number:
                    found.append([])
                if part:
                    found[-1].append(part)
    parts = [_part(one) for one in found if one]
    if len(parts) > MOST:
        parts = [*parts[:MOST], Part(Hole.REST)]
    shown = "/" + text.replace(UNKNOWN, "{?}").replace(REST, "{*}").lstrip("/")
    while "//" in shown:
        shown = shown.replace("//", "/")
    return Template(shown, tuple(parts))


def _pieces(atom: Atom) -> Iterator[Atom]:
    """Part a text at what stands for any number of segments."""
    if isinstance(atom, Hole):
        yield atom
        return
    for number, piece in enumerate(atom.replace(UNKNOWN, REST).split(REST)):
        if number:
            yield Hole.REST
        if piece:
            yield piece


def _part(atoms: Sequence[Atom]) -> Part:
    holes = [one for one in atoms if isinstance(one, Hole)]
    if Hole.REST in holes:
        return Part(Hole.REST)
    if not holes:
        return Part(Hole.TEXT, ("".join(str(one) for one in atoms),))
    if len(atoms) == 1:
        return Part(holes[0])
    texts = [""]
    for one in atoms:
        if isinstance(one, Hole):
            texts.append("")
        else:
            texts[-1] += one
    return Part(Hole.MIXED, tuple(texts))


def braces(text: str, star: Hole = Hole.REST) -> Iterator[Atom]:
    """``{id}``, ``{id:rule}``, ``{path:path}``, ``{path...}``, ``{*path}``, ``{$}``; ``*`` is ``star``."""
    place = 0
    while (start := text.find("{", place)) >= 0:
        end = closing(text, start, "{}")
        if end < 0:
            break
        yield from _starred(text[place:start], star)
        inner = text[start + 1 : end]
        name, _, rule = inner.partition(":")
        if name.startswith("*") or name.endswith(("...", "*")):
            yield Hole.REST
        elif inner != "$":
            yield ruled(rule)
        place = end + 1
    yield from _starred(text[place:], star)


def angles(text: str) -> Iterator[Atom]:
    """``<id>``, ``<int:id>``, ``<path:rest>``, ``<regex(".."):id>``."""
    place = 0
    while (start := text.find("<", place)) >= 0 and (end := text.find(">", start)) >= 0:
        yield text[place:start]
        kind, colon, _ = text[start + 1 : end].rpartition(":")
        yield ruled(kind) if colon else Hole.ONE
        place = end + 1
    yield text[place:]


def colons(text: str) -> Iterator[Atom]:
    r"""``:id``, ``:id(\d+)``, ``*``, ``*rest``; what is optional was told apart before."""
    place = 0
    for start, mark in ((at, one) for at, one in enumerate(text) if one in ":*"):
        if start < place:
            continue
        end = start + 1
        while end < len(text) and text[end] in _WORD:
            end += 1
        yield text[place:start]
        place = end
        if mark == "*":
            yield Hole.REST
            continue
        rule = ""
        if text.startswith("(", end) and (shut := closing(text, end, "()")) >= 0:
            rule, place = text[end + 1 : shut], shut + 1
        repeated = text[place : place + 1] in {"+", "*"} and place < len(text)
        place += repeated
        yield Hole.REST if repeated else ruled(rule)
    yield text[place:]


def optional(text: str, most: int = 3) -> list[str]:
    """Return an Express path with and without each part that is optional: ``/:id?``, ``{/:id}``."""
    found = [text]
    for _ in range(most):
        found = [other for one in found for other in _choose(one)]
    return list(dict.fromkeys(found))


def _choose(text: str) -> list[str]:
    start = text.find("{")
    if start >= 0 and (end := closing(text, start, "{}")) >= 0:
        return [text[:start] + text[start + 1 : end] + text[end + 1 :], text[:start] + text[end + 1 :]]
    end = text.find("?")
    if end < 0:
        return [text]
    start = text.rfind("/", 0, end)
    return [text[:end] + text[end + 1 :], (text[:start] if start >= 0 else "") + text[end + 1 :]]


def ruled(rule: str) -> Hole:
    """Return what a hole with a rule takes: a converter's name, or a pattern."""
    bare = rule.strip().lstrip("^")
    if bare == "path" or ".*" in bare or ".+" in bare or bare == "**":
        return Hole.REST
    return Hole.DIGITS if bare == "int" or bare.startswith((r"\d", r"\\d", "[0-9]")) else Hole.ONE


def closing(text: str, start: int, pair: str) -> int:
    """Return where the bracket that opens at ``start`` is closed; -1 if nowhere."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == pair[0]) - (text[place] == pair[1])
        if depth == 0:
            return place
    return -1


def _starred(text: str, star: Hole) -> Iterator[Atom]:
    for number, piece in enumerate(text.replace("**", REST).split("*")):
        if number:
            yield star
        yield piece
