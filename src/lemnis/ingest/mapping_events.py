"""What lines gave → events: the attributes that OCSF itself asks for, the table of a class, what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.content.schemas.source import LoadedSource
from lemnis.ingest import mapping_build, mapping_unmapped
from lemnis.ingest.left import Left
from lemnis.ingest.mapping_batch import Batch, Part, joined
from lemnis.ingest.mapping_columns import TEXT, Column, Mask, pc
from lemnis.ingest.mapping_lines import constant
from lemnis.ingest.mapping_plan import ORIGINAL_TIME, Given
from lemnis.ocsf.schema import version
from lemnis.ocsf.validation import problems

INT64 = pa.int64()
ENTRY_PATH = "metadata.transformation_info_list[0].name"
_SHOWN = 60
_THEIRS = frozenset({"metadata.product.name", "metadata.product.vendor_name"})
"""What an event that is passed through says of itself; the source's product stands in where it does not."""
_OWN = frozenset({"activity_id", "activity_name", "severity", "severity_id", "status", ORIGINAL_TIME})
"""Paths at which something stands where an entry's lines give nothing: they are worked out entry by entry."""
Reasons = dict[int, str]
"""The first reason against each row, by its number in the batch."""


@dataclass(frozen=True, slots=True)
class Built:
    """The events of some rows, if any is one; why rows are none; what no line kept, if all are events."""

    table: pa.Table | None
    reasons: Reasons
    left: Left | None

    @classmethod
    def of(cls, table: pa.Table, reasons: Reasons, left: Left) -> Built:
        """Take out of a table the rows with a reason against them."""
        if not reasons:
            return cls(table, reasons, left)
        good = np.ones(left.count, dtype=bool)
        good[np.array(list(reasons)) - left.start] = False
        return cls(table.filter(pa.array(good)) if good.any() else None, reasons, None)


@dataclass(slots=True)
class Events:
    """Builds events of the parts of a batch; ``records`` and ``uids`` are those of its rows, in its order."""

    source: LoadedSource
    batch: Batch
    records: Column
    uids: Column
    _unmapped: Column | None = field(init=False)
    _left: dict[str, Mask] = field(init=False)

    def __post_init__(self) -> None:
        """Write what no line keeps, for all parts at once."""
        left: dict[str, tuple[Column, Mask]] = {}
        for name in self.batch.raw.names():
            column = self.batch.raw.get(name)
            if column is None:
                continue
            rest = self.batch.unkept(name, column)
            if rest is not None:
                left[name] = (column, rest)
        self._unmapped = mapping_unmapped.write(left, self.batch.count)
        self._left = {name: rest for name, (_, rest) in left.items()}

    def build(self, parts: Sequence[Part]) -> Built:
        """Return the events of parts of one class that lie together, and why some rows are none."""
        made = _Made(self.source, self.batch, parts)
        made.fill()
        made.classify()
        start, count, columns = made.start, made.count, made.columns
        columns["metadata.uid"] = self.uids.slice(start, count)
        raw = made.joined(TEXT, self._raw)
        if raw is not None:
            columns["raw_data"] = raw
        if self._unmapped is not None:
            columns["unmapped"] = self._unmapped.slice(start, count)
        name = parts[0].plan.kind.name
        table = mapping_build.table(name, columns, count)
        for row, reason in problems(table, name, nested=False).items():
            made.reasons.setdefault(start + row, reason)
        masks = {name: mask[start : start + count] for name, mask in self._left.items()}
        return Built.of(table, made.reasons, Left(self.batch.raw, masks, start, count))

    def _raw(self, part: Part) -> Column | None:
        return self.records.slice(part.start, part.count) if part.plan.raw else None


