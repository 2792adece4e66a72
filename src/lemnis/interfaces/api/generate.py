"""Makes ``client.py`` of the API's description: ``python -m lemnis.interfaces.api.generate``."""

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

TARGET = Path(__file__).parent / "client.py"
_HEAD = '''\
"""A typed client of the API, made by ``python -m lemnis.interfaces.api.generate``: change that."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller

# ruff: noqa: E501

'''
_METHODS = ("get", "post", "put", "patch", "delete")
_OURS = {"If-Match": "if_match", "Idempotency-Key": "key", "X-Purpose": "purpose"}


def described() -> dict[str, Any]:
    """Return the description of an API over an empty workspace."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = app.init(Path(folder) / "w")
        return api.build(workspace, Access(workspace), Console()).openapi()


def generated(document: Mapping[str, Any]) -> str:
    """Return the client's text. Pure."""
    parts = [_HEAD]
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts.append(_typed(_name(name), schema))
    parts.append('class Client(Caller):\n    """The API\'s routes by their operations."""\n\n')
    parts += _operations(document)
    return "".join(parts).rstrip("\n") + "\n"


def _typed(name: str, schema: Mapping[str, Any]) -> str:
    needed = set(schema.get("required", ()))
    lines = [f"class {name}(TypedDict):\n", f'    """{_line(schema.get("description") or name)}"""\n\n']
    for key, one in schema.get("properties", {}).items():
        kind = _type(one)
        lines.append(f"    {key}: {kind if key in needed else f'NotRequired[{kind}]'}\n")
    return "".join(lines) + "\n\n"


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in sorted(document["paths"].items()):
        for method in _METHODS:
            if method in methods and path != "/stream":
                yield _operation(path, method, methods[method])


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
    TARGET.write_text(generated(described()), encoding="utf-8")
