"""Event uids: the same record has the same uid on every machine and whenever it is read again.

A source that declares ``identity`` fields names a record by them; a record that lacks one of them, and every
record of other sources, is named by its origin, its position there and its bytes. The uid is that of
``contracts.ids.stable_id``; its length-framed input is put together by columns, so that a row costs one hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lemnis.contracts.compiled import ready
from lemnis.ingest.mapping_columns import TEXT, Column, Columns, Rows, offsets, pc, there

_BINARY = pa.binary()
_UID, _BLOCK, _PADDED = 19, 64, 72
_LONG = 8192
"""What a uid is made of and has more bytes is hashed by itself: that is sooner done, and takes less room."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Several origins, or parts of them, read as one stream of lines: a record has the uid of its origin.

    Of each: the origin's key, how many lines of the stream come before it (ascending), and how many lines of
    the origin itself do.
    """

    keys: Sequence[str]
    before: npt.NDArray[np.int64]
    ahead: npt.NDArray[np.int64]

    def of(self, numbers: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return which origin (from 0) the stream's lines (from 1) are of, and their numbers in it."""
        which = np.searchsorted(self.before, numbers - 1, side="right") - 1
        return which, numbers - self.before[which] + self.ahead[which]

    def placed(self, positions: Column) -> tuple[Column, Column]:
        """Return each row's origin key, and its position in that origin."""
        which, numbers = self.of(positions.to_numpy(zero_copy_only=False))
        keys = pa.array(self.keys, TEXT).take(pa.array(which, pa.int64()))
        return keys, pa.array(numbers, pa.int64())


def uids(
    source: str,
    named_by: Sequence[Column | None],
    origin_key: str | Joined,
    positions: Column,
    records: Callable[[], Column],
) -> Column:
    """Return an ``ev-…`` uid for each row; ``named_by`` are the identity fields (None: no row has it).

    ``records`` is asked where they do not name all rows.
    """
    count = len(positions)
    if not count:
        return pa.array([], TEXT)
    whole = [column for column in named_by if column is not None]
    named = np.full(count, bool(whole) and len(whole) == len(named_by))
    if named.any():
        named = np.logical_and.reduce([there(column) for column in whole])
    placed: list[Column] = []
    if not named.all():
        if isinstance(origin_key, Joined):
            keys, positions = origin_key.placed(positions)
        else:
            keys = pa.repeat(pa.scalar(origin_key, TEXT), count)
        placed = [keys, positions.cast(TEXT), records()]
    if ready(count):
        return _compiled(source, count, [(np.flatnonzero(named), whole), (np.flatnonzero(~named), placed)])
    framed = _framed(whole) if named.any() else pa.nulls(count, _BINARY)
    return _hash(source, pc.coalesce(framed, _framed(placed)) if placed else framed)


def _compiled(source: str, count: int, parts: Sequence[tuple[Rows, Sequence[Column]]]) -> Column:
    """Hash many rows at a time: those of each part by its columns."""
    from lemnis.ingest import identity_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

    prefix, out = np.frombuffer(_prefix(source), np.uint8), np.empty(count * _UID, np.uint8)
    for rows, columns in parts:
        if not len(rows):
            continue
        laid = [_laid(column) for column in columns]
        places, sizes = np.stack([one for one, _ in laid]), np.stack([one for _, one in laid])
        room = (sizes.sum(axis=0) + (len(prefix) + 8 * len(columns)))[rows]
        short = room <= _LONG
        blocks = ((room[short] + _PADDED) // _BLOCK).astype(np.uint16)
        order = rows[short][np.argsort(blocks, kind="stable")]
        kernel.uids(prefix, places, sizes, order, int(room[short].max(initial=0)), out)
        for row in rows[~short].tolist():
            said = b"".join(_frame(column[row].cast(_BINARY).as_py()) for column in columns)
            uid = f"ev-{hashlib.sha256(prefix.tobytes() + said).hexdigest()[:16]}"
            out[row * _UID : (row + 1) * _UID] = np.frombuffer(uid.encode(), np.uint8)
    ends = np.arange(count + 1, dtype=np.int32) * _UID
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends.data), pa.py_buffer(out.data))


def _laid(column: Column) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return at which address each text of a column lies, and its size."""
    data, ends = column.buffers()[2], offsets(column).astype(np.int64)
    return ends[:-1] + (data.address if data is not None else 0), np.diff(ends)


def _frame(data: bytes) -> bytes:
    """Return bytes after their length in eight bytes."""
    return len(data).to_bytes(8, "big") + data


def _prefix(source: str) -> bytes:
    """Return what the uids of all events of a source begin to be hashed with."""
    return _frame(b"ev") + _frame(source.encode("utf-8", "surrogatepass"))


def _framed(columns: Sequence[Column]) -> Any:
    """Join the columns' bytes, each after its length in eight bytes; null where one is null."""
    pieces: list[Any] = []
    for column in columns:
        raw = column.cast(_BINARY)
        lengths = pc.binary_length(raw).fill_null(0).to_numpy(zero_copy_only=False).astype(">u8")
        fixed = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(8), len(lengths), [None, pa.py_buffer(lengths.tobytes())]
        )
        pieces += [fixed.cast(_BINARY), raw]
    return pc.binary_join_element_wise(*pieces, b"")


def _hash(source: str, framed: Any) -> Column:
    base = hashlib.sha256(_prefix(source))
    out = []
    for raw in framed.to_pylist():
        state = base.copy()
        state.update(raw)
        out.append("ev-" + state.hexdigest()[:16])
    return pa.array(out, TEXT)


def natural(columns: Columns, identity: Sequence[Sequence[str]]) -> list[Column | None]:
    """Return what names records, as texts: of each identity field the first that is there; lists joined."""
    return [_first(columns, names) for names in identity]


def _first(columns: Columns, names: Sequence[str]) -> Column | None:
    found: Column | None = None
    for name in names:
        column = columns.get(name)
        if column is None:
            continue
        text = pc.binary_join(column, "\x1f") if pa.types.is_list(column.type) else column
        found = text if found is None else pc.coalesce(found, text)
    return found
