"""What the standard demands of events, checked by columns: required attributes, constraints, enumerations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.ocsf.schema import Attribute, Shape, arrow_schema, event_class, shape_of

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Object:
    """Objects at one path: their attributes, which of them are there, and the rows that they are in."""

    path: str
    shape: Shape
    columns: Mapping[str, Any]
    valid: Mask
    rows: Places


def problems(table: pa.Table, key: str | int, *, nested: bool = True) -> dict[int, str]:
    """Return by row the first thing that is wrong, naming the attribute; rows that are right are left out.

    Without ``nested``, what objects inside the event require is not demanded (a process without its pid is
    better than no event); the class's own requirements and all enumerations are.
    """
    one = event_class(key)
    columns = {name: _flat(table.column(name)) for name in table.column_names}
    whole = np.ones(table.num_rows, dtype=bool)
    root = _Object("", one.shape, columns, whole, np.arange(table.num_rows))
    found: dict[int, str] = {}
    for rows, reason in _check(root, nested=nested):
        for row in rows.tolist():
            found.setdefault(row, reason)
    return found


def enumerated(attribute: Attribute, column: Any) -> bool:
    """Say whether all numbers of an attribute, and of those in it, are in their enumerations."""
    inner = column.flatten() if attribute.many else column
    if attribute.enum:
        known = pc.is_in(inner, value_set=pa.array(list(attribute.enum), inner.type))
        if bool((_there(inner) & ~known.to_numpy(zero_copy_only=False)).any()):
            return False
    if not attribute.object:
        return True
    attributes = shape_of(attribute.object).attributes
    return all(
        one.name in attributes and enumerated(attributes[one.name], inner.field(number))
        for number, one in enumerate(inner.type)
    )


def misfits(table: pa.Table, key: str | int) -> list[str]:
    """Return the attributes of a table whose type is not the standard's, with both types; those inside too.

    What the class has and the table leaves out is no misfit.
    """
    whole = arrow_schema(key)
    found: list[str] = []
    for one in table.schema:
        place = whole.get_field_index(one.name)
        if place < 0:
            found.append(f"{one.name} is no attribute of this class")
        else:
            found += _misfits(one.type, whole.field(place).type, one.name)
    return found


def _misfits(have: Any, want: Any, path: str) -> list[str]:
    if pa.types.is_list(have) and pa.types.is_list(want):
        return _misfits(have.value_type, want.value_type, f"{path}[]")
    if not (pa.types.is_struct(have) and pa.types.is_struct(want)):
        return [] if have.equals(want) else [f"{path} is {have} and should be {want}"]
    found: list[str] = []
    for one in have:
        place = want.get_field_index(one.name)
        if place < 0:
            found.append(f"{path}.{one.name} is no attribute")
        else:
            found += _misfits(one.type, want.field(place).type, f"{path}.{one.name}")
    return found


def _flat(column: Any) -> Any:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _there(column: Any) -> Mask:
    if not column.null_count:
        return np.ones(len(column), np.bool_)
    return column.is_valid().to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _check(one: _Object, *, nested: bool) -> Iterator[tuple[Places, str]]:
    demanding = nested or not one.path
    none = np.zeros(len(one.valid), dtype=bool)
    there = {name: _there(column) for name, column in one.columns.items()}
    if demanding:
        yield from _missing(one, there, none)
    for name, column in one.columns.items():
        attribute = one.shape.attributes.get(name)
        if attribute is None:
            yield one.rows[one.valid & there[name]], f"{one.path}{name} is no attribute of this class"
            continue
        if attribute.enum:
            yield from _enumerated(one, attribute, column, there[name])
        if attribute.object:
            yield from _below(one, attribute, column, there[name], nested=nested)


def _missing(one: _Object, there: Mapping[str, Mask], none: Mask) -> Iterator[tuple[Places, str]]:
    for name, attribute in one.shape.attributes.items():
        if attribute.required:
            bad = one.valid & ~there.get(name, none)
            if bad.any():
                yield one.rows[bad], f"{one.path}{name} is required and has no value"
    for names, most, text in (
        (one.shape.at_least_one, len(one.shape.attributes), "one of"),
        (one.shape.just_one, 1, "just one of"),
    ):
        if names:
            count = np.sum([there.get(name, none) for name in names], axis=0)
            bad = one.valid & ((count < 1) | (count > most))
            if bad.any():
                yield one.rows[bad], f"{one.path.rstrip('.') or 'the event'} needs {text} {', '.join(names)}"


def _enumerated(one: _Object, attribute: Attribute, column: Any, there: Mask) -> Iterator[tuple[Places, str]]:
    known = pc.is_in(column, value_set=pa.array(list(attribute.enum), column.type))
    bad = one.valid & there & ~known.to_numpy(zero_copy_only=False)
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        yield one.rows[bad], f"{one.path}{attribute.name}: {column[place].as_py()} is not in the enumeration"


def _below(
    one: _Object, attribute: Attribute, column: Any, there: Mask, *, nested: bool
) -> Iterator[tuple[Places, str]]:
    shape, path = shape_of(attribute.object), f"{one.path}{attribute.name}."
    if attribute.many:
        inner = column.flatten()
        rows = one.rows[np.asarray(pc.list_parent_indices(column), dtype=np.int64)]
        valid, path = _there(inner), f"{one.path}{attribute.name}[]."
    else:
        inner, rows, valid = column, one.rows, one.valid & there
    if valid.any():
        parts = {field.name: inner.field(number) for number, field in enumerate(inner.type)}
        yield from _check(_Object(path, shape, parts, valid, rows), nested=nested)
