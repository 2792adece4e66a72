"""A batch's rows in order of their entries, and what the mapping's lines give them.

Lines that several entries share are worked out once, for all rows between the first and the last of these
entries; so what a batch costs depends on its rows, and little on how many kinds of record are in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.content.schemas.source import Line
from lemnis.ingest.mapping_columns import TEXT, Column, Mask, RawColumns, equal_texts, pc, there
from lemnis.ingest.mapping_lines import Context, Values, evaluate, times
from lemnis.ingest.mapping_plan import SEVERITIES, EntryPlan, Given, Times

INT64 = pa.int64()


@dataclass(frozen=True, slots=True)
class Part:
    """One entry's rows, from ``start`` to before ``end``; ``given`` are those of its lines that can give."""

    plan: EntryPlan
    start: int
    end: int
    given: dict[str, Given]

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return self.end - self.start


@dataclass(slots=True)
class _Span:
    """The rows that something is worked out for."""

    start: int
    end: int

    def reach(self, part: Part) -> None:
        """Reach over the rows of a part, too."""
        self.start, self.end = min(self.start, part.start), max(self.end, part.end)


@dataclass(frozen=True, slots=True)
class _Held:
    """What lines gave the rows from ``start`` on."""

    start: int
    values: Values

    def of(self, part: Part) -> Column | None:
        """Return what the rows of a part have; None if none has a value."""
        column = _cut(self.values.array, self.start, part)
        return None if column.null_count == part.count else column

    def bad(self, part: Part) -> Iterator[tuple[list[int], Line]]:
        """Yield rows of a part that must be rejected, numbered in the batch, with the line that failed."""
        for mask, line in self.values.bad:
            rows = np.flatnonzero(mask[part.start - self.start : part.end - self.start])
            if len(rows):
                yield (rows + part.start).tolist(), line


@dataclass(frozen=True, slots=True)
class Moments:
    """The times of a part's rows, the texts they were read from, and which of these are the first field's."""

    found: Column
    texts: Column
    first: Column


