"""What a text must have for a regular expression to find something in it: read off the expression.

So most values need not be searched. What is not understood requires nothing; RE2 has the last word.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

Choice = frozenset[str]
"""Texts of which one must be there; of none nothing is said."""


def required(pattern: str, flags: str) -> frozenset[bytes]:
    """Return ASCII texts in small letters: an ASCII text must have one, in any case; none if unknown."""
    found = _best(_parsed(pattern, flags))
    if not all(text.isascii() and len(text) > 1 for text in found):  # one letter is hardly worth to look for
        return frozenset()
    return frozenset(text.encode() for text in found)


def letters(pattern: str, flags: str) -> str:
    """Return letters in small form that a text of ASCII has, all of them, in whatever case."""
    found: set[str] = set()
    _gather(_parsed(pattern, flags), found)
    return "".join(sorted(letter for letter in found if letter.isascii()))


def _parsed(pattern: str, flags: str) -> Sequence[tuple[Any, Any]]:
    head = f"(?{flags})" if flags else ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python is about to read otherwise
            parsed: Sequence[tuple[Any, Any]] = _parser.parse(head + pattern)
    except (re.error, Warning, OverflowError, RecursionError):
        return ()
    return parsed


def _gather(sequence: Sequence[tuple[Any, Any]], found: set[str]) -> None:
    for kind, value in sequence:
        if letter := _letter(kind, value):
            found.add(letter)
        elif kind is sre.SUBPATTERN:
            _gather(value[3], found)
        elif (kind is sre.MAX_REPEAT or kind is sre.MIN_REPEAT) and value[0] > 0:
            _gather(value[2], found)


def _best(sequence: Sequence[tuple[Any, Any]]) -> Choice:
    """Return the choice of a sequence that says most: every part of it must be there."""
    choices: list[Choice] = []
    run = ""
    for kind, value in [*sequence, (None, None)]:
        letter = _letter(kind, value)
        if letter:
            run += letter
            continue
        if run:
            choices.append(frozenset({run}))
        run = ""
        if kind is not None:
            choices.append(_part(kind, value))
    return max(choices, key=_weight, default=frozenset())


def _letter(kind: Any, value: Any) -> str:
    """Return the one letter that stands there, large or small; an empty text if there may be others."""
    if kind is sre.LITERAL:
        return chr(value).lower()
    if kind is sre.IN and all(which is sre.LITERAL for which, _ in value):
        letters = {chr(letter).lower() for _, letter in value}
        return letters.pop() if len(letters) == 1 else ""
    return ""


def _part(kind: Any, value: Any) -> Choice:
    if kind is sre.SUBPATTERN:
        return _best(value[3])
    if kind is sre.MAX_REPEAT or kind is sre.MIN_REPEAT:
        return _best(value[2]) if value[0] > 0 else frozenset()
    if kind is sre.BRANCH:
        branches = [_best(one) for one in value[1]]
        return frozenset().union(*branches) if all(branches) else frozenset()
    return frozenset()


def _weight(choice: Choice) -> tuple[int, int]:
    return min(map(len, choice), default=0), -len(choice)
