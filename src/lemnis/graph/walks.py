"""Walks from many entities at once, a question a step, within bounds.

A step takes the numbers of entities and reads the edges from or to them that held at an instant, in SQL. What
was seen is kept here, so a cycle ends by itself. Statements that did not hold are not walked along, nor is
the entity that stands for an unknown one ever walked through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.provenance import RELATIONS, UNKNOWN, Edge, Exposed, Strength
from lemnis.graph.bulk import among, given
from lemnis.graph.store import Graph
from lemnis.graph.tables import FOR_EVER, SINCE_EVER

_SOUGHT = 8  # relations
_AT_ONCE = 20_000
"""So many entities are asked about in one question."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a walk goes: hops, entities that it may see, and edges that it may read."""

    depth: int = 12
    nodes: int = 500_000
    edges: int = 5_000_000


class Reached(NamedTuple):
    """How an entity was reached: hops from the start, the one before, the edge between, the weakest hop.

    ``back`` says that the edge was walked against its direction. Of several ways of the same length, it is
    one whose weakest hop is strongest.
    """

    depth: int
    before: int
    relation: int
    back: bool
    strength: int


class Step(NamedTuple):
    """An edge that was walked along; ``back`` against its direction."""

    edge: Edge
    back: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """What a walk reached, nearest first; ``more``: a bound ended it, and there may be more."""

    found: Mapping[int, Reached]
    more: bool


@dataclass(frozen=True, slots=True)
class Path:
    """The steps from one entity to another; None where there are none (``more``: within the bounds)."""

    steps: tuple[Step, ...] | None
    more: bool = False


Along = Sequence[int] | None
"""The relations that are walked along, by number; None: all."""
Ways = tuple[Along, Along]
"""The relations that are walked along in their direction, and those against it."""


@dataclass(slots=True)
class _Left:
    """How many entities may still be seen and edges be read; ``cut``: more were there."""

    nodes: int
    edges: int
    cut: bool = False


