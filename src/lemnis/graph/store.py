"""The provenance graph: edges with method, strength, evidence and validity, and the walk along them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import orjson
import sqlalchemy as sa

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.ids import canonical, stable_id
from lemnis.contracts.provenance import Edge, Hop, Strength
from lemnis.store.database import writing

# The walk from what was seen running back to who owns the line: each relation, and what it leads to.
WALK: tuple[tuple[str, EntityKind], ...] = (
    ("runs_in", EntityKind.CONTAINER),
    ("instance_of", EntityKind.IMAGE),
    ("built_by", EntityKind.BUILD),
    ("built_from", EntityKind.COMMIT),
    ("has_line", EntityKind.SOURCE_LINE),
    ("introduced_by", EntityKind.COMMIT),
    ("owned_by", EntityKind.OWNER),
)
METADATA = sa.MetaData()
EDGES = sa.Table(
    "edge",
    METADATA,
    sa.Column("id", sa.Text(), primary_key=True),
    sa.Column("source", sa.Text(), nullable=False),
    sa.Column("target", sa.Text(), nullable=False),
    sa.Column("relation", sa.Text(), nullable=False),
    sa.Column("method", sa.Text(), nullable=False),
    sa.Column("strength", sa.Integer(), nullable=False),
    sa.Column("evidence", sa.Text(), nullable=False),
    sa.Column("valid_from", sa.BigInteger()),
    sa.Column("valid_to", sa.BigInteger()),
)


class Graph:
    """Entities and the edges between them, in the workspace's database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, edges: Iterable[Edge]) -> None:
        """Add edges; one that says the same by the same method replaces the earlier."""
        rows = {row["id"]: row for row in map(_row, edges)}
        if not rows:
            return
        with writing(self._engine) as connection:
            connection.execute(sa.delete(EDGES).where(EDGES.c.id.in_(list(rows))))
            connection.execute(sa.insert(EDGES), list(rows.values()))

    def renew(self, edges: Sequence[Edge]) -> None:
        """Add edges in place of all that was said before of their source, by their relation.

        What was looked at again is now so, or broken; an earlier, stronger statement must not outlive that.
        """
        about = sorted({(str(edge.source), edge.relation) for edge in edges})
        if not about:
            return
        with writing(self._engine) as connection:
            for source, relation in about:
                connection.execute(
                    sa.delete(EDGES).where(EDGES.c.source == source, EDGES.c.relation == relation)
                )
            connection.execute(sa.insert(EDGES), list({row["id"]: row for row in map(_row, edges)}.values()))

    def edges_from(self, entity: Entity, at: int | None = None) -> list[Edge]:
        """Return the edges that leave an entity (and held at an instant), strongest first."""
        query = sa.select(EDGES).where(EDGES.c.source == str(entity))
        if at is not None:
            query = query.where(
                sa.or_(EDGES.c.valid_from.is_(None), EDGES.c.valid_from <= at),
                sa.or_(EDGES.c.valid_to.is_(None), EDGES.c.valid_to >= at),
            )
        query = query.order_by(EDGES.c.strength.desc(), EDGES.c.id)
        with self._engine.connect() as connection:
            return [_edge(row) for row in connection.execute(query)]

    def edges_to(self, entities: Iterable[Entity]) -> list[Edge]:
        """Return the edges that lead to any of these entities, strongest first."""
        query = sa.select(EDGES).where(EDGES.c.target.in_([str(one) for one in entities]))
        with self._engine.connect() as connection:
            found = connection.execute(query.order_by(EDGES.c.strength.desc(), EDGES.c.id))
            return [_edge(row) for row in found]

    def related(self, relation: str) -> list[Edge]:
        """Return all edges of a relation, strongest first."""
        query = sa.select(EDGES).where(EDGES.c.relation == relation)
        with self._engine.connect() as connection:
            found = connection.execute(query.order_by(EDGES.c.strength.desc(), EDGES.c.id))
            return [_edge(row) for row in found]

    def alerts_behind(self, entity: Entity) -> frozenset[str]:
        """Return the alerts from which walks have led to an entity: the way back along ``WALK``."""
        here = {entity}
        for relation, kind in reversed(WALK):
            if any(one.kind is kind for one in here):
                edges = [edge for edge in self.edges_to(here) if edge.relation == relation]
                here = {edge.source for edge in edges}
                if relation == WALK[0][0]:
                    return frozenset(str(e.evidence["alert"]) for e in edges if e.evidence.get("alert"))
        return frozenset()

    def count(self, kind: EntityKind) -> int:
        """Count the entities of a kind that edges leave or lead to."""
        begins = f"{kind}:%"
        ends = [sa.select(column).where(column.like(begins)) for column in (EDGES.c.source, EDGES.c.target)]
        with self._engine.connect() as connection:
            return len(connection.execute(sa.union(*ends)).all())

    def trace(self, start: Entity, at: int | None = None) -> list[Hop]:
        """Walk from a process (or anything later on the way) to the owner; see ``walk``."""
        return walk(start, lambda entity: self.edges_from(entity, at))


def walk(start: Entity, edges_from: Callable[[Entity], Sequence[Edge]]) -> list[Hop]:
    """Follow the strongest edge of each relation in turn.

    ``edges_from`` gives an entity's edges. The walk ends at the owner, or at a hop that is ``broken``: an
    edge that did not hold when it was checked, or that nothing knows of.
    """
    hops: list[Hop] = []
    here = start
    for relation, kind in WALK[_entry(start) :]:
        source = hops[-2].edge.target if relation == "owned_by" and len(hops) > 1 else here
        edge = _strongest(edges_from(source), relation)
        if edge is None:
            missing = Edge(source, Entity(kind, "?"), relation, "none", Strength.BROKEN)
            return [*hops, Hop(missing, f"nothing says what {source} {relation.replace('_', ' ')}")]
        if edge.strength is Strength.BROKEN:
            return [*hops, Hop(edge, str(edge.evidence.get("reason", "it did not hold")))]
        hops.append(Hop(edge))
        here = edge.target
    return hops


def _entry(start: Entity) -> int:
    """Return where on the way an entity stands."""
    kinds = [EntityKind.PROCESS, *(kind for _, kind in WALK)]
    return kinds.index(start.kind) if start.kind in kinds else 0


def _strongest(edges: Sequence[Edge], relation: str) -> Edge | None:
    return max((e for e in edges if e.relation == relation), key=lambda e: e.strength, default=None)


def _row(edge: Edge) -> dict[str, object]:
    return {
        "id": stable_id("eg", str(edge.source), str(edge.target), edge.relation, edge.method),
        "source": str(edge.source),
        "target": str(edge.target),
        "relation": edge.relation,
        "method": edge.method,
        "strength": int(edge.strength),
        "evidence": canonical(dict(edge.evidence)).decode(),
        "valid_from": edge.valid_from,
        "valid_to": edge.valid_to,
    }


def _edge(row: sa.Row[tuple[object, ...]]) -> Edge:
    return Edge(
        source=Entity.parse(row.source),
        target=Entity.parse(row.target),
        relation=row.relation,
        method=row.method,
        strength=Strength(row.strength),
        evidence=orjson.loads(row.evidence),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
    )