@dataclass(slots=True)
class Batch:
    """Rows in order of their parts, and what was worked out of them so far."""

    raw: RawColumns
    context: Context
    parts: Sequence[Part]
    _spans: dict[Given | Times, _Span] = field(init=False)
    _keeping: dict[str, list[tuple[Part, Given | None]]] = field(init=False)
    _columns: dict[tuple[int, int], RawColumns] = field(init=False, default_factory=dict)
    _values: dict[Given, _Held | None] = field(init=False, default_factory=dict)
    _times: dict[Times, Moments] = field(init=False, default_factory=dict)
    _levels: dict[Given, Column] = field(init=False, default_factory=dict)
    _equal: dict[tuple[str, Given | Times], Mask | tuple[Column, Column]] = field(
        init=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Find out over which rows each of the lines goes."""
        spans: dict[Given | Times, _Span] = {}
        for part in self.parts:
            plan = part.plan
            keys: tuple[Given | Times, ...] = (*part.given.values(), plan.level, plan.doing, plan.moment)
            for key in keys:
                if key in spans:
                    spans[key].reach(part)
                else:
                    spans[key] = _Span(part.start, part.end)
        self._spans = spans
        self._keeping = {}
        for part in self.parts:
            for name, paths in part.plan.kept.items():
                for path in paths:
                    if path in part.given:
                        self._keeping.setdefault(name, []).append((part, part.given[path]))
                    elif path not in part.plan.lines:  # it is the original time, the first field's text
                        self._keeping.setdefault(name, []).append((part, None))

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return self.parts[-1].end if self.parts else 0

    def columns(self, start: int, end: int) -> RawColumns:
        """Return the raw fields of rows that lie together."""
        if (start, end) not in self._columns:
            whole = start == 0 and end == self.raw.count
            self._columns[start, end] = self.raw if whole else self.raw.part(start, end)
        return self._columns[start, end]

    def held(self, given: Given) -> _Held | None:
        """Return what lines give; None if they give nothing anywhere."""
        if given not in self._values:
            span = self._spans[given]
            values = evaluate(given.lines, self.columns(span.start, span.end), given.kind, self.context)
            self._values[given] = None if values is None else _Held(span.start, values)
        return self._values[given]

    def column(self, part: Part, given: Given) -> Column | None:
        """Return what lines give the rows of a part; None if none has a value."""
        held = self.held(given)
        return None if held is None else held.of(part)

    def alone(self, part: Part, path: str) -> Values | None:
        """Return what a path's lines give the rows of a part, worked out for these alone."""
        given = part.given.get(path)
        if given is None:
            return None
        return evaluate(given.lines, self.columns(part.start, part.end), given.kind, self.context)

    def moments(self, part: Part) -> Moments:
        """Return the times of a part's rows."""
        held, start = self._moments(part.plan.moment), self._spans[part.plan.moment].start
        return Moments(*(_cut(column, start, part) for column in (held.found, held.texts, held.first)))

    def level(self, part: Part) -> Column | None:
        """Return the severities of a part's rows by number; None if nothing says them."""
        given, held = part.plan.level, self.held(part.plan.level)
        if held is None:
            return None
        if given not in self._levels:
            keys = pa.array(list(SEVERITIES), TEXT)
            numbers: Any = pc.index_in(pc.utf8_lower(held.values.array), value_set=keys).cast(INT64)
            self._levels[given] = numbers.fill_null(0)
        return _cut(self._levels[given], held.start, part)

    def values(self, parts: Sequence[Part], path: str) -> Column | None:
        """Return what is at a path in parts that lie together; None if no row has a value."""
        runs: list[tuple[Given | None, Part]] = []
        for part in parts:
            given = part.given.get(path)
            if runs and runs[-1][0] is given:
                runs[-1] = (given, Part(part.plan, runs[-1][1].start, part.end, {}))
            else:
                runs.append((given, part))
        kind = next(given.kind for given, _ in runs if given is not None)
        pieces = [None if given is None else self.column(part, given) for given, part in runs]
        return joined(pieces, [part.count for _, part in runs], kind)

    def unkept(self, name: str, column: Column) -> Mask | None:
        """Say for each row whether it has a raw field that none of its entry's lines keeps word for word.

        None if there is no such row.
        """
        keeping = self._keeping.get(name, [])
        if self._all_kept(column, keeping):
            return None
        rest = there(column)
        for part, given in keeping:
            rest[part.start : part.end] &= ~self.same(part, name, given, column)
        return rest if rest.any() else None

    def _all_kept(self, column: Column, keeping: Sequence[tuple[Part, Given | None]]) -> bool:
        """Say whether there are as many values as lines copy: no row has one that is not among these."""
        left, done = len(column) - column.null_count, 0
        for part, given in keeping:
            held = None if given is None or part.start < done else self.held(given)
            if held is not None and held.values.copied:
                copied = held.of(part)
                left -= 0 if copied is None else part.count - copied.null_count
                done = part.end
        return not left

    def same(self, part: Part, name: str, given: Given | None, column: Column) -> Mask:
        """Say for a part's rows whether what was made of a raw field is still the same text."""
        key: tuple[str, Given | Times] = (name, part.plan.moment if given is None else given)
        span = self._spans[key[1]]
        if key not in self._equal:
            raw = column.slice(span.start, span.end - span.start)
            held = None if given is None else self.held(given)
            if given is None:
                array, copied = self._moments(part.plan.moment).first, not pa.types.is_list(raw.type)
            elif held is not None:
                array, copied = held.values.array, held.values.copied
            else:
                array, copied = pa.nulls(len(raw), TEXT), True
            self._equal[key] = _equal(raw, array, copied=copied)
        equal = self._equal[key]
        if not isinstance(equal, tuple):
            return equal[part.start - span.start : part.end - span.start]
        raw, array = (one.slice(part.start - span.start, part.count) for one in equal)
        return equal_texts(raw, array)

    def _moments(self, read: Times) -> Moments:
        if read not in self._times:
            span = self._spans[read]
            some = self.columns(span.start, span.end)
            self._times[read] = Moments(*times(read.lines, some, self.context))
        return self._times[read]


def _equal(raw: Column, array: Column, *, copied: bool) -> Mask | tuple[Column, Column]:
    """Say where both are the same text; of lists, give both: all rows of a part are the same, or none."""
    if copied:
        return there(array)
    if pa.types.is_list(raw.type) or pa.types.is_list(array.type):
        return raw, array
    return equal_texts(raw, array)


_nulls: Any = pa.nulls  # its stubs know no type that is one of several


def joined(pieces: Sequence[Column | None], counts: Sequence[int], kind: pa.DataType) -> Column | None:
    """Put pieces of so many rows one after another; None if there are none."""
    if all(piece is None for piece in pieces):
        return None
    arrays: list[Any] = [
        _nulls(count, kind) if piece is None else piece for piece, count in zip(pieces, counts, strict=True)
    ]
    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)


def _cut(column: Column, start: int, part: Part) -> Column:
    """Return a part's rows of a column that begins at a row of the batch."""
    first = part.start - start
    return column if not first and len(column) == part.count else column.slice(first, part.count)
