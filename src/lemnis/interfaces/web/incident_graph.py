"""The graph of an incident: from where, by whom, on what, by what; what alerts name together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.incidents import Incident
from lemnis.interfaces.web import drawing
from lemnis.interfaces.web.words import masked, query

MOST_IN_COLUMN = 6
_ORDER: tuple[frozenset[EntityKind], ...] = (
    frozenset({EntityKind.ADDRESS, EntityKind.DOMAIN, EntityKind.ENDPOINT, EntityKind.PERSON}),
    frozenset(
        {
            EntityKind.USER,
            EntityKind.IDENTITY,
            EntityKind.SERVICE_ACCOUNT,
            EntityKind.PRINCIPAL,
            EntityKind.ROLE,
            EntityKind.CREDENTIAL,
        }
    ),
    frozenset(
        {
            EntityKind.HOST,
            EntityKind.WORKLOAD,
            EntityKind.CONTAINER,
            EntityKind.CLOUD_RESOURCE,
            EntityKind.CLUSTER_OBJECT,
        }
    ),
    frozenset({EntityKind.PROCESS, EntityKind.IMAGE, EntityKind.BUILD}),
)
"""The columns of the graph: from where, by whom, on what, by what; last what it was done to."""


def graph(incident: Incident) -> tuple[list[drawing.Node], list[drawing.Line]]:
    """Return an incident's most frequent entities, and which of them alerts name together. Pure."""
    counts = shown_entities(incident)
    nodes = [
        drawing.Node(
            str(entity),
            entity.kind.value,
            entity.value,
            f"/entity?{query({'name': masked(entity)})}",
            _column(entity.kind),
            note=f"{count} alert{'' if count == 1 else 's'}",
        )
        for entity, count in counts
    ]
    known = {entity for entity, _ in counts}
    pairs: dict[tuple[str, str], set[str]] = {}
    for group in incident.groups:
        chain = sorted(
            (one for one in group.entities if one in known), key=lambda one: (_column(one.kind), one)
        )
        for first, last in _neighbours(chain):
            pairs.setdefault((str(first), str(last)), set()).add(group.title)
    lines = [drawing.Line(first, last, _told(rules)) for (first, last), rules in sorted(pairs.items())]
    return nodes, lines


def shown_entities(incident: Incident) -> list[tuple[Entity, int]]:
    """Return the most frequent entities of each column, and in how many alerts each is. Pure."""
    taken: dict[int, int] = {}
    found = []
    for entity, count in incident.entities.items():
        column = _column(entity.kind)
        taken[column] = taken.get(column, 0) + 1
        if taken[column] <= MOST_IN_COLUMN:
            found.append((entity, count))
    return found


def _column(kind: EntityKind) -> int:
    return next((n for n, kinds in enumerate(_ORDER) if kind in kinds), len(_ORDER))


def _neighbours(chain: Sequence[Entity]) -> Iterable[tuple[Entity, Entity]]:
    """Pair each entity with those of the next column that has any."""
    by_column: dict[int, list[Entity]] = {}
    for one in chain:
        by_column.setdefault(_column(one.kind), []).append(one)
    columns = [by_column[n] for n in sorted(by_column)]
    for some, following in pairwise(columns):
        for one in some:
            for other in following:
                yield one, other


def _told(rules: set[str]) -> str:
    return "" if len(rules) < 2 else f"{len(rules)} rules"  # noqa: PLR2004 - one is not worth the room
