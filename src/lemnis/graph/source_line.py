"""From a request to the line of code that answered it badly. Python services; nothing is executed.

The handler of the request's path is found by where that path stands in the code: in a decorator, beside the
function in a table or a call, or in a comparison. From there calls are followed by name through the
repository until a function holds a line that a scanner has reported. What the code itself writes into a
command line confirms the choice when it stands in the command line that was seen.
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
SHORTEST = 6  # a shorter text stands in too many command lines
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Located:
    """A line, how it was found, the calls that lead to it, and the text of it that was seen in a command."""

    path: str
    line: int
    method: str
    strength: Strength
    route: str
    calls: tuple[str, ...]
    findings: tuple[Finding, ...]
    said: str = ""


@dataclass(slots=True)
class _Defined:
    """A function: where it is, whom it calls, and the texts in it."""

    path: str
    name: str
    first: int
    last: int
    calls: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)


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


def locate(
    code: Code, requests: Sequence[str], findings: Sequence[Finding], commands: Sequence[str] = ()
) -> Located | None:
    """Return the line behind the requested paths and the command lines that were seen.

    Of the lines that a handler of the paths leads to: one whose function holds a text of a command line, then
    the gravest finding, then the shortest chain of calls. Where no handler leads to a finding, the finding
    whose function holds the longest such text, as a LABEL; else the gravest finding, as a mere NAME_MATCH.
    None without findings.
    """
    reached = [
        one
        for request in dict.fromkeys(requests)
        for route, handlers in code.routes.items()
        if _answers(route, request)
        for handler in sorted(handlers)
        for one in _follow(code, handler, route, findings, commands)
    ]
    if reached:
        return min(
            reached,
            key=lambda one: (
                -len(one.said), -max(f.severity for f in one.findings), len(one.calls), one.path, one.line,
            ),
        )  # fmt: skip
    if not findings:
        return None
    worst = max(
        findings, key=lambda one: (len(_said(code, one, commands)), one.severity, one.path, -one.line)
    )
    said = _said(code, worst, commands)
    same = tuple(f for f in findings if (f.path, f.line) == (worst.path, worst.line))
    if said:
        return Located(worst.path, worst.line, "text_in_command", Strength.LABEL, "", (), same, said)
    return Located(worst.path, worst.line, "gravest_finding", Strength.NAME_MATCH, "", (), same)


def _follow(
    code: Code, handler: str, route: str, findings: Sequence[Finding], commands: Sequence[str]
) -> Iterator[Located]:
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
                    function.path, line, "route_calls_finding", Strength.RECORDED, route, chain, here,
                    _longest(function.texts, commands),
                )  # fmt: skip
            for called in sorted(function.calls - seen):
                if called in code.functions:
                    seen.add(called)
                    queue.append((called, (*chain, called)))


def _said(code: Code, finding: Finding, commands: Sequence[str]) -> str:
    """Return the longest text of the finding's function that stands in a command line."""
    functions = (f for same in code.functions.values() for f in same if f.path == finding.path)
    texts = (f.texts for f in functions if f.first <= finding.line <= f.last)
    return max((_longest(some, commands) for some in texts), key=len, default="")


def _longest(texts: Iterable[str], commands: Sequence[str]) -> str:
    """Return the longest text that stands in a command line, whatever the white space; empty if none does."""
    seen = [" ".join(command.split()) for command in commands]
    plain = (" ".join(text.split()) for text in texts)
    told = (text for text in plain if len(text) >= SHORTEST and any(text in command for command in seen))
    return max(told, key=lambda text: (len(text), text), default="")


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
            defined.texts = set(_texts(*(n for n in ast.walk(node) if isinstance(n, ast.Constant))))
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
