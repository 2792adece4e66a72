"""FastAPI and Starlette: decorators, ``add_api_route``, ``Route`` tables, routers in routers, mounts."""

from __future__ import annotations

import ast

from lemnis.graph.code.model import Declared, Mounted, Unit
from lemnis.graph.code.python import Module, argument, decorated, dotted, handler, last, methods_of, of_class
from lemnis.graph.code.templates import braces

PACKAGES = ("fastapi", "starlette", "litestar")
_WORDS = frozenset({"route", "api_route", "websocket", "websocket_route"})
_DEEPEST = 20


def read(module: Module) -> Unit:
    """Read a file that uses FastAPI or Starlette."""
    unit = module.unit("fastapi", braces)
    unit.declared += decorated(module, _WORDS, ("GET",))
    for name, value in module.assigned:
        if isinstance(value, ast.Call) and last(dotted(value.func)).endswith("Router"):
            unit.prefixes[name] = module.prefix(argument(value, None, "prefix"))
        if isinstance(value, ast.Call) and last(dotted(value.func)) in {"Starlette", "Router", "FastAPI"}:
            _table(module, unit, argument(value, None, "routes"), name, "", 0)
        if last(name) == "routes":
            _table(module, unit, value, "", "", 0)
    for call in module.calls:
        if isinstance(call.func, ast.Attribute):
            _call(module, unit, call, dotted(call.func.value), call.func.attr)
    return unit


def _call(module: Module, unit: Unit, call: ast.Call, group: str, word: str) -> None:
    match word:
        case "include_router" if child := dotted(argument(call, 0, "router")):
            unit.mounted.append(Mounted(group, module.prefix(argument(call, None, "prefix")), child))
        case "mount" if child := dotted(argument(call, 1, "app")):
            unit.mounted.append(Mounted(group, module.prefix(argument(call, 0, "path")), child))
        case "add_api_route" | "add_route" | "add_websocket_route":
            path, view = (
                module.text(argument(call, 0, "path")),
                handler(argument(call, 1, "endpoint", "route")),
            )
            if path is not None and view:
                unit.declared.append(
                    Declared(group, methods_of(module, call, ("GET",)), path, view, call.lineno)
                )


def _table(  # noqa: PLR0917 - the same at every depth
    module: Module, unit: Unit, node: ast.expr | None, group: str, prefix: str, depth: int
) -> None:
    """Read a list of ``Route`` and ``Mount``."""
    if not isinstance(node, ast.List | ast.Tuple) or depth > _DEEPEST:
        return
    for one in node.elts:
        if not isinstance(one, ast.Call):
            continue
        path = module.prefix(argument(one, 0, "path"))
        match last(dotted(one.func)):
            case "Route" | "WebSocketRoute" | "APIRoute":
                name = handler(argument(one, 1, "endpoint"))
                if last(name) in module.classes:
                    unit.declared += of_class(module, one, group, f"{prefix}{path}", name)
                elif name:
                    methods = methods_of(module, one, ("GET",))
                    unit.declared.append(Declared(group, methods, f"{prefix}{path}", name, one.lineno))
            case "Mount":
                _table(module, unit, argument(one, None, "routes"), group, f"{prefix}{path}", depth + 1)
                if child := dotted(argument(one, 1, "app")):
                    unit.mounted.append(Mounted(group, f"{prefix}{path}", child))