class Walker:
    """Walks over one state of the graph, at an instant (ms; None: along what held ever).

    A walk that is cut off by its bounds says so, and what it tells is right as far as it goes.
    """

    def __init__(self, graph: Graph, connection: sa.Connection, at: int | None) -> None:
        self.graph = graph
        self.connection = connection
        self.at = at
        self._upper = FOR_EVER if at is None else at
        self._lower = SINCE_EVER if at is None else at
        unknown = graph.numbers(connection, (Entity(kind, UNKNOWN) for kind in EntityKind))
        self._unknown = frozenset(unknown.values())

    def number(self, entity: Entity) -> int:
        """Return an entity's number; raises NotFoundError."""
        known = self.graph.numbers(self.connection, [entity] if entity.value != UNKNOWN else [])
        for number in known.values():
            return number
        raise NotFoundError(f"the graph knows no {entity}", fix="`lemnis graph stats` tells what it knows")

    def relations(self, exposed: Exposed) -> list[int]:
        """Return the relations through which one end is exposed to the other."""
        named = [name for name, one in RELATIONS.items() if one.exposed is exposed]
        return self.graph.words(self.connection, named)

    def spread(self, start: Iterable[int], *, on: Along, back: Along, bounds: Bounds) -> Spread:
        """Walk breadth first along some relations, and back along some."""
        found = {one: Reached(0, 0, 0, False, int(Strength.VERIFIED)) for one in start}
        here, left = list(found), _Left(bounds.nodes - len(found), bounds.edges)
        for _ in range(bounds.depth):
            fresh = self._level(here, found, (on, back), Strength.NAME_MATCH, left)
            found.update(fresh)
            here = list(fresh)
            if left.cut or not here:
                break
        return Spread(found, more=left.cut or bool(here))

    def path(
        self, one: Entity, other: Entity, *, strongest: bool = False, bounds: Bounds | None = None
    ) -> Path:
        """Find the way between two entities, along edges in either direction.

        The shortest, and of those one whose weakest hop is strongest; or, if asked for, the one whose
        weakest hop is strongest, and of those the shortest. Raises NotFoundError for an unknown entity.
        """
        first, last = self.number(one), self.number(other)
        more = False
        for least in reversed(Strength) if strongest else (Strength.NAME_MATCH,):
            if least is not Strength.BROKEN:
                chain, cut = self._between(first, last, least, bounds or Bounds())
                more |= cut
                if chain is not None:
                    return Path(tuple(self._step(*link) for link in chain))
        return Path(None, more)

    def chain(self, spread: Spread, number: int) -> list[Step]:
        """Return the steps by which a walk came to an entity."""
        steps = []
        while (reached := spread.found[number]).depth:
            steps.append(self._step(reached.before, number, reached))
            number = reached.before
        return steps[::-1]

    def _between(
        self, first: int, last: int, least: Strength, bounds: Bounds
    ) -> tuple[list[tuple[int, int, Reached]] | None, bool]:
        """Walk from both ends, always on from the one with fewer entities, until they meet."""
        start = Reached(0, 0, 0, False, int(Strength.VERIFIED))
        if first == last:
            return [], False
        sides = ({first: start}, {last: start})
        edges, left = [[first], [last]], _Left(bounds.nodes, bounds.edges)
        for _ in range(bounds.depth):
            turn = len(edges[0]) > len(edges[1])
            mine, others = sides[turn], sides[not turn]
            fresh = self._level(edges[turn], mine, (None, None), least, left)
            mine.update(fresh)
            if met := [one for one in fresh if one in others]:
                where = max(met, key=lambda one: (min(sides[0][one].strength, sides[1][one].strength), -one))
                return _joined(sides, where), False
            if left.cut or not fresh:
                return None, left.cut
            edges[turn] = list(fresh)
        return None, True

    def _level(
        self, here: Sequence[int], seen: Mapping[int, Reached], ways: Ways, least: Strength, left: _Left
    ) -> dict[int, Reached]:
        """Go one hop on from all of these; return what was not seen before."""
        fresh: dict[int, Reached] = {}
        for back in (False, True):
            for before, relation, number, strength in self._edges(here, ways[back], least, left, back=back):
                if number in seen or number in self._unknown:
                    continue
                known, weakest = fresh.get(number), min(strength, seen[before].strength)
                if known is None and left.nodes <= 0:
                    left.cut = True
                    break
                if known is None or weakest > known.strength:
                    left.nodes -= known is None
                    fresh[number] = Reached(seen[before].depth + 1, before, relation, back, weakest)
        return fresh

    def _edges(
        self, here: Sequence[int], relations: Along, least: Strength, left: _Left, *, back: bool
    ) -> Iterator[tuple[int, int, int, int]]:
        """Yield (from, relation, to, strength) of the edges that leave these, or (``back``) lead to them."""
        if relations is not None and not relations:
            return
        ours, theirs = ("target", "source") if back else ("source", "target")
        # to read all edges of an entity is cheaper than to seek many relations: + keeps SQLite from it
        seek = "" if relations is None or len(relations) <= _SOUGHT else "+"
        some = "" if relations is None else f" AND {seek}e.relation IN ({', '.join(map(str, relations))})"
        text = among(
            self.connection, "bigint", f"e.{ours}, e.relation, e.{theirs}, e.strength",
            f"graph_edge e WHERE e.{ours} = given.value AND e.strength >= :least"
            f" AND e.valid_from <= :upper AND e.valid_to >= :lower{some} LIMIT :most",
        )  # fmt: skip
        bounds = {"least": int(least), "upper": self._upper, "lower": self._lower}
        for begin in range(0, len(here), _AT_ONCE):
            asked = given(self.connection, here[begin : begin + _AT_ONCE]) | bounds | {"most": left.edges}
            for before, relation, number, strength in self.connection.execute(text, asked):
                left.edges -= 1
                yield before, relation, number, strength
            if left.edges <= 0:
                left.cut = True
                return

    def _step(self, before: int, number: int, reached: Reached) -> Step:
        source, target = (number, before) if reached.back else (before, number)
        edge = self.graph.between(self.connection, source, target, reached.relation, self.at)
        return Step(edge, reached.back)


def _joined(
    sides: tuple[Mapping[int, Reached], Mapping[int, Reached]], where: int
) -> list[tuple[int, int, Reached]]:
    """Return the links from the one end over where both walks met to the other end."""
    first: list[tuple[int, int, Reached]] = []
    number = where
    while (one := sides[0][number]).depth:
        first.append((one.before, number, one))
        number = one.before
    links, number = first[::-1], where
    while (one := sides[1][number]).depth:
        links.append((number, one.before, one._replace(back=not one.back)))
        number = one.before
    return links
