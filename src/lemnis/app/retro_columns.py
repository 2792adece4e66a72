"""Where in an event a value of some kind can be: by the types that OCSF gives its attributes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.errors import NotFoundError
from lemnis.ocsf.schema import Attribute, event_class, shape_of

NAMES, URLS, ADDRESSES, HASHES, EMAILS, FILES = "names", "urls", "addresses", "hashes", "emails", "files"
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "hostname": NAMES, "url": URLS, "ip": ADDRESSES, "file_hash": HASHES, "email": EMAILS,
        "file_name": FILES, "file_path": FILES, "process_name": FILES,
    }
)  # fmt: skip
_ALSO: Mapping[str, str] = MappingProxyType({"tls.sni": NAMES, "fingerprint.value": HASHES})
"""Attributes of which the type says nothing, by object and name."""
_LEFT_OUT = frozenset({"observables", "enrichments", "unmapped", "metadata"})
_DEPTH = 7
Rows = npt.NDArray[np.int64]


class Place(NamedTuple):
    """A path to values, and the family that they are of."""

    path: str
    family: str


def places(class_uid: int, schema: pa.Schema) -> tuple[Place, ...]:
    """Return where events of a class, as a table with this schema holds them, have values to compare."""
    return _places(class_uid, schema)


@lru_cache(maxsize=64)
def _places(class_uid: int, schema: pa.Schema) -> tuple[Place, ...]:
    try:
        shape = event_class(class_uid).shape
    except NotFoundError:
        return ()
    return tuple(_within(list(schema), shape.attributes, "", "", _DEPTH))


def _within(
    fields: list[pa.Field[Any]], known: Mapping[str, Attribute], owner: str, prefix: str, depth: int
) -> Iterator[Place]:
    for field in fields:
        attribute = known.get(field.name)
        if attribute is None or field.name in _LEFT_OUT or not depth:
            continue
        kind, path = field.type, prefix + field.name
        while pa.types.is_list(kind):
            kind = kind.value_type
        if attribute.object and pa.types.is_struct(kind):
            inner = shape_of(attribute.object).attributes
            yield from _within(list(kind), inner, attribute.object, f"{path}.", depth - 1)
        elif pa.types.is_string(kind):
            family = _ALSO.get(f"{owner}.{field.name}") or _TYPES.get(attribute.type)
            if family is not None:
                yield Place(path, family)


def values(table: pa.Table, path: str) -> tuple[Rows, pa.Array[Any]]:
    """Return the values at a path that are there, and of which row each is; lists are gone into."""
    head, *rest = path.split(".")
    array: Any = table.column(head).combine_chunks()
    rows = np.arange(table.num_rows, dtype=np.int64)
    array, rows = _flat(array, rows)
    for name in rest:
        array = pc.struct_field(array, [array.type.get_field_index(name)])
        array, rows = _flat(array, rows)
    there = array.is_valid().to_numpy(zero_copy_only=False)
    return (rows, array) if there.all() else (rows[there], array.filter(pa.array(there)))


def _flat(array: Any, rows: Rows) -> tuple[Any, Rows]:
    while pa.types.is_list(array.type):
        parents = pc.list_parent_indices(array).to_numpy()
        array, rows = pc.list_flatten(array), rows[parents]
    return array, rows
