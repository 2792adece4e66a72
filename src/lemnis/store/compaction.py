"""Rewriting what is in the tables: beside them, in bounded memory, put in place in one commit a day.

What is rewritten lies below ``rewriting/`` until it is whole and synced, where neither readers nor a flush's
recovery look. Only to put it in place are the tables held; a flush that came meanwhile has added files, which
stay as they are. Killed anywhere, the table is as before or as after; what lies beside it is thrown away by
the next run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lemnis.contracts.errors import IntegrityError, Location
from lemnis.store import delta, durable, memory, spots
from lemnis.store.columns import conform
from lemnis.store.delta import DataFile
from lemnis.store.lakes import TableSet
from lemnis.store.layout import arrange
from lemnis.store.spots import Spot

COMPACT = "compact"
FILE_ROWS = 2_000_000
_WINDOW_BYTES = 96 << 20
"""So many bytes of rows, as Arrow holds them, are sorted at once; arranged, they are there twice."""
_WINDOW_ROWS = 262_144
_TIMES_ROWS = 1 << 20
_SLICES = 1 << 20
_SAMPLED = 1_000
_PIECE_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class Day:
    """The files of one table's day that are to be rewritten."""

    name: str
    day: str
    files: tuple[DataFile, ...]


@dataclass(frozen=True, slots=True)
class Compacted:
    """What one day's compaction did: files before and after, rows, and bytes before and after."""

    name: str
    day: str
    files: int
    new_files: int
    rows: int
    bytes: int
    new_bytes: int


Progress = Callable[[Compacted], None]
"""Told of each day that is done."""


class Rewriting:
    """What is being rewritten, of one table; use it within ``Tables.keeping``."""

    def __init__(self, tables: TableSet, name: str, done: str) -> None:
        """``done`` is the operation's name, in the log and in those of the files."""
        self._tables, self._name, self._done = tables, name, done
        self._beside = tables.beside(name)
        self._ready: list[tuple[str, Path]] = []
        shutil.rmtree(self._beside, ignore_errors=True)
        durable.make_folder(self._beside)

    def stage(self, day: str, parts: Iterable[pa.Table], *, rows: int = FILE_ROWS) -> int:
        """Write a day's sorted rows, which come in tables of one schema, as files of ``rows`` or some more.

        Return how many rows there are. No table is parted: files are of parted times if the tables are.
        """
        whole = 0
        for group in _by_rows(parts, rows):
            path = delta.write_file(self._beside, f"{len(self._ready):04}", group)
            whole += pq.read_metadata(path).num_rows
            self._ready.append((day, path))
        return whole

    def commit(
        self, gone: Sequence[DataFile], *, changed: bool = False, facts: Mapping[str, str] | None = None
    ) -> tuple[list[DataFile], delta.Table] | None:
        """Put what is staged in the place of ``gone``; None, and nothing is done, if they are gone already.

        Return the new files, and the table as it is now.
        """
        with self._tables.writing():
            table = self._open()
            names = {file.path for file in table.files()}
            if not names.issuperset(file.path for file in gone):
                return None
            placed: list[Spot] = []
            for number, (day, path) in enumerate(self._ready):
                name = delta.file_name(
                    f"{self._done}-{table.version + 1:012}-{number:04}", delta.digest_in(path.name)
                )
                target = table.folder / f"{delta.DAY}={day}" / name
                durable.make_folder(target.parent)
                spots.move(path, target)
                durable.sync(target.parent)
                placed.append(target)
            self._ready.clear()
            if not table.replace(gone, placed, done=self._done, changed=changed, facts=facts):
                for target in placed:
                    target.unlink()
                return None
            self._tables.settled(self._name, table.version)
        there = {spots.below(path, table.folder) for path in placed}
        return [file for file in table.files() if file.path in there], table

    def _open(self) -> delta.Table:
        table = delta.open_table(self._tables.folder(self._name))
        if table is None:
            raise IntegrityError("this table is gone", at=Location(str(self._tables.folder(self._name))))
        return table


