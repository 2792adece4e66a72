"""Conditions of the mapping language over columns. They are tried on the distinct combinations of values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.content.schemas.source import Condition, Scalar, Test
from lemnis.ingest.mapping_columns import TEXT, Column, Columns, Mask, pc, there, true


def fields(condition: Condition) -> Iterator[str]:
    """Yield the raw fields that a condition looks at."""
    yield from condition.tests
    for inner in (*condition.all, *condition.any):
        yield from fields(inner)
    if condition.not_ is not None:
        yield from fields(condition.not_)


def holds(condition: Condition, columns: Columns, ignore_case: frozenset[str] = frozenset()) -> Mask:
    """Say for each row whether the condition holds."""
    mask = np.ones(columns.count, dtype=bool)
    for name, test in condition.tests.items():
        folded = test.ignore_case or name in ignore_case
        column, left = columns.get(name), np.flatnonzero(mask)
        if column is not None and 2 * len(left) < len(mask):  # what came before left few to look at
            mask[left] = _field(test, column.take(pa.array(left)), len(left), ignore_case=folded)
        else:
            mask &= _field(test, column, columns.count, ignore_case=folded)
    for inner in condition.all:
        mask &= holds(inner, columns, ignore_case)
    if condition.any:
        mask &= np.logical_or.reduce([holds(inner, columns, ignore_case) for inner in condition.any])
    if condition.not_ is not None:
        mask &= ~holds(condition.not_, columns, ignore_case)
    return mask


def spell(value: Scalar) -> str:
    """Write a YAML scalar the way parsers write raw values."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _field(test: Test, column: Column | None, count: int, *, ignore_case: bool) -> Mask:
    if column is None:
        return np.full(count, test.exists is False)
    if not pa.types.is_list(column.type):
        return _test(test, column, ignore_case=ignore_case)
    if test.exists is not None and test == Test(exists=test.exists):
        return there(column) if test.exists else ~there(column)
    fits = np.flatnonzero(_test(test, pc.list_flatten(column), ignore_case=ignore_case))
    mask = np.zeros(count, dtype=bool)
    mask[np.asarray(pc.list_parent_indices(column))[fits]] = True
    return mask


def _test(test: Test, column: Any, *, ignore_case: bool) -> Mask:
    if test.exists is False:
        return ~there(column)
    mask = there(column).copy()
    for values in (test.equals, test.in_):
        if values is not None:
            mask &= true(_equal(column, values, ignore_case=ignore_case))
    checks: tuple[tuple[Sequence[Scalar] | None, Any], ...] = (
        (test.startswith, pc.starts_with), (test.endswith, pc.ends_with),
        (test.contains, pc.match_substring), (test.matches, pc.match_substring_regex),
    )  # fmt: skip
    for given, function in checks:
        if given is not None:
            hits = [true(function(column, spell(value), ignore_case=ignore_case)) for value in given]
            mask &= np.logical_or.reduce(hits)
    return mask


def _equal(column: Any, values: Sequence[Scalar], *, ignore_case: bool) -> Any:
    texts = [spell(value) for value in values]
    if ignore_case:
        column, texts = pc.utf8_lower(column), [text.lower() for text in texts]
    return pc.is_in(column, value_set=pa.array(texts, TEXT))
