"""JSON texts to columns by a compiled pass: the same that ``flatten`` says, for records that are plain.

Rows that the pass leaves (see ``json_kernel``) are flattened beside it. Needs Numba.
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from lemnis.ingest.coded import ROOM
from lemnis.ingest.flatten import Columns, Flat, TooWideError, as_lists, flatten, listed, too_wide
from lemnis.ingest.mapping_columns import make_lists, room, scratch, there
from lemnis.ingest.mapping_columns import offsets as text_offsets

_PATHS = 1 << 14
_KEYS = 1 << 20
WORTH = 256
"""From so many records on it is worth to begin a pass."""
_LEAST = 5
"""Bytes that a member takes at least."""
_NONE = np.empty(0, np.int64)


def spread(texts: Any, *, keep: frozenset[str] = frozenset()) -> Flat:
    """Turn a string array of JSON objects into columns as ``flatten`` does; raises TooWideError, too."""
    from lemnis.ingest import json_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

    count = len(texts)
    offsets = text_offsets(texts).astype(np.int64)
    raw = _with_room(texts.buffers()[2], offsets)
    plain = sorted(name for name in keep if b"\\" not in orjson.dumps(name))  # rows with others are odd
    scanned = _Scanned(kernel, raw, offsets, plain)
    names = scanned.names()
    if len(set(names)) < len(names):  # a name with a dot beside an object of that name
        return flatten(texts, keep=keep)
    if too_wide(len(names), count):
        raise TooWideError
    columns = scanned.columns(names)
    rows = np.flatnonzero(scanned.odd)
    if not len(rows):
        return Flat(dict(sorted(columns.items())), {})
    rest = flatten(texts.take(pa.array(rows)), keep=keep)
    return Flat(
        dict(sorted(_beside(columns, rest.columns, rows, count).items())),
        {int(rows[row]): reason for row, reason in rest.bad.items()},
    )


def _with_room(data: Any, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return the bytes of texts with room behind them: as they lie, or a copy, for which offsets move."""
    first, last = int(offsets[0]), int(offsets[-1])
    if data is not None and data.size >= last + ROOM and last - first > data.size // 2:
        return np.frombuffer(data, np.uint8)[: last + ROOM]
    raw = np.empty(last - first + ROOM, np.uint8)
    if data is not None:
        raw[:-ROOM] = np.frombuffer(data, np.uint8)[first:last]
    offsets -= first
    return raw


