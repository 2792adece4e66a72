"""JSON texts to columns, natively: DuckDB reads every text once, numpy turns keys into columns.

Objects become dotted names; a list of scalars becomes list<string>, any other list its JSON text; numbers
and booleans become their text; null is absent. Every column is a string or list<string> array.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as _compute
import re2

from lemnis.ingest.mapping_columns import either
from lemnis.store.databases import connect

pc: Any = _compute
MAX_DEPTH = 64
MAX_FIELDS = 2048
"""So many fields a record may have, and members an object; a record that has more is refused."""
_NARROW, _MAX_CELLS = 1000, 1 << 24
_FEW = 256
_ODD_FRACTION = re2.compile(r"[0-9]{16}|[0-9.][eE][-+0-9]|\.0000")  # what is written in more than one way
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1  # whole numbers that are read as they are
_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_WIDE = f"more than {MAX_FIELDS:,} fields"
_BRACKETS = 40
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "temp_directory": "",
    "enable_external_access": False,
    "threads": min(4, os.cpu_count() or 1),
}
_MAP = """
SELECT CASE WHEN json_valid(text) THEN
  CASE WHEN json_type(text) = 'OBJECT' THEN json_transform(text, '"MAP(VARCHAR,VARCHAR)"') END END AS pairs
FROM texts"""
_ITEMS = """
SELECT CASE WHEN json_valid(text) THEN
  CASE WHEN NOT list_has_any(json_type(text, '$[*]'), ['OBJECT', 'ARRAY'])
    THEN text ->> '$[*]' END END AS items
