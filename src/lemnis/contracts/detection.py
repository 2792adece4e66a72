"""What detection reads and says: frames of one log source in, matched rows out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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
class Joined:
    """Texts laid end to end as UTF-8: text ``i`` is ``data[ends[i - 1]:ends[i]]``.

    ``data`` has eight bytes more than the last ends at.
    """

    data: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]

    def texts(self, places: npt.NDArray[np.int64]) -> list[str]:
        """Return some of the texts."""
        held = memoryview(self.data)  # type: ignore[arg-type]
        ends = self.ends[places].tolist()
        starts = np.where(places > 0, self.ends[places - 1], 0).tolist()
        return [str(held[start:end], "utf-8") for start, end in zip(starts, ends, strict=True)]


@dataclass(frozen=True, slots=True)
class Lines:
    """Texts as they lie among others: ``data[starts[i]:ends[i]]``, with eight bytes behind the last."""

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


class Dictionary(Protocol):
    """The values of a field by their codes; as long as it is the same object, a code means the same value."""

    @property
    def size(self) -> int:
        """How many codes there are; they count from 0."""
        ...

    def texts(self, codes: npt.NDArray[np.int64]) -> list[str]:
        """Return the values of some codes; those of long values are good for the batch at hand only."""
        ...

    def joined(self, codes: npt.NDArray[np.int64]) -> Joined:
        """Return the same, laid end to end."""
        ...


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of single values as codes, -1 where the event lacks the field."""

    codes: npt.NDArray[np.int32]
    dictionary: Dictionary

    def take(self, rows: npt.NDArray[np.int64]) -> Coded:
        """Return some of the rows."""
        return Coded(self.codes[rows], self.dictionary)

    def texts(self) -> pa.Array[Any]:
        """Return the values, row by row."""
        present = np.unique(self.codes[self.codes >= 0]).astype(np.int64)
        values = pa.array(self.dictionary.texts(present), pa.string())
        places: Any = pa.array(np.searchsorted(present, self.codes), mask=self.codes < 0)
        taken: pa.Array[Any] = values.take(places)
        return taken


def uncoded(name: str) -> Coded | None:  # noqa: ARG001 - whatever its name, there is none
    """Return that a column is not at hand as codes."""
    return None


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows of one log source as Sigma rules see them.

    ``columns`` gives a column by its Sigma field name: a string array, or a list<string> array for fields
    with several values; null is "the event lacks it"; a name that is not there is null in every row. It may
    compute columns when they are asked for. ``records`` are the raw texts, for keywords (null if not kept).
    ``rows`` are the rows' places in the batch that the frame was made of. ``coded`` gives a column by its
    codes where the frame has it so, which spares whoever looks at values to look at them twice.
    """

    source: str
    origin: str
    offers: Offers
    columns: Mapping[str, pa.Array[Any]]
    records: pa.Array[Any]
    rows: npt.NDArray[np.int64]
    coded: Callable[[str], Coded | None] = uncoded

    def lines(self) -> Lines | None:
        """Return the raw texts where they lie, so that they need not be gathered; None if they do not."""
        return None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Match:
    """A rule (by its place in the matcher) matched these rows (places in the batch, ascending)."""

    rule: int
    rows: Sequence[int]
