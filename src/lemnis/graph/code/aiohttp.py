"""aiohttp: ``add_get``, tables of ``web.get``, ``RouteTableDef``, views by class, sub-applications."""

from __future__ import annotations

import ast

from lemnis.graph.code.model import VERBS, Declared, Mounted, Unit
from lemnis.graph.code.python import Module, argument, decorated, dotted, handler, last, of_class
from lemnis.graph.code.templates import braces

PACKAGES = ("aiohttp",)
_VERBS = frozenset(VERBS)


def read(module: Module) -> Unit:
    """Read a file that uses aiohttp's server."""
    unit = module.unit("aiohttp", braces)
    unit.declared += decorated(module, frozenset(), ())
    for call in module.calls:
        if isinstance(call.func, ast.Attribute):
            group = dotted(call.func.value).removesuffix(".router")
            _call(module, unit, call, group, call.func.attr)
    return unit


def _call(module: Module, unit: Unit, call: ast.Call, group: str, word: str) -> None:
    named = module.imports.get(group.partition(".")[0], "").startswith("aiohttp")
    verb = word.removeprefix("add_") if word.startswith("add_") else word if named else ""
    if word == "add_subapp" and (child := dotted(argument(call, 1, "subapp"))):
        unit.mounted.append(Mounted(group, module.prefix(argument(call, 0, "prefix")), child))
    elif verb == "route" and (method := module.text(argument(call, 0, "method"))) is not None:
        methods = () if method == "*" else (method.upper(),)
        _add(module, unit, call, "" if named else group, methods, 1)
    elif verb in _VERBS or verb == "view":
        _add(module, unit, call, "" if named else group, () if verb == "view" else (verb.upper(),), 0)


def _add(  # noqa: PLR0917 - as they stand in the call
    module: Module, unit: Unit, call: ast.Call, group: str, methods: tuple[str, ...], place: int
) -> None:  # fmt: skip
    path, name = module.text(argument(call, place, "path")), handler(argument(call, place + 1, "handler"))
    if path is None or not name:
        return
    if last(name) in module.classes:
        unit.declared += of_class(module, call, group, path, name)
    else:
        unit.declared.append(Declared(group, methods, path, name, call.lineno))
