"""The provenance graph: entities, edges with method, strength, evidence and validity; the walk along them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import orjson
import sqlalchemy as sa
from numpy.typing import NDArray

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.provenance import UNKNOWN, Edge, Hop, Node, Strength
from lemnis.graph.bulk import Key, Loaded, Writer, among, column, columned, given, key, listed, numbers
from lemnis.graph.observing import observe
from lemnis.graph.tables import EDGES, EVIDENCE, NODES, WORDS, began, ended
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
BATCH = 100_000
"""So many edges are written in one transaction of a load."""
_LOADING, _USUAL = (-256 * 1024, 64 * 1024), (-2_000, 1_000)
"""SQLite's ``cache_size`` (negative: KB) and ``wal_autocheckpoint`` (pages) in a load, and else."""
_AT_ONCE = 50_000  # rows
_T = TypeVar("_T")
_S, _D = NODES.alias("s"), NODES.alias("d")
_SELECT = (
    sa.select(
        _S.c.kind.label("source_kind"), _S.c.value.label("source"),
        _D.c.kind.label("target_kind"), _D.c.value.label("target"),
        EDGES.c.relation, EDGES.c.method, EDGES.c.strength, EDGES.c.valid_from, EDGES.c.valid_to,
        EVIDENCE.c.data,
    )
    .join_from(EDGES, _S, _S.c.id == EDGES.c.source)
    .join(_D, _D.c.id == EDGES.c.target)
    .join(EVIDENCE, EVIDENCE.c.id == EDGES.c.evidence)
)  # fmt: skip
_ORDER = (
    EDGES.c.strength.desc(), EDGES.c.valid_from.desc(), _D.c.value, _S.c.value, EDGES.c.relation,
    EDGES.c.method,
)  # fmt: skip
"""The strongest first, of those the latest."""


