"""Templates of requests: values are put into data, or quoted into a path; never pasted into code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

import orjson

from lemnis.content.schemas.action import PLACE, Request
from lemnis.contracts.errors import InputError

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
XML_TYPE = "application/xml"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A request as it goes out, without its connection's address and credentials."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """Method, path and query, for people and logs."""
        return f"{self.method} {self.path}{'?' + self.query if self.query else ''}"


def fill(value: Any, values: Mapping[str, Any]) -> Any:
    """Fill every text within a value of JSON; a text that is one place becomes the value itself.

    Raises InputError for a place that nothing fills.
    """
    if isinstance(value, Mapping):
        return {fill_text(str(key), values): fill(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, values) for item in value]
    if isinstance(value, str):
        whole = PLACE.fullmatch(value)
        return _look(whole[1], values) if whole and whole[1] else fill_text(value, values)
    return value


def fill_text(text: str, values: Mapping[str, Any], *, quoted: bool = False) -> str:
    """Fill a text; ``quoted`` percent-encodes each value, the slash too."""

    def one(found: Any) -> str:
        if found[1] is None:
            return str(found[0][0])
        value = _look(found[1], values)
        if isinstance(value, Mapping | list | tuple):
            raise InputError(f"{{{found[1]}}} is a structure and cannot stand within a text")
        return quote(_plain(value), safe="") if quoted else _plain(value)

    return str(PLACE.sub(one, text))


def render(request: Request, values: Mapping[str, Any]) -> Rendered:
    """Fill a request; raises InputError for a path that would climb or a value that is missing."""
    path = fill_text(request.path, values, quoted=True)
    if any(part in {".", ".."} for part in path.split("/")):
        raise InputError(f"the path {path!r} would climb out of its place")
    query = urlencode({key: fill_text(text, values) for key, text in request.query.items()})
    body, kind = b"", ""
    if request.json_body is not None:
        body = orjson.dumps(fill(request.json_body, values), option=orjson.OPT_SORT_KEYS)
        kind = JSON_TYPE
    elif request.form is not None:
        body = urlencode(dict(_fields(request.form, values))).encode()
        kind = FORM_TYPE
    elif request.xml is not None:
        ((name, inner),) = fill(request.xml, values).items()
        body, kind = ET.tostring(_element(name, inner)), XML_TYPE
    headers = {name: fill_text(text, values) for name, text in request.headers.items()}
    for name, text in headers.items():
        if not (text.isascii() and text.isprintable()):
            raise InputError(f"the header {name} cannot carry {text!r}")
    return Rendered(request.method, path, query, body, request.content_type or kind, headers)


def _element(name: str, inner: Any) -> ET.Element:
    """Make an element of XML: attributes begin with an ``@``, the rest are children or its text."""
    node = ET.Element(name)
    if not isinstance(inner, Mapping):
        node.text = _plain(inner)
        return node
    for key, value in inner.items():
        if key.startswith("@"):
            node.set(key[1:], _plain(value))
        else:
            node.append(_element(key, value))
    return node


def _fields(form: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, item in form.items():
        value = fill(item, values)
        if key.endswith("*") and isinstance(value, list):
            yield from ((f"{key[:-1]}{number}", _field(one)) for number, one in enumerate(value, 1))
        else:
            yield key, _field(value)


def _field(value: Any) -> str:
    """A form's value: a structure goes as JSON."""
    if isinstance(value, Mapping | list):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return _plain(value)


def _plain(value: Any) -> str:
    return "true" if value is True else "false" if value is False else str(value)


def _look(name: str, values: Mapping[str, Any]) -> Any:
    if name in values and (values[name] is not None or name.startswith("before.")):
        return values[name]  # what was not there before is put back as null
    raise InputError(f"there is no {name}")
