"""Sigma's view of events: the same columns whether they are made of raw records or of OCSF events.

Rows are parted by the routes of ``source.yaml`` that they belong to; each part is a frame. A column is only
computed when a rule asks for it. A Sigma field is a raw field (of its own name, or by a line over others) or
the value at an OCSF path. On raw input, raw fields are at hand and the path's mapping line is run; on events
it is the other way round: the path is at hand, and raw fields are had back from where the mapping put them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from lemnis.content.schemas.source import LoadedSource, Route, SigmaField
from lemnis.contracts.detection import Frame, Offers
from lemnis.contracts.events import RawBatch
from lemnis.ingest.mapping_columns import TEXT, Column, Columns, RawColumns, Rows, flat, groups, text
from lemnis.ingest.mapping_conditions import fields, holds
from lemnis.ingest.mapping_lines import Context, evaluate, plain

PathReader = Callable[[str], Column]


class Takes(Columns, Protocol):
    """Columns of which some rows can be taken."""

    def take(self, rows: Rows) -> Takes:
        """Return the columns of some of the rows."""
        ...


class SigmaColumns(Mapping[str, Any]):
    """Columns by Sigma field name, each made when it is asked for."""

    def __init__(self, raw: Columns, path: PathReader, named: Mapping[str, SigmaField]) -> None:
        self._raw = raw
        self._path = path
        self._named = named
        self._made: dict[str, Column | None] = {}

    def __getitem__(self, name: str) -> Column:
        """Return a column; raises KeyError for a field that no row has."""
        if name not in self._made:
            self._made[name] = self._make(name)
        made = self._made[name]
        if made is None:
            raise KeyError(name)
        return made

    def _make(self, name: str) -> Column | None:
        field = self._named.get(name)
        if field is None:
            return self._raw.get(name)
        if field.ocsf is not None:
            return self._path(field.ocsf)
        line = field.line
        if line is None:
            return None
        if plain(line) and len(line.source) == 1 and not line.absent:
            return self._raw.get(line.source[0])
        values = evaluate((line,), self._raw, TEXT, Context())
        return None if values is None else values.array

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all fields that some row has."""
        yield from (name for name in dict.fromkeys((*self._named, *self._raw.names())) if name in self)

    def __contains__(self, name: object) -> bool:
        """Say whether some row has the field."""
        return isinstance(name, str) and self.get(name) is not None

    def __len__(self) -> int:
        """Return how many fields there are."""
        return sum(1 for _ in self)


class LazyFrame(Frame):
    """A frame whose raw texts are only gathered when a keyword rule asks for them."""

    __slots__ = ("_all", "_records")

    def __init__(
        self,
        source: str,
        origin: str,
        offers: Offers,
        columns: Mapping[str, Column],
        records: Any,
        rows: Rows,
    ) -> None:
        """``records`` are those of the whole batch."""
        given = {"source": source, "origin": origin, "offers": offers, "columns": columns, "rows": rows}
        for name, value in {**given, "_all": records, "_records": None}.items():
            object.__setattr__(self, name, value)

    @property
    def records(self) -> Any:  # type: ignore[override]
        """Return the raw texts of this frame's rows."""
        if self._records is None:
            whole = len(self.rows) == len(self._all)
            object.__setattr__(
                self, "_records", flat(self._all if whole else self._all.take(pa.array(self.rows)))
            )
        return self._records


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that belong to the same routes (and are mapped by the same entry, where that matters)."""

    rows: Rows
    routes: tuple[Route, ...]
    entry: int

    def offers(self) -> Offers:
        """Return the log sources that the routes stand for, together."""
        return Offers(
            frozenset(name for route in self.routes for name in route.product),
            frozenset(name for route in self.routes for name in route.category),
            frozenset(name for route in self.routes for name in route.service),
        )


def parts(columns: Takes, source: LoadedSource, *, by_entry: bool) -> Iterator[Part]:
    """Part the rows by their routes, and by their entry if asked; rows of no route come with none."""
    routes, entries = source.file.sigma.routes, source.mapping.events if by_entry else ()
    conditions = [one.when for one in (*routes, *entries)]
    grouped = groups(columns, dict.fromkeys(name for one in conditions for name in fields(one)))
    if not columns.count:
        return
    ignore = frozenset(source.file.ignore_case)
    samples = columns.take(grouped.first)
    table = np.array([holds(one, samples, ignore) for one in conditions], dtype=bool).reshape(
        len(conditions), len(grouped.first)
    )
    belongs, fits = table[: len(routes)], table[len(routes) :]
    entry = (
        np.where(fits.any(axis=0), fits.argmax(axis=0), -1) if len(fits) else np.full(len(grouped.first), -1)
    )
    keys: dict[tuple[bytes, int], int] = {}
    of = np.array(
        [
            keys.setdefault((belongs[:, group].tobytes(), int(entry[group])), len(keys))
            for group in range(len(entry))
        ]
    )
    numbers = of[grouped.of]
    for (_, which), number in keys.items():
        chosen = belongs[:, int(np.flatnonzero(of == number)[0])]
        mine = tuple(route for route, there in zip(routes, chosen, strict=True) if there)
        yield Part(np.flatnonzero(numbers == number), mine, which)


def names(source: LoadedSource, routes: Iterable[Route]) -> dict[str, SigmaField]:
    """Return the Sigma fields that the source names for rows of these routes."""
    merged = dict(source.file.sigma.fields)
    for route in routes:
        merged.update(route.fields)
    return merged


def needs_entries(source: LoadedSource) -> bool:
    """Say whether some Sigma field is an OCSF path, which depends on the entry that maps the row."""
    view = source.file.sigma
    named = (*view.fields.values(), *(field for route in view.routes for field in route.fields.values()))
    return any(field.ocsf is not None for field in named)


def raw_frames(batch: RawBatch, source: LoadedSource) -> Iterator[Frame]:
    """Yield frames of raw records; rows that no route takes are in a frame that offers nothing."""
    columns = RawColumns(batch.fields)
    for part in parts(columns, source, by_entry=needs_entries(source)):
        whole = len(part.rows) == columns.count
        some = columns if whole else columns.take(part.rows)
        view = SigmaColumns(some, _line_reader(source, part.entry, some), names(source, part.routes))
        yield LazyFrame(batch.source, batch.origin, part.offers(), view, batch.records, part.rows)


def _line_reader(source: LoadedSource, entry: int, columns: Columns) -> PathReader:
    """Read OCSF paths by running their mapping lines."""

    def read(path: str) -> Column | None:
        return None

    return read


__all__ = ["flat", "raw_frames", "text"]
