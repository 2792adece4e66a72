"""Pure work on Arrow columns: one schema out of several, tables brought to it, keys of event uids."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.errors import InputError

MS_A_DAY = 86_400_000
_PREFIX = b"ev-"
_HEX = 16
_NIBBLES = np.full(256, 255, dtype=np.uint8)
_NIBBLES[list(b"0123456789abcdef")] = np.arange(16, dtype=np.uint8)

Keys = npt.NDArray[np.int64]


def storable(schema: pa.Schema) -> pa.Schema:
    """Return the schema as tables keep it: plain strings for every kind of string, and no empty columns."""
    fields = [pa.field(field.name, _storable(field.type)) for field in schema]
    return pa.schema([field for field in fields if not pa.types.is_null(field.type)])


def _storable(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_dictionary(kind):
        return _storable(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return pa.binary()
    if types.is_struct(kind):
        children = [pa.field(child.name, _storable(child.type)) for child in kind]
        children = [child for child in children if not types.is_null(child.type)]
        return pa.struct(children) if children else pa.null()
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        value = _storable(kind.value_type)
        return pa.null() if types.is_null(value) else pa.list_(value)
    return kind


def merge_types(old: pa.DataType, new: pa.DataType, path: str, *, widen: bool = True) -> pa.DataType:
    """Return the type that holds both: a struct has the fields of both, a list the merged elements.

    A number keeps the old type, or takes the wider one of its kind if it may ``widen``: an int32 becomes an
    int64, a float a double. Raises InputError, naming the column's ``path``, if that cannot hold it.
    """
    if old.equals(new):
        return old
    if pa.types.is_struct(old) and pa.types.is_struct(new):
        return pa.struct(_merge_fields(list(old), list(new), f"{path}.", widen=widen))
    if pa.types.is_list(old) and pa.types.is_list(new):
        return pa.list_(merge_types(old.value_type, new.value_type, f"{path}[]", widen=widen))
    alike = pa.types.is_signed_integer if pa.types.is_signed_integer(old) else pa.types.is_floating
    if widen and alike(old) and alike(new):
        return old if old.bit_width >= new.bit_width else new
    if pa.types.is_integer(new) and (pa.types.is_integer(old) or pa.types.is_floating(old)):
        return old
    raise InputError(
        f"column {path} is {new} here, but {old} in the lake",
        fix="a column keeps its type: map the value to that type, or to another column",
    )


def merge_schemas(old: pa.Schema, new: pa.Schema, *, widen: bool = True) -> pa.Schema:
    """Return the schema that holds rows of both; new columns come last. Raises InputError as above."""
    return old if old.equals(new) else pa.schema(_merge_fields(list(old), list(new), "", widen=widen))


def _merge_fields(
    old: Iterable[pa.Field[Any]], new: Iterable[pa.Field[Any]], path: str, *, widen: bool
) -> list[pa.Field[Any]]:
    merged = {field.name: field.type for field in old}
    for field in new:
        known = merged.get(field.name)
        merged[field.name] = (
            field.type if known is None else merge_types(known, field.type, path + field.name, widen=widen)
        )
    return [pa.field(name, kind) for name, kind in merged.items()]


def narrowed(schema: pa.Schema, columns: Collection[str] | None) -> pa.Schema:
    """Return the columns of a schema that are among these; all of them if there are none given."""
    return schema if columns is None else pa.schema([field for field in schema if field.name in columns])


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with exactly this schema's columns; what it lacks, nested too, is null."""
    if table.schema.equals(schema):
        return table
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name)
        chunks = [_conform(chunk, field.type) for chunk in column.chunks]
        columns.append(pa.chunked_array(chunks, type=field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _conform(array: pa.Array[Any], kind: pa.DataType) -> pa.Array[Any]:
    if array.type.equals(kind):
        return array
    if pa.types.is_struct(kind) and isinstance(array, pa.StructArray):
        have = {field.name: number for number, field in enumerate(array.type)}
        parts = [
            _conform(array.field(have[field.name]), field.type)
            if field.name in have
            else pa.nulls(len(array), field.type)
            for field in kind
        ]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=pc.is_null(array))
    if pa.types.is_list(kind) and isinstance(array, pa.ListArray | pa.LargeListArray):
        values = _conform(array.flatten(), kind.value_type)
        counts = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate(([0], np.cumsum(counts))), pa.int32())
        return pa.ListArray.from_arrays(offsets, values, type=kind, mask=pc.is_null(array))
    return array.cast(kind)


