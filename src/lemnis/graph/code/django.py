"""Django: ``urlpatterns`` of ``path``, ``re_path`` and ``include``; routers of Django REST framework."""

from __future__ import annotations

import ast

from lemnis.graph.code.model import Declared, Mounted, Unit
from lemnis.graph.code.python import Module, argument, dotted, handler, last, of_class
from lemnis.graph.code.templates import LONGEST, REST, angles, closing

PACKAGES = ("django", "rest_framework")
_PATTERNS = "urlpatterns"


def read(module: Module) -> Unit:
    """Read a file with URL patterns, or one that makes a router."""
    unit = module.unit("django", angles, glue="")
    unit.exported = _PATTERNS
    inner: set[int] = set()
    for name, value in module.assigned:
        # Lists of patterns may be included by their name; a call is in one list only, the innermost first.
        if isinstance(value, ast.List | ast.Tuple):
            for one in value.elts:
                if isinstance(one, ast.Call) and id(one) not in inner:
                    inner.add(id(one))
                    _pattern(module, unit, one, name)
    for call in module.calls:
        word = last(dotted(call.func))
        if word in {"path", "re_path", "url"} and id(call) not in inner and len(call.args) > 1:
            _pattern(module, unit, call, _PATTERNS)
        elif word == "register" and isinstance(call.func, ast.Attribute):
            _registered(module, unit, call, dotted(call.func.value))
    return unit


def _pattern(module: Module, unit: Unit, call: ast.Call, group: str) -> None:
    word = last(dotted(call.func))
    path, view = module.text(argument(call, 0, "route", "regex")), argument(call, 1, "view")
    if path is None or view is None or word not in {"path", "re_path", "url"}:
        return
    included = isinstance(view, ast.Call) and last(dotted(view.func)) == "include"
    if word != "path":
        path = plain(path, leaf=not included)
    if isinstance(view, ast.Call) and included:
        _included(module, unit, call, view, group, path)
        return
    name = handler(view)
    if isinstance(view, ast.Call) and last(name) in module.classes:
        unit.declared += of_class(module, call, group, path, name)
    elif name:
        unit.declared.append(Declared(group, (), path, name, call.lineno))


def _included(  # noqa: PLR0917 - as they stand in the call
    module: Module, unit: Unit, call: ast.Call, view: ast.Call, group: str, path: str
) -> None:
    """Read ``include("blog.urls")``, ``include((patterns, "blog"))``, ``include(router.urls)``."""
    target: ast.expr | None = view.args[0] if view.args else None
    if isinstance(target, ast.Tuple) and target.elts:
        target = target.elts[0]
    if isinstance(target, ast.List):
        child = f"@{call.lineno}:{call.col_offset}"
        for one in (one for one in target.elts if isinstance(one, ast.Call)):
            _pattern(module, unit, one, child)
        unit.mounted.append(Mounted(group, path, child))
    elif child := module.text(target) or "":
        unit.mounted.append(Mounted(group, path, f"module:{child}"))
    elif child := dotted(target):
        unit.mounted.append(Mounted(group, path, child.removesuffix(".urls")))


def _registered(module: Module, unit: Unit, call: ast.Call, group: str) -> None:
    """Read ``router.register("users", UserViewSet)``: a list, and each of it."""
    prefix, view = module.text(argument(call, 0, "prefix")), dotted(argument(call, 1, "viewset"))
    if prefix is None or not view:
        return
    path = plain(prefix, leaf=False)
    for each in (f"{path}/", f"{path}/<pk>/"):
        unit.declared.append(Declared(group, (), each, view, call.lineno))


def plain(pattern: str, *, leaf: bool) -> str:
    """Return a regular expression of a URL as a path with holes; what is beyond that is anything.

    Django looks for a pattern at the beginning only, so what does not end in ``$`` may go on.
    """
    text = pattern[:LONGEST].removeprefix("^").replace("\\Z", "$")
    ends = text.endswith("$")
    text = text.removesuffix("$")
    if "|" in text:
        return REST
    said, place = "", 0
    while place < len(text):
        piece, place = _piece(text, place)
        while place < len(text) and text[place] in "?*+{":
            shut = closing(text, place, "{}") if text[place] == "{" else place
            if piece in {"/", ""} and text[place] == "?":
                piece = ""
            elif not piece.startswith("<"):
                piece = REST
            place = (shut if shut >= 0 else place) + 1
        said += piece
    return said + ("" if ends or not leaf else REST)


def _piece(text: str, place: int) -> tuple[str, int]:
    """Return the first piece of a pattern as a path has it, and where the next begins."""
    mark = text[place]
    if mark == "(":
        end = closing(text, place, "()")
        if end < 0:
            return REST, len(text)
        inner = text[place + 1 : end].removeprefix("?P").rpartition(">")[2]
        if ".*" in inner or ".+" in inner or "/" in inner.replace("[^/]", ""):
            return REST, end + 1
        return ("<int:n>" if inner.startswith(("\\d", "[0-9]")) else "<one>"), end + 1
    if mark == "[":
        end = text.find("]", place + 2)
        return ("<one>", end + 1) if end >= 0 else (REST, len(text))
    if mark == "\\" and place + 1 < len(text):
        other = text[place + 1]
        return ("<int:n>" if other == "d" else "<one>" if other.isalnum() else other), place + 2
    return ("<one>" if mark == "." else mark), place + 1
