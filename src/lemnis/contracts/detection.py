"""What detection reads and says: frames of one log source in, matched rows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Offers:
    """The Sigma log sources that a frame's rows belong to; a rule fits when each of its parts is offered."""

    products: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()

    def serves(self, product: str | None, category: str | None, service: str | None) -> bool:
        """Say whether a rule of this log source sees the rows; None means that it does not care."""
        return (
            (product is None or product in self.products)
            and (category is None or category in self.categories)
            and (service is None or service in self.services)
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows of one log source as Sigma rules see them.

    ``columns`` gives a column by its Sigma field name: a string array, or a list<string> array for fields
    with several values; null is "the event lacks it"; a name that is not there is null in every row. It may
    compute columns when they are asked for. ``records`` are the raw texts, for keywords (null if not kept).
    ``rows`` are the rows' places in the batch that the frame was made of.
    """

    source: str
    origin: str
    offers: Offers
    columns: Mapping[str, pa.Array[Any]]
    records: pa.Array[Any]
    rows: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Match:
    """A rule (by its place in the matcher) matched these rows (places in the batch, ascending)."""

    rule: int
    rows: Sequence[int]