class _Scanned:
    """Records as the compiled pass noted them."""

    def __init__(
        self, kernel: Any, raw: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], keep: list[str]
    ) -> None:
        self._kernel, self._raw = kernel, raw
        self.count = len(offsets) - 1
        self.odd = np.zeros(self.count, np.bool_)
        most = len(raw) // _LEAST + self.count
        self._tape: npt.NDArray[np.int32] = scratch("tape", 5 * most, np.int32).reshape(5, most)
        counts = np.zeros(8, np.int64)
        counts[kernel.PATHS] = 1  # the root is a path
        self._parents, self._places = np.zeros(_PATHS, np.int32), np.zeros(_PATHS, np.int64)
        self._sizes, self._keys = np.zeros(_PATHS, np.int32), np.zeros(_KEYS, np.uint8)
        none = np.empty(0, np.int32)
        tables = (
            np.uint64(secrets.randbits(64)), counts, np.full(_PATHS, -1, np.int32),
            np.zeros(_PATHS, np.int64), np.full(2 * _PATHS, -1, np.int32), np.zeros(_PATHS, np.uint64),
            self._parents, self._places, self._sizes, self._keys, none,
            np.empty((0, 8), np.int64), np.empty(0, np.uint8), _NONE,
            np.full(_PATHS, -1, np.int32), _NONE, np.empty(0, np.bool_),
        )  # fmt: skip

        def scan(data: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], tape: Any, odd: Any) -> int:
            used: int = kernel.scan(
                data.ctypes.data, ends[:-1], ends[1:], *tables, tape, len(keep), np.empty((0, 0), np.int32),
                odd, 0, len(odd),
            )  # fmt: skip
            return used

        # what is to be kept has the first paths
        known = orjson.dumps(dict.fromkeys(keep, 0))
        first = np.frombuffer(known + bytes(ROOM), np.uint8)
        scan(
            first,
            np.array([0, len(known)]),
            np.empty_like(self._tape[:, : len(keep) + 1]),
            np.zeros(1, np.bool_),
        )
        self.used = scan(raw, offsets, self._tape, self.odd)
        self._counts = np.zeros(int(counts[kernel.PATHS]), np.int64)
        self._taken = np.zeros(len(self._counts), np.int64)

    def names(self) -> list[str]:
        """Return the dotted names of the fields there are, in order of their paths."""
        from lemnis.ingest import spread_kernel  # noqa: PLC0415 - Numba loads when needed

        spread_kernel.measure(self._tape, self.used, self._counts, self._taken)
        paths = [""]
        for path in range(1, len(self._counts)):
            place = int(self._places[path])
            key = bytes(self._keys[place : place + int(self._sizes[path])]).decode()
            parent = int(self._parents[path])
            paths.append(key if parent == 0 else f"{paths[parent]}.{key}")
        return [paths[path] for path in self._there()]

    def _there(self) -> list[int]:
        found: list[int] = np.flatnonzero(self._counts).tolist()
        return found

    def columns(self, names: list[str]) -> Columns:
        """Return the columns."""
        from lemnis.ingest import spread_kernel  # noqa: PLC0415 - Numba loads when needed

        tape, there = self._tape, self._there()
        number = np.zeros(len(self._counts), np.int32)
        number[there] = np.arange(len(there))
        ends = np.cumsum(self._taken[there] + ROOM)
        out = room(int(ends[-1]) if there else 0)
        offsets = room(4 * len(there) * (self.count + 1)).view(np.int32).reshape(len(there), self.count + 1)
        bits = np.zeros((len(there), (self.count + 7) // 8), np.uint8)
        places = ends - self._taken[there] - ROOM
        spread_kernel.lay(self._raw.ctypes.data, tape, self.used, number, places, out, offsets, bits)
        data, columns = pa.py_buffer(out.data), Columns()
        for column, name in enumerate(names):
            columns[name] = pa.StringArray.from_buffers(
                self.count, pa.py_buffer(offsets[column].data), data, pa.py_buffer(bits[column].data)
            )
        lists = np.flatnonzero(tape[self._kernel.KIND, : self.used] == self._kernel.LIST)
        of = number[tape[self._kernel.PATH, lists]]
        for column in np.unique(of).tolist():
            columns[names[column]] = self._listed(columns[names[column]], lists[of == column])
        return columns

    def _listed(self, column: Any, places: npt.NDArray[np.int64]) -> Any:
        """Fill in a column's lists, scalars one by one and any other as its JSON text, and its objects."""
        if len(places) == self.count - column.null_count:
            lists = self._plain_lists(column, places)
            if lists is not None:
                return lists
        held = memoryview(self._raw)  # type: ignore[arg-type]
        starts, stops, rows = (
            self._tape[part, places].tolist()
            for part in (self._kernel.START, self._kernel.STOP, self._kernel.ROW)
        )
        values = column.to_pylist()
        several = False
        for start, stop, row in zip(starts, stops, rows, strict=True):
            value = orjson.loads(held[start:stop])
            values[row] = listed(value) if isinstance(value, list) else orjson.dumps(value).decode()
            several |= isinstance(values[row], list)
        if not several:
            return pa.array(values, pa.string())
        return pa.array(
            [v if v is None or isinstance(v, list) else [v] for v in values], pa.list_(pa.string())
        )

    def _plain_lists(self, column: Any, places: npt.NDArray[np.int64]) -> Any:
        """Return a column where every value is a list of plain scalars; None if an item is anything else."""
        from lemnis.ingest import spread_kernel  # noqa: PLC0415 - Numba loads when needed

        starts, stops = self._tape[self._kernel.START, places], self._tape[self._kernel.STOP, places]
        size = int((stops - starts).sum())
        rows, ends, out = (
            np.empty(len(places) + 1, np.int32),
            np.empty(size, np.int32),
            np.empty(size, np.uint8),
        )
        if not spread_kernel.items(self._raw.ctypes.data, starts, stops, rows, ends, out):
            return None
        held = there(column)
        offsets = np.zeros(self.count + 1, np.int32)
        offsets[1:][held] = np.diff(rows)
        count = int(rows[-1])
        values = pa.StringArray.from_buffers(
            count, pa.py_buffer(ends[: count + 1].data), pa.py_buffer(out.data)
        )
        mask = None if held.all() else pa.array(~held)
        return make_lists(pa.array(np.cumsum(offsets, dtype=np.int32)), values, mask=mask)


def _beside(columns: Columns, rest: Columns, rows: npt.NDArray[np.int64], count: int) -> Columns:
    """Put the rows that were flattened by themselves in their places."""
    place = np.full(count, -1, np.int64)
    place[rows] = np.arange(len(rows))
    found = dict(columns)
    for name, some in rest.items():
        if name not in columns:
            found[name] = some.take(pa.array(place, mask=place < 0))
            continue
        mine, theirs = columns[name], some
        if mine.type != theirs.type:
            mine, theirs = as_lists(mine), as_lists(theirs)
        both: Any = pa.concat_arrays([mine, theirs])
        found[name] = both.take(pa.array(np.where(place < 0, np.arange(count), count + place)))
    return found
