"""How rows lie in the lake's Parquet files: their order, and how each column is encoded and compressed.

A flush writes lightly, because it is in the way of what comes in; compaction writes what stays. The files are
plain Parquet: dictionaries, delta encodings, zstd and Snappy, which other engines read. Measured in ADR 0037.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lemnis.store.columns import leaf

ROW_GROUP = 24_576
"""Rows of which a query decides together whether it looks at them; a column of these is one chunk."""
_PAGE_BYTES = 2 << 20
"""For a row, DuckDB unpacks one page of each column; larger ones pack better."""
_DICTIONARY_BYTES = 8 << 20
_LIGHT, _DENSE, _RECORD = 1, 3, 9
"""Levels of zstd: for a file that is soon rewritten, for one that stays, and for records in it."""
_FEW = 64
"""Up to so many rows, a file that is soon rewritten is compressed by Snappy: to set up zstd for each column
takes as long as all else of writing and reading it."""
_UNIQUE = frozenset({"metadata.uid", "raw_data"})
"""Each value occurs once: a dictionary of them would be filled in vain."""
_SAMPLE, _OWN = 16_384, 0.8
"""In a file that stays, a text column of which so many first values are distinct for so large a part is taken
for one where each occurs once."""
_RECORDS = frozenset({"raw_data", "unmapped"})
_LIST = ".list."
_HOSTS = ("device.hostname", "src_endpoint.hostname", "src_endpoint.ip", "actor.user.name")


def options(some: pa.Table, *, final: bool) -> dict[str, Any]:
    """Return how to write a file of which these are the first rows; ``final`` is for one that is to stay.

    Times, which grow, and texts that occur once are kept as differences of values and lengths, all else by
    dictionaries.
    """
    encodings: dict[str, str] = {}
    dictionaries, levels = [], {}
    for path, kind in _columns(some.schema):
        if path in _UNIQUE or (final and pa.types.is_string(kind) and _own(some, path)):
            encodings[path] = "DELTA_LENGTH_BYTE_ARRAY"
        elif pa.types.is_int64(kind) and path.endswith("time"):
            encodings[path] = "DELTA_BINARY_PACKED"
        else:
            dictionaries.append(path)
        dense = _RECORD if path in _RECORDS else _DENSE
        levels[path] = dense if final else _LIGHT
    few = not final and some.num_rows <= _FEW
    return {
        "compression": "snappy" if few else "zstd",
        "compression_level": None if few else levels,
        "use_dictionary": dictionaries,
        "column_encoding": encodings,
        "data_page_size": _PAGE_BYTES,
        "dictionary_pagesize_limit": _DICTIONARY_BYTES,
        "write_page_checksum": True,
    }


def row_group_size(rows: int) -> int:
    """Return by how many rows a table of so many is parted.

    Row groups are even, since a small one costs about as much to look at as a large one.
    """
    return -(-rows // max(1, round(rows / ROW_GROUP))) if rows else ROW_GROUP


def _own(table: pa.Table, path: str) -> bool:
    """Say whether nearly each value of a text column occurs once; no element of a list is asked."""
    column: Any = leaf(table.slice(0, _SAMPLE), path) if _LIST not in path else None
    if column is None or (count := len(column) - column.null_count) < _SAMPLE // 2:
        return False
    return bool(pc.count_distinct(column).as_py() >= _OWN * count)


def arrange(table: pa.Table) -> pa.Table:
    """Order the rows of some stretch of time by source, host and ``time``, as they are kept.

    What is alike lies together: it packs better, and who asks for one host reads few pages.
    """
    keys: dict[str, Any] = {}
    source = leaf(table, "metadata.log_name")
    if source is not None:
        keys["source"] = source
    hosts = [column for path in _HOSTS if (column := leaf(table, path)) is not None]
    if hosts:
        keys["host"] = pc.coalesce(*hosts)
    keys |= {"time": table.column("time"), "uid": leaf(table, "metadata.uid")}
    order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])
    return table.take(order)


def _columns(fields: Any, prefix: str = "") -> Iterator[tuple[str, pa.DataType]]:
    """Yield the leaves of a schema by the paths that Parquet gives them."""
    for field in fields:
        yield from _leaf(prefix + field.name, field.type)


def _leaf(path: str, kind: Any) -> Iterator[tuple[str, pa.DataType]]:
    if pa.types.is_struct(kind):
        yield from _columns(kind, f"{path}.")
    elif pa.types.is_list(kind):
        yield from _leaf(f"{path}{_LIST}element", kind.value_type)
    else:
        yield path, kind