class Graph:
    """Entities and the edges between them, in the workspace's database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._words: dict[str, int] = {}
        self._texts: dict[int, str] = {}

    def add(self, edges: Iterable[Edge], nodes: Iterable[Node] = ()) -> None:
        """Add edges, and properties of entities, all or nothing.

        An edge that says the same from the same instant by the same method replaces the earlier.
        """
        told, known = list(edges), list(nodes)
        if told or known:
            with writing(self._engine) as connection:
                Writer(connection).write(known, told)

    def load(
        self,
        edges: Iterable[Edge] = (),
        nodes: Iterable[Node] = (),
        *,
        done: Callable[[Loaded], None] = lambda _: None,
    ) -> Loaded:
        """Add many edges and nodes, a batch a transaction; ``done`` is told after each what it has so far.

        A load that was cut off is begun again from its start: what is there already changes nothing.
        """
        total = Loaded()
        try:
            for some in _batches(nodes):
                with _loading(self._engine) as connection:
                    total += Writer(connection).write(some, ())
                done(total)
            for told in _batches(edges):
                with _loading(self._engine) as connection:
                    total += Writer(connection).write((), told)
                done(total)
        finally:
            with self._engine.connect() as connection:
                _tune(connection, _USUAL)
                if connection.dialect.name == "sqlite":  # else the next to write would have to
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").close()
        return total

    def renew(self, edges: Sequence[Edge]) -> None:
        """Add edges in place of all that was said before of their source, by their relation.

        What was looked at again is now so, or broken; an earlier, stronger statement must not outlive that.
        """
        about = {(key(edge.source), edge.relation) for edge in edges}
        if not about:
            return
        with writing(self._engine) as connection:
            writer = Writer(connection)
            known = writer.numbers({source for source, _ in about})
            gone = [
                {"source": known[source], "relation": relation}
                for source, relation in sorted(about)
                if source in known
            ]
            if gone:
                connection.execute(
                    sa.text(
                        "DELETE FROM graph_edge WHERE source = :source"
                        " AND relation = (SELECT id FROM graph_word WHERE text = :relation)"
                    ),
                    gone,
                )
            writer.write((), edges)

    def observe(self, edges: Sequence[Edge], at: int, *, gone: Iterable[Entity] = ()) -> None:
        """Add what was seen as a whole at an instant, such as an inventory: what is not seen any more ended.

        For each source, relation and method that the edges name, they are all there is at ``at``: what held
        and is among them goes on, with the new evidence; what is new begins at ``at``; what held and is not
        among them ended just before. All edges that leave or lead to what is ``gone`` ended too. Snapshots
        come in the order of time; one that comes late says nothing of the time from the next one on. The
        bounds of the edges given do not matter.
        """
        with writing(self._engine) as connection:
            observe(connection, edges, at, gone)

    def edges_from(
        self, entity: Entity, at: int | None = None, relations: Iterable[str] | None = None
    ) -> list[Edge]:
        """Return the edges that leave an entity (and held at an instant), strongest first."""
        return self._edges([entity], at, relations, source=True)

    def edges_to(
        self,
        entities: Iterable[Entity],
        at: int | None = None,
        relations: Iterable[str] | None = None,
        limit: int | None = None,
    ) -> list[Edge]:
        """Return the edges that lead to any of these entities, strongest first."""
        return self._edges(entities, at, relations, source=False, limit=limit)

    def related(self, relation: str, at: int | None = None) -> list[Edge]:
        """Return all edges of a relation, strongest first."""
        with self._engine.connect() as connection:
            number = self._map(connection, relation).get(relation)
            query = _holding(_SELECT.where(EDGES.c.relation == number), at).order_by(*_ORDER)
            return [] if number is None else self._read(connection, query)

    def said(self, method: str) -> list[Edge]:
        """Return all that a method says, of all times; it looks at every edge."""
        with self._engine.connect() as connection:
            number = self._map(connection, method).get(method)
            query = _SELECT.where(EDGES.c.method == number)
            return [] if number is None else self._read(connection, query)

    def node(self, entity: Entity) -> Node | None:
        """Return an entity with its properties; None if the graph does not know it."""
        found = self.nodes([entity])
        return found[0] if found else None

    def nodes(self, entities: Iterable[Entity]) -> list[Node]:
        """Return those of the entities that the graph knows, with their properties."""
        with self._engine.connect() as connection:
            known = self.numbers(connection, entities)
            return self.named(connection, list(known.values()))

    def named(self, connection: sa.Connection, ids: Sequence[int]) -> list[Node]:
        """Return the nodes of these numbers, in their order."""
        text = among(
            connection, "bigint", "n.id, n.kind, n.value, n.data", "graph_node n WHERE n.id = given.value"
        )
        rows = connection.execute(text, given(connection, ids)).all()
        found = {
            number: Node(Entity(EntityKind(self.text(connection, kind)), value), orjson.loads(data or "{}"))
            for number, kind, value, data in rows
        }
        return [found[number] for number in ids]

    def entities(self, connection: sa.Connection, ids: Sequence[int] | NDArray[np.int64]) -> list[Entity]:
        """Return the entities of these numbers, in their order."""
        found: dict[int, Entity] = {}
        text = columned(
            connection, ("n.id", "n.kind"), "graph_node n WHERE n.id = given.value", text="n.value"
        )
        for begin in range(0, len(ids), _AT_ONCE):
            row = connection.execute(text, given(connection, ids[begin : begin + _AT_ONCE])).one()
            numbers, kinds = (column(one).tolist() for one in row[:2])
            kind_of = self._kinds(connection, set(kinds))
            named = map(Entity, map(kind_of.__getitem__, kinds), orjson.loads(row[2] or b"[]"))
            found.update(zip(numbers, named, strict=True))
        return [found[number] for number in (ids.tolist() if isinstance(ids, np.ndarray) else ids)]

    def kinds(
        self, connection: sa.Connection, ids: Sequence[int] | NDArray[np.int64]
    ) -> dict[EntityKind, int]:
        """Count the entities of these numbers by kind, the most first."""
        text = columned(connection, ("n.kind",), "graph_node n WHERE n.id = given.value")
        found = column(connection.execute(text, given(connection, ids)).scalar_one())
        counts = zip(*(one.tolist() for one in np.unique(found, return_counts=True)), strict=True)
        told = sorted(counts, key=lambda one: (-one[1], one[0]))
        kinds = self._kinds(connection, (kind for kind, _ in told))
        return {kinds[kind]: count for kind, count in told}

    def beginning(self, kind: EntityKind, prefix: str, limit: int) -> list[Entity]:
        """Return at most ``limit`` entities of a kind whose value begins with a text, in order."""
        with self._engine.connect() as connection:
            number = self._map(connection, kind).get(kind)
            query = sa.select(NODES.c.value).where(NODES.c.kind == number)
            if prefix:  # a range, not LIKE: an index of values serves it, whatever the collation
                query = query.where(NODES.c.value >= prefix, NODES.c.value < prefix + "\U0010ffff")
            found = connection.execute(query.order_by(NODES.c.value).limit(limit)).scalars()
            return [] if number is None else [Entity(kind, value) for value in found]

    def containing(self, text: str, kind: EntityKind | None, limit: int) -> list[Entity]:
        """Return some entities whose value has a text in it, in any case; it reads all names."""
        query = sa.select(NODES.c.kind, NODES.c.value).where(NODES.c.value.icontains(text, autoescape=True))
        with self._engine.connect() as connection:
            if kind is not None:
                query = query.where(NODES.c.kind.in_(self.words(connection, [kind])))
            rows = connection.execute(query.order_by(NODES.c.id).limit(limit)).all()
            kinds = self._kinds(connection, {row.kind for row in rows})
            return [Entity(kinds[number], value) for number, value in rows]

    def some(
        self, entity: Entity, at: int | None, limit: int, *, back: bool
    ) -> tuple[list[Edge], dict[str, int]]:
        """Return at most ``limit`` edges of each relation that leave an entity, or (``back``) lead to it.

        And how many more there are, by relation.
        """
        side = EDGES.c.target if back else EDGES.c.source
        found: list[Edge] = []
        more: dict[str, int] = {}
        with self.reading() as connection:
            for number in self.numbers(connection, [entity]).values():
                counted = sa.select(EDGES.c.relation, sa.func.count()).where(side == number)
                counts = connection.execute(_holding(counted, at).group_by(EDGES.c.relation)).all()
                for relation, count in sorted((self.text(connection, one), n) for one, n in counts):
                    of = EDGES.c.relation.in_(self.words(connection, [relation]))
                    query = _holding(_SELECT.where(side == number, of), at)
                    found += self._read(connection, query.order_by(*_ORDER).limit(limit))
                    if count > limit:
                        more[relation] = count - limit
        return found, more

    def alerts_behind(self, entity: Entity) -> frozenset[str]:
        """Return the alerts from which walks have led to an entity: the way back along ``WALK``."""
        here = {entity}
        for relation, kind in reversed(WALK):
            if any(one.kind is kind for one in here):
                edges = self.edges_to(here, relations=[relation])
                here = {edge.source for edge in edges}
                if relation == WALK[0][0]:
                    return frozenset(str(e.evidence["alert"]) for e in edges if e.evidence.get("alert"))
        return frozenset()

    def count(self, kind: EntityKind) -> int:
        """Count the entities of a kind that edges leave or lead to."""
        linked = sa.or_(
            sa.exists().where(EDGES.c.source == NODES.c.id), sa.exists().where(EDGES.c.target == NODES.c.id)
        )
        with self._engine.connect() as connection:
            number = self._map(connection, kind).get(kind)
            query = sa.select(sa.func.count()).select_from(NODES).where(NODES.c.kind == number, linked)
            return connection.execute(query).scalar_one()

    def trace(self, start: Entity, at: int | None = None) -> list[Hop]:
        """Walk from a process (or anything later on the way) to the owner; see ``walk``."""
        relations = [relation for relation, _ in WALK]
        return walk(start, lambda entity: self.edges_from(entity, at, relations))

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a connection on which all questions are answered from one state of the graph."""
        with self._engine.connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield connection

    def numbers(self, connection: sa.Connection, entities: Iterable[Entity]) -> dict[Key, int]:
        """Return the numbers of those of the entities that the graph knows."""
        keys = dict.fromkeys(map(key, entities))
        return numbers(connection, self._map(connection, *(kind for kind, _ in keys)), keys)

    def words(self, connection: sa.Connection, texts: Iterable[str]) -> list[int]:
        """Return the numbers of those of the words that the graph has."""
        asked = list(texts)
        known = self._map(connection, *asked)
        return [known[text] for text in asked if text in known]

    def text(self, connection: sa.Connection, number: int) -> str:
        """Return the word of a number."""
        if number not in self._texts:
            self._look(connection)
        return self._texts[number]

    def between(
        self, connection: sa.Connection, source: int, target: int, relation: int, at: int | None
    ) -> Edge:
        """Return the strongest edge of a relation between two entities that have one, all by number."""
        query = _SELECT.where(
            EDGES.c.source == source, EDGES.c.target == target, EDGES.c.relation == relation
        )
        return self._read(connection, _holding(query, at).order_by(*_ORDER).limit(1))[0]

    def of_sources(self, connection: sa.Connection, ids: Sequence[int], at: int | None) -> list[Edge]:
        """Return the edges that leave the entities of these numbers, by source."""
        query = _holding(_SELECT.where(EDGES.c.source.in_(_given(connection))), at)
        return self._read(connection, query.order_by(EDGES.c.source, *_ORDER), given(connection, ids))

    def leaving(
        self, entities: Iterable[Entity], at: int | None = None, relations: Iterable[str] | None = None
    ) -> list[Edge]:
        """Return the edges that leave any of these entities, strongest first."""
        return self._edges(entities, at, relations, source=True)

    def _edges(
        self,
        entities: Iterable[Entity],
        at: int | None,
        relations: Iterable[str] | None,
        *,
        source: bool,
        limit: int | None = None,
    ) -> list[Edge]:
        side = EDGES.c.source if source else EDGES.c.target
        with self._engine.connect() as connection:
            known = list(self.numbers(connection, entities).values())
            if not known:
                return []
            one_or_some = side == known[0] if len(known) == 1 else side.in_(_given(connection))
            query = _holding(_SELECT.where(one_or_some), at)
            if relations is not None:
                query = query.where(EDGES.c.relation.in_(self.words(connection, relations)))
            values = given(connection, known) if len(known) > 1 else {}
            return self._read(connection, query.order_by(*_ORDER).limit(limit), values)

    def _read(
        self, connection: sa.Connection, query: sa.Select[Any], values: Mapping[str, Any] | None = None
    ) -> list[Edge]:
        text, proofs = self.text, dict[str, Mapping[str, Any]]()
        made = []
        for row in connection.execute(query, dict(values or {})).all():
            if row.data not in proofs:
                proofs[row.data] = orjson.loads(row.data)
            made.append(
                Edge(
                    source=Entity(EntityKind(text(connection, row.source_kind)), row.source),
                    target=Entity(EntityKind(text(connection, row.target_kind)), row.target),
                    relation=text(connection, row.relation),
                    method=text(connection, row.method),
                    strength=Strength(row.strength),
                    evidence=proofs[row.data],
                    valid_from=began(row.valid_from),
                    valid_to=ended(row.valid_to),
                )
            )
        return made

    def _kinds(self, connection: sa.Connection, ids: Iterable[int]) -> dict[int, EntityKind]:
        return {number: EntityKind(self.text(connection, number)) for number in ids}

    def _map(self, connection: sa.Connection, *texts: str) -> Mapping[str, int]:
        """Return the numbers of words, read anew where one of these is not known yet."""
        if not self._words or any(text not in self._words for text in texts):
            self._look(connection)
        return self._words

    def _look(self, connection: sa.Connection) -> None:
        rows = connection.execute(sa.select(WORDS.c.text, WORDS.c.id)).all()
        self._words = {text: number for text, number in rows}  # noqa: C416 - rows are no pairs to mypy
        self._texts = {number: text for text, number in rows}


def _given(connection: sa.Connection) -> sa.TextualSelect:
    """Return a question for the numbers that are given."""
    text = f"SELECT given.value FROM {listed(connection, 'bigint')}"  # noqa: S608 - our own
    return sa.text(text).columns(sa.column("value"))


def _holding(query: sa.Select[Any], at: int | None) -> sa.Select[Any]:
    """Keep what holds at an instant."""
    return query if at is None else query.where(EDGES.c.valid_from <= at, EDGES.c.valid_to >= at)


@contextmanager
def _loading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a transaction of a load: on SQLite batches keep the pages that the next will touch again."""
    with writing(engine) as connection:
        _tune(connection, _LOADING)
        yield connection


def _tune(connection: sa.Connection, values: tuple[int, int]) -> None:
    if connection.dialect.name == "sqlite":
        for name, value in zip(("cache_size", "wal_autocheckpoint"), values, strict=True):
            connection.exec_driver_sql(f"PRAGMA {name} = {value}").close()


def _batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    left = iter(items)
    while some := list(islice(left, BATCH)):
        yield some


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
            missing = Edge(source, Entity(kind, UNKNOWN), relation, "none", Strength.BROKEN)
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
