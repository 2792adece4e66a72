"""What no line of a mapping kept of raw records, at hand as columns while the events are on their way.

The lake has it as the JSON objects of ``unmapped``; detection, which runs before, need not read those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lemnis.ingest.mapping_columns import Column, Mask, RawColumns, Rows, make_lists, offsets, pc, take


@dataclass(frozen=True, slots=True)
class Left(Mapping[str, Column]):
    """``count`` rows from ``start`` on, by raw field; ``masks`` say which rows are left of each."""

    raw: RawColumns
    masks: Mapping[str, Mask]
    start: int
    count: int

    def __getitem__(self, name: str) -> Column:
        """Return a field as string or list<string>, as ``mapping_unmapped.read`` has it back.

        Raises KeyError where nothing of it is left.
        """
        column: Any = self.raw.get(name)
        mask = self.masks[name]
        if column is None or not mask.any():
            raise KeyError(name)
        column = column.slice(self.start, self.count)
        if pa.types.is_list(column.type) and column.values.null_count:
            column = _without_nulls(column)
        return column if mask.all() else pc.if_else(pa.array(mask), column, pa.scalar(None, column.type))

    def __iter__(self) -> Iterator[str]:
        """Yield the fields of which something is left."""
        return (name for name, mask in self.masks.items() if mask.any())

    def __len__(self) -> int:
        """Return how many fields that are."""
        return sum(1 for _ in self)


@dataclass(frozen=True, slots=True)
class Taken(Mapping[str, Column]):
    """Some rows of what is left."""

    whole: Mapping[str, Column]
    rows: Rows

    def __getitem__(self, name: str) -> Column:
        """Return some rows of a field."""
        return take(self.whole[name], self.rows)

    def __iter__(self) -> Iterator[str]:
        """Yield the fields."""
        return iter(self.whole)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.whole)


def _without_nulls(lists: Any) -> Column:
    """Return lists whose elements are texts: one that is nothing is written as an empty text."""
    made: Any = make_lists(pa.array(offsets(lists)), lists.values.fill_null(""))
    return pc.if_else(lists.is_valid(), made, pa.scalar(None, made.type))
