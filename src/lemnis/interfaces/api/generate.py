"""Makes the client of the API's description: ``python -m lemnis.interfaces.api.generate``.

Each resource has a module, of its routes and of the types that only they speak of.
"""

from __future__ import annotations

import keyword
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lemnis import app
from lemnis.app.access.service import Access
from lemnis.content.schemas.console import Console
from lemnis.interfaces.api import app as api

TARGET = Path(__file__).parent / "client"
_SHARED = "shared"
_HEAD = '''\
"""{about}, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

'''
_TYPING = "from typing import Any, Literal, NotRequired, TypedDict\n\n"
_CALLER = "from lemnis.interfaces.api.calling import Caller\n"
_METHODS = ("get", "post", "put", "patch", "delete")
_OURS = {"If-Match": "if_match", "Idempotency-Key": "key", "X-Purpose": "purpose"}


def described() -> dict[str, Any]:
    """Return the description of an API over an empty workspace."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = app.init(Path(folder) / "w")
        return api.build(workspace, Access(workspace), Console()).openapi()


def generated(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of the client's modules, by the names of their files. Pure."""
    schemas = document["components"]["schemas"]
    routes: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in sorted(document["paths"].items()):
        for method in _METHODS:
            if method in methods and path != "/stream":
                routes.setdefault(methods[method]["tags"][0], []).append((path, method, methods[method]))
    spoken = {tag: _reached(some, schemas) for tag, some in routes.items()}
    homes = {name: [tag for tag, told in spoken.items() if name in told] for name in schemas}
    home = {name: tags[0] if len(tags) == 1 else _SHARED for name, tags in homes.items()}
    found = {f"{_SHARED}.py": _module("What several resources speak of", _types(schemas, home, _SHARED), "")}
    for tag, some in routes.items():
        others = sorted(_name(name) for name in spoken[tag] if home[name] == _SHARED)
        used = f"from lemnis.interfaces.api.client.{_SHARED} import {', '.join(others)}\n" if others else ""
        body = f'class {_name(tag)}Client(Caller):\n    """Routes of {tag} by their operations."""\n\n'
        body += "".join(_operation(*one) for one in some)
        found[f"{tag}.py"] = _module(f"Routes of {tag}", _types(schemas, home, tag) + body, _CALLER + used)
    bases = ", ".join(f"{_name(tag)}Client" for tag in sorted(routes))
    imports = "".join(
        f"from lemnis.interfaces.api.client.{tag} import {_name(tag)}Client\n" for tag in sorted(routes)
    )
    whole = f'{imports}\n\nclass Client({bases}):\n    """All routes of the API by their operations."""\n'
    return found | {"__init__.py": _HEAD.format(about="A typed client of the API") + whole}


def _module(about: str, body: str, imports: str) -> str:
    return f"{_HEAD.format(about=about)}{_TYPING}{imports}\n\n{body}".rstrip("\n") + "\n"


def _types(schemas: Mapping[str, Any], home: Mapping[str, str], where: str) -> str:
    return "".join(_typed(_name(name), one) for name, one in sorted(schemas.items()) if home[name] == where)


def _reached(some: Any, schemas: Mapping[str, Any]) -> set[str]:
    """Return the names of the schemas that routes speak of, and those that they speak of."""
    found: set[str] = set()
    left = list(_named(some))
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += _named(schemas[name])
    return found


def _named(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        part = list(part.values())
    if isinstance(part, list | tuple):
        for one in part:
            yield from _named(one)


def _typed(name: str, schema: Mapping[str, Any]) -> str:
    needed = set(schema.get("required", ()))
    lines = [f"class {name}(TypedDict):\n", f'    """{_line(schema.get("description") or name)}"""\n\n']
    for key, one in schema.get("properties", {}).items():
        kind = _type(one)
        lines.append(f"    {key}: {kind if key in needed else f'NotRequired[{kind}]'}\n")
    return "".join(lines) + "\n\n"


def _operation(path: str, method: str, one: Mapping[str, Any]) -> str:
    """Return the method of one route."""
    takes, query, headers = ["self"], [], []
    for parameter in one.get("parameters", ()):
        name, kind = parameter["name"], _type(parameter["schema"])
        own = _OURS.get(name, name.lower().replace("-", "_"))
        own = f"{own}_" if keyword.iskeyword(own) else own
        if parameter["in"] == "path":
            takes.append(f"{own}: {kind}")
        elif parameter["in"] == "query":
            query.append((name, own, kind))
        elif parameter["in"] == "header":
            headers.append((name, own))
    body = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    takes += [f"body: {_type(body)}"] if body else []
    named = [f"{own}: {kind.removesuffix(' | None')} | None = None" for _, own, kind in query]
    named += [f'{own}: str = ""' for _, own in headers]
    takes += ["*", *named] if named else []
    gives = _gives(one)
    asked = ", ".join(f'"{name}": {own}' for name, own, _ in query)
    said = ", ".join(f'"{name}": {own}' for name, own in headers)
    place = re.sub(r"\{(\w+)\}", lambda found: "{" + f"self.part({found[1]})" + "}", path)
    call = (
        f'self.call("{method.upper()}", f"{place}"'
        if "{" in place
        else f'self.call("{method.upper()}", "{place}"'
    )
    call += f", query={{{asked}}}" if query else ""
    call += f", headers={{{said}}}" if headers else ""
    call += ", body=body)" if body else ")"
    text = f"    def {one['operationId']}({', '.join(takes)}) -> {gives}:\n"
    text += f'        """{_line(one.get("description") or one["summary"])}"""\n'
    if gives == "None":
        return f"{text}        {call}\n\n"
    return f"{text}        found: {gives} = {call}\n        return found\n\n"


def _gives(one: Mapping[str, Any]) -> str:
    for status in ("200", "201", "202"):
        content = one["responses"].get(status, {}).get("content", {})
        if "application/json" in content:
            return _type(content["application/json"]["schema"])
    return "None"


def _type(schema: Mapping[str, Any]) -> str:
    """Return the type of Python that a schema means."""
    if "$ref" in schema:
        return _name(str(schema["$ref"]).rpartition("/")[2])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return f"Literal[{', '.join(repr(one).replace(chr(39), chr(34)) for one in schema['enum'])}]"
    kind = schema.get("type")
    if kind == "array":
        return f"list[{_type(schema.get('items', {}))}]"
    if kind == "object":
        more = schema.get("additionalProperties")
        return f"dict[str, {_type(more) if isinstance(more, dict) else 'Any'}]"
    plain = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
    return plain.get(str(kind), "Any")


def _name(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name) if part)


def _line(text: str) -> str:
    first = " ".join(text.partition("\n\n")[0].split()).replace("``", "`").replace("\\", "")
    return first if first.endswith(".") else f"{first}."


if __name__ == "__main__":
    TARGET.mkdir(exist_ok=True)
    for file, told in generated(described()).items():
        (TARGET / file).write_text(told, encoding="utf-8")