FROM texts"""
_CHUNK = 4096
_local = threading.local()
_Mask = npt.NDArray[np.bool_]
Array = Any
"""An Arrow array; the stubs cannot follow what is done to it here."""
Columns = dict[str, Array]
Bad = dict[int, str]
Check = Callable[[str, Any], None]


@dataclass(frozen=True, slots=True)
class Flat:
    """Columns of equal length, and why some rows have none: row → reason."""

    columns: Columns
    bad: Bad


class TooWideError(Exception):
    """So many different names in so many rows that their columns would not fit: take fewer rows at once."""


def flatten(texts: Array, *, keep: frozenset[str] = frozenset(), depth: int = 0, span: int = 0) -> Flat:
    """Turn JSON objects into columns; a row that is no object, nested too deep or too wide, is in ``bad``.

    Of the objects named in ``keep`` the JSON text is kept too, as a column beside those of its members. The
    columns are in order of their names, whatever the order of the records. Objects within objects have their
    ``depth``, and the ``span`` of rows that they lie in. Raises TooWideError where the rows have too many
    names between them.
    """
    count = len(texts)
    span = span or count
    if count <= _FEW:
        try:
            return few(texts, keep, check=_refuse)
        except _OddNumberError:
            pass
    pairs = _pairs(texts)
    bad = {int(row): "" for row in np.flatnonzero(~_valid(pairs))}
    if bad:
        texts, pairs, bad = _again(texts, pairs, bad)
    texts, pairs = _narrowed(texts, pairs, bad)
    columns: Columns = {}
    nested: list[str] = []
    for name, column, odd in _pivot(pairs, count, span):
        columns[name] = column
        if odd:
            nested.append(name)
    kept = {name: columns[name] for name in sorted(keep) if name in columns}
    if nested:
        _unfold(texts, columns, nested, bad, depth=depth, span=span)
        for name, text in kept.items():  # where the text is an object's, there is nothing left
            left = columns.get(name)
            columns[name] = text if left is None else coalesce(left, text)
    if not depth and len(columns) > MAX_FIELDS:
        columns = _without_wide(columns, count, bad)
    return Flat(columns if depth else dict(sorted(columns.items())), bad)


def too_wide(names: int, rows: int) -> bool:
    """Say whether columns of so many names would take too much room."""
    return names > _NARROW and names * rows > _MAX_CELLS


def _connection() -> duckdb.DuckDBPyConnection:
    if not hasattr(_local, "connection"):
        _local.connection = connect(_SETTINGS)
    connection: duckdb.DuckDBPyConnection = _local.connection
    return connection


def _run(sql: str, texts: Array) -> Array:
    """Return the one column of a query over the column ``text`` of ``texts``, in order."""
    pieces = [texts.slice(first, _CHUNK) for first in range(0, len(texts), _CHUNK)]
    connection = _connection()
    connection.register("texts", pa.table({"text": pa.chunked_array(pieces, texts.type)}))
    try:
        return connection.sql(sql).to_arrow_table().column(0).combine_chunks()
    finally:
        connection.unregister("texts")


def _pairs(texts: Array) -> Array:
    return _run(_MAP, texts)


def _valid(array: Array) -> _Mask:
    mask: _Mask = array.is_valid().to_numpy(zero_copy_only=False)
    return mask


def _again(texts: Array, pairs: Array, bad: Bad) -> tuple[Array, Array, Bad]:
    """Give rows that DuckDB has no map for a second look: say why, or write them plainly and try once more.

    A key that is there twice is such a case: the last one holds, as elsewhere.
    """
    reasons: Bad = {}
    plain = dict.fromkeys(bad, "{}")
    for row in bad:
        try:
            value = orjson.loads(texts[row].as_py())
        except orjson.JSONDecodeError as error:
            reasons[row] = f"not JSON: {error}"
            continue
        if isinstance(value, dict):
            plain[row] = orjson.dumps(value).decode()
        else:
            reasons[row] = "JSON, but not an object"
    fresh = [plain.get(row, "") for row in sorted(plain)]
    mask = np.zeros(len(texts), bool)
    mask[sorted(plain)] = True
    texts = pc.replace_with_mask(texts, pa.array(mask), pa.array(fresh, pa.string()))
    pairs = _pairs(texts)
    for row in np.flatnonzero(~_valid(pairs)).tolist():
        reasons.setdefault(row, "JSON that cannot be read into fields")
    return texts, pairs, reasons


def _narrowed(texts: Array, pairs: Array, bad: Bad) -> tuple[Array, Array]:
    """Refuse rows whose objects have too many members; what is left of them is an empty object."""
    wide = _valid(pairs) & (np.diff(pairs.offsets.to_numpy()) > MAX_FIELDS)
    if not wide.any():
        return texts, pairs
    for row in np.flatnonzero(wide).tolist():
        bad[row] = _WIDE
    nothing = pa.array(["{}"] * int(wide.sum()), pa.string())
    texts = pc.replace_with_mask(texts, pa.array(wide), nothing)
    return texts, _pairs(texts)


def _without_wide(columns: Columns, count: int, bad: Bad) -> Columns:
    """Refuse rows that have too many fields between their objects, and leave out what only they have."""
    fields = np.zeros(count, np.int32)
    for column in columns.values():
        fields += _valid(column)
    wide = fields > MAX_FIELDS
    if not wide.any():
        return columns
    for row in np.flatnonzero(wide).tolist():
        bad.setdefault(row, _WIDE)
    there = ~wide
    return {name: column for name, column in columns.items() if (_valid(column) & there).any()}


def _pivot(pairs: Array, count: int, span: int) -> Iterator[tuple[str, Array, bool]]:
    """Yield name, column, and whether some value may be an object or a list."""
    keys = pairs.keys.dictionary_encode()
    offsets = pairs.offsets.to_numpy()
    sizes = np.where(_valid(pairs), np.diff(offsets), 0)
    rows = np.repeat(np.arange(count), sizes)
    codes = keys.indices.to_numpy()
    names = keys.dictionary.to_pylist()
    if not names:
        return
    if too_wide(len(names), span):
        raise TooWideError
    order = np.argsort(codes.astype(np.uint16 if len(names) < 1 << 16 else np.uint32), kind="stable")
    values = pairs.items.take(pa.array(order))
    rows = rows[order]
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    places = np.frombuffer(values.buffers()[1], np.int32)[: len(values) + 1]
    present = _valid(values)
    data: Any = values.buffers()[2] or pa.py_buffer(b"")
    first = np.frombuffer(data, np.uint8)
    start = 0
    for name, end in zip(names, ends.tolist(), strict=True):
        mine, cuts, there = rows[start:end], places[start : end + 1], present[start:end]
        lengths = np.zeros(count + 1, np.int32)
        lengths[mine + 1] = np.diff(cuts)
        mask = np.zeros(count, bool)
        mask[mine] = there
        start = end
        if not there.any():
            continue
        column = pa.StringArray.from_buffers(
            count,
            pa.py_buffer(np.cumsum(lengths, dtype=np.int32) + cuts[0]),
            data,
            pa.py_buffer(np.packbits(mask, bitorder="little").data),
        )
        begins = first[cuts[:-1][np.diff(cuts) > 0]]
        yield name, column, bool(np.isin(begins, (0x5B, 0x7B)).any())


def _unfold(
    texts: Array,
    columns: Columns,
    nested: list[str],
    bad: Bad,
    *,
    depth: int,
    span: int,
) -> None:
    """Replace columns that hold objects and lists by what is in them."""
    for name, kinds in zip(nested, _kinds(texts, columns, nested), strict=True):
        column = columns[name]
        objects, lists = kinds
        if objects.any():
            _objects(columns, name, objects, bad, depth=depth, span=span)
            if too_wide(len(columns), span):
                raise TooWideError
            column = columns.get(name)
        if lists.any() and column is not None:
            columns[name] = _lists(column, lists, bad)


def _kinds(texts: Array, columns: Columns, nested: list[str]) -> Iterator[tuple[_Mask, _Mask]]:
    """Yield for each column where the JSON really has an object, and where a list: text may look like one."""
    suspects = np.zeros(len(texts), bool)
    for name in nested:
        begins = pc.utf8_slice_codeunits(columns[name], 0, 1)
        suspects |= pc.is_in(begins, pa.array(["{", "["])).to_numpy(zero_copy_only=False)
    places = np.flatnonzero(suspects)
    pointers = [("/" + n.replace("~", "~0").replace("/", "~1")).replace("'", "''") for n in nested]
    sql = "SELECT json_type(text, [{}]) AS kinds FROM texts".format(", ".join(f"'{p}'" for p in pointers))  # noqa: S608
    answer = _run(sql, texts.take(pa.array(places)))
    flat = answer.flatten()
    objects_at = pc.equal(flat, "OBJECT").fill_null(False).to_numpy(zero_copy_only=False)
    lists_at = pc.equal(flat, "ARRAY").fill_null(False).to_numpy(zero_copy_only=False)
    for number in range(len(nested)):
        objects, lists = np.zeros(len(texts), bool), np.zeros(len(texts), bool)
        objects[places] = objects_at[number :: len(nested)]
        lists[places] = lists_at[number :: len(nested)]
        yield objects, lists


def _objects(columns: Columns, name: str, objects: _Mask, bad: Bad, *, depth: int, span: int) -> None:
    """Put the fields of a column's objects beside it, and leave in it what is no object."""
    column = columns[name]
    places = np.flatnonzero(objects)
    inner = _texts_at(column, places)
    deep = _too_deep(inner, depth)
    for row in np.flatnonzero(deep).tolist():
        bad.setdefault(int(places[row]), _DEEP)
    places, inner = places[~deep], inner.filter(pa.array(~deep))
    rest = pc.if_else(pa.array(objects), pa.scalar(None, column.type), column)
    del columns[name]
    if rest.null_count < len(rest):
        columns[name] = rest
    back = np.full(len(column), -1, np.int64)
    back[places] = np.arange(len(places))
    index = pa.array(back, mask=back < 0)
    found = flatten(inner, depth=depth + 1, span=span)
    for row, reason in found.bad.items():
        bad.setdefault(int(places[row]), reason)
    for key, some in found.columns.items():
        path, spread = f"{name}.{key}", some.take(index)
        columns[path] = coalesce(columns[path], spread) if path in columns else spread


