"""What ties alerts: which sets of an alert's entities are enough to share.

Two alerts are tied if what they share weighs at least 100 at their distance in time. That is so exactly if
they share a *minimal* set that weighs that much; so each alert is filed under its minimal sets, and alerts
under the same set within its window are tied. No pair of alerts is ever looked at.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lemnis.content.schemas.grouping import Common, Grouping
from lemnis.contracts.alerts import Alert, Entity, EntityKind, Severity
from lemnis.contracts.network import read_address

ENOUGH = 100
_WEAK = 14  # of entities that do not suffice alone, so many are combined: the heaviest, then by name


Shape = tuple[tuple[EntityKind, int], ...]


@dataclass(frozen=True, slots=True)
class Tied:
    """A set of an alert's entities, by their places in it, that is enough to share within ``window`` ms.

    If ``one`` is not 0, only with an alert of which at least one of the two has that severity.
    """

    places: tuple[int, ...]
    window: int
    one: int


class Ties:
    """Knows the ties of alerts under one grouping.

    Which sets are enough depends only on the kinds of an alert's entities and on how common they are, so
    it is worked out once for each such shape.
    """

    def __init__(self, grouping: Grouping) -> None:
        """Prepare the grouping's weights and common entities."""
        self._ties = {
            kind: [(t.within, t.weight, _severity(t.at_least), _severity(t.one_from)) for t in ties]
            for kind, ties in grouping.ties.items()
        }
        every = [tie for ties in self._ties.values() for tie in ties]
        self._levels = sorted({0, *(level for _, _, level, _ in every)})
        self._ones = sorted({0, *(one for _, _, _, one in every)})
        self._windows = sorted({within for within, _, _, _ in every})
        self._common = [_matcher(common) for common in grouping.common]
        self._shapes: dict[tuple[Shape, int], tuple[Tied, ...]] = {}
        self._reached = [sum(level <= severity for level in self._levels) for severity in Severity]
        self._ranks = [sum(level <= one for level in (*self._levels, *self._ones)) for one in Severity]

    def cap(self, entity: Entity) -> int:
        """Return the most that sharing this entity can weigh: less than enough for common ones."""
        return min((limit for matches, limit in self._common if matches(entity)), default=ENOUGH)

    def rank(self, severity: Severity) -> int:
        """Return how many of the severities that ties ask for this reaches: those of one rank tie alike."""
        return self._ranks[severity]

    def of(self, shape: Shape, severity: Severity) -> tuple[Tied, ...]:
        """Return the minimal sets under which an alert is filed whose entities have these kinds and caps."""
        levels = self._reached[severity]
        found = self._shapes.get((shape, levels))
        if found is None:
            found = self._shapes[shape, levels] = self._work_out(shape, self._levels[:levels])
        return found

    def weigh(self, entity: Entity, alert: Alert, other: Alert) -> int:
        """Return what it weighs that two alerts share an entity."""
        low, high = sorted((alert.severity, other.severity))
        return min(self.cap(entity), self._weight(entity.kind, low, high, abs(alert.time - other.time)))

    def _work_out(self, shape: Shape, levels: Sequence[int]) -> tuple[Tied, ...]:
        found: list[Tied] = []
        for level in levels:  # what more alerts are filed under comes first, and makes the rest needless
            for one in (0, *(one for one in self._ones if one > level)):
                sets: dict[tuple[int, ...], int] = {}
                for window in self._windows:
                    weights = [min(cap, self._weight(kind, level, one, window)) for kind, cap in shape]
                    sets |= dict.fromkeys(minimal_sets(weights), window)
                for chosen, window in sorted(sets.items(), key=lambda item: (len(item[0]), item[0])):
                    tied = Tied(chosen, window, one)
                    if not any(_covers(other, tied) for other in found):
                        found.append(tied)
        return tuple(found)

    def _weight(self, kind: EntityKind, level: int, one: int, window: int) -> int:
        """Weigh a kind for alerts ``window`` apart, both of at least ``level``, one of at least ``one``."""
        ties = self._ties.get(kind, ())
        highest = max(level, one)
        return max((w for within, w, both, either in ties
                    if within >= window and both <= level and either <= highest), default=0)  # fmt: skip


def _covers(other: Tied, tied: Tied) -> bool:
    """Say whether whatever a set ties, another one ties too; both are of one alert."""
    wider = other.window >= tied.window and other.one <= tied.one
    return wider and set(other.places) <= set(tied.places)


def minimal_sets(weights: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the sets of places that weigh enough and of which no part does; bounded in number."""
    found: list[tuple[int, ...]] = [(place,) for place, weight in enumerate(weights) if weight >= ENOUGH]
    weak = sorted((p for p, w in enumerate(weights) if 0 < w < ENOUGH), key=lambda p: (-weights[p], p))[
        :_WEAK
    ]
    for size in (2, 3, 4):
        for chosen in itertools.combinations(weak, size):
            each = [weights[place] for place in chosen]
            if sum(each) >= ENOUGH and sum(each) - min(each) < ENOUGH:
                found.append(tuple(sorted(chosen)))
    return found


def _severity(name: str) -> int:
    return int(Severity[name.upper()])


def _matcher(common: Common) -> tuple[Callable[[Entity], bool], int]:
    """Return a test whether an entity is one of these, and the most that it weighs then."""
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    patterns: list[str] = []
    for value in common.values:
        if common.kind is EntityKind.ADDRESS and not any(wild in value for wild in "*?"):
            networks.append(ipaddress.ip_network(value))
        else:
            patterns.append(fnmatch.translate(value.lower().replace("[", "[[]")))
    names = re.compile("|".join(patterns)) if patterns else None

    def matches(entity: Entity) -> bool:
        if entity.kind is not common.kind:
            return False
        if names is not None and names.match(entity.value.lower()):
            return True
        if not networks:
            return False
        address = read_address(entity.value)
        return address is not None and any(address in network for network in networks)

    return matches, common.at_most
