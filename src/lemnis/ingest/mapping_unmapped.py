"""``unmapped``: a JSON object a row of the raw values that no line kept word for word; written and read back.

Values are texts or lists of texts, so it is written by columns; texts with control characters go one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.json

from lemnis.contracts.compiled import ready
from lemnis.ingest.mapping_columns import TEXT, TEXTS, Column, Laid, Mask, make_lists, offsets, pc, room

_read_json: Any = pa.json.read_json
_MOST = (1 << 31) - 1
_AROUND, _SPARE = 8, 65_536
"""Bytes around a value, and some for what is escaped."""
_CONTROL = "[\x00-\x1f\x7f]"


def write(fields: Mapping[str, tuple[Column, Mask]], count: int) -> Column | None:
    """Return the JSON objects; ``fields`` gives columns and which rows of each are to be written."""
    return _compiled(fields, count) if fields and ready(count) else _joined(fields, count)


def _compiled(fields: Mapping[str, tuple[Column, Mask]], count: int) -> Column | None:
    """Write them row by row in one pass, again with more room from where that ended."""
    from lemnis.ingest import objects_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

    texts = [listed(one) if pa.types.is_list(one.type) else one for one, _ in fields.values()]
    quoted = np.array([not pa.types.is_list(one.type) for one, _ in fields.values()])
    keys = [np.frombuffer(orjson.dumps(name), np.uint8) for name in fields]
    rows = [np.ascontiguousarray(mask) for _, mask in fields.values()]
    sizes = np.array([len(key) for key in keys], np.int64)
    laid = [Laid.of(one) for one in texts]
    taken = sum(int(ends[-1] - ends[0]) for ends in map(offsets, texts))
    named = sum(int(mask.sum()) * (len(key) + _AROUND) for mask, key in zip(rows, keys, strict=True))
    data, places = (np.array([one[part] for one in laid], np.int64) for part in (0, 1))
    key_at, rows_at = (np.array([one.ctypes.data for one in some], np.int64) for some in (keys, rows))
    found = written(
        lambda row, used, ends, out: kernel.write(
            data, places, rows_at, quoted, key_at, sizes, row, used, ends, out
        ),
        count,
        taken + named,
    )
    return _joined(fields, count) if found is None else found


def written(write_on: Callable[..., tuple[int, int]], count: int, expected: int) -> Column | None:
    """Return the objects that a pass writes, with more room where it needs more; None if they are too large.

    ``write_on`` is given a row and a byte to go on from, where each object ends, and what is written to.
    """
    ends, row, used = np.zeros(count, np.int64), 0, 0
    out = room(expected + _SPARE)
    while True:
        row, used = write_on(row, used, ends, out)
        if row == count:
            break
        if len(out) > _MOST:
            return None
        more = room(2 * len(out))
        more[:used] = out[:used]
        out = more
    if used > _MOST:
        return None
    starts = np.concatenate(([0], ends)).astype(np.int32)
    bits = pa.py_buffer(np.packbits(np.diff(starts) > 0, bitorder="little").data)
    return pa.StringArray.from_buffers(count, pa.py_buffer(starts.data), pa.py_buffer(out.data), bits)


def _joined(fields: Mapping[str, tuple[Column, Mask]], count: int) -> Column | None:
    """Write them by Arrow's functions."""
    pieces = []
    for name, (column, rows) in fields.items():
        quoted = listed(column) if pa.types.is_list(column.type) else _quoted(column)
        piece = pc.binary_join_element_wise(orjson.dumps(name).decode(), quoted, ":")
        pieces.append(piece if rows.all() else pc.if_else(pa.array(rows), piece, pa.scalar(None, TEXT)))
    if not pieces:
        return None
    start = pa.repeat(pa.scalar("", TEXT), count)  # joining drops rows in which all is null
    inner = pc.binary_join_element_wise(start, *pieces, ",", null_handling="skip")
    whole = pc.binary_join_element_wise(pc.binary_replace_slice(inner, 0, 1, "{"), "}", "")
    return pc.if_else(pc.equal(inner, ""), pa.scalar(None, TEXT), whole)


def _quoted(texts: Any) -> Any:
    escaped = pc.replace_substring(texts, "\\", "\\\\")
    escaped = pc.replace_substring(escaped, '"', '\\"')
    quoted: Any = pc.binary_join_element_wise('"', escaped, '"', "")
    odd = pc.fill_null(pc.match_substring_regex(texts, _CONTROL), False)
    if pc.any(odd).as_py():
        one_by_one = pa.array([orjson.dumps(value).decode() for value in texts.filter(odd).to_pylist()], TEXT)
        quoted = pc.replace_with_mask(quoted, odd, one_by_one)
    return quoted


def listed(lists: Any) -> Any:
    """Write lists as JSON, by columns."""
    inner = _quoted(lists.flatten().fill_null(""))
    counts = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32))
    joined = pc.binary_join(make_lists(offsets, inner), ",")
    whole = pc.binary_join_element_wise("[", joined, "]", "")
    return pc.if_else(lists.is_valid(), whole, pa.scalar(None, TEXT))


def read(texts: Column) -> dict[str, Column]:
    """Return the fields that such objects hold, as string or list<string> columns."""
    present: Any = texts.drop_null()
    if not len(present):
        return {}
    columns = _parse(present)
    if len(present) == len(texts):
        return columns
    places = np.cumsum(texts.is_valid().to_numpy(zero_copy_only=False)) - 1
    rows = pa.array(places, mask=texts.is_null().to_numpy(zero_copy_only=False))
    return {name: column.take(rows) for name, column in columns.items()}


def _parse(texts: Any) -> dict[str, Column]:
    joined = pc.binary_join(make_lists(pa.array([0, len(texts)], pa.int32()), texts), "\n")
    data = joined[0].as_buffer()
    longest = int(pc.max(pc.binary_length(texts)).as_py())
    options = pa.json.ReadOptions(block_size=max(1 << 20, 2 * longest + 64))
    schema: dict[str, pa.DataType] = {}
    for _ in range(2):  # once more if a text was taken for a time
        given = pa.json.ParseOptions(explicit_schema=pa.schema(list(schema.items()))) if schema else None
        try:
            table = _read_json(pa.BufferReader(data), read_options=options, parse_options=given)
        except pa.ArrowInvalid:  # a field that is a text here and a list there
            break
        schema = {name: _wanted(table.schema.field(name).type) for name in table.column_names}
        if all(table.schema.field(name).type.equals(kind) for name, kind in schema.items()):
            return {name: table.column(name).combine_chunks() for name in table.column_names}
    return _slowly(texts.to_pylist())


def _wanted(kind: pa.DataType) -> pa.DataType:
    return TEXTS if pa.types.is_list(kind) else TEXT


def _slowly(texts: list[str]) -> dict[str, Column]:
    rows = [orjson.loads(text) for text in texts]
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        if any(isinstance(value, list) for value in values):
            values = [[value] if isinstance(value, str) else value for value in values]
        found[name] = pa.array(values, TEXTS if any(isinstance(v, list) for v in values) else TEXT)
    return found
