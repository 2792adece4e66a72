"""What two questions to one field have to do with each other: the one implies the other, or excludes it.

Both answers are safe: True only where it follows, False where it does not or is not known.
"""

from __future__ import annotations

import ipaddress
import math
from functools import lru_cache
from typing import Any, NamedTuple

from lemnis.detect.atoms import MANY, ONE, Atom
from lemnis.detect.compiler import regex
from lemnis.detect.questions import compared, in_network, number_of, timed

_NUMBERS = frozenset({"number", "compare"})


class _Range(NamedTuple):
    """Numbers from ``low`` to ``high``; a pair's second part says that the bound itself is not in it."""

    low: tuple[float, bool]
    high: tuple[float, bool]

    @property
    def empty(self) -> bool:
        """Say whether no number is in it."""
        return self.low[0] > self.high[0] or (self.low[0] == self.high[0] and (self.low[1] or self.high[1]))

    def holds(self, number: float) -> bool:
        """Say whether a number is in it."""
        return not _common(self, _Range((number, False), (number, False))).empty


_PARTS = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day": (1, 31),
    "week": (1, 53),
    "month": (1, 12),
    "year": (1, 9999),
}


def presence(atom: Atom) -> bool | None:
    """Say whether an atom asks that its field is there (True) or is not (False); None if it asks more."""
    if atom.kind == "null":
        return False
    if atom.kind == "exists":
        return bool(atom.value)
    return True if atom.field is not None and atom.kind == "text" and tuple(atom.value) == (MANY,) else None


def hopeless(atom: Atom) -> bool:
    """Say whether no value meets an atom: an hour of 25 there is not."""
    if atom.kind != "part":
        return False
    low, high = _PARTS[atom.value[0]]
    return _common(_range(atom), _Range((low, False), (high, False))).empty


def excludes(one: Atom, two: Atom, *, single: bool = True) -> bool:
    """Say whether no record meets both; ``single`` says that the field holds one value at most."""
    there = presence(one), presence(two)
    if False in there:
        return there[0] is not there[1]
    return single and (_apart(one, two) or _apart(two, one))


def implies(one: Atom, two: Atom) -> bool:
    """Say whether whatever meets the one meets the other."""
    there = presence(one), presence(two)
    if there[1] is not None:
        return there[1] and there[0] is not False
    return there[0] is None and _value_implies(one, two)


def _value_implies(one: Atom, two: Atom) -> bool:
    value = exact(one)
    if value is not None and two.kind != "text":
        return _asked(two, value, cased=one.cased) is True
    if one.kind == two.kind == "text":
        return _text_implies(one, two)
    if one.kind == two.kind == "cidr":
        mine, other = ipaddress.ip_network(one.value), ipaddress.ip_network(two.value)
        return mine.version == other.version and mine.subnet_of(other)  # type: ignore[arg-type]
    ranges = _ranges(one, two)
    if ranges is None or _sign(one) == "!=":
        return False
    return not ranges[0].holds(_bound(two)) if _sign(two) == "!=" else _within(*ranges)


def exact(atom: Atom) -> str | None:
    """Return the one text that an atom asks for; None if there are several."""
    if atom.kind != "text" or any(isinstance(part, int) for part in atom.value):
        return None
    return "".join(atom.value)


def _apart(one: Atom, two: Atom) -> bool:
    """Say whether no single value meets both (asked both ways round)."""
    value = exact(one)
    if value is not None and two.kind != "text":
        return _asked(two, value, cased=one.cased) is False
    if one.kind == two.kind == "text":
        return _texts_apart(one, two)
    if one.kind == two.kind == "cidr":
        mine, other = ipaddress.ip_network(one.value), ipaddress.ip_network(two.value)
        return mine.version != other.version or not mine.overlaps(other)
    ranges = _ranges(one, two)
    if ranges is None:
        return False
    signs = _sign(one), _sign(two)
    if "!=" in signs:
        return sorted(signs) == ["!=", "="] and _bound(one) == _bound(two)
    return _common(*ranges).empty


