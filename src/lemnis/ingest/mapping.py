"""The mapping interpreter: raw batches in, OCSF event batches and rejects out, by columns.

It is total: a record becomes an event, or a reject that says why (no entry fits, no time, a value that is not
what its attribute wants, a required attribute without a value).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.content.schemas.source import Line, LoadedSource
from lemnis.contracts.errors import Location
from lemnis.contracts.events import EventBatch, Mapped, RawBatch, Reject
from lemnis.ingest import mapping_build, mapping_unmapped
from lemnis.ingest.identity import Joined, natural, uids
from lemnis.ingest.mapping_columns import (
    TEXT,
    Column,
    Mask,
    RawColumns,
    Rows,
    equal_texts,
    flat,
    groups,
    pc,
)
from lemnis.ingest.mapping_conditions import fields, holds
from lemnis.ingest.mapping_lineage import Origin, origins
from lemnis.ingest.mapping_lines import Context, constant, evaluate, times
from lemnis.ingest.mapping_plan import ORIGINAL_TIME, SEVERITIES, EntryPlan, plans
from lemnis.ocsf.schema import version
from lemnis.ocsf.validation import problems

INT64 = pa.int64()
_SHOWN = 60
_THEIRS = frozenset({"metadata.product.name", "metadata.product.vendor_name"})
"""What an event that is passed through says of itself; the source's product stands in where it does not."""
ENTRY_PATH = "metadata.transformation_info_list[0].name"


@dataclass(frozen=True, slots=True)
class _Read:
    """Rows of a batch, and what is known of their reading."""

    batch: RawBatch
    rows: Rows
    origin_key: str | Joined
    now: int


@dataclass(slots=True)
class _Work:
    """One entry's rows on their way: columns by path, and the first reason against each row."""

    count: int
    raw: RawColumns
    context: Context
    columns: dict[str, Column] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)

    def against(self, rows: Sequence[int], reason: Sequence[str]) -> None:
        """Note a reason against rows that have none yet."""
        for row, text in zip(rows, reason, strict=True):
            self.reasons.setdefault(row, text)


