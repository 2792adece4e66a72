"""Lines of the mapping language over columns: values, and the rows whose text could not be converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from lemnis.content.schemas.source import Line, Scalar, TimeLine
from lemnis.ingest.mapping_columns import (
    TEXT,
    TEXTS,
    Column,
    Columns,
    Mask,
    distinct,
    either,
    make_lists,
    pc,
    there,
    without,
)
from lemnis.ingest.mapping_conditions import spell
from lemnis.ingest.mapping_times import instants
from lemnis.ingest.mapping_values import convert, extract, named, objects, picked


@dataclass(frozen=True, slots=True)
class Values:
    """What lines gave: one value a row (null: none), and the rows that must be rejected, by the line."""

    array: Column
    bad: tuple[tuple[Mask, Line], ...] = ()
    copied: bool = False
    """Whether the values are those of a field as they are, but for those that count as absent."""


@dataclass(frozen=True, slots=True)
class Context:
    """What lines need besides the columns: texts that count as absent everywhere, and the time of reading."""

    absent: frozenset[str] = frozenset()
    now: int = 0


def evaluate(lines: Sequence[Line], columns: Columns, kind: pa.DataType, context: Context) -> Values | None:
    """Give the first value that is there, row by row; None if no line has any."""
    found: Values | None = None
    for line in lines:
        one = _line(line, columns, kind, context)
        if one is None:
            continue
        if found is None:
            found = one
            continue
        before = there(found.array)
        array = either(found.array, one.array) if not _nested(kind) else _either(found.array, one.array)
        found = Values(array, (*found.bad, *((bad & ~before, line) for bad, line in one.bad)))
    return found


def _nested(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_struct(kind)


def _either(one: Column, other: Column) -> Column:
    """Coalesce arrays of any type."""
    count = len(one)
    places = np.where(there(one), np.arange(count), np.arange(count) + count)
    return pa.concat_arrays([one, other]).take(pa.array(places))


def _line(line: Line, columns: Columns, kind: pa.DataType, context: Context) -> Values | None:
    if line.value is not None:
        return Values(constant(line.value, columns.count, kind))
    absent = _absent(line, context)
    given: Column | None = None
    for name in line.source:
        column = present(columns.get(name), absent)
        if column is not None:
            given = column if given is None else coalesce(given, column)
    if given is None:
        return None if line.default is None else Values(constant(line.default, columns.count, kind))
    if plain(line) and given.type.equals(kind):
        return Values(given, copied=len(line.source) == 1)
    if line.pick is not None:
        given = _pick(line, line.pick, given, several=pa.types.is_list(kind))
    return _transform(line, given, kind, context)


def _pick(line: Line, path: str, given: Column, *, several: bool) -> Column:
    """Take members out of JSON: all of them as lists, or the first one as text."""
    one = distinct(as_text(given))
    where = {name: frozenset(spell(value) for value in values) for name, values in line.where.items()}
    found = picked(one.values, path, where, several=several)
    return found.take(pa.array(one.codes, mask=one.codes < 0))


def _absent(line: Line, context: Context) -> frozenset[str]:
    return context.absent | {spell(value) for value in line.absent}


def plain(line: Line) -> bool:
    """Say whether a line only copies."""
    return (
        line.value is None
        and line.pick is None
        and line.match is None
        and line.split is None
        and line.as_ == "string"
        and line.map is None
        and line.default is None
    )


def present(column: Column | None, absent: frozenset[str]) -> Column | None:
    """Return the column with the texts that stand for nothing taken out."""
    if column is None or not absent or pa.types.is_list(column.type):
        return column
    return without(column, absent)


def coalesce(one: Column, other: Column) -> Column:
    """Return the first of two columns where it is there, else the second; lists if one of them is."""
    if one.type.equals(other.type) and not _nested(one.type):
        return either(one, other)
    return _either(as_list(one), as_list(other))


def as_list(column: Column) -> Column:
    """Return a column as lists; a single text is a list of one."""
    if pa.types.is_list(column.type):
        return column
    offsets = np.arange(len(column) + 1, dtype=np.int32)
    return make_lists(pa.array(offsets), column, mask=column.is_null())


def as_text(column: Column) -> Column:
    """Return a column as texts; a list of one is its text, a longer one is written as JSON."""
    if not pa.types.is_list(column.type):
        return column
    counts = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    first = np.concatenate(([0], np.cumsum(counts)))[:-1]
    single = column.flatten().take(pa.array(first, mask=counts == 0))
    several = pa.array(counts > 1)
    if not (counts > 1).any():
        return single
    whole = pa.array([_dump(one) for one in column.filter(several).to_pylist()], TEXT)
    return pc.replace_with_mask(single, several, whole)


def _dump(value: object) -> str:
    return orjson.dumps(value).decode()


def _transform(line: Line, given: Any, kind: pa.DataType, context: Context) -> Values:
    """Work on the distinct values, then spread them over the rows."""
    many = pa.types.is_list(given.type)
    if many and pa.types.is_list(kind) and line.as_ not in {"hashes", "objects"}:
        inner = _transform(line, given.flatten(), kind.value_type, context)
        failed = tuple((_any_of(given, rows), line) for rows, line in inner.bad)
        return Values(_rewrap(given, inner.array), failed)
    one = distinct(as_text(given) if many else given)
    values, bad = _steps(line, one.values, kind, context)
    rows = pa.array(one.codes, mask=one.codes < 0)
    array = values.take(rows)
    if line.default is not None:
        array = _or_default(array, constant(line.default, 1, kind))
    if bad.any() and not line.lenient and line.default is None:
        return Values(array, ((np.append(bad, False)[one.codes], line),))
    return Values(array)


def _rewrap(lists: Any, values: Column) -> Column:
    counts = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32))
    return make_lists(offsets, values, mask=lists.is_null())


def _any_of(lists: Any, bad: Mask) -> Mask:
    rows = np.zeros(len(lists), dtype=bool)
    rows[np.asarray(pc.list_parent_indices(lists))[bad]] = True
    return rows


def _or_default(array: Any, default: Any) -> Column:
    if array.null_count == 0:
        return array
    if not _nested(array.type):
        return array.fill_null(default[0])
    return _either(array, default.take(pa.array(np.zeros(len(array), dtype=np.int64))))


def _steps(line: Line, texts: Any, kind: pa.DataType, context: Context) -> tuple[Column, Mask]:
    if line.match is not None:
        texts = present(extract(texts, named(line.match)), _absent(line, context))
    if line.split is not None:
        texts = pc.split_pattern(texts, line.split)
    wanted = line.as_ if line.as_ != "string" or line.map is not None else _conversion(kind)
    if wanted == "timestamp":
        values = instants(texts, line.format, context.now)
    elif wanted == "objects":
        values = objects(texts, kind)
    elif pa.types.is_list(texts.type):
        inner = convert(texts.flatten(), wanted) if wanted != "string" else texts.flatten()
        values = _rewrap(texts, inner)
    else:
        values = convert(texts, wanted)
    bad: Mask = there(texts) & ~there(values)
    if line.map is not None:
        values = _mapped(values, line.map, kind)
    return _to(values, kind), bad


def _conversion(kind: pa.DataType) -> str:
    """Return what a text must be converted to where nothing is said."""
    if pa.types.is_list(kind):
        return _conversion(kind.value_type)
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind):
        return "number"
    return "boolean" if pa.types.is_boolean(kind) else "string"


def _mapped(values: Any, table: Any, kind: pa.DataType) -> Column:
    keys, items = pa.array(list(table), TEXT), [*table.values()]
    places = pc.index_in(values.cast(TEXT), value_set=keys)
    scalar = kind.value_type if pa.types.is_list(kind) else kind
    return pa.array([_scalar(item, scalar) for item in items], scalar).take(places)


def _to(values: Any, kind: pa.DataType) -> Column:
    if values.type.equals(kind):
        return values
    if pa.types.is_list(kind) and not pa.types.is_list(values.type):
        return as_list(_to(values, kind.value_type))
    if pa.types.is_list(values.type) and not pa.types.is_list(kind):
        return _to(as_text(values.cast(TEXTS)), kind)
    return values.cast(kind)


def constant(value: Scalar | tuple[Scalar, ...], count: int, kind: pa.DataType) -> Column:
    """Return the same value in every row."""
    if pa.types.is_list(kind):
        items = value if isinstance(value, tuple) else (value,)
        scalar: Any = pa.scalar([_scalar(item, kind.value_type) for item in items], kind)
    else:
        scalar = pa.scalar(_scalar(value, kind), kind)
    return pa.repeat(scalar, count)


def _scalar(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        return spell(value) if not isinstance(value, tuple) else _dump(value)
    if pa.types.is_boolean(kind) and not isinstance(value, bool):
        return str(value).lower() == "true"
    return value


def times(lines: Sequence[TimeLine], columns: Columns, context: Context) -> tuple[Column, Column, Column]:
    """Return the events' times, the texts they were read from, and which of these are the first field's.

    Only the first field's text can be kept as the original time: it says then which field it is of.
    """
    found: Any = pa.nulls(columns.count, pa.int64())
    texts: Any = pa.nulls(columns.count, TEXT)
    first: Any = pa.nulls(columns.count, TEXT)
    for number, (line, name) in enumerate((one, name) for one in lines for name in one.source):
        absent = context.absent | {spell(value) for value in line.absent}
        column = present(columns.get(name), absent)
        if column is None:
            continue
        column = as_text(column)
        read = instants(column, line.format, context.now)
        texts = pc.if_else(pc.is_null(found), pc.coalesce(column, texts), texts)
        if number == 0:
            first = (
                pc.if_else(pc.is_valid(read), column, pa.scalar(None, TEXT)) if read.null_count else column
            )
        found = pc.coalesce(found, read)
        if found.null_count == 0:
            break
    return found, texts, first
