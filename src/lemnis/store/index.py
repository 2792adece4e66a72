"""The optional index for searches of text: which row groups of the lake's files may hold a needle.

Beside the tables, a sidecar for each data file has, for each row group and text column, a filter of the
runs of 4 and of 6 bytes (grams) that occur in the lower-cased text: a hashed bitmap. A needle can only be
where all of its grams are. The index only spares reading: what it lets through is looked at as ever, so an
answer is the same with it and without it; a column or file that it lacks is let through. It can be thrown
away at any time.

On disk: eight bytes with the header's length, the header (JSON), the bitmaps.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lemnis.store import delta, durable
from lemnis.store.columns import leaf
from lemnis.store.query import Piece

_VERSION = 1
_SUFFIX = ".grams"
_VALUES = frozenset({"cmd_line", "url_string", "path"})
_NAMED = frozenset({"query.hostname"})
_RECORDS = frozenset({"message"})
"""Leaves that are indexed by both kinds of grams; whole paths that are; paths that are by short ones only."""
_SHORT, _LONG = 4, 6
_BITS = 23
_FEWEST = 10
_FULL = 1 / 8
"""The largest and the smallest bitmap, as powers of two; a bitmap is halved while no more of it is set."""
_FACTOR = np.uint64(0x9E37_79B9_7F4A_7C15)
_BLOCK = 1 << 22
_ASCII = 128
WORTH_ROWS = 100_000
"""A file with fewer rows is read as fast, and soon compacted."""
_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[ord("A") : ord("Z") + 1] += ord("a") - ord("A")
Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Needle:
    """A text that is in the lower-cased value of a column (a dotted path) of a row."""

    column: str
    text: str


Clauses = Sequence[tuple[Needle, ...]]
"""What a row has to meet: of each tuple at least one needle."""
Progress = Callable[[str, int, int], None]
"""Told of each file that is indexed: the table, how many are, and how many are to be."""


class Index:
    """The index of a lake, below a folder of its own."""

    def __init__(self, root: Path) -> None:
        """``root`` need not be there; then nothing is indexed."""
        self.root = root

    @property
    def exists(self) -> bool:
        """Say whether anything is indexed."""
        return self.root.is_dir()

    @property
    def bytes(self) -> int:
        """The size of all sidecars."""
        return sum(path.stat().st_size for path in self.root.rglob(f"*{_SUFFIX}"))

    def refresh(self, tables: Mapping[str, delta.Table], progress: Progress | None = None) -> int:
        """Index the files of these tables that are worth it and not indexed; forget those that are gone.

        Return how many files were indexed. Takes the memory of one row group's columns.
        """
        wanted = {
            self._sidecar(name, file): (name, table.absolute(file))
            for name, table in tables.items()
            for file in table.files()
            if file.rows >= WORTH_ROWS
        }
        for path in self.root.rglob(f"*{_SUFFIX}"):
            if path not in wanted:
                path.unlink()
        missing = [(target, *about) for target, about in wanted.items() if not target.exists()]
        for number, (target, name, path) in enumerate(missing):
            build(path, target)
            if progress is not None:
                progress(name, number + 1, len(missing))
        return len(missing)

    def pieces(
        self, name: str, table: delta.Table, files: Sequence[delta.DataFile], clauses: Clauses
    ) -> list[Path | Piece]:
        """Return a table's files, or their row groups, that may hold a row that meets the clauses."""
        asked = [_asked(clause) for clause in clauses]
        asked = [clause for clause in asked if clause]
        found: list[Path | Piece] = []
        for file in files:
            path, sidecar = table.absolute(file), self._sidecar(name, file)
            if not asked or not sidecar.exists():
                found.append(path)
                continue
            ranges = tuple(_merged(_ranges(sidecar, asked)))
            if ranges:
                found.append(path if ranges == ((0, file.rows),) else Piece(path, ranges))
        return found

    def _sidecar(self, name: str, file: delta.DataFile) -> Path:
        """Return where a file's sidecar is; its name is of one content, by the digest and size in it."""
        return self.root / name / f"{Path(file.path).name}.{file.day}.{file.bytes}{_SUFFIX}"


def build(path: Path, target: Path) -> None:
    """Write the sidecar of a data file."""
    file = pq.ParquetFile(path)
    columns = list(_indexed(file.schema_arrow))
    header: dict[str, Any] = {"version": _VERSION, "rows": [], "filters": {}}
    blobs: list[bytes] = []
    size = 0
    for group in range(file.num_row_groups):
        header["rows"].append(file.metadata.row_group(group).num_rows)
        for column, lengths in columns:
            values: Any = leaf(file.read_row_group(group, columns=[column]), column)
            text = _lowered(values.unique())
            for length in lengths:
                bits, blob = _filter(text, length)
                header["filters"].setdefault(column, {}).setdefault(str(length), []).append([size, bits])
                blobs.append(blob)
                size += len(blob)
    told = orjson.dumps(header)
    durable.make_folder(target.parent)
    with durable.replacing(target) as out:
        out.write(len(told).to_bytes(8, "little") + told)
        for blob in blobs:
            out.write(blob)