def due(tables: TableSet, *, min_files: int, rows: int = FILE_ROWS, names: Sequence[str] = ()) -> list[Day]:
    """Return the days with at least ``min_files`` files that are smaller than they would be, oldest first."""
    found = []
    for name, table in tables.open():
        if names and name not in names:
            continue
        by_day: dict[str, list[DataFile]] = {}
        for file in table.files():
            by_day.setdefault(file.day, []).append(file)
        for day, files in by_day.items():
            small = [file for file in files if file.rows < rows]
            whole = -(-sum(file.rows for file in small) // rows)
            if len(small) >= max(min_files, whole + 1):
                found.append(Day(name, day, tuple(small)))
    return sorted(found, key=lambda one: (one.day, one.name))


def compact(
    tables: TableSet,
    *,
    min_files: int,
    rows: int = FILE_ROWS,
    names: Sequence[str] = (),
    most: int | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Compacted]:
    """Rewrite days of at least ``min_files`` small files as few, sorted ones; return what was done.

    A new file holds about ``rows`` rows. At most ``most`` days are done, oldest first. What is replaced
    stays on the disk for readers, until it is swept (``store.sweeping``). Takes a few times the memory of
    ``_WINDOW_BYTES``, whatever there is in a day.
    """
    done: list[Compacted] = []
    with tables.keeping():
        for day in due(tables, min_files=min_files, rows=rows, names=names)[:most]:
            if stop():
                break
            one = _day(tables, day, rows)
            if one is not None:
                done.append(one)
                if progress is not None:
                    progress(one)
    return done


def _day(tables: TableSet, day: Day, rows: int) -> Compacted | None:
    table = delta.open_table(tables.folder(day.name))
    if table is None:
        return None
    rewriting = Rewriting(tables, day.name, COMPACT)
    whole = rewriting.stage(day.day, merged(table, day.files), rows=rows)
    if whole != sum(file.rows for file in day.files):
        raise IntegrityError(
            f"the files of {day.day} have {whole} rows, and {sum(f.rows for f in day.files)} by the log",
            at=Location(str(table.folder)), fix="`lemnis lake check --deep` names the file",
        )  # fmt: skip
    placed = rewriting.commit(day.files)
    memory.release()
    if placed is None:
        return None
    new, _ = placed
    return Compacted(
        day.name, day.day, len(day.files), len(new), whole,
        sum(file.bytes for file in day.files), sum(file.bytes for file in new),
    )  # fmt: skip


def merged(table: delta.Table, files: Sequence[DataFile]) -> Iterator[pa.Table]:
    """Yield the rows of a day's files, in the order in which they are kept, in tables of bounded size.

    They are read by spans of ``time`` that have about as many rows each; of files that are sorted by it, only
    the rows of that span are unpacked.
    """
    for low, high in spans(table, files):
        some = [file for file in files if file.first < high and file.last >= low]
        parts = [part for file in some for part in _pieces(table, file, low, high)]
        if parts:
            whole = pa.concat_tables(parts)
            del parts
            whole = arrange(whole)
            yield whole
            del whole  # while the next one is read, this one is not held


def spans(table: delta.Table, files: Sequence[DataFile]) -> Iterator[tuple[int, int]]:
    """Yield [low, high) of ``time`` (ms) that part the rows of files into tables of bounded size."""
    rows = sum(file.rows for file in files)
    whole = sum(file.rows * _unpacked(table.absolute(file)) for file in files)
    step = max(1, min(_WINDOW_ROWS, _WINDOW_BYTES * rows // max(1, round(whole))))
    if rows <= step:
        yield -delta.FAR, delta.FAR
        return
    first = min(int(part.min()) for file in files for part in _times(table, file))
    last = max(int(part.max()) for file in files for part in _times(table, file))
    bounds = [-delta.FAR, *_bounds(table, files, (first, last + 1), step), delta.FAR]
    yield from pairwise(bounds)


def _bounds(table: delta.Table, files: Sequence[DataFile], span: tuple[int, int], step: int) -> Iterator[int]:
    """Yield times, ascending, that part what lies in a span into pieces of about ``step`` rows.

    Rows are counted by slices of the span; one with too many rows is parted in its turn, up to the
    millisecond. So it takes the same memory whatever there is in a day.
    """
    low, high = span
    width = -(-(high - low) // _SLICES)
    counts = np.zeros(-(-(high - low) // width), dtype=np.int64)
    for file in files:
        if file.first < high and file.last >= low:
            for times in _times(table, file):
                counts += np.bincount(
                    (times[(times >= low) & (times < high)] - low) // width, minlength=len(counts)
                )
    taken = 0
    for place in np.flatnonzero(counts).tolist():
        count, begins = int(counts[place]), low + place * width
        if taken and taken + count > step:
            yield begins
            taken = 0
        if count > step and width > 1:
            yield from _bounds(table, files, (begins, min(begins + width, high)), step)
        taken += count


def _pieces(table: delta.Table, file: DataFile, low: int, high: int) -> Iterator[pa.Table]:
    """Yield a file's rows in [low, high), in the table's schema; never is more than one piece unpacked.

    Only row groups that have such rows are read, as far as the file says which times they have.
    """
    schema, source = table.schema, spots.parquet(table.absolute(file))
    ranges = delta.time_ranges(source.metadata)
    groups = [number for number, (first, last) in enumerate(ranges) if first < high and last >= low]
    for batch in source.iter_batches(batch_size=_PIECE_ROWS, row_groups=groups):
        times = batch.column(batch.schema.get_field_index("time")).to_numpy()
        inside = (times >= low) & (times < high)
        if inside.any():
            part = pa.Table.from_batches([batch if inside.all() else batch.filter(pa.array(inside))])
            yield conform(part, schema)


def _unpacked(path: Spot) -> float:
    """Return how many bytes a row of a file takes as Arrow holds it, by its first rows."""
    batch = next(spots.parquet(path).iter_batches(batch_size=_SAMPLED), None)
    return batch.nbytes / batch.num_rows if batch is not None and batch.num_rows else 0.0


def _times(table: delta.Table, file: DataFile) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    batches = spots.parquet(table.absolute(file)).iter_batches(batch_size=_TIMES_ROWS, columns=["time"])
    return (batch.column(0).to_numpy() for batch in batches)


def _by_rows(parts: Iterable[pa.Table], rows: int) -> Iterator[Iterator[pa.Table]]:
    """Group a stream of tables, each group to be used up in its turn; one ends when it has ``rows`` rows."""
    stream = iter(parts)

    def group(part: list[pa.Table]) -> Iterator[pa.Table]:
        left = rows
        while part:
            left -= part[0].num_rows
            yield part.pop()  # while the next one is made, this one is not held
            part = list(islice(stream, 1 if left > 0 else 0))

    while first := list(islice(stream, 1)):
        yield group(first)
