"""What raw records will be called and when they were, as the mapping says it, without mapping the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.events import RawBatch
from lemnis.ingest.identity import natural, uids
from lemnis.ingest.mapping_columns import TEXT, Column, RawColumns, flat, groups, pc
from lemnis.ingest.mapping_conditions import fields, holds
from lemnis.ingest.mapping_lines import Context, times
from lemnis.ingest.mapping_plan import plans


@dataclass(frozen=True, slots=True)
class Moments:
    """Times (ms) of records, whether they are known, and uids, null where a record does not name itself."""

    times: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]
    named: Column


def moments(batch: RawBatch, source: LoadedSource, *, now: int) -> Moments:
    """Return the times and names of a batch's records; one that no entry of the mapping fits has no time."""
    columns, count = RawColumns(batch.fields), len(batch)
    found, known = np.zeros(count, np.int64), np.zeros(count, bool)
    context = Context(frozenset(str(value) for value in source.mapping.common.absent), now)
    for plan, rows in _entries(columns, source):
        some = columns if len(rows) == count else columns.take(rows)
        read: Any = times(plan.time, some, context)[0]
        there = read.is_valid().to_numpy(zero_copy_only=False)
        found[rows[there]] = read.drop_null().to_numpy(zero_copy_only=False)
        known[rows] = there
    named_by = natural(columns, source.file.identity)
    complete = np.full(count, bool(named_by) and all(column is not None for column in named_by))
    if not complete.any():
        return Moments(found, known, pa.nulls(count, TEXT))
    for column in named_by:
        if column is not None:
            complete &= column.is_valid().to_numpy(zero_copy_only=False)
    named: Any = uids(batch.source, named_by, "", flat(batch.positions), lambda: flat(batch.records))
    return Moments(found, known, pc.if_else(pa.array(complete), named, pa.scalar(None, TEXT)))


def _entries(columns: RawColumns, source: LoadedSource) -> list[tuple[Any, npt.NDArray[np.int64]]]:
    """Part the rows by the first entry of the mapping that fits; those that none fits are left out."""
    conditions = [entry.when for entry in source.mapping.events]
    if not columns.count:
        return []
    grouped = groups(columns, list(dict.fromkeys(name for one in conditions for name in fields(one))))
    samples, ignore = columns.take(grouped.first), frozenset(source.file.ignore_case)
    entry = np.full(len(grouped.first), -1)
    for number, condition in reversed(list(enumerate(conditions))):
        entry[holds(condition, samples, ignore)] = number
    numbers = entry[grouped.of]
    made = plans(source)
    return [
        (made[number], np.flatnonzero(numbers == number)) for number in sorted({*numbers.tolist()} - {-1})
    ]