class Mapper:
    """Maps the records of one source."""

    def __init__(self, source: LoadedSource) -> None:
        self._source = source
        self._plans = plans(source)
        self._conditions = [entry.when for entry in source.mapping.events]
        self._fields = list(dict.fromkeys(name for one in self._conditions for name in fields(one)))
        self._absent = frozenset(str(value) for value in source.mapping.common.absent)

    def map(self, batch: RawBatch, *, origin_key: str | Joined = "", now: int = 0) -> Mapped:
        """Map a batch. ``origin_key`` names its origin in uids of records that do not name themselves;
        ``now`` is the time of reading, from which times without a year take theirs.
        """  # noqa: D205 - one sentence each
        columns = RawColumns(batch.fields)
        batches: list[EventBatch] = []
        rejects: list[Reject] = []
        parts = list(self._parts(columns, len(batch)))
        each = [columns] if len(parts) == 1 else columns.split([rows for _, rows in parts])
        for (number, rows), some in zip(parts, each, strict=True):
            if number < 0:
                rejects += [_reject(batch, row, "no entry of the mapping fits") for row in rows.tolist()]
                continue
            made, refused = self._entry(self._plans[number], some, _Read(batch, rows, origin_key, now))
            rejects += refused
            if made is not None:
                batches.append(EventBatch(self._plans[number].kind.uid, batch.source, batch.origin, made))
        rejects.sort(key=lambda reject: reject.at.record or 0)
        return Mapped(tuple(batches), tuple(rejects))

    def explain(self, path: str) -> tuple[Origin, ...]:
        """Say for an OCSF path where each entry takes its value from: raw fields and the mapping's line."""
        return tuple(origin for origin in origins(self._source) if origin.path == path)

    def _parts(self, columns: RawColumns, count: int) -> Iterator[tuple[int, Rows]]:
        """Yield the rows of each entry, and of none (-1)."""
        if not count:
            return
        grouped = groups(columns, self._fields)
        samples = columns.take(grouped.first)
        ignore = frozenset(self._source.file.ignore_case)
        entry = np.full(len(grouped.first), -1)
        for number, condition in reversed(list(enumerate(self._conditions))):
            entry[holds(condition, samples, ignore)] = number
        numbers = entry[grouped.of]
        for number in sorted(set(entry.tolist())):
            yield number, np.flatnonzero(numbers == number)

    def _entry(self, plan: EntryPlan, raw: RawColumns, read: _Read) -> tuple[pa.Table | None, list[Reject]]:
        batch, rows = read.batch, read.rows
        work = _Work(len(rows), raw, Context(self._absent, read.now))
        self._times(plan, work)
        for path, lines in plan.lines.items():
            self._line(path, lines, plan.types[path], work)
        self._classify(plan, work)
        records = _records(batch, rows)
        numbers: Any = batch.positions
        positions = flat(numbers.take(pa.array(rows)))
        named_by = natural(raw, self._source.file.identity)
        work.columns["metadata.uid"] = uids(batch.source, named_by, read.origin_key, positions, records)
        if plan.raw:
            work.columns["raw_data"] = records
        unmapped = self._unmapped(plan, work)
        if unmapped is not None:
            work.columns["unmapped"] = unmapped
        table = mapping_build.table(plan.kind.name, work.columns, work.count)
        for row, reason in problems(table, plan.kind.name, nested=False).items():
            work.against([row], [reason])
        rejects = [_reject(batch, int(rows[row]), reason) for row, reason in sorted(work.reasons.items())]
        if not work.reasons:
            return table, rejects
        good = np.ones(work.count, dtype=bool)
        good[list(work.reasons)] = False
        return (table.filter(pa.array(good)) if good.any() else None), rejects

    @staticmethod
    def _times(plan: EntryPlan, work: _Work) -> None:
        found, texts, original = times(plan.time, work.raw, work.context)
        work.columns["time"] = found
        work.columns[ORIGINAL_TIME] = original
        if found.null_count:
            rows = np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False)).tolist()
            wanted = ", ".join(dict.fromkeys(name for line in plan.time for name in line.source))
            reasons = [
                f"no time: none of {wanted} is there" if text is None else f"no time: {_shorten(text)}"
                for text in texts.take(pa.array(rows, INT64)).to_pylist()
            ]
            work.against(rows, reasons)

    @staticmethod
    def _line(path: str, lines: Sequence[Line], kind: pa.DataType, work: _Work) -> None:
        values = evaluate(lines, work.raw, kind, work.context)
        if values is None:
            return
        work.columns[path] = values.array
        if values.bad is None or values.line is None or not values.bad.any():
            return
        rows = np.flatnonzero(values.bad).tolist()
        given = [work.raw.get(name) for name in values.line.source]
        wanted = values.line.as_ if values.line.as_ != "string" else str(kind)
        for row in rows:
            texts = [column[row].as_py() for column in given if column is not None]
            text = next((text for text in texts if text is not None), "")
            work.against([row], [f"{path}: {_shorten(text)} is no {wanted}"])

    def _classify(self, plan: EntryPlan, work: _Work) -> None:
        """Fill in what OCSF says of the class, the activity, the severity and the event as such."""
        kind, count, columns = plan.kind, work.count, work.columns
        self._line("activity_id", plan.activity, INT64, work)
        columns.setdefault("activity_id", constant(0, count, INT64))
        activity: Any = columns["activity_id"].fill_null(0)
        columns["activity_id"] = activity
        columns["type_uid"] = pc.add(activity, kind.uid * 100)
        names = kind.shape.attributes["activity_id"].enum
        columns.setdefault("activity_name", _named(activity, names))
        columns["type_name"] = pc.binary_join_element_wise(f"{kind.caption}: ", columns["activity_name"], "")
        severity = self._severity(plan, work)
        columns["severity_id"] = severity
        columns.setdefault("severity", _named(severity, kind.shape.attributes["severity_id"].enum))
        if "status_id" in columns:
            status = kind.shape.attributes["status_id"].enum
            columns.setdefault("status", _named(columns["status_id"], status))
        file = self._source.file
        for path, value in (
            ("class_uid", kind.uid), ("class_name", kind.caption), ("category_uid", kind.category_uid),
            ("category_name", kind.category), ("metadata.version", version()),
            ("metadata.log_name", self._source.name), ("metadata.product.name", file.product),
            ("metadata.product.vendor_name", file.vendor), (ENTRY_PATH, plan.name),
        ):  # fmt: skip
            made = constant(value, count, INT64 if isinstance(value, int) else TEXT)
            theirs = columns.get(path) if plan.passthrough and path in _THEIRS else None
            columns[path] = made if theirs is None else pc.coalesce(theirs, made)

    @staticmethod
    def _severity(plan: EntryPlan, work: _Work) -> Column:
        values = evaluate(plan.severity, work.raw, TEXT, work.context)
        if values is None:
            return constant(0, work.count, INT64)
        keys = pa.array(list(SEVERITIES), TEXT)
        numbers = pc.index_in(pc.utf8_lower(values.array), value_set=keys).cast(INT64)
        return numbers.fill_null(0)

    @staticmethod
    def _unmapped(plan: EntryPlan, work: _Work) -> Column | None:
        left: dict[str, tuple[Column, Mask]] = {}
        for name in work.raw.names():
            column = work.raw.get(name)
            if column is None:
                continue
            rest: Mask = column.is_valid().to_numpy(zero_copy_only=False)
            for path in plan.kept.get(name, ()):
                held = work.columns.get(path)
                if held is not None:
                    rest = rest & ~equal_texts(column, held)
            if rest.any():
                left[name] = (column, rest)
        return mapping_unmapped.write(left, work.count)


def _named(numbers: Any, names: Any) -> Column:
    keys = pa.array(list(names), INT64)
    return pa.array(list(names.values()), TEXT).take(pc.index_in(numbers, value_set=keys))


def _records(batch: RawBatch, rows: Rows) -> Column:
    records: Any = flat(batch.records)
    if len(rows) != len(batch):
        records = records.take(pa.array(rows))
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


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
