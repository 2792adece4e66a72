"""What the footers of data files say: which columns have any value in some of their rows.

A class has many attributes of which a source fills a few; to read the others costs as much as if they held
something. Files do not change, so what was read of a footer is kept.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lemnis.store import delta

_FILES, _GROUPS = 64, 4_096
_ELEMENT = ".list.element"


def filled(schema: pa.Schema, rows: Iterable[tuple[Path, Sequence[tuple[int, int]]]]) -> pa.Schema:
    """Return the columns of a schema that have a value in rows of files, or of which that is not known.

    ``rows`` are files with the numbers, [first, last), of their rows. Of structs their fields are taken one
    by one; lists are never left out. Raises OSError where a file is gone.
    """
    full = frozenset[str]().union(*(_full(file, group) for file, group in _groups(rows)))
    return pa.schema(_kept(schema, "", full))


def _groups(rows: Iterable[tuple[Path, Sequence[tuple[int, int]]]]) -> set[tuple[tuple[str, int], int]]:
    """Return the files' row groups that these rows are in; a file is known by its path and age."""
    found = set()
    for path, ranges in rows:
        file = (str(path), path.stat().st_mtime_ns)
        ends = _ends(file)
        for first, last in ranges:
            for group in range(bisect_right(ends, first), min(bisect_right(ends, last - 1) + 1, len(ends))):
                found.add((file, group))
    return found


def counted(files: Iterable[Path], start: int, end: int) -> tuple[int, dict[str, tuple[int, int]]]:
    """Say how many rows lie in row groups with ``time`` (ms) in [start, end), and how many have each column.

    Columns are dotted paths, through lists too; each has at least and at most so many rows with a value: of
    what is in no list these are the same. Raises OSError where a file is gone.
    """
    rows, found = 0, dict[str, tuple[int, int]]()
    for path in files:
        file = (str(path), path.stat().st_mtime_ns)
        for group, (first, last) in enumerate(delta.time_ranges(_metadata(file))):
            if first < end and last >= start:
                rows += _metadata(file).row_group(group).num_rows
                for name, (least, most) in _counts(file, group).items():
                    before = found.get(name, (0, 0))
                    found[name] = before[0] + least, before[1] + most
    return rows, found


@lru_cache(_GROUPS)
def _counts(file: tuple[str, int], group: int) -> dict[str, tuple[int, int]]:
    """Return for each column in at least and at most how many rows of a row group it has a value."""
    meta, found = _metadata(file).row_group(group), {}
    rows: int = meta.num_rows
    for number in range(meta.num_columns):
        column = meta.column(number)
        told = column.statistics
        bounds = (0, rows)
        if told is not None and told.has_null_count:  # an empty list counts as one null
            bounds = max(0, rows - told.null_count), min(rows, column.num_values - told.null_count)
        found[column.path_in_schema.replace(_ELEMENT, "")] = bounds
    return found


@lru_cache(_FILES)
def _metadata(file: tuple[str, int]) -> Any:
    return pq.read_metadata(file[0])


def _ends(file: tuple[str, int]) -> list[int]:
    meta = _metadata(file)
    return list(accumulate(meta.row_group(n).num_rows for n in range(meta.num_row_groups)))


@lru_cache(_GROUPS)
def _full(file: tuple[str, int], group: int) -> frozenset[str]:
    """Return the paths of the columns that are not known to have only nulls in a row group."""
    meta = _metadata(file).row_group(group)
    columns = (meta.column(n) for n in range(meta.num_columns))
    return frozenset(one.path_in_schema for one in columns if not _empty(one))


def _empty(column: Any) -> bool:
    told = column.statistics
    return told is not None and told.has_null_count and told.null_count == column.num_values


def _kept(fields: Iterable[Any], prefix: str, full: frozenset[str]) -> list[pa.Field[Any]]:
    found = []
    for field in fields:
        path = prefix + field.name
        if pa.types.is_struct(field.type):
            if inner := _kept(field.type, f"{path}.", full):
                found.append(pa.field(field.name, pa.struct(inner)))
        elif path in full or pa.types.is_nested(field.type):
            found.append(field)
    return found
