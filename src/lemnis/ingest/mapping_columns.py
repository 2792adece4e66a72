"""Raw fields as text columns, whatever the parser made of them, with their distinct values at hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from threading import local
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts.compiled import ready

pc: Any = _compute  # its stubs cannot follow what its functions make of arrays
TEXT = pa.string()
TEXTS = pa.list_(pa.string())
_BETWEEN = "\x1f"

Column: TypeAlias = Any  # a pyarrow.Array
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Distinct:
    """A column as codes into its distinct values; -1 where the field is absent."""

    codes: npt.NDArray[np.int32]
    values: Column


class Columns(Protocol):
    """Rows by raw field name."""

    @property
    def count(self) -> int:
        """Return the number of rows."""
        ...

    def names(self) -> Iterable[str]:
        """Return the names of the fields there are."""
        ...

    def get(self, name: str) -> Column | None:
        """Return a field as string or list<string>; None if no row has it."""
        ...


class RawColumns:
    """Chosen rows of a parser's table; a column is only made when it is asked for."""

    def __init__(
        self, table: pa.Table, rows: Rows | None = None, index: Mapping[str, int] | None = None
    ) -> None:
        self._table = table
        self._rows = rows
        self._index = index or {name: number for number, name in enumerate(table.column_names)}
        self._made: dict[str, Column | None] = {}

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return int(self._table.num_rows if self._rows is None else len(self._rows))

    def names(self) -> Iterator[str]:
        """Yield the names of the fields there are."""
        return iter(self._index)

    def get(self, name: str) -> Column | None:
        """Return a field as string or list<string>; None if no row has it."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def take(self, rows: Rows) -> RawColumns:
        """Return the columns of some of these rows."""
        chosen = rows if self._rows is None else self._rows[rows]
        return RawColumns(self._table, chosen, self._index)

    def part(self, start: int, end: int) -> RawColumns:
        """Return the columns of rows that lie together."""
        return _Part(self, start, end)

    def _make(self, name: str) -> Column | None:
        number = self._index.get(name)
        column: Any = None if number is None else self._table.column(number)
        if column is None or column.null_count == len(column):
            return None
        whole = flat(column)
        return _there(text(whole if self._rows is None else take(whole, self._rows)))


class _Part(RawColumns):
    """Rows that lie together among those of other columns."""

    def __init__(self, whole: RawColumns, start: int, end: int) -> None:
        super().__init__(whole._table, None, whole._index)  # noqa: SLF001 - of its own kind
        self._whole = whole
        self._start, self._end = start, end

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return self._end - self._start

    def take(self, rows: Rows) -> RawColumns:
        """Return the columns of some of these rows."""
        return self._whole.take(rows + self._start)

    def part(self, start: int, end: int) -> RawColumns:
        """Return the columns of rows that lie together."""
        return self._whole.part(self._start + start, self._start + end)

    def _make(self, name: str) -> Column | None:
        column = self._whole.get(name)
        return None if column is None else _there(column.slice(self._start, self._end - self._start))


def _there(column: Column) -> Column | None:
    """Return a column in which some row has a value."""
    return None if column.null_count == len(column) and len(column) else column


def make_lists(offsets: Any, values: Column, mask: Column | None = None) -> Column:
    """Make lists of values: row n has those from offset n to n+1; ``mask`` says which are null."""
    make: Any = pa.ListArray
    return make.from_arrays(offsets, values, mask=mask)


def flat(column: Any) -> Column:
    """Return a column in one piece."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.nulls(0)])


def text(column: Any) -> Column:
    """Return a column of any scalars as texts, of lists as lists of texts."""
    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        return text(column.cast(kind.value_type))
    if types.is_string(kind) or kind.equals(TEXTS):
        return column
    if types.is_list(kind) or types.is_large_list(kind):
        return column.cast(TEXTS)
    if types.is_floating(kind):
        return pa.array([None if value is None else _number(value) for value in column.to_pylist()], TEXT)
    return column.cast(TEXT)


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def distinct(column: Column) -> Distinct:
    """Return a column's distinct values and, row by row, which of them it is; of lists, the joined texts."""
    flattened: Any = column
    if pa.types.is_list(column.type):
        flattened = pc.binary_join(column, _BETWEEN)
    encoded = flattened.dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return Distinct(codes, encoded.dictionary)