def _lists(column: Array, lists: _Mask, bad: Bad) -> Array:
    """Turn lists of scalars into values of several; any other list, and a single value, is a list of one.

    So what a row has does not depend on the rows beside it. A column without a list of scalars keeps texts.
    """
    places = np.flatnonzero(lists)
    inner = _texts_at(column, places)
    for row in np.flatnonzero(_too_deep(inner, 0)).tolist():
        bad.setdefault(int(places[row]), _DEEP)
    items = _run(_ITEMS, inner)
    if items.null_count == len(items):
        return column
    texts = column.to_pylist()
    for row, value in zip(places.tolist(), items.to_pylist(), strict=True):
        if value is not None:
            texts[row] = [item for item in value if item is not None]
    return pa.array([v if v is None or isinstance(v, list) else [v] for v in texts], pa.list_(pa.string()))


def _texts_at(column: Array, places: npt.NDArray[np.int64]) -> Array:
    """Return the JSON texts in these rows, also of a column that another of its name has made lists."""
    taken = column.take(pa.array(places))
    if not pa.types.is_list(taken.type):
        return taken
    return pa.array([value[0] if value else None for value in taken.to_pylist()], pa.string())


def _too_deep(texts: Array, depth: int) -> _Mask:
    """Say which JSON texts nest deeper than allowed."""
    counts = pc.add(pc.count_substring(texts, "["), pc.count_substring(texts, "{")).to_numpy()
    deep = np.zeros(len(texts), bool)
    for row in np.flatnonzero(counts > _BRACKETS).tolist():
        deep[row] = depth + _depth(texts[row].as_py()) > MAX_DEPTH
    return deep


def _depth(text: str) -> int:
    """Return how deep a JSON text nests."""
    deepest = level = 0
    quoted = escaped = False
    for char in text:
        if quoted:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char in "[{":
            level += 1
            deepest = max(deepest, level)
        elif char in "]}":
            level -= 1
    return deepest


