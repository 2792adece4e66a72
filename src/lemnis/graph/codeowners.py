"""CODEOWNERS: who owns a path. The last matching line wins; a line without owners takes ownership away.

Patterns are gitignore's, less negation, character ranges and escapes (as GitHub documents the format). They
come from a repository, so they run on an engine whose time is linear in the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")


@dataclass(frozen=True, slots=True)
class Ownership:
    """The owners of a path, and the line that says so (from 1; 0 if none does)."""

    owners: tuple[str, ...]
    line: int
    pattern: str


def owners(text: str, path: str) -> Ownership:
    """Return who owns ``path`` (relative to the repository) by a CODEOWNERS file's text."""
    found = Ownership((), 0, "")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words and not words[0].startswith("!") and _matcher(words[0]).match(path):
            found = Ownership(tuple(words[1:]), number, words[0])
    return found


@lru_cache(maxsize=4096)
def _matcher(pattern: str) -> Any:
    """Translate a pattern: a slash before its end anchors it at the root; a folder owns what is in it."""
    anchored = "/" in pattern.rstrip("/")
    body = pattern.strip("/")
    text, index = "", 0
    while index < len(body):
        if body.startswith("**/", index):
            text, index = text + "(?:.*/)?", index + 3
        elif body.startswith("**", index):
            text, index = text + ".*", index + 2
        elif body[index] == "*":
            text, index = text + "[^/]*", index + 1
        elif body[index] == "?":
            text, index = text + "[^/]", index + 1
        else:
            text, index = text + re2.escape(body[index]), index + 1
    # "docs/*" owns the files in docs and not those deeper; every other pattern owns what is below it.
    deeper = "" if body.endswith("/*") else "(?:/.*)?"
    if pattern.endswith("/"):
        deeper = "/.*"
    return re2.compile(f"{'' if anchored else '(?:.*/)?'}{text}{deeper}\\z")
