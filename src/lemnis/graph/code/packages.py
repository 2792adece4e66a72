"""Which package a stack trace passes through; which words a request shares with what is told of one. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import unquote

from lemnis.graph.code.stacktraces import Frame, Stack

SHORTEST = 4
_JVM = (".java", ".kt", ".scala", ".groovy")
_WORD = re.compile(r"[A-Za-z][a-z]+|[A-Z]{2,}(?![a-z])")
_ORDINARY = frozenset((
    "http", "https", "this", "that", "with", "from", "into", "when", "have", "been", "will", "user",
    "users", "name", "data", "file", "text", "code", "attacker", "attackers", "remote", "version",
    "versions", "arbitrary", "execution", "vulnerability", "vulnerable", "allow", "allows", "affected",
    "before", "after", "application", "applications", "server", "client", "request", "requests", "input",
    "untrusted", "crafted", "malicious", "package", "library", "example", "local", "null", "true", "false",
    "class", "value", "values", "string", "default", "index", "admin", "test",
))  # fmt: skip
"""Words that stand in many advisories and many requests, and tell nothing."""


def inner(stack: Stack, own: Callable[[Frame], object]) -> tuple[Frame, ...]:
    """Return the frames of a stack trace that one's own code called (``own`` tells it), the innermost first.

    What called one's own code is in every trace of the service, and says nothing. Where none is of one's own,
    it is the innermost frame that is not of the language.
    """
    for number, frame in enumerate(stack.frames):
        if own(frame):
            return stack.frames[:number]
    return tuple([frame for frame in stack.frames if not _of_language(frame)][:1])


def through(frames: Sequence[Frame], purl: str) -> Frame | None:
    """Return the first of some frames that is in a package (its URL), as far as frames tell it.

    Java names classes, which begin with the group as a rule; Python, Node and Go name files, which lie in a
    folder of the package's name.
    """
    kind, name = _parts(purl)
    within = _WITHIN.get(kind)
    if within is None or not name:
        return None
    return next((frame for frame in frames if within(frame, name)), None)


def shared(text: str, told: str, ordinary: Collection[str] = ()) -> tuple[str, ...]:
    """Return the words that what a request carried has in common with what is told of a package, in order.

    Short words, words of every advisory and ``ordinary`` ones (of other requests) do not count.
    """
    known = words(told) - _ORDINARY - set(ordinary)
    return tuple(sorted(words(text) & known))


def words(text: str) -> set[str]:
    """Return the words of a text in small letters; ``JndiLookup`` has two."""
    return {one.lower() for one in _WORD.findall(text) if len(one) >= SHORTEST}


def _of_language(frame: Frame) -> bool:
    """Say whether a frame is of a language's own library."""
    if frame.file.endswith(_JVM):
        return frame.function.startswith(("java.", "javax.", "jdk.", "sun.", "com.sun.", "kotlin.", "scala."))
    if "-packages/" in frame.file or "/node_modules/" in frame.file or "/pkg/mod/" in frame.file:
        return False
    return frame.file.startswith(
        ("node:", "internal/", "<", "/usr/lib/", "/usr/local/lib/", "/usr/local/go/")
    )


def _parts(purl: str) -> tuple[str, str]:
    """Return a package URL's type and its whole name, decoded."""
    bare = purl.removeprefix("pkg:").partition("#")[0].partition("?")[0]
    head, mark, _ = bare.rpartition("@")
    kind, _, name = (head if mark and head.count("/") else bare).partition("/")
    return kind, unquote(name)


def _java(frame: Frame, name: str) -> bool:
    group, _, artifact = name.partition("/")
    above, last = group.rpartition(".")[0], artifact.rpartition("-")[2]
    return frame.file.endswith(_JVM) and frame.function.startswith(
        (f"{group}.", f"{above}.{last}.") if above and last else (f"{group}.",)
    )


def _python(frame: Frame, name: str) -> bool:
    bare = re.sub(r"[-_.]+", "_", name).lower()
    file = frame.file.replace("\\", "/").lower()
    return any(f"/{place}-packages/{bare}{end}" in file for place in ("site", "dist") for end in ("/", ".py"))


def _node(frame: Frame, name: str) -> bool:
    return f"/node_modules/{name}/" in f"/{frame.file}"


def _go(frame: Frame, name: str) -> bool:
    return frame.function.startswith((f"{name}.", f"{name}/")) or f"/pkg/mod/{name}@" in frame.file


_WITHIN: Mapping[str, Callable[[Frame, str], bool]] = MappingProxyType(
    {"maven": _java, "pypi": _python, "npm": _node, "golang": _go}
)
