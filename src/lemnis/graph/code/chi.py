"""chi: routes, ``Route`` with its function, ``Mount``, ``Group``."""

from __future__ import annotations

from lemnis.graph.code import golang
from lemnis.graph.code.gin import add
from lemnis.graph.code.lexer import Tokens
from lemnis.graph.code.model import VERBS, Declared, Mounted, Unit
from lemnis.graph.code.templates import UNKNOWN, braces

_VERBS = {one.title(): one.upper() for one in VERBS}
_PAIR = 2


def read(path: str, found: Tokens) -> Unit:
    """Read a file that uses chi."""
    one = golang.source(path, found)
    unit = one.unit("chi", braces)
    if not one.uses("github.com/go-chi/chi"):
        return unit
    inner = _Inner(one, unit)
    for receiver, word, bracket in one.calls():
        parts = found.parts(bracket)
        if not receiver:
            golang.handed(one, unit, word, parts, "Route", bracket)
        elif word in {"Route", "Group"} and parts and found.sign(parts[-1].start, "func"):
            prefix = one.said(parts[0]) if word == "Route" else ""
            inner.enter(receiver, UNKNOWN if prefix is None else prefix, parts[-1], bracket)
        elif word == "Mount" and len(parts) == _PAIR:
            inner.mount(receiver, parts, bracket)
        elif word in _VERBS and len(parts) == _PAIR:
            inner.add(receiver, (_VERBS[word],), parts, bracket)
        elif word in {"Handle", "HandleFunc"} and len(parts) == _PAIR:
            inner.add(receiver, (), parts, bracket)
        elif word in {"Method", "MethodFunc"} and len(parts) > _PAIR:
            inner.add(receiver, (one.said(parts[0]) or "",), parts[1:], bracket)
    return unit


class _Inner:
    """The functions that ``Route`` and ``Group`` are given, around the call that is being read."""

    def __init__(self, one: golang.Source, unit: Unit) -> None:
        self._one, self._unit = one, unit
        self._open: list[tuple[range, str, str]] = []

    def group(self, name: str, place: int) -> str:
        """Return the group of a name: the innermost function's that calls its router so."""
        while self._open and place >= self._open[-1][0].stop:
            self._open.pop()
        for span, parameter, group in reversed(self._open[-16:]):
            if parameter == name and place in span:
                return group
        return self._one.group(name, place)

    def enter(self, receiver: str, prefix: str, function: range, bracket: int) -> None:
        """Go into a function; calls in it come next."""
        parent, found = self.group(receiver, bracket), self._one.tokens
        parameter = found.word(function.start + 2)
        group = f"@{bracket}"
        self._unit.mounted.append(Mounted(parent, prefix, group))
        self._open.append((function, parameter, group))

    def add(self, receiver: str, methods: tuple[str, ...], parts: list[range], bracket: int) -> None:
        """Add a route to the group that the receiver is here."""
        before = len(self._unit.declared)
        add(self._one, self._unit, receiver, methods, parts[0], parts[1], bracket)
        for one in self._unit.declared[before:]:
            group = self.group(receiver, bracket)
            self._unit.declared[-1] = Declared(group, one.methods, one.path, one.handler, one.line, one.at)

    def mount(self, receiver: str, parts: list[range], bracket: int) -> None:
        """Put what a name, or a function of this file, gives under a prefix."""
        found, prefix = self._one.tokens, self._one.said(parts[0])
        name = found.dotted(parts[1].start)
        called = found.sign(parts[1].start + 2 * name.count(".") + 1, "(")
        target = self._one.named.get(name.rpartition(".")[2]) if called else None
        child = self.group(name, bracket)
        if target is not None:  # the router that the function makes and returns
            returned = next((found.word(n + 1) for n in reversed(target.body) if found.sign(n, "return")), "")
            child = f"{target.name}/{returned}"
        self._unit.mounted.append(
            Mounted(self.group(receiver, bracket), UNKNOWN if prefix is None else prefix, child)
        )