def _asked(atom: Atom, value: str, *, cased: bool) -> bool | None:
    """Ask an atom about a text; None if that is not known, as the case of its letters is not."""
    if atom.kind == "number":
        return bool(number_of(value) == atom.value)
    if atom.kind == "compare":
        return compared(*atom.value)(value)
    if atom.kind == "cidr":
        return in_network(atom.value)(value)
    if not cased and value.lower() != value.upper():
        return None
    if atom.kind == "part":
        return timed(*atom.value)(value)
    return bool(regex(*atom.value).search(value)) if atom.kind == "re" else None


def _text_implies(one: Atom, two: Atom) -> bool:
    """Say whether every text of the one pattern is one of the other."""
    if two.cased and not one.cased:
        return False
    mine = _symbols(one)
    if one.cased and not two.cased:
        if not _plain(one):
            return False
        # one letter may have a small form of two
        mine = tuple(
            MANY if symbol == ONE else str(symbol).lower() if isinstance(symbol, str) else symbol
            for symbol in mine
        )
    return _covers(_symbols(two), mine)


def _texts_apart(one: Atom, two: Atom) -> bool:
    """Say whether two patterns have no text in common: an exact one the other lacks, or other ends."""
    mine, other = _symbols(one), _symbols(two)
    if one.cased is not two.cased:
        if not (_plain(one) and _plain(two)):
            return False
        mine, other = (
            tuple(symbol.lower() if isinstance(symbol, str) else MANY for symbol in symbols)
            for symbols in (mine, other)
        )
    if MANY not in mine and ONE not in mine:
        return not _covers(other, mine)
    return _part_ways(mine, other) or _part_ways(mine[::-1], other[::-1])


def _part_ways(mine: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Say whether two patterns differ in a letter before either is open."""
    for left, right in zip(mine, other, strict=False):
        if MANY in {left, right}:
            return False
        if left != right and ONE not in {left, right}:
            return True
    return False


def _plain(atom: Atom) -> bool:
    return all(part.isascii() for part in atom.value if isinstance(part, str))


@lru_cache(maxsize=4096)
def _symbols(atom: Atom) -> tuple[Any, ...]:
    """Return a pattern letter by letter."""
    return tuple(symbol for part in atom.value for symbol in (part if isinstance(part, str) else [part]))


def _covers(pattern: tuple[Any, ...], text: tuple[Any, ...]) -> bool:
    """Match a text that may have open places; ``*`` covers all of them, ``?`` a letter or a ``?``."""
    place = at = mark = 0
    star = -1
    while at < len(text):
        wanted = pattern[place] if place < len(pattern) else None
        if wanted == MANY:
            star, mark = place, at
            place += 1
        elif wanted is not None and text[at] != MANY and wanted in {ONE, text[at]}:
            place, at = place + 1, at + 1
        elif star >= 0:
            mark += 1
            place, at = star + 1, mark
        else:
            return False
    return all(symbol == MANY for symbol in pattern[place:])


def _sign(atom: Atom) -> str:
    return str(atom.value[-2]) if isinstance(atom.value, tuple) else "="


def _bound(atom: Atom) -> float:
    bound: float = atom.value[-1] if isinstance(atom.value, tuple) else atom.value
    return bound


def _ranges(one: Atom, two: Atom) -> tuple[_Range, _Range] | None:
    """Return the numbers that two atoms allow; None unless both ask for the same number of a value."""
    same = {one.kind, two.kind} <= _NUMBERS or (
        one.kind == two.kind == "part" and one.value[0] == two.value[0]
    )
    return (_range(one), _range(two)) if same else None


def _range(atom: Atom) -> _Range:
    sign, bound = _sign(atom), _bound(atom)
    low = (bound, sign == ">") if sign in {">", ">=", "="} else (-math.inf, False)
    high = (bound, sign == "<") if sign in {"<", "<=", "="} else (math.inf, False)
    return _Range(low, high)


def _common(mine: _Range, other: _Range) -> _Range:
    high = min((mine.high, other.high), key=lambda bound: (bound[0], not bound[1]))
    return _Range(max(mine.low, other.low), high)


def _within(mine: _Range, other: _Range) -> bool:
    """Say whether one range lies in another."""
    return mine.low >= other.low and (mine.high[0], not mine.high[1]) <= (other.high[0], not other.high[1])
