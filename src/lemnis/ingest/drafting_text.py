"""Values as YAML on one line, the way mappings are written by hand: plain where that is safe, else quoted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lemnis.content import yaml
from lemnis.contracts.errors import ContentError

_SAFE = re.compile(r"[A-Za-z_/.][A-Za-z0-9_/. ()*+-]*")


def flow(value: Any) -> str:
    """Write a scalar, list or mapping on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return quoted(str(value))


def quoted(text: str) -> str:
    """Write a text so that it is read back as that text, plain if it can be."""
    if _SAFE.fullmatch(text) and not text.endswith(" ") and _same(text):
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _same(text: str) -> bool:
    try:
        return bool(yaml.parse(text) == text and type(yaml.parse(text)) is str)
    except ContentError:
        return False


def _escaped(char: str) -> str:
    if char in {'"', "\\"}:
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004
