"""Sigma's view of events: the same columns whether they are made of raw records or of OCSF events.

Rows are parted by the routes of ``source.yaml`` that they belong to; each part is a frame. A column is only
computed when a rule asks for it. A Sigma field is a raw field (of its own name, or by a line over others) or
the value at an OCSF path. On raw input, raw fields are at hand and the path's mapping line is run; on events
it is the other way round: the path is at hand, and raw fields are had back from where the mapping put them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.content.schemas.source import LoadedSource, Route, SigmaField
from lemnis.contracts.detection import Coded, Frame, Lines, Offers, uncoded
from lemnis.contracts.events import EventBatch, RawBatch
from lemnis.ingest import mapping_unmapped
from lemnis.ingest.coded import CodedBatch, CodedColumns
from lemnis.ingest.left import Taken
from lemnis.ingest.mapping_columns import (
    TEXT,
    TEXTS,
    Column,
    Columns,
    RawColumns,
    Rows,
    flat,
    pc,
    text,
)
from lemnis.ingest.mapping_conditions import fields
from lemnis.ingest.mapping_lines import Context, coalesce, evaluate, plain
from lemnis.ingest.mapping_plan import plans
from lemnis.ingest.parting import Part, parts
from lemnis.store.columns import leaf

ENTRY_LIST = "metadata.transformation_info_list"
Batch = RawBatch | EventBatch | CodedBatch
PathReader = Callable[[str], Column]


class SigmaColumns(Mapping[str, Any]):
    """Columns by Sigma field name, each made when it is asked for."""

    def __init__(
        self,
        raw: Columns,
        path: PathReader,
        named: Mapping[str, SigmaField],
        codes: Callable[[str], Coded | None] = uncoded,
    ) -> None:
        """``codes`` gives raw fields by their codes, where they are at hand so."""
        self._raw = raw
        self._path = path
        self._named = named
        self._codes = codes
        self._made: dict[str, Column | None] = {}

    def coded(self, name: str) -> Coded | None:
        """Return a column by its codes; None where it is only to be had as texts."""
        line = field.line if (field := self._named.get(name)) is not None else None
        if field is None:
            return self._codes(name)
        if line is None or not plain(line) or line.absent:
            return None
        there = [coded for coded in map(self._codes, line.source) if coded is not None]
        return there[0] if len(there) == 1 else None  # a field of several names has one of them at a time

    def __getitem__(self, name: str) -> Column:
        """Return a column; raises KeyError for a field that no row has."""
        if name not in self._made:
            self._made[name] = self._make(name)
        made = self._made[name]
        if made is None:
            raise KeyError(name)
        return made

    def _make(self, name: str) -> Column | None:
        field = self._named.get(name)
        if field is None:
            return self._raw.get(name)
        if field.ocsf is not None:
            return self._path(field.ocsf)
        line = field.line
        if line is None:
            return None
        if plain(line) and len(line.source) == 1 and not line.absent:
            return self._raw.get(line.source[0])
        several = line.pick is not None or line.split is not None
        values = evaluate((line,), self._raw, TEXTS if several else TEXT, Context())
        return None if values is None else values.array

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all fields that some row has."""
        yield from (name for name in dict.fromkeys((*self._named, *self._raw.names())) if name in self)

    def __contains__(self, name: object) -> bool:
        """Say whether some row has the field."""
        return isinstance(name, str) and self.get(name) is not None

    def __len__(self) -> int:
        """Return how many fields there are."""
        return sum(1 for _ in self)


def _nowhere(_: Rows) -> None:
    """Return that texts do not lie as they were read."""
    return


