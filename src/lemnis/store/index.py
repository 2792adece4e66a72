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
import orjson
import pyarrow as pa

from lemnis.store import delta, durable, grams, spots
from lemnis.store.columns import leaf
from lemnis.store.grams import Bytes, Hashes
from lemnis.store.query import Piece
from lemnis.store.spots import Spot

_VERSION = 2
_SUFFIX = ".grams2"
"""A sidecar of another version is none: it is made anew."""
_LOCK = "lock"
_VALUES = frozenset({"cmd_line", "url_string", "path"})
_NAMED = frozenset({"query.hostname"})
_RECORDS = frozenset({"message", "raw_data", "unmapped"})
"""Leaves that are indexed by both kinds of grams; whole paths that are; paths that are by short ones only."""
WORTH_ROWS = 100_000
"""A file of a flush with fewer rows is soon compacted, which its sidecar would not outlive."""
WORTH_STAYING = 8_192
"""A file that was rewritten stays: of a quiet class there is one a day, and a word is looked for in each."""
_FLUSHED = "spool-"


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

        Return how many files were indexed. One at a time does it, in the memory of one row
        group's columns.
        """
        durable.make_folder(self.root)
        with durable.exclusive(self.root / _LOCK):
            return self._refresh(tables, progress)

    def _refresh(self, tables: Mapping[str, delta.Table], progress: Progress | None) -> int:
        wanted = {
            self._sidecar(name, file): (name, table.absolute(file))
            for name, table in tables.items()
            for file in table.files()
            if file.rows >= _worth(file)
        }
        for one in list(self.root.rglob("*")):
            if one.is_file() and one not in wanted and one.name != _LOCK:
                one.unlink()
        missing = [(target, *about) for target, about in wanted.items() if not target.exists()]
        for number, (target, name, path) in enumerate(missing):
            build(path, target)
            if progress is not None:
                progress(name, number + 1, len(missing))
        return len(missing)

    def pieces(
        self, name: str, table: delta.Table, files: Sequence[delta.DataFile], clauses: Clauses
    ) -> list[Spot | Piece]:
        """Return a table's files, or their row groups, that may hold a row that meets the clauses."""
        asked = [_asked(clause) for clause in clauses]
        asked = [clause for clause in asked if clause]
        found: list[Spot | Piece] = []
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


def _worth(file: delta.DataFile) -> int:
    """Return from how many rows on a file is indexed."""
    flushed = Path(file.path).name.startswith(_FLUSHED)
    return WORTH_ROWS if flushed else min(WORTH_ROWS, WORTH_STAYING)


def build(path: Spot, target: Path) -> None:
    """Write the sidecar of a data file."""
    file = spots.parquet(path)
    columns = list(_indexed(file.schema_arrow))
    header: dict[str, Any] = {"version": _VERSION, "rows": [], "filters": {}}
    blobs: list[bytes] = []
    size = 0
    for group in range(file.num_row_groups):
        header["rows"].append(file.metadata.row_group(group).num_rows)
        for column, lengths in columns:
            values: Any = leaf(file.read_row_group(group, columns=[column]), column)
            chunks = values.chunks if column in _RECORDS else [values.unique()]
            texts = [grams.lowered(chunk) for chunk in chunks]
            for length in lengths:
                bits, blob = grams.bitmap(texts, length)
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
                yield path, (grams.SHORT, grams.LONG)
            elif path in _RECORDS:
                yield path, (grams.SHORT,)


def _asked(clause: tuple[Needle, ...]) -> list[tuple[str, list[tuple[int, Hashes]]]]:
    """Return for each needle of a clause its column and grams; nothing if one of them has no gram."""
    found = []
    for needle in clause:
        hashes = grams.of_needle(needle.text)
        if not len(hashes[0][1]):
            return []
        found.append((needle.column, hashes))
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
                        _may(data, start, header["filters"].get(column), group, sought)
                        for column, sought in one
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
    sought: Sequence[tuple[int, Hashes]],
) -> bool:
    """Say whether a row group's column may hold all of the grams; a column without a filter may."""
    if filters is None:
        return True
    for length, hashes in sought:
        if str(length) in filters:
            place, bits = filters[str(length)][group]
            if not grams.there(data, start + place, bits, hashes):
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
