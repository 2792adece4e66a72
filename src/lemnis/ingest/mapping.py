"""The mapping interpreter: raw batches in, OCSF event batches and rejects out, by columns.

It is total: a record becomes an event, or a reject that says why (no entry fits, no time, a value that is not
what its attribute wants, a required attribute without a value).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.compiled import ready
from lemnis.contracts.errors import Location
from lemnis.contracts.events import EventBatch, Mapped, RawBatch, Reject
from lemnis.ingest.identity import Joined, natural, uids
from lemnis.ingest.mapping_batch import Batch, Part
from lemnis.ingest.mapping_columns import TEXT, Chosen, Column, RawColumns, Rows, flat, groups, take
from lemnis.ingest.mapping_conditions import fields, holds
from lemnis.ingest.mapping_events import Built, Events
from lemnis.ingest.mapping_lineage import Origin, origins
from lemnis.ingest.mapping_lines import Context
from lemnis.ingest.mapping_plan import plans, together

if TYPE_CHECKING:
    from lemnis.ingest.cells_plan import Layout

_REMEMBERED = 10_000
"""Of so many combinations of what conditions look at, it is remembered which entry fits them."""


class Mapper:
    """Maps the records of one source."""

    def __init__(self, source: LoadedSource) -> None:
        self._source = source
        self._plans = plans(source)
        numbers = together(self._plans)
        self._together = {plan.name: number for plan, number in zip(self._plans, numbers, strict=True)}
        self._first = [numbers.index(number) for number in numbers]
        self._conditions = [entry.when for entry in source.mapping.events]
        self._fields = list(dict.fromkeys(name for one in self._conditions for name in fields(one)))
        self._absent = frozenset(str(value) for value in source.mapping.common.absent)
        self._numbered = numbers
        self._known: dict[str, int] = {}
        self._layout: Layout | None = None

    def map(self, batch: RawBatch, *, origin_key: str | Joined = "", now: int = 0) -> Mapped:
        """Map a batch: its events class by class, in order of the mapping's entries.

        ``origin_key`` names its origin in uids of records that do not name themselves; ``now`` is the time of
        reading, from which times without a year take theirs.
        """
        columns = RawColumns(batch.fields)
        numbers = self._numbers(columns, len(batch))
        unfit = np.flatnonzero(numbers < 0).tolist()
        rejects = [_reject(batch, row, "no entry of the mapping fits") for row in unfit]
        order, parts = self._parts(numbers, columns)
        if not parts:
            return Mapped((), tuple(rejects))
        whole = len(order) == len(batch) and bool((order[1:] > order[:-1]).all())
        raw = columns if whole else columns.take(order)
        rows = Batch(raw, Context(self._absent, now), parts)
        records, positions = _records(batch.records), flat(batch.positions)
        chosen = Chosen(records, order, whole=whole)
        named_by = natural(raw, self._source.file.identity)
        named = uids(
            batch.source, named_by, origin_key, positions if whole else take(positions, order), chosen.taken
        )
        built = list(self._groups(parts))
        batches = []
        for some, made in zip(built, self._events(batch, rows, built, chosen, named), strict=True):
            reasons = sorted(made.reasons.items())
            rejects += [_reject(batch, int(order[row]), reason) for row, reason in reasons]
            if made.table is not None:
                kind = some[0].plan.kind.uid
                batches.append(EventBatch(kind, batch.source, batch.origin, made.table, made.left))
        rejects.sort(key=lambda reject: reject.at.record or 0)
        return Mapped(tuple(batches), tuple(rejects))

    def _events(
        self, batch: RawBatch, rows: Batch, some: Sequence[Sequence[Part]], chosen: Chosen, named: Column
    ) -> Iterator[Built]:
        """Yield the events of groups of parts, and why rows are none."""
        made = (
            self._cells(batch, rows, some, chosen, named) if ready(len(batch), batch.records.nbytes) else None
        )
        if made is None:
            events = Events(self._source, rows, chosen.taken(), named)
            made = map(events.build, some)
        yield from made

    def _cells(
        self, batch: RawBatch, rows: Batch, some: Sequence[Sequence[Part]], chosen: Chosen, named: Column
    ) -> Iterator[Built] | None:
        """Return the same by compiled passes; None where these do not know some of the entries."""
        from lemnis.ingest import cells, cells_plan  # noqa: PLC0415 - Numba loads when needed

        if self._layout is None:
            self._layout = cells_plan.layout(self._source, self._plans, self._numbered)
        groups = self._layout.groups
        known = [
            (group, parts)
            for parts in some
            if (group := groups[self._together[parts[0].plan.name]]) is not None
        ]
        if len(known) < len(some):
            return None
        fields = cells.Fields.of(batch.fields)
        return cells.Cells(self._layout, rows, known, fields, chosen, named).tables()

    def explain(self, path: str) -> tuple[Origin, ...]:
        """Say for an OCSF path where each entry takes its value from: raw fields and the mapping's line."""
        return tuple(origin for origin in origins(self._source) if origin.path == path)

    def _numbers(self, columns: RawColumns, count: int) -> Rows:
        """Return the number of each row's entry; -1 where none fits."""
        if not count:
            return np.empty(0, np.int64)
        grouped = groups(columns, self._fields)
        samples = columns.take(grouped.first)
        if len(grouped.first) > _REMEMBERED:
            return self._fitting(samples)[grouped.of]
        said = [samples.get(name) for name in self._fields]
        texts = [[None] * samples.count if one is None else one.to_pylist() for one in said]
        keys = [repr(key) for key in zip(*texts, strict=True)] if texts else [""] * samples.count
        known = self._known
        fresh = [place for place, key in enumerate(keys) if key not in known]
        if fresh:
            if len(known) + len(fresh) > _REMEMBERED:
                self._known = known = {}
                fresh = list(range(len(keys)))
            found = self._fitting(samples.take(np.array(fresh))).tolist()
            known.update(zip((keys[place] for place in fresh), found, strict=True))
        return np.array([known[key] for key in keys])[grouped.of]

    def _fitting(self, samples: RawColumns) -> Rows:
        """Return the number of the first entry whose condition holds for each row; -1 where none does."""
        ignore = frozenset(self._source.file.ignore_case)
        entry = np.full(samples.count, -1)
        for number, condition in reversed(list(enumerate(self._conditions))):
            entry[holds(condition, samples, ignore)] = number
        return entry

    def _parts(self, numbers: Rows, columns: RawColumns) -> tuple[Rows, list[Part]]:
        """Return the rows that an entry fits in order of their parts, and the parts."""
        counts = np.bincount(numbers[numbers >= 0], minlength=len(self._plans))
        entries = sorted(np.flatnonzero(counts).tolist(), key=lambda entry: (self._first[entry], entry))
        place = np.full(len(self._plans) + 1, -1)
        place[entries] = np.arange(len(entries))
        order = np.argsort(place[numbers], kind="stable")[int((numbers < 0).sum()) :]
        names, start, parts = frozenset(columns.names()), 0, []
        for entry in entries:
            plan, end = self._plans[entry], start + int(counts[entry])
            given = {path: one for path, one in plan.given.items() if one.can(names)}
            parts.append(Part(plan, start, end, given))
            start = end
        return order, parts

    def _groups(self, parts: Sequence[Part]) -> Iterator[list[Part]]:
        """Yield the parts whose events are built together."""
        for _, some in groupby(parts, key=lambda part: self._together[part.plan.name]):
            yield list(some)


def _records(given: Column) -> Column:
    records: Any = flat(given)
    if pa.types.is_string(records.type):
        return records
    try:
        return records.cast(TEXT)
    except pa.ArrowInvalid:
        return pa.array(
            [None if raw is None else raw.decode("utf-8", "backslashreplace") for raw in records.to_pylist()],
            TEXT,
        )


def _reject(batch: RawBatch, row: int, reason: str) -> Reject:
    raw = batch.records[row].as_py()
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw or b""
    return Reject(Location(batch.origin, record=batch.positions[row].as_py()), reason, data)
