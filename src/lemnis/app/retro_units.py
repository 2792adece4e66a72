"""History in pieces: which files of which tables there are to look at, and how they are read.

What there is follows from the Delta log's statistics; which sources a file holds, from its footer. Nothing is
read that cannot hold an answer. A file is read a row group at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import stable_id
from lemnis.store import rows, spots
from lemnis.store.columns import by_source, conform
from lemnis.store.lakes import Snapshot
from lemnis.store.spots import Spot

SPOOL = "(not flushed yet)"
_UNIT_ROWS = 500_000
_BATCH_ROWS = 65_536
_SOURCE = "metadata.log_name"

Wanted = Collection[str] | None
"""The sources that are looked at; None: all."""


@dataclass(frozen=True, slots=True)
class Range:
    """Events with ``time`` (ms) in [start, end)."""

    start: int | None = None
    end: int | None = None

    def of(self, table: pa.Table) -> pa.Table:
        """Return the rows in the range."""
        kept: Any = None
        time = pc.field("time")
        if self.start is not None:
            kept = time >= self.start
        if self.end is not None:
            kept = time < self.end if kept is None else kept & (time < self.end)
        return table if kept is None else table.filter(kept)

    def apart(self, low: int, high: int) -> bool:
        """Say whether nothing in [low, high] is in the range."""
        return (self.end is not None and low >= self.end) or (self.start is not None and high < self.start)


@dataclass(frozen=True, slots=True)
class File:
    """A data file: its name below the table's folder, where it is, its rows and bytes."""

    name: str
    path: Spot
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Unit:
    """Files of one table and day that are looked at together, and known as looked at together."""

    table: str
    day: str
    files: tuple[File, ...]
    wanted: Wanted = None

    @property
    def class_uid(self) -> int:
        """The class of its events."""
        return rows.table_class(self.table)

    @property
    def key(self) -> str:
        """What the unit is known by: a file never changes, and one that is rewritten has another name."""
        return stable_id("ru", self.table, *(file.name for file in self.files))

    @property
    def rows(self) -> int:
        """How many events there are."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """How many bytes the files have."""
        return sum(file.bytes for file in self.files)


def units(name: str, snapshot: Snapshot, limits: Range) -> Iterator[Unit]:
    """Yield the units of a table, by day and file."""
    if snapshot.table is None:
        return
    held: list[File] = []
    day, count = "", 0
    for one in snapshot.table.files(start=limits.start, end=limits.end):
        if held and (one.day != day or count >= _UNIT_ROWS):
            yield Unit(name, day, tuple(held))
            held, count = [], 0
        held.append(File(one.path, snapshot.table.absolute(one), one.rows, one.bytes))
        day, count = one.day, count + one.rows
    if held:
        yield Unit(name, day, tuple(held))


def holds(file: File, wanted: Wanted) -> bool:
    """Say whether a file can hold events of these sources, by the statistics in its footer."""
    if wanted is None:
        return True
    with spots.parquet(file.path) as opened:
        about = opened.metadata
        return any(_may_hold(about.row_group(n), wanted) for n in range(about.num_row_groups))


def read(
    file: File, schema: pa.Schema, limits: Range, wanted: Wanted = None, part: tuple[int, int] = (0, 1)
) -> Iterator[pa.Table]:
    """Yield the rows of a file in a schema, in pieces of at most 65,536 that are read one by one.

    Of its row groups the first number of ``part`` says which of so many stretches are read.

    ``schema`` may have fewer columns than the table: the others are not read. Nor are row groups of which
    the statistics say that they are outside the range, or of other sources.
    """
    with spots.parquet(file.path) as opened:
        about = opened.metadata
        first, last = (about.num_row_groups * number // part[1] for number in (part[0], part[0] + 1))
        groups = [
            n for n in range(first, last)
            if not _outside(about.row_group(n), limits) and _may_hold(about.row_group(n), wanted)
        ]  # fmt: skip
        if not groups:
            return
        names = [name for name in schema.names if name in opened.schema_arrow.names]
        for batch in opened.iter_batches(_BATCH_ROWS, row_groups=groups, columns=names):
            yield limits.of(conform(pa.Table.from_batches([batch]), schema))


def batches(table: pa.Table, class_uid: int, wanted: Wanted = None) -> Iterator[EventBatch]:
    """Part rows into batches of one source each, as detection takes them."""
    for source, some in by_source(table):
        if some.num_rows and (wanted is None or source in wanted):
            yield EventBatch(class_uid, source, "lake", some)


def _leaf(group: Any, path: str) -> Any:
    """Return the statistics of a column in a row group; None where there are none."""
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == path:
            about = column.statistics
            return about if about is not None and about.has_min_max else None
    return None


def _outside(group: Any, limits: Range) -> bool:
    about = _leaf(group, "time")
    return about is not None and limits.apart(about.min, about.max)


def _may_hold(group: Any, wanted: Wanted) -> bool:
    if wanted is None:
        return True
    about = _leaf(group, _SOURCE)
    return about is None or any(about.min <= name <= about.max for name in wanted)


def day_span(found: Sequence[Unit]) -> tuple[str, str] | None:
    """Return the first and the last day of some units."""
    days = sorted(unit.day for unit in found)
    return (days[0], days[-1]) if days else None


def by_table(found: Sequence[Unit]) -> Mapping[str, list[Unit]]:
    """Return units by their tables, in the order in which they come."""
    parted: dict[str, list[Unit]] = {}
    for unit in found:
        parted.setdefault(unit.table, []).append(unit)
    return parted
