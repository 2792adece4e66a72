"""Snapshots: what was seen as a whole at an instant goes on, begins, or ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from lemnis.contracts.alerts import Entity
from lemnis.contracts.provenance import Edge
from lemnis.graph.bulk import Writer, among, given, key
from lemnis.graph.tables import FOR_EVER, began, ended

_COLUMNS = "e.source, e.relation, e.target, e.method, e.valid_from, e.valid_to"


class Period(NamedTuple):
    """A statement's key as it is kept, and until when it held."""

    source: int
    relation: int
    target: int
    method: int
    valid_from: int
    valid_to: int


def observe(connection: sa.Connection, edges: Sequence[Edge], at: int, gone: Iterable[Entity]) -> None:
    """Write a snapshot within a transaction that excludes other writers; see ``Graph.observe``."""
    writer = Writer(connection)
    numbers = writer.numbers(dict.fromkeys(key(end) for edge in edges for end in (edge.source, edge.target)))
    known: dict[tuple[int, int, int], list[Period]] = defaultdict(list)
    sources = {numbers[key(edge.source)] for edge in edges if key(edge.source) in numbers}
    for period in _periods(connection, "source", sources):
        known[period.source, period.relation, period.method].append(period)
    told: list[Edge] = []
    seen: dict[tuple[int, int, int], set[int]] = defaultdict(set)
    for edge in edges:
        group = (
            numbers.get(key(edge.source), 0), writer.words.get(edge.relation, 0),
            writer.words.get(edge.method, 0),
        )  # fmt: skip
        target = numbers.get(key(edge.target), 0)
        seen[group].add(target)
        told.append(_placed(edge, target, known.get(group, ()), at))
    over = [
        period
        for group, targets in seen.items()
        for period in known.get(group, ())
        if period.target not in targets
    ]
    left = set(writer.numbers({key(one) for one in gone}).values())
    over += [*_periods(connection, "source", left), *_periods(connection, "target", left)]
    _end(connection, over, at)
    writer.write((), told)


def _placed(edge: Edge, target: int, known: Sequence[Period], at: int) -> Edge:
    """Return a statement with its bounds: those of what it goes on, or from now on."""
    for one in known:
        if one.target == target and one.valid_from <= at <= one.valid_to:
            return replace(edge, valid_from=began(one.valid_from), valid_to=ended(one.valid_to))
    later = min((one.valid_from for one in known if one.valid_from > at), default=FOR_EVER + 1)
    return replace(edge, valid_from=at, valid_to=ended(later - 1))


def _periods(connection: sa.Connection, side: str, numbers: Iterable[int]) -> list[Period]:
    text = among(connection, "bigint", _COLUMNS, f"graph_edge e WHERE e.{side} = given.value")
    rows = connection.execute(text, given(connection, sorted(numbers)))
    return [Period(*row) for row in rows]


def _end(connection: sa.Connection, periods: Iterable[Period], at: int) -> None:
    """End what held just before an instant; what only began then was not so."""
    keys = [
        {name: value for name, value in one._asdict().items() if name != "valid_to"} | {"ends": at - 1}
        for one in set(periods)
        if one.valid_from <= at <= one.valid_to
    ]
    where = " AND ".join(f"{name} = :{name}" for name in Period._fields if name != "valid_to")
    _each(connection, f"UPDATE graph_edge SET valid_to = :ends WHERE {where}", keys)  # noqa: S608 - our own
    _each(
        connection,
        f"DELETE FROM graph_edge WHERE {where} AND valid_from > :ends",  # noqa: S608 - our own
        [one for one in keys if one["valid_from"] == at],
    )


def _each(connection: sa.Connection, text: str, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(sa.text(text), rows)
