"""Atoms and expressions: what a Sigma rule asks of single fields, and how it joins the answers.

An expression is an atom's number, ``["&", …]``, ``["|", …]`` or ``["!", x]``: plain JSON, so that compiled
rules can be kept in a file that is data and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

MANY, ONE = 0, 1
"""What stands for ``*`` and ``?`` among the parts of a pattern."""


def fold(text: str) -> str:
    """Return a text in small letters, where case does not count.

    Letter by letter: that a sigma at a word's end is small in another way must not part equal texts.
    """
    return text.lower().replace("\u03c2", "\u03c3")


class Atom(NamedTuple):
    """One question to one field (None: the whole record).

    ======== ==========================================================================================
    kind     value
    ======== ==========================================================================================
    text     parts: texts, MANY and ONE; ``cased`` tells whether case counts
    re       (pattern, flags): a search; flags of ``i``, ``m``, ``s``
    cidr     a network
    number   equals this number
    compare  (operator, number)
    part     (part of a time, operator, number)
    null     the field is not there
    exists   the field is there, or is not
    field    (other field, starts with, ends with)
    ======== ==========================================================================================
    """

    field: str | None
    kind: str
    value: Any
    cased: bool = False


Expression = Any


def atoms_of(expression: Expression) -> Iterator[int]:
    """Yield the numbers of an expression's atoms."""
    if isinstance(expression, int):
        yield expression
    else:
        for part in expression[1:]:
            yield from atoms_of(part)


def needed(expression: Expression) -> frozenset[int] | None:
    """Return atoms of which at least one must match for it to hold; None if nothing need match."""
    if isinstance(expression, int):
        return frozenset((expression,))
    if expression[0] == "!":
        return None
    parts = [needed(part) for part in expression[1:]]
    if expression[0] == "&":
        return min((part for part in parts if part is not None), key=len, default=None)
    return None if None in parts else frozenset().union(*(part for part in parts if part is not None))


def rename(expression: Expression, numbers: Any) -> Expression:
    """Return the expression with other numbers for its atoms."""
    if isinstance(expression, int):
        return numbers[expression]
    return [expression[0], *(rename(part, numbers) for part in expression[1:])]