def there(column: Column) -> Mask:
    """Say for each row whether it has a value."""
    count = len(column)
    if not column.null_count:
        return np.ones(count, np.bool_)
    bits = column.buffers()[0]
    if bits is None:  # of the type null
        return np.zeros(count, np.bool_)
    first, end = column.offset, column.offset + count
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=end, bitorder="little")[first:].view(np.bool_)


class Laid(NamedTuple):
    """Where a column of texts lies, as compiled passes want it: see ``columns_kernel``."""

    data: int
    places: int
    bits: int
    shift: int

    @classmethod
    def of(cls, column: Column) -> Laid:
        """Look up where a column lies, which must live as long as this."""
        bits, places, data = column.buffers()
        return cls(
            0 if data is None else data.address,
            0 if places is None else places.address + 4 * column.offset,
            0 if bits is None else bits.address,
            column.offset,
        )


def room(size: int) -> npt.NDArray[np.uint8]:
    """Return bytes to write to, of Arrow's memory, which is used again; NumPy's is fresh from the system."""
    lent: npt.NDArray[np.uint8] = np.frombuffer(memoryview(pa.allocate_buffer(max(1, size))), np.uint8)
    return lent[:size]


_SCRATCH = local()


def scratch(name: str, count: int, kind: Any) -> Any:
    """Return room for so many numbers, of this thread and used again: for what a batch leaves nothing of."""
    held: dict[str, npt.NDArray[Any]] = _SCRATCH.__dict__
    if name not in held or len(held[name]) < count:
        held[name] = np.empty(count + count // 4, kind)
    return held[name][:count]


def take(column: Column, rows: Rows) -> Column:
    """Return chosen rows of a column, none of them twice."""
    count = len(rows)
    if not count or not pa.types.is_string(column.type) or not ready(count):
        return column.take(pa.array(rows))
    from lemnis.ingest import columns_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

    places, laid = offsets(column), Laid.of(column)
    out = room(int(places[-1] - places[0]))
    ends, valid = np.empty(count + 1, np.int32), np.zeros((count + 7) // 8, np.uint8)
    held = kernel.take(*laid, rows, ends, valid, out)
    return texts(out, ends, valid, held)


@dataclass(slots=True)
class Chosen:
    """Records as they came, and the order in which they are wanted; ``whole`` if that is the same."""

    records: Column
    order: Rows
    whole: bool
    _taken: Column | None = None

    def taken(self) -> Column:
        """Return them in that order."""
        if self._taken is None:
            self._taken = self.records if self.whole else take(self.records, self.order)
        return self._taken


def either(one: Column, other: Column) -> Column:
    """Return the first of two columns of one type, no lists, where it has a value, else the second."""
    count = len(one)
    if not one.null_count or other.null_count == count:
        return one
    if one.null_count == count:
        return other
    if not pa.types.is_string(one.type) or not ready(count):
        return pc.coalesce(one, other)
    from lemnis.ingest import columns_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

    size = sum(int(ends[-1] - ends[0]) for ends in (offsets(one), offsets(other)))
    ends, valid = np.empty(count + 1, np.int32), np.zeros((count + 7) // 8, np.uint8)
    out = room(size)
    held = kernel.either(*Laid.of(one), *Laid.of(other), count, ends, valid, out)
    return texts(out, ends, valid, held)


def texts(data: Any, ends: Any, valid: Any, held: int) -> Column:
    """Make a column of texts of the arrays that it lies in; ``held`` rows have a value."""
    count = len(ends) - 1
    bits = None if held == count else pa.py_buffer(valid.data)
    return pa.StringArray.from_buffers(
        count, pa.py_buffer(ends.data), pa.py_buffer(data.data), bits, null_count=count - held
    )


def offsets(column: Column) -> npt.NDArray[np.int32]:
    """Return where in its bytes each text of a column begins, and where the last one ends."""
    if not len(column):
        return np.zeros(1, np.int32)
    return np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]


def sizes(column: Column) -> npt.NDArray[np.int32]:
    """Return how many bytes each text of a column has; a null has 0 or any."""
    return np.diff(offsets(column))


def without(column: Column, said: frozenset[str]) -> Column:
    """Return a column of texts without those that are ``said``; nothing is copied."""
    kept = _others(column, said) if len(column) else None
    if kept is None:
        return column
    valid, held = kept
    _, places, data = column.buffers()
    bits = pa.py_buffer(valid.data)
    count, begun = len(column), places.slice(column.offset * 4)
    return pa.StringArray.from_buffers(count, begun, data, bits, null_count=count - held)


def _others(column: Column, said: frozenset[str]) -> tuple[npt.NDArray[np.uint8], int] | None:
    """Return the bits of rows whose texts are not ``said``, and how many these are; None if no text is."""
    count, before = len(column), len(column) - column.null_count
    if ready(count):
        from lemnis.ingest import columns_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

        words, ends = _laid(said)
        laid, valid = Laid.of(column), np.zeros((count + 7) // 8, np.uint8)
        held = kernel.without(*laid, count, words.ctypes.data, ends, valid)
        return None if held == before else (valid, held)
    mask = there(column)
    short = np.flatnonzero(mask & (sizes(column) <= max(len(text.encode()) for text in said)))
    if not len(short):
        return None
    found = pc.is_in(column.take(pa.array(short)), value_set=pa.array(sorted(said), TEXT))
    nothing = short[found.to_numpy(zero_copy_only=False)]
    mask[nothing] = False
    return (np.packbits(mask, bitorder="little"), before - len(nothing)) if len(nothing) else None


@lru_cache(maxsize=256)
def _laid(said: frozenset[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Lay texts end to end."""
    words = [text.encode() for text in sorted(said)]
    ends = np.concatenate(([0], np.cumsum([len(one) for one in words], dtype=np.int64)))
    return np.frombuffer(b"".join(words) + b"\0", np.uint8), ends


def parted(paths: Column, *, last: bool) -> Column:
    """Return the last part of each path, or what is before it; see ``columns_kernel``. Needs Numba."""
    from lemnis.ingest import columns_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

    count, laid, begins = len(paths), Laid.of(paths), offsets(paths)
    out = room(int(begins[-1] - begins[0]))
    ends, valid = np.empty(count + 1, np.int32), np.zeros((count + 7) // 8, np.uint8)
    held = kernel.parted(*laid, count, last, ends, valid, out)
    return texts(out, ends, valid, held)


def true(column: Column) -> Mask:
    """Say for each row of a boolean column whether it is true; null is not."""
    mask: Mask = pc.fill_null(column, False).to_numpy(zero_copy_only=False)
    return mask


def equal_texts(column: Column, other: Column) -> Mask:
    """Say for each row whether both columns hold the same text (null is equal to nothing)."""
    if pa.types.is_list(column.type) or pa.types.is_list(other.type):
        same = column is other or column.equals(other)
        return there(column) if same else np.zeros(len(column), dtype=bool)
    return there(column) if column is other else true(pc.equal(column, text(other)))


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows that agree in some fields: each row's group, and the first row of each group."""

    of: npt.NDArray[np.int64]
    first: Rows


def groups(columns: Columns, fields: Iterable[str]) -> Groups:
    """Group the rows by the values of ``fields``."""
    there = (column for column in map(columns.get, fields) if column is not None)
    return grouped(columns.count, (distinct(column).codes for column in there))


def grouped(count: int, columns: Iterable[npt.NDArray[np.integer[Any]]]) -> Groups:
    """Group ``count`` rows by columns of codes; -1 is a code, too."""
    codes = np.zeros(count, dtype=np.int64)
    for column in columns:
        codes = _dense(codes * (int(column.max(initial=-1)) + 2) + (column + 1))
    return Groups(codes, _first(codes))


def _dense(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    encoded: Any = pa.array(codes).dictionary_encode()
    dense: npt.NDArray[np.int64] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return dense


def _first(codes: npt.NDArray[np.int64]) -> Rows:
    if not len(codes):
        return np.empty(0, dtype=np.int64)
    first = np.empty(int(codes.max()) + 1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first
