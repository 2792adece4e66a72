"""The line behind an attack where no scanner's finding leads: by stack traces and routes. Pure.

A stack trace names the line itself, but only one that tells of the request, or comes from the container, is
about this attack. A route names the function that a request came in by, which is where to look and no more.
Where both speak and do not agree, that is told, and nothing is more than a likeness of names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from lemnis.contracts.findings import Finding
from lemnis.contracts.provenance import Strength
from lemnis.graph.code.assembling import Route
from lemnis.graph.code.model import Span
from lemnis.graph.code.routes import MAX_FILE, Match, Routes, match, of_file, read
from lemnis.graph.code.stacktraces import Files, Own, Stack
from lemnis.graph.source_line import Located

_LEADS = frozenset({"route_calls_finding", "text_in_command"})
LEADS = _LEADS | {"route_holds_finding"}
"""The methods by which something of the attack led to a scanner's finding."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A stack trace that a service logged: the event, when (ms), and what ties it to the attack.

    ``tie`` is OBSERVED for one that tells the request's own text or path, LABEL for one of the same
    container, NAME_MATCH for one that merely came about then.
    """

    uid: str
    at: int
    stack: Stack
    tie: Strength


@dataclass(frozen=True, slots=True)
class Found:
    """A line, what is to be said of how it was found, the events that tell of it, and the route if any."""

    located: Located
    notes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    route: str = ""


@dataclass(frozen=True, slots=True)
class _Framed:
    """A stack trace's first frame of one's own code, how far it can be believed, and if the line is there."""

    logged: Logged
    own: Own
    strength: Strength
    doubt: str
    there: bool


@dataclass
class Source:
    """A commit's files, with their routes and functions, each read when it is first asked for."""

    files: Mapping[str, bytes]
    _functions: dict[str, dict[str, list[Span]]] = field(default_factory=dict)

    @cached_property
    def _read(self) -> Routes:
        return read(self.files.items())

    @property
    def routes(self) -> list[Route]:
        """The routes of the tree."""
        return self._read.all

    @property
    def unread(self) -> str:
        """Say which files could not be read for routes, and why; empty if all could."""
        told = [f"{path} ({why})" for path, why in sorted(self._read.skipped.items())]
        more = f" and {len(told) - 3} more" if len(told) > 3 else ""  # noqa: PLR2004 - to fit a line
        return f"not read for routes: {', '.join(told[:3])}{more}" if told else ""

    @cached_property
    def paths(self) -> Files:
        """The paths, to find those that frames are in."""
        return Files(self.files)

    def find(
        self, located: Located | None, requests: Sequence[tuple[str, str]], findings: Sequence[Finding],
        logged: Sequence[Logged],
    ) -> Found | None:  # fmt: skip
        """Return the line behind some requests (method, path), the most telling first; None if nothing does.

        ``located`` is what a scanner's findings alone lead to: kept where calls or the command line
        lead to it, else only if nothing is stronger.
        """
        framed = self._framed(logged)
        if located is not None and located.method in _LEADS:
            return self._beside(located, framed)
        routed = self._routed(requests)
        if routed is not None and (held := self._held(routed, findings)) is not None:
            return self._beside(held, framed)
        if framed is not None and framed.strength > Strength.NAME_MATCH:
            return self._by_stack(framed, routed)
        if located is not None:
            there = (
                f"the route {routed.best[0]} leads to {_where(routed)}, and from there to no finding"
                if routed
                else ""
            )
            return Found(located, (there,) if there else ())
        if routed is not None:
            through = framed is not None and not framed.doubt and self._passes(framed, routed)
            return self._by_stack(framed, routed) if framed and through else self._by_route(routed, framed)
        return self._by_stack(framed, None) if framed is not None and framed.there else None

    def _routed(self, requests: Sequence[tuple[str, str]]) -> Match | None:
        """Return the routes of the first request that any answers."""
        told = (match(self.routes, method, path) for method, path in dict.fromkeys(requests))
        return next((one for one in told if one.best), None)

    def _held(self, routed: Match, findings: Sequence[Finding]) -> Located | None:
        """Return the gravest finding in the function that a request came in by, if it is one function."""
        if len(routed.best) != 1:
            return None
        route = routed.best[0]
        inside = [one for one in findings if one.path == route.file and route.line <= one.line <= route.end]
        if not inside or not route.found:
            return None
        worst = max(inside, key=lambda one: (one.severity, -one.line))
        same = tuple(one for one in inside if one.line == worst.line)
        strength = Strength.NAME_MATCH if route.partial else Strength.RECORDED
        return Located(
            route.file,
            worst.line,
            "route_holds_finding",
            strength,
            route.template.text,
            (route.handler,),
            same,
        )

    def _beside(self, located: Located, framed: _Framed | None) -> Found:
        """Return what findings lead to, and whether a stack trace of this attack says otherwise."""
        if framed is None or framed.strength is Strength.NAME_MATCH:
            return Found(located)
        if any(located.path in own.paths for own in self.paths.all(framed.logged.stack)):
            return Found(located, ("a stack trace passes through this file",), (framed.logged.uid,))
        note = f"a stack trace of this attack is at {_place(framed)} and never in {located.path}"
        weaker = replace(located, strength=Strength.NAME_MATCH, said="")
        return Found(weaker, (note,), (framed.logged.uid,), located.route)

    def _by_stack(self, framed: _Framed, routed: Match | None) -> Found:
        frame, path = framed.own.frame, framed.own.paths[0]
        notes = [framed.doubt] if framed.doubt else []
        strength, route = framed.strength, ""
        if routed is not None:
            best = routed.best
            route = best[0].template.text
            if self._passes(framed, routed):
                notes.append(f"the route's handler is among the frames: {_where(routed)}")
            else:
                notes.append(f"the route {best[0]} is handled at {_where(routed)}, which is in no frame")
                strength = Strength.NAME_MATCH
        located = Located(
            path, frame.line, "stack_trace", strength, "", _calls(self, framed.logged.stack), ()
        )
        return Found(located, tuple(notes), (framed.logged.uid,), route)

    def _passes(self, framed: _Framed, routed: Match) -> bool:
        """Say whether a stack trace passes through the handler of a route."""
        frames = [(p, own.frame.line) for own in self.paths.all(framed.logged.stack) for p in own.paths]
        return any(r.file == p and r.line <= n <= r.end for r in routed.best for p, n in frames)

    def _by_route(self, routed: Match, framed: _Framed | None) -> Found:
        route = routed.best[0]
        notes = [
            "this is where the request came in: no finding or stack trace names the line",
            routed.ambiguous and f"which route served it is not sure: {routed.ambiguous}",
            "" if not route.partial else "the beginning of the path is computed by the code",
            "" if route.found else f"{route.handler} was not found: the line is where the route is declared",
            "" if framed is None else f"a stack trace about then is at {_place(framed)}",
            "" if framed is None else framed.doubt,
        ]
        located = Located(
            route.file, route.line, "route", Strength.NAME_MATCH, route.template.text, (route.handler,), ()
        )
        return Found(located, tuple(filter(None, notes)), route=route.template.text)

    def _framed(self, logged: Sequence[Logged]) -> _Framed | None:
        """Return the stack trace to believe most: by what ties it, then as its frame fits the code."""
        found = []
        for one in logged:
            own = self.paths.first(one.stack)
            if own is None:
                continue
            there = 1 <= own.frame.line <= self._lines(own.paths[0])
            lost = self.paths.lost(one.stack)
            gone = f"{lost}, where it was raised, is no file of the commit that was built"
            doubt = gone if lost else self._doubt(own, there=there)
            found.append(_Framed(one, own, Strength.NAME_MATCH if doubt else one.tie, doubt, there))
        return max(found, key=lambda one: (one.strength, -one.logged.at, one.logged.uid), default=None)

    def _lines(self, path: str) -> int:
        """Return how many lines a file has, as git counts them."""
        content = self.files[path]
        return content.count(b"\n") + (not content.endswith(b"\n") and content != b"")

    def _doubt(self, own: Own, *, there: bool) -> str:
        """Say why a frame is not sure to be of this code; empty if it is."""
        path, frame = own.paths[0], own.frame
        if len(own.paths) > 1:
            return f"{frame.file} may be any of {', '.join(own.paths[:5])}"
        if not own.sure:
            return f"{frame.file} is a path that {path} is not sure to have"
        if not there:
            return f"{path} has no line {frame.line} in the commit that was built"
        spans = self._spans(path).get(_bare(frame.function), [])
        if spans and not any(span.line <= frame.line <= span.end for span in spans):
            return (
                f"line {frame.line} of {path} is not in {_bare(frame.function)} in the commit that was built"
            )
        return ""

    def _spans(self, path: str) -> dict[str, list[Span]]:
        """Return where the functions of a file are, by their bare names."""
        if path not in self._functions:
            found: dict[str, list[Span]] = {}
            try:
                known = of_file(path, self.files[path]) if len(self.files[path]) <= MAX_FILE else []
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                known = []  # then a frame's function cannot be checked, and is not doubted for that
            for unit in known:
                for name, span in unit.functions.items():
                    found.setdefault(name.rpartition(".")[2], []).append(span)
            self._functions[path] = found
        return self._functions[path]


def _calls(source: Source, stack: Stack) -> tuple[str, ...]:
    """Return the functions of one's own code in a stack trace, as they were called."""
    return tuple(_bare(own.frame.function) for own in source.paths.all(stack) if own.frame.function)[::-1]


def _bare(function: str) -> str:
    """Return a function's name without what it belongs to: ``main.(*T).f.func1`` is ``f``."""
    parts = function.split(".")
    while len(parts) > 1 and parts[-1].startswith("func") and parts[-1][4:].isdigit():
        parts.pop()
    name = parts[-1]
    if name.startswith("lambda$"):
        name = name.split("$")[1]
    return name


def _place(framed: _Framed) -> str:
    return f"{framed.own.paths[0]}:{framed.own.frame.line} ({_bare(framed.own.frame.function) or '?'})"


def _where(routed: Match) -> str:
    return ", ".join(f"{one.handler} ({one.file}:{one.line})" for one in routed.best)
