"""Terraform in JSON (``.tf.json``) as the bodies that native syntax gives, with places.

JSON does not tell a block from an argument ("JSON Configuration Syntax"); without the schemas of all
providers an object counts as a block, but for those arguments that are maps everywhere (tags, labels …).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from lemnis.contracts.errors import Location, RecordError
from lemnis.scan.readers.hcl import Block, Body, Node, parse_json

JSON = ".json"
_MAPS = frozenset({
    "tags", "tags_all", "default_tags", "labels", "annotations", "metadata", "variables", "parameters",
    "match_labels", "environment_variables", "app_settings", "connection_strings", "triggers", "keepers",
})  # fmt: skip
_LABELS = {"resource": 2, "data": 2, "provider": 1, "module": 1, "variable": 1, "output": 1}
"""How many names a block of a type has."""


def parse_body(text: str, file: str) -> Body:
    """Read a file of configuration; raises RecordError with the place."""
    body = Body()
    for kind, node in _entries(_document(text, file)):
        for labels, inner in _named(node, _LABELS.get(kind, 0)):
            attributes = {
                name: one if kind in {"locals", "variable", "module"} else _blocks(name, one)
                for name, one in _entries(inner)
                if name != "//"
            }
            body.blocks.append(Block(kind, labels, Body(attributes), inner.line, inner.column))
    return body


def parse_values(text: str, file: str) -> Mapping[str, Node]:
    """Read a file of values (``.tfvars.json``); raises RecordError with the place."""
    return dict(_entries(_document(text, file)))


def _document(text: str, file: str) -> Node:
    try:
        said: Any = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error.msg}", at=Location(file, error.lineno, error.colno)) from error
    if not isinstance(said, dict):
        raise RecordError("not an object", at=Location(file, 1, 1))
    return parse_json(text, file)


def _entries(node: Node) -> list[tuple[str, Node]]:
    """Return the entries of an object, or of all objects in a list."""
    parts = node.value if isinstance(node.value, list) else [node]
    return [pair for one in parts if isinstance(one.value, dict) for pair in one.value.items()]


def _named(node: Node, depth: int, labels: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Node]]:
    """Return the blocks below ``depth`` names."""
    if depth:
        return [one for name, inner in _entries(node) for one in _named(inner, depth - 1, (*labels, name))]
    return [(labels, one) for one in (node.value if isinstance(node.value, list) else [node])]


def _blocks(name: str, node: Node) -> Node:
    """Return an argument with each object in it as the one block of a list."""
    if isinstance(node.value, list):
        return Node([_inner(one) for one in node.value], node.line, node.column)
    if isinstance(node.value, dict) and name not in _MAPS:
        return Node([_inner(node)], node.line, node.column)
    return node


def _inner(node: Node) -> Node:
    if not isinstance(node.value, dict):
        return node
    return Node({key: _blocks(key, one) for key, one in node.value.items()}, node.line, node.column)
