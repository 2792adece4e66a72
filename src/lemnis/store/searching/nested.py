"""Events out of columns: nested, without their empty attributes; column by column, since rows are slow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa


def events(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table without attributes that are null, or hold nothing but such.

    Elements of lists stay, null ones too.
    """
    rows: list[dict[str, Any]] = [{} for _ in range(table.num_rows)]
    for name, column in zip(table.column_names, table.columns, strict=True):
        _fill(rows, name, column.combine_chunks())
    return rows


def _fill(rows: Iterable[dict[str, Any]], name: str, array: Any) -> None:
    """Give each row its value of an attribute, if it has one."""
    if array.null_count == len(array):
        return
    for row, value in zip(rows, _values(array), strict=True):
        if value is not None and value != {}:
            row[name] = value


def _values(array: Any) -> Sequence[Any]:
    """Return the values of a column; null ones as None."""
    kind = array.type
    if pa.types.is_struct(kind):
        rows: list[dict[str, Any]] = [{} for _ in range(len(array))]
        for field, child in zip(kind, array.flatten(), strict=True):
            _fill(rows, field.name, child)
        return _without(rows, array)
    if pa.types.is_list(kind) and pa.types.is_nested(kind.value_type):
        bounds = array.offsets.to_pylist()
        values = _values(array.values.slice(bounds[0], bounds[-1] - bounds[0]))
        first = bounds[0]
        return _without([values[low - first : high - first] for low, high in pairwise(bounds)], array)
    found: list[Any] = array.to_pylist()
    return found


def _without(values: list[Any], array: Any) -> list[Any]:
    """Return values, None where the column is null."""
    if not array.null_count:
        return values
    return [
        value if there else None for value, there in zip(values, array.is_valid().to_pylist(), strict=True)
    ]