class LazyFrame(Frame):
    """A frame whose raw texts are only gathered when a keyword rule asks for them."""

    __slots__ = ("_all", "_records", "_where")
    _all: Any
    _records: Any
    _where: Callable[[Rows], Lines | None]

    def __init__(self, batch: Batch, part: Part, columns: Mapping[str, Column], records: Any) -> None:
        """``records`` are those of the whole batch."""
        for name, value in (
            ("source", batch.source), ("origin", batch.origin), ("offers", part.offers()),
            ("columns", columns), ("rows", part.rows), ("_all", records), ("_records", None),
            ("_where", batch.texts.where if isinstance(batch, CodedBatch) else _nowhere),
            ("coded", columns.coded if isinstance(columns, SigmaColumns) else uncoded),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    @property
    def records(self) -> Any:
        """Return the raw texts of this frame's rows."""
        if self._records is None:
            made = isinstance(self._all, pa.Array | pa.ChunkedArray) and len(self.rows) == len(self._all)
            object.__setattr__(
                self, "_records", flat(self._all if made else self._all.take(pa.array(self.rows)))
            )
        return self._records

    def lines(self) -> Lines | None:
        """Return the raw texts where they lie, if they lie as they were read."""
        return self._where(self.rows)


def names(source: LoadedSource, routes: Iterable[Route]) -> dict[str, SigmaField]:
    """Return the Sigma fields that the source names for rows of these routes."""
    merged = dict(source.file.sigma.fields)
    for route in routes:
        merged.update(route.fields)
    return merged


def needs_entries(source: LoadedSource) -> bool:
    """Say whether some Sigma field is an OCSF path, which depends on the entry that maps the row."""
    view = source.file.sigma
    named = (*view.fields.values(), *(field for route in view.routes for field in route.fields.values()))
    return any(field.ocsf is not None for field in named)


def raw_frames(batch: RawBatch, source: LoadedSource) -> Iterator[Frame]:
    """Yield frames of raw records; rows that no route takes are in a frame that offers nothing."""
    columns = RawColumns(batch.fields)
    for part in parts(columns, source, by_entry=needs_entries(source)):
        whole = len(part.rows) == columns.count
        some = columns if whole else columns.take(part.rows)
        view = SigmaColumns(some, _line_reader(source, part.entry, some), names(source, part.routes))
        yield LazyFrame(batch, part, view, batch.records)


def coded_frames(batch: CodedBatch, source: LoadedSource) -> Iterator[Frame]:
    """Yield frames of the rows of a batch that have codes, as ``raw_frames`` does of raw records."""
    whole = CodedColumns(batch.codes, len(batch.rows))
    for part in parts(whole, source, by_entry=False):
        some = whole if len(part.rows) == whole.count else whole.take(part.rows)
        view = SigmaColumns(some, _nothing, names(source, part.routes), some.codes)
        yield LazyFrame(batch, replace(part, rows=batch.rows[part.rows]), view, batch.records)


def codable(source: LoadedSource) -> bool:
    """Say whether a source's Sigma fields can be had of codes: none of them is made by the mapping."""
    return not needs_entries(source)


def offered(source: LoadedSource) -> Offers:
    """Return everything that the routes of a source offer; which of it goes together depends on the row."""
    return Part(np.empty(0, np.int64), source.file.sigma.routes, -1).offers()


def raw_names(source: LoadedSource, wanted: Iterable[str]) -> frozenset[str]:
    """Return the raw fields that Sigma fields are made of, and those that tell the routes of a row."""
    view = source.file.sigma
    found = {name for route in view.routes for name in fields(route.when)}
    named = [view.fields, *(route.fields for route in view.routes)]
    for name in wanted:
        found.add(name)
        for some in named:
            line = some[name].line if name in some else None
            found.update(line.source if line is not None else ())
    return frozenset(found)


def _nothing(_: str) -> Column | None:
    """Return that there is nothing at a path."""
    return None


def _line_reader(source: LoadedSource, entry: int, columns: Columns) -> PathReader:
    """Read OCSF paths by running their mapping lines."""
    if entry < 0:
        return _nothing
    plan = plans(source)[entry]
    context = Context(frozenset(str(value) for value in source.mapping.common.absent))

    def read(path: str) -> Column | None:
        lines = plan.lines.get(path)
        values = None if lines is None else evaluate(lines, columns, plan.types[path], context)
        return None if values is None else text(values.array)

    return read


class EventColumns:
    """Raw fields had back from events of one entry: from ``unmapped``, else from where its lines put them."""

    def __init__(
        self,
        table: pa.Table,
        kept: Mapping[str, tuple[str, ...]],
        left: Mapping[str, Column] | None = None,
    ) -> None:
        """``left`` is what ``unmapped`` says, where that is at hand."""
        self._table = table
        self._kept = kept
        self._made: dict[str, Column | None] = {}
        self._unmapped = left

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return int(self._table.num_rows)

    def take(self, rows: Rows) -> EventColumns:
        """Return the columns of some of the rows."""
        left = None if self._unmapped is None else Taken(self._unmapped, rows)
        return EventColumns(_taken(self._table, rows), self._kept, left)

    def names(self) -> Iterator[str]:
        """Yield the names of the raw fields that may be there."""
        yield from dict.fromkeys((*self._left(), *self._kept))

    def path(self, path: str) -> Column | None:
        """Return what is at an OCSF path, as text or lists of text."""
        column = leaf(self._table, path)
        if column is None or column.null_count == len(column):
            return None
        return text(flat(column))

    def get(self, name: str) -> Column | None:
        """Return a raw field; None if no row has it."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Column | None:
        made: Column | None = self._left().get(name)
        for path in self._kept.get(name, ()):
            if made is not None and made.null_count == 0:
                break
            held = self.path(path)
            if held is not None:
                made = held if made is None else coalesce(made, held)
        return None if made is None or made.null_count == len(made) else made

    def _left(self) -> Mapping[str, Column]:
        if self._unmapped is None:
            column = leaf(self._table, "unmapped")
            self._unmapped = {} if column is None else mapping_unmapped.read(flat(column))
        return self._unmapped


def event_frames(batch: EventBatch, source: LoadedSource) -> Iterator[Frame]:
    """Yield frames of OCSF events of the source, as ``raw_frames`` gives them of the raw records."""
    known = {plan.name: plan for plan in plans(source)}
    records = leaf(batch.table, "raw_data")
    texts = pa.nulls(len(batch), TEXT) if records is None else flat(records)
    for name, rows in _by_entry(batch.table):
        plan = known.get(name)
        columns = EventColumns(batch.table, plan.kept if plan is not None else {}, batch.left)
        columns = columns if len(rows) == len(batch) else columns.take(rows)
        for part in parts(columns, source, by_entry=False):
            whole = len(part.rows) == columns.count
            some = columns if whole else columns.take(part.rows)
            view = SigmaColumns(some, some.path, names(source, part.routes))
            yield LazyFrame(batch, replace(part, rows=rows[part.rows]), view, texts)


def _taken(table: Any, rows: Rows) -> pa.Table:
    if len(rows) and int(rows[-1]) - int(rows[0]) == len(rows) - 1:  # they ascend
        part: pa.Table = table.slice(int(rows[0]), len(rows))
        return part
    taken: pa.Table = table.take(pa.array(rows))
    return taken


def _by_entry(table: pa.Table) -> Iterator[tuple[str, Rows]]:
    """Part events by the mapping's entry that made them."""
    infos = leaf(table, ENTRY_LIST)
    if infos is None or not table.num_rows:
        yield "", np.arange(table.num_rows)
        return
    lists: Any = flat(infos)
    counts = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    first = np.concatenate(([0], np.cumsum(counts)))[:-1]
    named: Any = pc.struct_field(lists.flatten(), "name").take(pa.array(first, mask=counts == 0))
    encoded = named.fill_null("").dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    for number, name in enumerate(encoded.dictionary.to_pylist()):
        yield name, np.flatnonzero(codes == number)