def _indexed(fields: Any, prefix: str = "") -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the columns that are indexed, with the lengths of their grams; none that is in a list."""
    for field in fields:
        path = prefix + field.name
        if pa.types.is_struct(field.type):
            yield from _indexed(field.type, f"{path}.")
        elif pa.types.is_string(field.type):
            if field.name in _VALUES or path in _NAMED:
                yield path, (_SHORT, _LONG)
            elif path in _RECORDS:
                yield path, (_SHORT,)


def _lowered(array: Any) -> Bytes:
    """Return the lower-cased text of an array, one value after the other, as the database lowers it."""
    raw = _text(array)
    if len(raw) and raw.max() >= _ASCII:
        return _text(pc.utf8_lower(array))
    return _LOWER[raw]


def _text(array: Any) -> Bytes:
    _, offsets, data = array.buffers()
    if data is None or not len(array):
        return np.empty(0, dtype=np.uint8)
    bounds = np.frombuffer(offsets, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, dtype=np.uint8)[bounds[0] : bounds[-1]]


def _hashes(text: Bytes, length: int) -> Hashes:
    """Return a number below 2^23 for each gram of a text."""
    count = len(text) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    padded = np.concatenate([text, np.zeros(8, dtype=np.uint8)])
    words = np.ndarray((count,), dtype="<u8", buffer=padded, strides=(1,))
    return ((words << np.uint64(64 - 8 * length)) * _FACTOR) >> np.uint64(64 - _BITS)


def _filter(text: Bytes, length: int) -> tuple[int, bytes]:
    """Return the bitmap of a text's grams, and its size as a power of two."""
    bits = min(_BITS, max(_FEWEST, int(len(text) / _FULL).bit_length()))
    seen: npt.NDArray[np.bool_] = np.zeros(1 << bits, dtype=bool)
    for first in range(0, len(text), _BLOCK):
        seen[_hashes(text[first : first + _BLOCK + length - 1], length) >> np.uint64(_BITS - bits)] = True
    count = np.count_nonzero(seen)
    while bits > _FEWEST and count <= _FULL * (1 << (bits - 1)):
        seen, bits = seen[0::2] | seen[1::2], bits - 1
    return bits, np.packbits(seen, bitorder="little").tobytes()


def _asked(clause: tuple[Needle, ...]) -> list[tuple[str, list[tuple[int, Hashes]]]]:
    """Return for each needle of a clause its column and grams; nothing if one of them has no gram."""
    found = []
    for needle in clause:
        raw = _LOWER[np.frombuffer(needle.text.encode(), dtype=np.uint8)]
        runs = np.split(raw, np.flatnonzero(raw >= _ASCII))  # beyond ASCII, lower case is a matter of opinion
        plain = [run[run < _ASCII] for run in runs]
        grams = [(n, np.concatenate([_hashes(run, n) for run in plain])) for n in (_SHORT, _LONG)]
        if not len(grams[0][1]):
            return []
        found.append((needle.column, grams))
    return found


def _ranges(
    sidecar: Path, asked: Sequence[list[tuple[str, list[tuple[int, Hashes]]]]]
) -> Iterator[tuple[int, int]]:
    """Yield the rows of each row group that may meet all that is asked."""
    with sidecar.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        start = 8 + int.from_bytes(mapped[:8], "little")
        header = orjson.loads(mapped[8:start])
        data = np.frombuffer(mapped, dtype=np.uint8)
        try:
            bounds = np.cumsum([0, *header["rows"]]).tolist()
            for group, rows in enumerate(pairwise(bounds)):
                if all(
                    any(
                        _may(data, start, header["filters"].get(column), group, grams)
                        for column, grams in one
                    )
                    for one in asked
                ):
                    yield rows
        finally:
            del data  # or the map cannot be closed


def _may(
    data: Bytes,
    start: int,
    filters: Mapping[str, Sequence[tuple[int, int]]] | None,
    group: int,
    grams: Sequence[tuple[int, Hashes]],
) -> bool:
    """Say whether a row group's column may hold all of the grams; a column without a filter may."""
    if filters is None:
        return True
    for length, hashes in grams:
        if str(length) in filters:
            place, bits = filters[str(length)][group]
            found = hashes >> np.uint64(_BITS - bits)
            mine = data[start + place + (found >> np.uint64(3)).astype(np.int64)]
            if not ((mine >> (found & np.uint64(7)).astype(np.uint8)) & 1).all():
                return False
    return True


def _merged(ranges: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join ranges that follow each other."""
    begun: tuple[int, int] | None = None
    for first, last in ranges:
        if begun is not None and begun[1] == first:
            begun = (begun[0], last)
            continue
        if begun is not None:
            yield begun
        begun = (first, last)
    if begun is not None:
        yield begun