@dataclass(slots=True)
class _Made:
    """Events of one class on their way: columns by path, and the first reason against each row."""

    source: LoadedSource
    batch: Batch
    parts: Sequence[Part]
    columns: dict[str, Column] = field(default_factory=dict)
    reasons: Reasons = field(default_factory=dict)

    @property
    def start(self) -> int:
        """Return the first row's number in the batch."""
        return self.parts[0].start

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return self.parts[-1].end - self.start

    def joined(self, kind: pa.DataType, give: Callable[[Part], Column | None]) -> Column | None:
        """Return a column of what is given to each of the parts; None if nothing is."""
        return joined([give(part) for part in self.parts], [part.count for part in self.parts], kind)

    def fill(self) -> None:
        """Fill in times, and what lines give; and note against which rows there is something."""
        moments = [self.batch.moments(part) for part in self.parts]
        counts = [part.count for part in self.parts]
        found = joined([one.found for one in moments], counts, INT64)
        self.columns["time"] = found
        for part, one in zip(self.parts, moments, strict=True):
            if one.found.null_count:
                timeless(part, one.found, one.texts, self.reasons)
        own = {path for part in self.parts for path in _OWN & part.given.keys()}
        original = [
            one.first if (said := self._said(part, ORIGINAL_TIME)) is None else said
            for part, one in zip(self.parts, moments, strict=True)
        ]
        self.columns[ORIGINAL_TIME] = joined(original, counts, TEXT)
        for path in dict.fromkeys(path for part in self.parts for path in part.given):
            column = None if path in own else self.batch.values(self.parts, path)
            if column is not None:
                self.columns[path] = column
        for part in self.parts:
            for path, given in part.given.items():
                unfit(self.batch, part, path, given, self.reasons)
            unfit(self.batch, part, "activity_id", part.plan.doing, self.reasons)

    def classify(self) -> None:
        """Fill in what OCSF says of the class, the activity, the severity and the event as such."""
        plan, count, columns = self.parts[0].plan, self.count, self.columns
        kind, shape = plan.kind, plan.kind.shape.attributes
        activity: Any = self._whole(self.joined(INT64, self._activity), 0)
        severity: Any = self._whole(self.joined(INT64, self.batch.level), 0)
        columns["activity_id"], columns["severity_id"] = activity, severity
        columns["type_uid"] = pc.add(activity, kind.uid * 100)
        columns["activity_name"] = self._or_said("activity_name", _named(activity, shape["activity_id"].enum))
        columns["type_name"] = pc.binary_join_element_wise(f"{kind.caption}: ", columns["activity_name"], "")
        columns["severity"] = self._or_said("severity", _named(severity, shape["severity_id"].enum))
        status = columns.get("status_id")
        named = None if status is None else _named(status, shape["status_id"].enum)
        said = self._or_said("status", named)
        if said is not None:
            columns["status"] = said
        file = self.source.file
        for path, value in (
            ("class_uid", kind.uid), ("class_name", kind.caption), ("category_uid", kind.category_uid),
            ("category_name", kind.category), ("metadata.version", version()),
            ("metadata.log_name", self.source.name), ("metadata.product.name", file.product),
            ("metadata.product.vendor_name", file.vendor),
        ):  # fmt: skip
            made = constant(value, count, INT64 if isinstance(value, int) else TEXT)
            theirs = columns.get(path) if plan.passthrough and path in _THEIRS else None
            columns[path] = made if theirs is None else pc.coalesce(theirs, made)
        columns[ENTRY_PATH] = self.joined(TEXT, lambda part: constant(part.plan.name, part.count, TEXT))

    def _whole(self, column: Column | None, value: int) -> Column:
        return constant(value, self.count, INT64) if column is None else column.fill_null(value)

    def _activity(self, part: Part) -> Column | None:
        said = self.batch.column(part, part.plan.doing)
        return self._said(part, "activity_id") if said is None else said

    def _said(self, part: Part, path: str) -> Column | None:
        """Return what an entry's lines give at a path that has something else where they do not."""
        values = self.batch.alone(part, path)
        return None if values is None else values.array

    def _or_said(self, path: str, otherwise: Column | None) -> Column | None:
        """Return a column, but for parts whose lines give something at its path."""
        if all(path not in part.given for part in self.parts):
            return otherwise

        def give(part: Part) -> Column | None:
            said = self._said(part, path)
            if said is not None or otherwise is None:
                return said
            return otherwise.slice(part.start - self.start, part.count)

        return self.joined(TEXT, give)


def timeless(part: Part, found: Column, texts: Column, reasons: Reasons) -> None:
    """Note against rows of a part that they have no time."""
    rows = np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))
    wanted = ", ".join(dict.fromkeys(name for line in part.plan.time for name in line.source))
    for row, text in zip(rows.tolist(), texts.take(pa.array(rows, INT64)).to_pylist(), strict=True):
        said = f"no time: none of {wanted} is there" if text is None else f"no time: {_shorten(text)}"
        reasons.setdefault(part.start + row, said)


def unfit(batch: Batch, part: Part, path: str, given: Given, reasons: Reasons) -> None:
    """Note against rows of a part that lines could not convert what they have."""
    held = batch.held(given)
    for rows, line in () if held is None else held.bad(part):
        columns = [batch.raw.get(name) for name in line.source]
        wanted = line.as_ if line.as_ != "string" else str(given.kind)
        for row in rows:
            texts = [column[row].as_py() for column in columns if column is not None]
            text = next((text for text in texts if text is not None), "")
            reasons.setdefault(row, f"{path}: {_shorten(text)} is no {wanted}")


def _named(numbers: Any, names: Mapping[int, str]) -> Column:
    keys = pa.array(list(names), INT64)
    return pa.array(list(names.values()), TEXT).take(pc.index_in(numbers, value_set=keys))


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
