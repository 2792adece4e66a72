"""Flask and Quart: decorators, ``add_url_rule``, views by class, Flask-RESTful, nested blueprints."""

from __future__ import annotations

import ast

from lemnis.graph.code.model import Declared as Route
from lemnis.graph.code.model import Mounted, Unit
from lemnis.graph.code.python import Module, argument, decorated, dotted, handler, last, methods_of, of_class
from lemnis.graph.code.templates import angles

PACKAGES = ("flask", "quart", "flask_restful", "flask_restx", "flask_openapi3", "apiflask")


def read(module: Module) -> Unit:
    """Read a file that uses Flask, or that decorates what it got from another file."""
    unit = module.unit("flask", angles)
    unit.declared += decorated(module, frozenset({"route"}), ("GET",))
    for name, value in module.assigned:
        if isinstance(value, ast.Call) and last(dotted(value.func)) in {"Blueprint", "APIBlueprint"}:
            unit.prefixes[name] = module.prefix(argument(value, None, "url_prefix"))
    for call in module.calls:
        if isinstance(call.func, ast.Attribute):
            _call(module, unit, call, dotted(call.func.value), call.func.attr)
    return unit


def _call(module: Module, unit: Unit, call: ast.Call, group: str, word: str) -> None:
    match word:
        case "register_blueprint":
            given = argument(call, None, "url_prefix")
            child = dotted(argument(call, 0, "blueprint"))
            if child:
                unit.mounted.append(Mounted(group, module.prefix(given), child, replaces=given is not None))
        case "add_url_rule":
            path, view = module.text(argument(call, 0, "rule")), argument(call, 2, "view_func")
            if path is None or view is None:
                return
            name = handler(view)
            if isinstance(view, ast.Call) and last(dotted(view.func)) == "as_view":
                unit.declared += of_class(module, call, group, path, name)
            else:
                unit.declared.append(
                    Route(group, methods_of(module, call, ("GET",)), path, name, call.lineno)
                )
        case "add_resource":
            for one in call.args[1:]:
                if (path := module.text(one)) is not None:
                    unit.declared += of_class(module, call, group, path, dotted(call.args[0]))
