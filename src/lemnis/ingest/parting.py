"""Rows parted by the log sources that they are of: rows that agree in what decides it are looked at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lemnis.content.schemas.source import LoadedSource, Route
from lemnis.contracts.detection import Offers
from lemnis.ingest.coded import CodedColumns
from lemnis.ingest.mapping_columns import Columns, Groups, Rows, grouped, groups
from lemnis.ingest.mapping_conditions import fields, holds

Kind = tuple[tuple[bool, ...], int]
"""Which routes rows belong to, and which entry maps them (-1: none, or it was not asked)."""
_REMEMBERED = 10_000
_SOURCES = 64
_KINDS: dict[tuple[str, str, bool], dict[tuple[Any, ...], Kind]] = {}
"""What was found out of rows by the values of the fields that matter, by the source's digest."""


class Takes(Columns, Protocol):
    """Columns of which some rows can be taken."""

    def take(self, rows: Rows) -> Takes:
        """Return the columns of some of the rows."""
        ...


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
    routes = source.file.sigma.routes
    entries = source.mapping.events if by_entry else ()
    conditions = [*(route.when for route in routes), *(entry.when for entry in entries)]
    asked = tuple(dict.fromkeys(name for one in conditions for name in fields(one)))
    if not columns.count:
        return
    alike = _alike(columns, asked)
    kinds = _kinds(columns.take(alike.first), source, asked, by_entry=by_entry)
    numbers: dict[Kind, int] = {}
    of = np.array([numbers.setdefault(kind, len(numbers)) for kind in kinds])[alike.of]
    for (belongs, which), number in numbers.items():
        mine = tuple(route for route, there in zip(routes, belongs, strict=True) if there)
        yield Part(np.flatnonzero(of == number), mine, which)


def _alike(columns: Takes, asked: Iterable[str]) -> Groups:
    """Group the rows that agree in what is asked."""
    if isinstance(columns, CodedColumns):
        coded = (column.codes for column in map(columns.codes, asked) if column is not None)
        return grouped(columns.count, coded)
    return groups(columns, asked)


def _kinds(samples: Takes, source: LoadedSource, asked: Sequence[str], *, by_entry: bool) -> list[Kind]:
    """Say of each row of what kind it is; most are of a kind that has come by."""
    key = (source.name, source.digest, by_entry)
    if len(_KINDS) > _SOURCES and key not in _KINDS:
        _KINDS.clear()
    known = _KINDS.setdefault(key, {})
    values = list(zip(*(_values(samples, name) for name in asked), strict=True)) or [()] * samples.count
    new = [row for row, value in enumerate(values) if value not in known]
    if len(known) + len(new) > _REMEMBERED:
        known.clear()
        new = list(range(len(values)))
    if new:
        found = _judged(samples.take(np.array(new)), source, by_entry=by_entry)
        known.update(zip((values[row] for row in new), found, strict=True))
    return [known[value] for value in values]


def _values(columns: Columns, name: str) -> list[Any]:
    column = columns.get(name)
    if column is None:
        return [None] * columns.count
    return [tuple(value) if isinstance(value, list) else value for value in column.to_pylist()]


def _judged(samples: Takes, source: LoadedSource, *, by_entry: bool) -> list[Kind]:
    """Judge rows by the conditions of routes and entries."""
    ignore = frozenset(source.file.ignore_case)

    def table(conditions: Iterable[Any]) -> Any:
        held = [holds(one, samples, ignore) for one in conditions]
        return np.array(held, dtype=bool).reshape(len(held), samples.count)

    belongs = table(route.when for route in source.file.sigma.routes)
    fits = table(entry.when for entry in (source.mapping.events if by_entry else ()))
    entry = np.where(fits.any(axis=0), fits.argmax(axis=0), -1) if len(fits) else np.full(samples.count, -1)
    return [(tuple(routes), which) for routes, which in zip(belongs.T.tolist(), entry.tolist(), strict=True)]
