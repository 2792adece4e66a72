"""HTTP routes of a source tree, and which of them served a request. Nothing is executed.

Each framework's module reads one file; here files are brought together: routers under prefixes, handlers
where they are defined. What code computes at run time is not guessed: a prefix that is computed stands for
anything, and the route says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from lemnis.graph.code import (
    aiohttp,
    chi,
    django,
    echo,
    express,
    fastapi,
    fastify,
    flask,
    gin,
    jaxrs,
    nest,
    nethttp,
    python,
    spring,
)  # fmt: skip
from lemnis.graph.code.assembling import Route, assemble
from lemnis.graph.code.lexer import Tokens, tokens
from lemnis.graph.code.model import Unit
from lemnis.graph.code.templates import segments

MAX_FILE = 2_000_000
_LANGUAGES: Mapping[str, str] = MappingProxyType(
    dict.fromkeys((".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx"), "javascript")
    | {".java": "java", ".go": "go"}
)
_READERS: Mapping[str, Sequence[Callable[[str, Tokens], Unit]]] = MappingProxyType(
    {
        "javascript": (express.read, fastify.read, nest.read),
        "java": (spring.read, jaxrs.read),
        "go": (nethttp.read, gin.read, chi.read, echo.read),
    }
)
_PYTHON = ((flask.PACKAGES, flask.read), (fastapi.PACKAGES, fastapi.read), (aiohttp.PACKAGES, aiohttp.read))
_TESTS = ("tests/", "test/", "__tests__/", "spec/", "testdata/")
_TEST_ENDS = ("_test.go", ".test.js", ".test.ts", ".spec.js", ".spec.ts", "_test.py")
_FOREIGN = ("node_modules/", "vendor/", "site-packages/", ".venv/", "dist-packages/", "third_party/")


@dataclass(slots=True)
class Routes:
    """The routes of a tree, and the files that could not be read, with the reason."""

    all: list[Route] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """The routes that answer a request, the most specific first; ``best`` those that nothing sets apart."""

    all: tuple[Route, ...]
    best: tuple[Route, ...]

    @property
    def ambiguous(self) -> str:
        """Say which handlers may have served it, if it may have been several; empty if it is one or none."""
        told = [f"{one.handler} ({one.file}:{one.line})" for one in self.best]
        return "either of " + ", ".join(told) if len(told) > 1 else ""


def read(files: Iterable[tuple[str, bytes]]) -> Routes:
    """Read a tree's routes; dependencies that were committed are left out, and so are tests."""
    found = Routes()
    units: list[Unit] = []
    for path, content in files:
        dot = path[path.rfind(".") :] if "." in path else ""
        if (dot != ".py" and dot not in _LANGUAGES) or foreign(path) or _test(path):
            continue
        if len(content) > MAX_FILE:
            found.skipped[path] = "too large"
            continue
        try:
            units += of_file(path, content)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            found.skipped[path] = f"{type(error).__name__}: {error}"[:200]
    found.all = assemble(units)
    return found


def foreign(path: str) -> bool:
    """Say whether a path is of a dependency that was put into the tree."""
    return any(path.startswith(one) or f"/{one}" in path for one in _FOREIGN)


def _test(path: str) -> bool:
    """Say whether a path is of a test: what it declares answers nobody's requests."""
    return path.endswith(_TEST_ENDS) or any(path.startswith(one) or f"/{one}" in path for one in _TESTS)


def of_file(path: str, content: bytes) -> list[Unit]:
    """Read one file by each framework that it may use.

    Raises SyntaxError, ValueError, RecursionError or MemoryError for Python that is none.
    """
    if path.endswith(".py"):
        module = python.parse(path, content)
        chosen = [read for packages, read in _PYTHON if module.uses(*packages)]
        if module.uses(*django.PACKAGES) or path.endswith("urls.py"):
            chosen.append(django.read)
        # An application may come from another file: whoever decorates it need not name the framework.
        units = [read(module) for read in chosen or [flask.read]]
        return _telling(units)
    language = _LANGUAGES[path[path.rfind(".") :]]
    found = tokens(content.decode(errors="replace"), language)
    return _telling([read(path, found) for read in _READERS[language]])


def _telling(units: list[Unit]) -> list[Unit]:
    """Return the units with routes; where there are none, one: a handler may be defined there."""
    return [unit for unit in units if unit.speaks] or units[:1]


def match(routes: Iterable[Route], method: str, path: str) -> Match:
    """Return the routes that answer a method (empty: not known) and a path with its parameters.

    What is computed in part comes after all else. A GET's handler answers a HEAD.
    """
    wanted = segments(path)
    verb = method.upper()
    verbs = {verb, "GET"} if verb == "HEAD" else {verb}
    found = [
        one
        for one in routes
        if (not verb or not one.methods or verbs.intersection(one.methods)) and one.template.answers(wanted)
    ]
    found.sort(key=lambda one: (_rank(one, verb), one.file, one.line, one.handler))
    best = [one for one in found if _rank(one, verb) == _rank(found[0], verb)]
    places = {(one.file, one.line): one for one in reversed(best)}
    return Match(tuple(found), tuple(reversed(places.values())))


def _rank(route: Route, verb: str) -> tuple[bool, tuple[int, ...], bool]:
    return (route.partial, route.template.rank, bool(verb) and verb not in route.methods)
