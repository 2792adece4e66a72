"""What else is exposed to the same cause: the same image, package, module, role, pattern, line.

Exposure goes through relations as ``RELATIONS`` says: whoever runs an image is exposed to what is in it. From
something that is no cause itself (a workload, an incident's host), the causes are found first: what it relies
on, of the kinds that others may share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.provenance import Exposed, Strength
from lemnis.graph.store import Graph
from lemnis.graph.walks import Bounds, Spread, Step, Walker

SHARED = frozenset(
    {
        EntityKind.IMAGE, EntityKind.ARTIFACT, EntityKind.PACKAGE, EntityKind.MODULE, EntityKind.ROLE,
        EntityKind.PATTERN, EntityKind.CREDENTIAL, EntityKind.SOURCE_LINE, EntityKind.VULNERABILITY,
    }
)  # fmt: skip
"""The kinds of cause that others may share."""
_ABOUT = ("about", "caused_by")
_CAUSES = 25
_STRENGTHS = {int(one): one for one in Strength}
_RELIES = Bounds(depth=6, nodes=20_000, edges=200_000)


class Affected(NamedTuple):
    """An entity that is exposed: hops from the cause, the entity before it, and the weakest hop."""

    entity: Entity
    hops: int
    through: Entity
    strength: Strength


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause, how the entity that was asked about comes to it, and what else is exposed to it.

    ``way`` is empty where the entity is the cause itself. ``affected`` is nearest first and may be cut;
    ``counts`` has all by kind. ``more``: a bound ended the walk, so there may be others.
    """

    entity: Entity
    way: tuple[Step, ...]
    affected: tuple[Affected, ...]
    counts: Mapping[EntityKind, int]
    more: bool

    @property
    def total(self) -> int:
        """Return how many are exposed."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Impact:
    """What shares the causes of an entity as of an instant; ``more``: some causes were not followed."""

    entity: Entity
    at: int | None
    causes: tuple[Cause, ...]
    more: bool = False


def impact(
    graph: Graph, entity: Entity, at: int | None, *, bounds: Bounds | None = None, shown: int | None = None
) -> Impact:
    """Tell what else is exposed to the same cause as an entity, or to the entity, as of an instant.

    ``shown`` is how many affected entities of a cause are named (None: all). Raises NotFoundError.
    """
    limits = bounds or Bounds()
    with graph.reading() as connection:
        walker = Walker(graph, connection, at)
        start = walker.number(entity)
        ways = (walker.relations(Exposed.TARGET), walker.relations(Exposed.SOURCE))
        mine = walker.spread(start, on=ways[0], back=ways[1], bounds=limits)
        causes = [_cause(walker, entity, (), mine, (start, shown))]
        if entity.kind in SHARED:
            return Impact(entity, at, tuple(causes))
        first = walker.graph.words(connection, _ABOUT)
        relied = walker.spread(start, on=[*ways[1], *first], back=ways[0], bounds=_RELIES)
        shared = _shared(walker, relied)
        for number, cause in shared[:_CAUSES]:
            way = walker.chain(relied, number)
            found = walker.spread(number, on=ways[0], back=ways[1], bounds=limits)
            causes.append(_cause(walker, cause, way, found, (start, shown)))
        told = tuple(cause for cause in causes if cause.total)
        return Impact(entity, at, told, more=relied.more or len(shared) > _CAUSES)


def _shared(walker: Walker, relied: Spread) -> list[tuple[int, Entity]]:
    """Return the causes among what an entity relies on, nearest first.

    A package is one where something is known to be wrong with it: everything shares some packages.
    """
    numbers, before = relied.numbers.tolist(), relied.before.tolist()
    entities = walker.graph.entities(walker.connection, numbers)
    wrong = {
        one for one, entity in zip(before, entities, strict=True) if entity.kind is EntityKind.VULNERABILITY
    }
    return [
        (number, one)
        for number, one in zip(numbers, entities, strict=True)
        if one.kind in SHARED and (one.kind is not EntityKind.PACKAGE or number in wrong)
    ]


def _cause(
    walker: Walker, entity: Entity, way: Sequence[Step], spread: Spread, told: tuple[int, int | None]
) -> Cause:
    """Return a cause; ``told`` are who asks, and how many to name."""
    asks, shown = told
    others = np.flatnonzero(spread.numbers != asks)
    affected = _affected(walker, spread, others[:shown])
    if len(affected) == len(others):
        counts = dict(Counter(one.entity.kind for one in affected).most_common())
    else:
        counts = walker.graph.kinds(walker.connection, spread.numbers[others])
    return Cause(entity, tuple(way), affected, counts, spread.more)


def _affected(walker: Walker, spread: Spread, places: NDArray[np.int64]) -> tuple[Affected, ...]:
    """Name what was reached, by its places in the spread."""
    reached, before = spread.numbers[places], spread.before[places]
    numbers = np.union1d(reached, before)
    names = walker.graph.entities(walker.connection, numbers)
    found, through = (
        map(names.__getitem__, np.searchsorted(numbers, one).tolist()) for one in (reached, before)
    )
    hops, strengths = spread.hops[places].tolist(), spread.strength[places].tolist()
    return tuple(map(Affected, found, hops, through, map(_STRENGTHS.__getitem__, strengths)))
