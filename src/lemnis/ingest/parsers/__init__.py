"""Parsers: bytes of one format in, raw records with flat columns out. One module a format.

A module offers ``parse(stream, options, start) -> Iterator[Parsed]``. It is total: what cannot be read is a
reject, and the records beside it go on. One for which each line is a record, whatever stands before and after
it, says ``LINES = True`` (or offers ``lined(stream, options)``): what is received is then read in one go.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lemnis.contracts.errors import UsageError
from lemnis.contracts.events import Reject
from lemnis.ingest.streams import Stream

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin: so many records and bytes of the stream are done."""

    position: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Parsed:
    """Some records of a stream: as read, as columns, their numbers; and what was not taken.

    ``position`` and ``offset`` say how far the stream is done with these; reading can begin again there.
    """

    records: pa.StringArray
    fields: pa.Table
    positions: pa.Int64Array
    rejects: tuple[Reject, ...]
    position: int
    offset: int


@dataclass(frozen=True, slots=True)
class Texts:
    """Some records of a stream as texts, with their numbers, and what was not taken; else as ``Parsed``."""

    name: str
    texts: pa.StringArray
    numbers: npt.NDArray[np.int64]
    rejects: tuple[Reject, ...]
    position: int
    offset: int

    @property
    def records(self) -> pa.StringArray:
        """Return the texts: of other holders, what gives them by ``take``."""
        return self.texts

    def take(self, rows: npt.NDArray[np.int64]) -> Texts:
        """Return some of the records, without what was not taken."""
        some = self.texts.take(rows)
        return Texts(self.name, some, self.numbers[rows], (), self.position, self.offset)

    def where(self, _: npt.NDArray[np.int64]) -> None:
        """Return that they lie nowhere: they were made."""
        return


class Parser(Protocol):
    """What a module in this package offers."""

    def parse(self, stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
        """Yield the records from ``start`` on; without ``whole``, one that may go on is left for later."""
        ...


@cache
def names() -> tuple[str, ...]:
    """Return the names of the parsers."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


def get(name: str) -> Parser:
    """Return a parser; raises UsageError naming those there are."""
    if name not in names():
        raise UsageError(f"no parser {name!r}", fix=f"there are: {', '.join(names())}")
    return cast("Parser", importlib.import_module(f"{__name__}.{name}"))


def nothing(rejects: tuple[Reject, ...], at: Start) -> Parsed:
    """Return what is parsed where there are only rejects."""
    texts = pa.array([], pa.string())
    return Parsed(texts, pa.table({}), pa.array([], pa.int64()), rejects, at.position, at.offset)
