"""Walks from many entities at once, a question a step, within bounds.

A step takes the numbers of entities and reads the edges from or to them that held at an instant, in SQL,
as columns of numbers. What was seen is kept here, so a cycle ends by itself. What did not hold is not
walked along, nor is the entity that stands for an unknown one ever walked through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.provenance import RELATIONS, UNKNOWN, Edge, Exposed, Strength
from lemnis.graph.bulk import column, columned, given
from lemnis.graph.store import Graph
from lemnis.graph.tables import FOR_EVER, SINCE_EVER

_SOUGHT = 8  # relations
_STRENGTHS = 8
"""More than there are strengths, so that one number tells of relation and strength."""
_AT_ONCE = 20_000
"""So many entities are asked about in one question."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a walk goes: hops, entities that it may see, and edges that it may read."""

    depth: int = 12
    nodes: int = 500_000
    edges: int = 5_000_000


class Link(NamedTuple):
    """An edge on a way, by numbers: the entity before, the one after, and the relation between them.

    ``back`` says that it is walked against its direction.
    """

    before: int
    number: int
    relation: int
    back: bool

    def turned(self) -> Link:
        """Return it as it is walked the other way."""
        return Link(self.number, self.before, self.relation, not self.back)


class Step(NamedTuple):
    """An edge that was walked along; ``back`` against its direction."""

    edge: Edge
    back: bool


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """What lies so many hops from the start, by number, ascending; columns of one length, a row an entity.

    Of each: the entity before it, the edge between as ``said`` (eight times the relation, and its strength),
    whether it was walked against its direction, and the strength of the weakest hop on the way. Of several
    ways of this length, it is one whose weakest hop is strongest.
    """

    numbers: NDArray[np.int64]
    before: NDArray[np.int64]
    said: NDArray[np.int64]
    back: NDArray[np.bool_]
    strength: NDArray[np.int64]

    def link(self, number: int) -> Link:
        """Return the last hop on the way to an entity that is here."""
        place = int(np.searchsorted(self.numbers, number))
        before, said, back = (one[place].item() for one in (self.before, self.said, self.back))
        return Link(before, number, said // _STRENGTHS, back)


@dataclass(frozen=True, slots=True)
class Spread:
    """What a walk reached, by hops, where it began first; ``more``: a bound ended it, there may be more."""

    levels: Sequence[Level]
    more: bool

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Return what was reached, nearest first, without where it began."""
        return self._all("numbers")

    @property
    def before(self) -> NDArray[np.int64]:
        """Return of each entity that was reached the one before it."""
        return self._all("before")

    @property
    def strength(self) -> NDArray[np.int64]:
        """Return of each entity that was reached the strength of the weakest hop."""
        return self._all("strength")

    @property
    def hops(self) -> NDArray[np.int64]:
        """Return of each entity that was reached how many hops off it is."""
        sizes = [len(one.numbers) for one in self.levels[1:]]
        return np.repeat(np.arange(1, len(self.levels)), sizes)

    def _all(self, name: str) -> NDArray[np.int64]:
        return np.concatenate([np.empty(0, np.int64), *(getattr(one, name) for one in self.levels[1:])])


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


@dataclass(slots=True)
class _Side:
    """A walk on its way: what it reached by hops, and all that it is not to come to again, ascending."""

    levels: list[Level]
    seen: NDArray[np.int64]

    def on(self, level: Level) -> None:
        self.levels.append(level)
        self.seen = np.sort(np.concatenate([self.seen, level.numbers]), kind="stable")  # two runs: merged


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
        self._unknown = np.array(list(unknown.values()), np.int64)

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

    def spread(self, start: int, *, on: Along, back: Along, bounds: Bounds) -> Spread:
        """Walk breadth first along some relations, and back along some."""
        side, left = self._start(start), _Left(bounds.nodes - 1, bounds.edges)
        for _ in range(bounds.depth):
            fresh = self._level(side, (on, back), Strength.NAME_MATCH, left)
            if not len(fresh.numbers):
                return Spread(side.levels, left.cut)
            side.on(fresh)
            if left.cut:
                break
        return Spread(side.levels, more=True)

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
                    return Path(tuple(self._step(link) for link in chain))
        return Path(None, more)

    def chain(self, spread: Spread, number: int) -> list[Step]:
        """Return the steps by which a walk came to an entity."""
        hops = next(n for n, one in enumerate(spread.levels) if number in one.numbers)
        return [self._step(link) for link in _links(spread.levels[: hops + 1], number)][::-1]

    def _between(
        self, first: int, last: int, least: Strength, bounds: Bounds
    ) -> tuple[list[Link] | None, bool]:
        """Walk from both ends, always on from the one with fewer entities, until they meet."""
        if first == last:
            return [], False
        sides, left = (self._start(first), self._start(last)), _Left(bounds.nodes, bounds.edges)
        for _ in range(bounds.depth):
            ends = [side.levels[-1] for side in sides]
            turn = len(ends[0].numbers) > len(ends[1].numbers)
            fresh = self._level(sides[turn], (None, None), least, left)
            sides[turn].on(fresh)
            # nearer than the last level of the other side there is nothing: they would have met before
            met, mine, theirs = np.intersect1d(
                fresh.numbers, ends[not turn].numbers, assume_unique=True, return_indices=True
            )
            if len(met):
                weakest = np.minimum(fresh.strength[mine], ends[not turn].strength[theirs])
                where = int(met[np.argmax(weakest)])
                here, there = (list(_links(side.levels, where)) for side in sides)
                return [*here[::-1], *(link.turned() for link in there)], False
            if left.cut or not len(fresh.numbers):
                return None, left.cut
        return None, True

    def _start(self, number: int) -> _Side:
        one, none = np.array([number], np.int64), np.zeros(1, np.int64)
        start = Level(one, none, none, none.astype(bool), np.array([int(Strength.VERIFIED)], np.int64))
        return _Side([start], np.union1d(one, self._unknown))

    def _level(self, side: _Side, ways: Ways, least: Strength, left: _Left) -> Level:
        """Go one hop on from the last level; return what was not seen before."""
        here, read = side.levels[-1], list[tuple[NDArray[np.int64], ...]]()
        for back in (False, True):
            for before, numbers, said in self._edges(here.numbers, ways[back], least, left, back=back):
                new = ~_within(numbers, side.seen)
                read.append((before[new], numbers[new], said[new], np.full(new.sum(), int(back))))
        nothing = (np.empty(0, np.int64),) * 4
        before, numbers, said, backs = (np.concatenate(one) for one in zip(nothing, *read, strict=True))
        weakest = np.minimum(said % _STRENGTHS, here.strength[np.searchsorted(here.numbers, before)])
        order = np.argsort(numbers * _STRENGTHS - weakest, kind="stable")  # of each, the strongest first
        ordered = numbers[order]
        best = order[np.flatnonzero(np.diff(ordered, prepend=-1))]
        if len(best) > left.nodes:
            left.cut, best = True, best[: max(left.nodes, 0)]
        left.nodes -= len(best)
        return Level(numbers[best], before[best], said[best], backs[best].astype(bool), weakest[best])

    def _edges(
        self, here: NDArray[np.int64], relations: Along, least: Strength, left: _Left, *, back: bool
    ) -> Iterator[list[NDArray[np.int64]]]:
        """Yield columns (from, to, said) of the edges that leave these, or (``back``) lead to them."""
        if relations is not None and not relations:
            return
        ours, theirs = ("target", "source") if back else ("source", "target")
        # to read all edges of an entity is cheaper than to seek many relations: + keeps SQLite from it
        seek = "" if relations is None or len(relations) <= _SOUGHT else "+"
        some = "" if relations is None else f" AND {seek}e.relation IN ({', '.join(map(str, relations))})"
        text = columned(
            self.connection,
            (f"e.{ours}", f"e.{theirs}", f"e.relation * {_STRENGTHS} + e.strength"),
            f"graph_edge e WHERE e.{ours} = given.value AND e.strength >= :least"
            f" AND e.valid_from <= :upper AND e.valid_to >= :lower{some} LIMIT :most",
        )
        bounds = {"least": int(least), "upper": self._upper, "lower": self._lower}
        for begin in range(0, len(here), _AT_ONCE):
            if left.edges <= 0:
                break
            asked = given(self.connection, here[begin : begin + _AT_ONCE]) | bounds | {"most": left.edges}
            read = [column(one) for one in self.connection.execute(text, asked).one()]
            left.edges -= len(read[0])
            yield read
        left.cut |= left.edges <= 0

    def _step(self, link: Link) -> Step:
        source, target = (link.number, link.before) if link.back else (link.before, link.number)
        return Step(self.graph.between(self.connection, source, target, link.relation, self.at), link.back)


def _links(levels: Sequence[Level], number: int) -> Iterator[Link]:
    """Yield the hops from an entity of the last level back to the start."""
    for level in levels[:0:-1]:
        link = level.link(number)
        yield link
        number = link.before


def _within(numbers: NDArray[np.int64], seen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say of each number whether it is among others, which ascend and are some."""
    found: NDArray[np.bool_] = seen[np.minimum(np.searchsorted(seen, numbers), len(seen) - 1)] == numbers
    return found
