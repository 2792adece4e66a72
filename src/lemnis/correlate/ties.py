"""What ties alerts: from an alert's entities to the sets of them that are enough to share.

Two alerts are tied if what they share weighs at least 100 at their distance in time. That is so exactly if
they share a *minimal* set that weighs that much; so each alert is filed under its minimal sets, and alerts
under the same set within its window are tied. No pair of alerts is ever looked at.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lemnis.content.schemas.grouping import Common, Grouping
from lemnis.contracts.alerts import Entity, EntityKind, Severity

ENOUGH = 100
_WEAK = 14  # of entities that do not suffice alone, so many are combined: the heaviest, then by name
_CACHED = 50_000


@dataclass(frozen=True, slots=True)
class Tied:
    """A set of entities that is enough to share within ``window`` milliseconds."""

    entities: tuple[Entity, ...]
    window: int


class Ties:
    """Knows the ties of alerts under one grouping; remembers what it worked out."""

    def __init__(self, grouping: Grouping) -> None:
        """Prepare the grouping's weights and common entities."""
        self._ties = grouping.ties
        self._common = [_matcher(common) for common in grouping.common]
        self._levels = sorted({_severity(t.at_least) for ties in grouping.ties.values() for t in ties})
        self._windows = sorted({tie.within for ties in grouping.ties.values() for tie in ties})
        self._known: dict[tuple[tuple[Entity, ...], int], tuple[Tied, ...]] = {}
        self._caps: dict[Entity, int] = {}

    def of(self, entities: tuple[Entity, ...], severity: Severity) -> tuple[Tied, ...]:
        """Return the minimal sets under which an alert with these entities and this severity is filed."""
        levels = sum(level <= severity for level in self._levels)
        key = (entities, levels)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            found = self._known[key] = self._work_out(entities, self._levels[:levels])
        return found

    def _work_out(self, entities: tuple[Entity, ...], levels: Sequence[int]) -> tuple[Tied, ...]:
        found: list[tuple[tuple[Entity, ...], int]] = []
        for level in levels:  # what alerts of a lower level are filed under too comes first
            sets: dict[tuple[Entity, ...], int] = {}
            for window in self._windows:
                weights = {entity: self._weight(entity, level, window) for entity in entities}
                sets |= dict.fromkeys(minimal_sets(weights), window)
            for chosen, window in sorted(sets.items(), key=lambda item: (len(item[0]), item[0])):
                if not any(other >= window and set(less) <= set(chosen) for less, other in found):
                    found.append((chosen, window))
        return tuple(Tied(*one) for one in found)

    def _weight(self, entity: Entity, level: int, window: int) -> int:
        """Weigh an entity for two alerts of at least ``level`` that are ``window`` apart."""
        weight = max(
            (t.weight for t in self._ties.get(entity.kind, ())
             if t.within >= window and _severity(t.at_least) <= level),
            default=0,
        )  # fmt: skip
        return min(weight, self._cap(entity)) if weight else 0

    def _cap(self, entity: Entity) -> int:
        cap = self._caps.get(entity)
        if cap is None:
            if len(self._caps) >= _CACHED:
                self._caps.clear()
            cap = min((limit for matches, limit in self._common if matches(entity)), default=ENOUGH)
            self._caps[entity] = cap
        return cap


def minimal_sets(weights: Mapping[Entity, int]) -> list[tuple[Entity, ...]]:
    """Return the sets that weigh enough and of which no part does, each sorted; bounded in number."""
    strong = sorted(entity for entity, weight in weights.items() if weight >= ENOUGH)
    weak = sorted((e for e, w in weights.items() if 0 < w < ENOUGH), key=lambda e: (-weights[e], e))[:_WEAK]
    found: list[tuple[Entity, ...]] = [(entity,) for entity in strong]
    for size in (2, 3, 4):
        for chosen in itertools.combinations(weak, size):
            total = sum(weights[e] for e in chosen)
            if total >= ENOUGH and total - min(weights[e] for e in chosen) < ENOUGH:
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
        try:
            address = ipaddress.ip_address(entity.value)
        except ValueError:
            return False
        return any(address in network for network in networks)

    return matches, common.at_most
