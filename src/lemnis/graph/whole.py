"""The graph as a whole: what it holds, in figures or line by line, and what nothing rests on any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.provenance import RELATIONS, Edge, Node, Strength
from lemnis.graph.store import Graph
from lemnis.graph.tables import EDGES, EVIDENCE, NODES

_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Said:
    """How often a relation was stated by a method and with a strength; ``known``: walks understand it."""

    relation: str
    method: str
    strength: Strength
    edges: int

    @property
    def known(self) -> bool:
        """Say whether the relation is one of those that walks understand."""
        return self.relation in RELATIONS


@dataclass(frozen=True, slots=True)
class Tally:
    """What the graph holds: entities by kind, edges by what they say, and pieces of evidence."""

    kinds: dict[EntityKind, int]
    said: tuple[Said, ...]
    evidence: int

    @property
    def nodes(self) -> int:
        """Return how many entities there are."""
        return sum(self.kinds.values())

    @property
    def edges(self) -> int:
        """Return how many edges there are."""
        return sum(one.edges for one in self.said)


def tally(graph: Graph, at: int | None) -> Tally:
    """Count what the graph holds, edges as of an instant (None: all there are)."""
    kinds = sa.select(NODES.c.kind, sa.func.count().label("n")).group_by(NODES.c.kind)
    columns = (EDGES.c.relation, EDGES.c.method, EDGES.c.strength)
    said = sa.select(*columns, sa.func.count().label("n")).group_by(*columns)
    if at is not None:
        said = said.where(EDGES.c.valid_from <= at, EDGES.c.valid_to >= at)
    with graph.reading() as connection:
        by_kind = {EntityKind(graph.text(connection, kind)): n for kind, n in connection.execute(kinds).all()}
        told = [
            Said(graph.text(connection, relation), graph.text(connection, method), Strength(strength), n)
            for relation, method, strength, n in connection.execute(said).all()
        ]
        count = connection.execute(sa.select(sa.func.count()).select_from(EVIDENCE)).scalar_one()
    return Tally(
        dict(sorted(by_kind.items(), key=lambda one: (-one[1], one[0]))),
        tuple(sorted(told, key=lambda one: (-one.edges, one.relation, one.method))),
        count,
    )


def described(graph: Graph) -> Iterator[Node]:
    """Yield the entities that have properties."""
    query = sa.select(NODES.c.id, NODES.c.kind, NODES.c.value, NODES.c.data).where(NODES.c.data.is_not(None))
    with graph.reading() as connection:
        last = 0
        while rows := connection.execute(_after(query, last)).all():
            for number, kind, value, data in rows:
                yield Node(Entity(EntityKind(graph.text(connection, kind)), value), orjson.loads(data))
                last = number


def edges(graph: Graph, at: int | None) -> Iterator[Edge]:
    """Yield the edges, in the order in which their sources became known; all of one state of the graph."""
    query = sa.select(NODES.c.id).where(sa.exists().where(EDGES.c.source == NODES.c.id))
    with graph.reading() as connection:
        last = 0
        while some := list(connection.execute(_after(query, last)).scalars()):
            yield from graph.of_sources(connection, some, at)
            last = some[-1]


def tidy(connection: sa.Connection) -> tuple[int, int]:
    """Remove entities without edges and properties, and evidence without edges; return how many of each.

    It runs within a transaction that excludes other writers.
    """
    unlinked = (
        "DELETE FROM graph_node WHERE data IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM graph_edge e WHERE e.source = graph_node.id)"
        " AND NOT EXISTS (SELECT 1 FROM graph_edge e WHERE e.target = graph_node.id)"
    )
    unused = "DELETE FROM graph_evidence WHERE id NOT IN (SELECT evidence FROM graph_edge)"
    return connection.exec_driver_sql(unlinked).rowcount, connection.exec_driver_sql(unused).rowcount


def _after(query: sa.Select[sa.Row], last: int) -> sa.Select[sa.Row]:  # type: ignore[type-arg]
    return query.where(NODES.c.id > last).order_by(NODES.c.id).limit(_AT_ONCE)