class _WideError(Exception):
    """A record has more fields than one may have."""


class _OddNumberError(Exception):
    """A number that is written in more than one way: DuckDB writes it as it was read."""


def _refuse(text: str, value: Any) -> None:
    """Raise for a number of which there may be several spellings in the text."""
    if isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            _refuse(text, item)
    elif isinstance(value, float):
        if _ODD_FRACTION.search(text):
            raise _OddNumberError
    elif isinstance(value, int) and not _LEAST <= value <= _MOST:
        raise _OddNumberError


def _accept(_text: str, _value: Any) -> None:
    """Take any number."""


def few(texts: Array, keep: frozenset[str] = frozenset(), *, check: Check = _accept) -> Flat:
    """Do the same record by record: sooner done for a handful, and what the fast way must equal.

    ``check`` sees a record, and each thing in it that is no text; what it raises is raised.
    """
    rows: list[dict[str, Any]] = []
    bad: Bad = {}
    for number, text in enumerate(texts.to_pylist()):
        fields: dict[str, Any] = {}
        try:
            value = orjson.loads(text)
            if isinstance(value, dict):
                _collect(value, "", fields, 0, partial(check, text))
                fields |= {name: _plain(value[name]) for name in keep if isinstance(value.get(name), dict)}
            else:
                bad[number] = "JSON, but not an object"
        except orjson.JSONDecodeError as error:
            if check is not _accept and "infinity" in str(error):  # DuckDB keeps the digits
                raise _OddNumberError from error
            deep = "depth" in str(error) and _depth(text) > MAX_DEPTH
            bad[number] = _DEEP if deep else f"not JSON: {error}"
        except RecursionError:
            bad[number], fields = _DEEP, {}
        except _WideError:
            bad[number], fields = _WIDE, {}
        rows.append(fields)
    return Flat(dict(sorted(_assemble(rows).items())), bad)


def _collect(
    value: dict[str, Any], prefix: str, fields: dict[str, Any], depth: int, check: Callable[[Any], None]
) -> None:
    if depth >= MAX_DEPTH:
        raise RecursionError
    if len(value) > MAX_FIELDS:
        raise _WideError
    for key, item in value.items():
        name = f"{prefix}{key}"
        if item is None or isinstance(item, dict):
            continue
        if not isinstance(item, str):
            check(item)
        fields.setdefault(name, listed(item, depth) if isinstance(item, list) else _plain(item))
    for key, item in value.items():
        if isinstance(item, dict):
            _collect(item, f"{prefix}{key}.", fields, depth + 1, check)
    if len(fields) > MAX_FIELDS:
        raise _WideError


def listed(items: list[Any], depth: int = 0) -> str | list[str]:
    """Return scalars one by one, and any other list as its JSON text."""
    if not any(isinstance(one, dict | list) for one in items):
        return [_plain(one) for one in items if one is not None]
    text = _plain(items)
    if depth + _depth(text) > MAX_DEPTH:
        raise RecursionError
    return text


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _assemble(rows: list[dict[str, Any]]) -> Columns:
    """Make columns of rows; in a column with a list of scalars, any other value is a list of one."""
    found: dict[str, dict[int, Any]] = {}
    for number, row in enumerate(rows):
        for name, value in row.items():
            found.setdefault(name, {})[number] = value
    if too_wide(len(found), len(rows)):
        raise TooWideError
    columns: Columns = {}
    for name, some in found.items():
        lists = any(isinstance(value, list) for value in some.values())
        values: list[Any] = [None] * len(rows)
        for number, value in some.items():
            values[number] = [value] if lists and not isinstance(value, list) else value
        columns[name] = pa.array(values, pa.list_(pa.string()) if lists else pa.string())
    return columns


def coalesce(first: Array, second: Array) -> Array:
    """Take ``first`` where it has a value, else ``second``; lists if either has lists."""
    if pa.types.is_list(first.type) != pa.types.is_list(second.type):
        first, second = as_lists(first), as_lists(second)
    if pa.types.is_list(first.type):
        return pa.array(
            [a if a is not None else b for a, b in zip(first.to_pylist(), second.to_pylist(), strict=True)],
            first.type,
        )
    return either(first, second)


def as_lists(column: Array) -> Array:
    """Make every value a list of one; a column of lists is left as it is."""
    if pa.types.is_list(column.type):
        return column
    there = _valid(column)
    offsets = np.concatenate(([0], np.cumsum(there))).astype(np.int32)
    make: Any = pa.ListArray.from_arrays
    return make(pa.array(offsets), column.drop_null(), type=pa.list_(pa.string()), mask=pa.array(~there))
