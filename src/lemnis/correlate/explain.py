"""Why alerts are in one incident: to which others each is tied, by what, and what that weighs. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lemnis.content.schemas.grouping import Grouping
from lemnis.contracts.alerts import Alert, Entity
from lemnis.correlate.ties import ENOUGH, Ties

_NEAR = 20
"""So many alerts before one, and after it, that share an entity with it are looked at."""
LINKS = 3


@dataclass(frozen=True, slots=True)
class Link:
    """A tie to another alert, ``apart`` ms later (or, negative, earlier): the entities, and their weights."""

    other: str
    title: str
    apart: int
    shares: tuple[tuple[Entity, int], ...]

    @property
    def weight(self) -> int:
        """Return what all of it weighs; it takes 100."""
        return sum(weight for _, weight in self.shares)


@dataclass(frozen=True, slots=True)
class Why:
    """An alert, and the nearest that it is tied to; without any, something else joined it: a person, say."""

    alert: Alert
    links: tuple[Link, ...]


def explain(
    grouping: Grouping, alerts: Sequence[Alert], ignored: Mapping[str, frozenset[Entity]]
) -> list[Why]:
    """Explain each of an incident's alerts, by event time; ``ignored`` entities of an alert do not tie it."""
    ties = Ties(grouping)
    ordered = sorted(alerts, key=lambda alert: (alert.time, alert.id))
    about = {alert.id: frozenset(alert.entities) - ignored.get(alert.id, frozenset()) for alert in ordered}
    having: dict[Entity, list[Alert]] = {}
    for alert in ordered:
        for entity in about[alert.id]:
            having.setdefault(entity, []).append(alert)
    return [Why(alert, _links(ties, alert, about, having)) for alert in ordered]


def _links(
    ties: Ties,
    alert: Alert,
    about: Mapping[str, frozenset[Entity]],
    having: Mapping[Entity, Sequence[Alert]],
) -> tuple[Link, ...]:
    found: dict[str, Link] = {}
    for entity in about[alert.id]:
        others = having[entity]
        before = bisect_left(others, alert.time, key=lambda one: one.time)
        after = bisect_right(others, alert.time, key=lambda one: one.time)
        for other in others[max(0, before - _NEAR) : after + _NEAR]:
            if other.id == alert.id or other.id in found:
                continue
            both = sorted(about[alert.id] & about[other.id])
            weights = [(one, ties.weigh(one, alert, other)) for one in both]
            link = Link(other.id, other.title, other.time - alert.time, tuple(w for w in weights if w[1]))
            if link.weight >= ENOUGH:
                found[other.id] = link
    nearest = sorted(found.values(), key=lambda link: (link.apart > 0, abs(link.apart), link.other))
    return tuple(nearest[:LINKS])
