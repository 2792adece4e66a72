"""Takes secrets out of what a target answers, however it writes them. Pure.

What comes back is kept in plans, results and evidence. A secret may be in it as it is, escaped for an
address, in base64, or behind the escapes of JSON and XML, which only show when the body is read.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree as ET

import orjson

HIDDEN = "(secret)"


def forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the texts that secrets may come back as, the longest first."""
    found: set[str] = set()
    for one in secrets:
        coded = base64.b64encode(one.encode()).decode()
        found |= {one, quote(one, safe=""), quote(one), quote_plus(one), coded, coded.rstrip("=")}
        found |= {orjson.dumps(one).decode()[1:-1]}
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def text(said: str, hidden: Iterable[str]) -> str:
    """Return a text without these."""
    for form in hidden:
        said = said.replace(form, HIDDEN)
    return said


def body(said: bytes, kind: str, hidden: tuple[str, ...]) -> bytes:
    """Return a body without these; one that hides them behind escapes is written anew."""
    if not hidden:
        return said
    for form in hidden:
        said = said.replace(form.encode(), HIDDEN.encode())
    kind = kind.partition(";")[0].strip().lower()
    if kind.endswith("json") and b"\\" in said:
        return _json(said, hidden)
    if kind.endswith("xml") and b"&" in said and b"<!" not in said:
        return _xml(said, hidden)
    return said


def _json(said: bytes, hidden: tuple[str, ...]) -> bytes:
    try:
        data = orjson.loads(said)
    except orjson.JSONDecodeError:
        return said
    clean = _data(data, hidden)
    return said if clean == data else orjson.dumps(clean)


def _data(data: Any, hidden: tuple[str, ...]) -> Any:
    if isinstance(data, str):
        return text(data, hidden)
    if isinstance(data, Mapping):
        return {text(key, hidden): _data(value, hidden) for key, value in data.items()}
    return [_data(one, hidden) for one in data] if isinstance(data, list) else data


def _xml(said: bytes, hidden: tuple[str, ...]) -> bytes:
    try:
        root = ET.fromstring(said)  # noqa: S314 - bounded, and without a document type nothing can expand
    except ET.ParseError:
        return said
    changed = False
    for node in root.iter():
        parts = {"text": node.text or "", "tail": node.tail or ""}
        for name, value in parts.items():
            clean = text(value, hidden)
            changed |= clean != value
            setattr(node, name, clean)
        for name, value in node.attrib.items():
            clean = text(value, hidden)
            changed |= clean != value
            node.set(name, clean)
    return ET.tostring(root) if changed else said