def leaf(table: pa.Table, path: str) -> pa.ChunkedArray[Any] | None:
    """Return the column at a dotted path, null where a parent is null; None if there is no such path."""
    head, *rest = path.split(".")
    if head not in table.column_names:
        return None
    column: Any = table.column(head)
    for name in rest:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(name) < 0:
            return None
        column = pc.struct_field(column, [column.type.get_field_index(name)])
    return column  # type: ignore[no-any-return]


def uid_keys(uids: pa.Array[Any] | pa.ChunkedArray[Any]) -> Keys:
    """Return a 64-bit key for each event uid (no nulls).

    ``ev-`` and 16 hex digits, the form of ``contracts.ids.stable_id``, is read as the number it is; of any
    other text, the key is the first eight bytes of its SHA-256.
    """
    flat = uids.combine_chunks() if isinstance(uids, pa.ChunkedArray) else uids
    raw = flat.cast(pa.large_binary())
    count = len(raw)
    if count == 0:
        return np.empty(0, dtype=np.int64)
    _, offsets_buffer, data_buffer = raw.buffers()
    offsets = np.frombuffer(memoryview(offsets_buffer or b""), dtype=np.int64)[
        raw.offset : raw.offset + count + 1
    ]
    data = (
        np.frombuffer(memoryview(data_buffer), dtype=np.uint8) if data_buffer else np.empty(0, dtype=np.uint8)
    )
    width = len(_PREFIX) + _HEX
    keys = np.empty(count, dtype=np.int64)
    standard = np.diff(offsets) == width
    if standard.any():
        rows = data[offsets[:-1][standard][:, None] + np.arange(width)]
        nibbles = _NIBBLES[rows[:, len(_PREFIX) :]]
        fits = (rows[:, : len(_PREFIX)] == np.frombuffer(_PREFIX, dtype=np.uint8)).all(axis=1)
        fits &= (nibbles != 255).all(axis=1)  # noqa: PLR2004 - the mark of what is no hex digit
        pairs = (nibbles[:, 0::2] << 4) | nibbles[:, 1::2]
        numbers = np.ascontiguousarray(pairs).view(">u8").ravel().astype(np.uint64).view(np.int64)
        standard[np.flatnonzero(standard)[~fits]] = False
        keys[standard] = numbers[fits]
    for row in np.flatnonzero(~standard):
        hashed = hashlib.sha256(data[offsets[row] : offsets[row + 1]].tobytes()).digest()
        keys[row] = int.from_bytes(hashed[:8], "big", signed=True)
    return keys


def sort_events(table: pa.Table) -> pa.Table:
    """Sort by ``time``, then by ``metadata.uid``: the one order in which events are stored and replayed."""
    uid = leaf(table, "metadata.uid")
    keys = pa.table({"time": table.column("time"), "uid": uid})
    order = pc.sort_indices(keys, sort_keys=[("time", "ascending"), ("uid", "ascending")])
    return table.take(order)


def by_source(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows of each source (``metadata.log_name``), by name; rows without one come as source ""."""
    logs: Any = leaf(table, "metadata.log_name")
    if logs is None or table.num_rows == 0:
        yield "", table
        return
    codes = logs.fill_null("").combine_chunks().dictionary_encode()
    numbers = codes.indices.to_numpy()
    for name, number in sorted((str(name), n) for n, name in enumerate(codes.dictionary)):
        yield name, table.filter(pa.array(numbers == number))
