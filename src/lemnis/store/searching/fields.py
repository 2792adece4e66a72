"""What fields a class has, by the names that people give them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from lemnis.contracts.errors import InputError
from lemnis.store.searching import known
from lemnis.store.searching.tree import Name, problem

SHORT: Mapping[str, str] = MappingProxyType(
    {"source": "metadata.log_name", "uid": "metadata.uid", "severity": "severity_id"}
)
"""Short names of fields that are asked for often."""
TEXT = ("message", "raw_data", "unmapped")
"""Where words are looked for."""
_USERS = ("actor.user.name", "user.name", "actor.process.user.name", "process.user.name")
_ADDRESSES = ("src_endpoint.ip", "dst_endpoint.ip", "device.ip")
_HASHES = (
    "file.hashes.value",
    "process.file.hashes.value",
    "actor.process.file.hashes.value",
    "module.file.hashes.value",
)
ENTITIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "user": _USERS, "host": ("device.hostname",), "ip": _ADDRESSES, "address": _ADDRESSES,
        "process": (
            "process.uid", "actor.process.uid", "device.hostname+process.pid",
            "device.hostname+actor.process.pid",
        ),
        "file": ("file.path",), "hash": _HASHES,
        "container": ("device.container.uid", "process.container.uid", "actor.process.container.uid"),
        "image": (
            "device.container.image.uid", "process.container.image.uid",
            "actor.process.container.image.uid",
        ),
        "domain": ("query.hostname", "dst_endpoint.hostname"),
        "principal": ("actor.user.uid",), "credential": ("actor.user.credential_uid",),
    }
)  # fmt: skip
"""Where events name the entities of ``contracts.alerts.EntityKind``; ``a+b`` name one only together."""
MAX_PATHS = 24
"""A short end of a path stands for so many fields of a class at most."""


class Classes:
    """The classes of events of a lake, with their fields."""

    def __init__(self, schemas: Mapping[str, pa.Schema]) -> None:
        """Take the schema of each class, by name."""
        self.schemas = schemas
        self._leaves: dict[str, dict[str, pa.DataType]] = {}
        self._found: dict[tuple[str, str], tuple[str, ...]] = {}

    def leaves(self, name: str) -> Mapping[str, pa.DataType]:
        """Return every path of a class with its type, groups of fields too."""
        if name not in self._leaves:
            self._leaves[name] = dict(leaves(self.schemas[name], ""))
        return self._leaves[name]

    def paths(self, name: str, field: str) -> tuple[str, ...]:
        """Return the paths of a class that a field stands for: the nearest first."""
        key = (name, field)
        if key not in self._found:
            wanted = SHORT.get(field, field)
            ends = [path for path in self.leaves(name) if path == wanted or path.endswith(f".{wanted}")]
            nearest = sorted(ends, key=lambda path: path.count("."))[:MAX_PATHS]
            self._found[key] = (*nearest, *known.paths(field, self.leaves(name)))
        return self._found[key]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return every way to name a field."""
        paths = {tuple(path.split(".")) for name in self.schemas for path in self.leaves(name)}
        ends = {".".join(path[-length:]) for path in paths for length in (1, 2, 9)}
        told = {one for one in known.FIELDS for name in self.schemas if known.paths(one, self.leaves(name))}
        return tuple(sorted(ends | told | {*SHORT, "class"}))

    def unknown(self, field: str, column: int) -> InputError:
        """Make the error for a field that no class has, with the nearest that one has."""
        near = difflib.get_close_matches(field, self.names, n=3)
        fix = f"did you mean {' or '.join(near)}?" if near else "put it in quotes to search for the text"
        return problem(column, f"no event has a field {field}", fix)


def unknown_column(name: Name, columns: Iterable[str]) -> InputError:
    """Make the error for a column that the rows of a stage do not have."""
    there = sorted(columns)
    near = difflib.get_close_matches(name.text, there, n=3)
    fix = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(there[:12])}"
    return problem(name.column, f"there is no column {name.text} here", fix)


def leaves(schema: Any, prefix: str) -> Iterator[tuple[str, pa.DataType]]:
    """Yield every path of a schema or struct with its type; lists of structs are passed through."""
    for child in schema:
        path, kind = prefix + child.name, child.type
        yield path, kind
        while pa.types.is_list(kind):
            kind = kind.value_type
        if pa.types.is_struct(kind):
            yield from leaves(kind, f"{path}.")


def quote(name: str) -> str:
    """Return a name of the lake as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a name of the lake as a SQL text."""
    return "'" + value.replace("'", "''") + "'"


def value(schema: pa.Schema, path: str) -> tuple[str, pa.DataType]:
    """Return the SQL of the value at a path, and its type: a list if any part of the path is one."""
    if told := known.named(path):
        return known.value(told)
    if "+" in path:
        parts = [f"CAST({value(schema, part)[0]} AS VARCHAR)" for part in path.split("+")]
        return " || '/' || ".join(parts), pa.string()
    head, *rest = path.split(".")
    return _value(quote(head), schema.field(head).type, rest, 0)


def _value(sql: str, kind: Any, path: list[str], depth: int) -> tuple[str, pa.DataType]:
    if pa.types.is_list(kind):
        inner, found = _value(f"v{depth}", kind.value_type, path, depth + 1)
        if inner == f"v{depth}":
            return sql, pa.list_(found)
        listed = f"list_transform({sql}, lambda v{depth}: {inner})"
        return (f"flatten({listed})", found) if pa.types.is_list(found) else (listed, pa.list_(found))
    if path:
        child = kind[kind.get_field_index(path[0])]
        return _value(f"struct_extract({sql}, {text(path[0])})", child.type, path[1:], depth)
    return sql, kind
