"""From a request to the line of code that answered it badly. Python services; nothing is executed.

The handler of the request's path is found by where that path stands in the code: in a decorator, beside the
function in a table or a call, or in a comparison. From there calls are followed by name through the
repository until a function holds a line that a scanner has reported.
"""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lemnis.contracts.findings import Finding
from lemnis.contracts.provenance import Strength

MAX_FILE = 2_000_000
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Located:
    """A line, how it was found, and the calls that lead to it."""

    path: str
    line: int
    method: str
    strength: Strength
    route: str
    calls: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Defined:
    """A function: where it is, whom it calls, and which paths it answers."""

    path: str
    name: str
    first: int
    last: int
    calls: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Code:
    """The functions of a repository by name, and the path texts that lead to them."""

    functions: dict[str, list[_Defined]] = field(default_factory=dict)
    routes: dict[str, set[str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def read(files: Iterable[tuple[str, bytes]]) -> Code:
    """Read the Python files among ``files``; those that cannot be parsed are named in ``skipped``."""
    code = Code()
    for path, content in files:
        if not path.endswith(".py"):
            continue
        try:
            if len(content) > MAX_FILE:
                raise ValueError("too large")  # noqa: TRY301 - handled like every other file we cannot read
            tree = ast.parse(content)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            code.skipped.append(path)
            continue
        _read_tree(code, path, tree)
    return code


def locate(code: Code, requests: Sequence[str], findings: Sequence[Finding]) -> Located | None:
    """Return the line behind the requested paths: the shortest chain of calls, then the gravest finding.

    Where no handler leads to a finding, the gravest finding alone is returned as a mere NAME_MATCH. None
    without findings.
    """
    reached: list[Located] = []
    for request in dict.fromkeys(requests):
        for route, handlers in code.routes.items():
            if not _answers(route, request):
                continue
            for handler in sorted(handlers):
                reached.extend(_follow(code, handler, route, findings))
    if reached:
        return min(
            reached,
            key=lambda one: (-max(f.severity for f in one.findings), len(one.calls), one.path, one.line),
        )
    if not findings:
        return None
    worst = max(findings, key=lambda one: (one.severity, one.path, -one.line))
    same = tuple(f for f in findings if (f.path, f.line) == (worst.path, worst.line))
    return Located(worst.path, worst.line, "gravest_finding", Strength.NAME_MATCH, "", (), same)


def _follow(code: Code, handler: str, route: str, findings: Sequence[Finding]) -> Iterator[Located]:
    """Follow calls breadth first from a handler; yield each line with a finding that is reached."""
    queue: deque[tuple[str, tuple[str, ...]]] = deque([(handler, (handler,))])
    seen = {handler}
    while queue:
        name, chain = queue.popleft()
        for function in code.functions.get(name, ()):
            inside = [
                f for f in findings if f.path == function.path and function.first <= f.line <= function.last
            ]
            for line in sorted({f.line for f in inside}):
                here = tuple(f for f in inside if f.line == line)
                yield Located(
                    function.path, line, "route_calls_finding", Strength.RECORDED, route, chain, here
                )
            for called in sorted(function.calls - seen):
                if called in code.functions:
                    seen.add(called)
                    queue.append((called, (*chain, called)))


def _read_tree(code: Code, path: str, tree: ast.Module) -> None:
    names = {node.name for node in ast.walk(tree) if isinstance(node, _Function)}
    names |= {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            defined = _Defined(path, node.name, node.lineno, node.end_lineno or node.lineno)
            defined.calls = {
                called for call in ast.walk(node) if isinstance(call, ast.Call) for called in _name(call.func)
            }
            # A function handed on by name is called by whoever gets it.
            defined.calls |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in names} - {
                node.name
            }
            code.functions.setdefault(node.name, []).append(defined)
            for text in _texts(*node.decorator_list):
                _route(code, text, node.name)
            for compare in (n for n in ast.walk(node) if isinstance(n, ast.Compare)):
                for text in _texts(compare):
                    _route(code, text, node.name)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if key is not None:
                    _pair(code, [key], [value])
        elif isinstance(node, ast.Call | ast.Tuple | ast.List):
            parts = (
                [*node.args, *(k.value for k in node.keywords)] if isinstance(node, ast.Call) else node.elts
            )
            _pair(code, parts, parts)


def _pair(code: Code, texts: Sequence[ast.expr], values: Sequence[ast.expr]) -> None:
    """Take a path that stands beside a function's name as its route."""
    for text in _texts(*(t for t in texts if isinstance(t, ast.Constant | ast.Tuple))):
        for value in values:
            for name in _name(value):
                _route(code, text, name)


def _route(code: Code, text: str, name: str) -> None:
    if text.startswith("/"):
        code.routes.setdefault(text, set()).add(name)


def _texts(*nodes: ast.expr) -> Iterator[str]:
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value


def _name(node: ast.expr) -> list[str]:
    """Return the last part of a name such as ``f``, ``module.f`` or ``self.f``."""
    if isinstance(node, ast.Name):
        return [node.id]
    return [node.attr] if isinstance(node, ast.Attribute) else []


def _answers(route: str, request: str) -> bool:
    """Say whether a route such as ``/item/<id>`` or ``/item/{id}`` answers a requested path."""
    wanted, got = route.strip("/").split("/"), request.partition("?")[0].strip("/").split("/")
    return len(wanted) == len(got) and all(
        part == actual or (re.fullmatch(r"<[^<>]*>|\{[^{}]*\}", part) is not None and actual != "")
        for part, actual in zip(wanted, got, strict=True)
    )
