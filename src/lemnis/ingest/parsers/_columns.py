"""Records as dicts, one by one, to columns: for formats that are read line by line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from lemnis.ingest.flatten import TooWideError

_MAX_CELLS = 1 << 26
_WIDE = "the records have too many different field names between them"
Row = dict[str, str | list[str] | None]


def table(rows: Sequence[Row]) -> pa.Table:
    """Return the rows as string columns; a field with several values in some row is list<string>.

    Raises TooWideError where the rows have so many different names that their columns would not fit.
    """
    columns: dict[str, list[Any]] = {}
    several: set[str] = set()
    for number, row in enumerate(rows):
        for name, value in row.items():
            if value is None:
                continue
            column = columns.get(name)
            if column is None:
                column = columns[name] = []
                if len(columns) * len(rows) > _MAX_CELLS:
                    raise TooWideError(_WIDE)
            if len(column) < number:
                column.extend([None] * (number - len(column)))
            column.append(value)
            if type(value) is list:
                several.add(name)
    arrays: dict[str, Any] = {}
    for name, column in columns.items():
        column.extend([None] * (len(rows) - len(column)))
        arrays[name] = _lists(column) if name in several else pa.array(column, pa.string())
    if not arrays:
        return pa.table({"_": pa.nulls(len(rows), pa.string())}).select([])
    return pa.table(arrays)


def _lists(column: list[Any]) -> Any:
    """Return a column of lists: a single value is a list of one."""
    lists = [value if value is None or type(value) is list else [value] for value in column]
    return pa.array(lists, pa.list_(pa.string()))


def texts(values: Sequence[str]) -> Any:
    """Return texts as a string array."""
    return pa.array(values, pa.string())
