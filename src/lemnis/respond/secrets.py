"""Finds credentials that stand in clear text where only their names may. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_SHAPES = {
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
    "a Slack token": r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    "a Slack webhook": r"hooks\.slack\.com/services/T[A-Za-z0-9/]{20,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a JSON Web Token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+",
    "a credential in an address": r"\b[a-z][a-z0-9+.-]*://[^/\s:@{}]+:[^/\s:@{}]+@",
    "an authorization header": r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9+/_.=-]{16,}",
}
_NAMES = re.compile(r"(?i)(^|[_-])(password|passwd|secret|token|api[_-]?key|apikey|private[_-]?key)$")
_LONG = 8


def find(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the places of what looks like a credential in plain data, and what it looks like.

    Values under a key that is called like a credential count too, unless they are a place (``{name}``).
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from find(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from find(item, (*path, number))
    elif isinstance(value, str):
        what = next((what for what, shape in _SHAPES.items() if re.search(shape, value)), "")
        named = bool(path) and _NAMES.search(str(path[-1])) and len(value) >= _LONG
        if what or (named and "{" not in value and " " not in value):
            yield path, what or f"a value called {path[-1]}"
