"""Python sources by ``ast``: names, texts, functions, decorators. Nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from lemnis.graph.code.model import VERBS, Declared, Span, Unit
from lemnis.graph.code.templates import UNKNOWN

Function = ast.FunctionDef | ast.AsyncFunctionDef
_DEEPEST = 30
_VERBS = frozenset(VERBS)
_BEGIN = frozenset({"", "/", UNKNOWN})


@dataclass(slots=True)
class Module:
    """A parsed file: its calls, classes and functions, what its names stand for, and what it uses."""

    path: str
    calls: list[ast.Call] = field(default_factory=list)
    functions: dict[str, Span] = field(default_factory=dict)
    defined: list[tuple[str, Function]] = field(default_factory=list)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    assigned: list[tuple[str, ast.expr]] = field(default_factory=list)
    imports: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def uses(self, *packages: str) -> bool:
        """Say whether something is imported of one of the packages."""
        return any(module.partition(":")[0].partition(".")[0] in packages for module in self.imports.values())

    def unit(self, framework: str, notation: object, glue: str = "/") -> Unit:
        """Return an empty unit of this file."""
        return Unit(
            self.path, framework, notation, glue, imports=self.imports, functions=self.functions  # type: ignore[arg-type]
        )  # fmt: skip

    def text(self, node: ast.expr | None, depth: int = 0) -> str | None:
        """Return what an expression says, ``UNKNOWN`` where it is computed; None for what is no text."""
        match node:
            case ast.Constant(value=str() as value):
                return value
            case ast.Name(id=name):
                return self.texts.get(name)
            case ast.JoinedStr(values=values) if depth < _DEEPEST:
                return "".join(self.text(one, depth + 1) or UNKNOWN for one in values)
            case ast.FormattedValue(value=value) if depth < _DEEPEST:
                return self.text(value, depth + 1)
            case ast.BinOp(left=left, op=ast.Add(), right=right) if depth < _DEEPEST:
                both = [self.text(one, depth + 1) for one in (left, right)]
                return None if both == [None, None] else "".join(UNKNOWN if t is None else t for t in both)
        return None

    def texts_of(self, node: ast.expr | None) -> list[str]:
        """Return the texts of a list, tuple or set of them."""
        elements = node.elts if isinstance(node, ast.List | ast.Tuple | ast.Set) else []
        return [said for one in elements if (said := self.text(one)) is not None]

    def prefix(self, node: ast.expr | None) -> str:
        """Return a prefix: empty where none is given, ``UNKNOWN`` where it is computed."""
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return ""
        said = self.text(node)
        return UNKNOWN if said is None else said


def parse(path: str, source: bytes | str) -> Module:  # noqa: C901 - a case for each kind of node
    """Parse a file; raises SyntaxError, ValueError, RecursionError or MemoryError for one that is none."""
    module = Module(path)
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call():
                module.calls.append(node)
            case ast.ClassDef():
                module.classes[node.name] = node
                module.functions.setdefault(node.name, Span(node.lineno, node.end_lineno or node.lineno))
                for one in (one for one in node.body if isinstance(one, Function)):
                    module.functions[f"{node.name}.{one.name}"] = span(one)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                module.functions.setdefault(node.name, span(node))
                module.defined.append((node.name, node))
            case ast.Import(names=names):
                for name in names:
                    local = name.asname or name.name.partition(".")[0]
                    module.imports[local] = name.name if name.asname else local
            case ast.ImportFrom(module=package, names=names, level=level):
                for name in names:
                    module.imports[name.asname or name.name] = f"{'.' * level}{package or ''}:{name.name}"
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    _assigned(module, dotted(target), value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                _assigned(module, dotted(target), value)
    return module


def _assigned(module: Module, name: str, value: ast.expr) -> None:
    if name:
        module.assigned.append((name, value))
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            module.texts.setdefault(name, value.value)


def span(node: Function) -> Span:
    """Return a function's lines."""
    return Span(node.lineno, node.end_lineno or node.lineno)


def dotted(node: ast.expr | None) -> str:
    """Return the name ``a.b.c`` of an expression; empty if it is no name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join(reversed([*names, node.id])) if isinstance(node, ast.Name) else ""


def last(name: str) -> str:
    """Return the last part of a dotted name."""
    return name.rpartition(".")[2]


def argument(call: ast.Call, place: int | None, *names: str) -> ast.expr | None:
    """Return an argument by its place or by one of its names."""
    named = next((one.value for one in call.keywords if one.arg in names), None)
    if named is not None or place is None or place >= len(call.args):
        return named
    return call.args[place]


def handler(node: ast.expr | None) -> str:
    """Return the name of who handles: a function, ``View.as_view()``, or what a wrapper is given."""
    for _ in range(_DEEPEST):
        if not isinstance(node, ast.Call):
            break
        called = dotted(node.func)
        if last(called) in {"as_view", "as_asgi"}:
            return called.rpartition(".")[0]
        node = node.args[0] if node.args else None
    return dotted(node)


def decorated(module: Module, words: frozenset[str], default: tuple[str, ...]) -> Iterator[Declared]:
    """Yield the routes of decorators such as ``@app.get("/x")`` and ``@app.route("/x", methods=[..])``.

    ``words`` are those that name no method themselves; without ``methods`` they answer ``default``.
    """
    owners = {
        id(one): name
        for name, node in module.classes.items()
        for one in node.body
        if isinstance(one, Function)
    }
    for name, node in module.defined:
        for call in node.decorator_list:
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            word, group = call.func.attr, dotted(call.func.value)
            path = module.text(argument(call, 0, "rule", "path"))
            if path is None or not group or not (word in words or word in _VERBS):
                continue
            if path[:1] not in _BEGIN:  # `@mock.patch("a.b")` is no route
                continue
            methods = methods_of(module, call, (word.upper(),) if word in _VERBS else default)
            owner = owners.get(id(node), "")
            yield Declared(
                group, methods, path, f"{owner}.{name}" if owner else name, node.lineno, span(node)
            )


def methods_of(module: Module, call: ast.Call, default: tuple[str, ...]) -> tuple[str, ...]:
    """Return the methods that a call names, else the default."""
    named = module.texts_of(argument(call, None, "methods"))
    return tuple(sorted({one.upper() for one in named})) or default


def of_class(module: Module, call: ast.Call, group: str, path: str, name: str) -> Iterator[Declared]:
    """Yield a route for each method that a class of this file has a function for; else one for any."""
    node = module.classes.get(last(name))
    found = [one for one in (node.body if node else ()) if isinstance(one, Function) and one.name in _VERBS]
    for one in found:
        yield Declared(group, (one.name.upper(),), path, f"{last(name)}.{one.name}", call.lineno, span(one))
    if not found:
        at = Span(node.lineno, node.end_lineno or node.lineno) if node else None
        yield Declared(group, (), path, name, call.lineno, at)
