"""Statements of which only one can be true: an image that two methods say was built from different commits.

Only relations that are exclusive to a kind can be contradicted (``RELATIONS``). Two methods contradict each
other if nothing that the one names at an instant is what the other names then: that one of them names more,
as where an image was built twice from one commit, is none. What a build was built from counts for what it
built.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, islice

import sqlalchemy as sa

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.provenance import RELATIONS, Contradiction, Edge
from lemnis.graph.store import Graph
from lemnis.graph.tables import EDGES, FOR_EVER, SINCE_EVER, begins, ends

_EXCLUSIVE = tuple(name for name, one in RELATIONS.items() if one.exclusive)
_MADE = RELATIONS["built_from"].exclusive - {EntityKind.BUILD}
_SHORTEST, _SOME = 7, 1_000
_SCHEME = re.compile(r"^(?:git\+)?[a-z][a-z+]*://(?:[^/@]*@)?|^[\w.-]+@(?=[\w.-]+:)")
Proof = tuple[Edge, ...]


def contradictions(
    graph: Graph, entities: Iterable[Entity] | None, at: int | None, *, limit: int = 1_000
) -> list[Contradiction]:
    """Return what is contradicted of some entities, or of all there are, as of an instant (None: ever).

    At most ``limit`` of them, in the order of entities.
    """
    return list(islice(_all(graph, entities, at), limit))


def contradicting(edges: Iterable[Edge]) -> list[Contradiction]:
    """Return the contradictions among some edges, which should be of one instant. Pure.

    The edges of builds say what images and artifacts that they built were built from.
    """
    told = [edge for edge in edges if edge.holds]
    by_source: dict[Entity, list[Edge]] = defaultdict(list)
    for edge in told:
        by_source[edge.source].append(edge)
    claims: dict[tuple[Entity, str, EntityKind], list[tuple[Entity, Proof]]] = defaultdict(list)
    for source, some in by_source.items():
        for edge in some:
            if edge.relation in _EXCLUSIVE and source.kind in RELATIONS[edge.relation].exclusive:
                claims[source, edge.relation, edge.target.kind].append((edge.target, (edge,)))
            if edge.relation == "built_by" and source.kind in _MADE:
                for target, proof in _through(edge, by_source.get(edge.target, ())):
                    claims[source, "built_from", target.kind].append((target, proof))
    found = (_contradiction(*subject, some) for subject, some in claims.items() if len(some) > 1)
    return [one for one in found if one is not None]


def same(one: Entity, other: Entity) -> bool:
    """Say whether two names mean one thing: a commit cut short, an address in another spelling."""
    if one == other:
        return True
    if one.kind is not other.kind:
        return False
    if one.kind is EntityKind.COMMIT:
        short, long = sorted((one.value.lower(), other.value.lower()), key=len)
        return len(short) >= _SHORTEST and long.startswith(short)
    return one.kind is EntityKind.REPOSITORY and _address(one.value) == _address(other.value)


def _all(graph: Graph, entities: Iterable[Entity] | None, at: int | None) -> Iterator[Contradiction]:
    asked = iter(_candidates(graph, at) if entities is None else entities)
    while some := list(islice(asked, _SOME)):
        edges = graph.leaving(some, at, _EXCLUSIVE)
        builds = {edge.target for edge in edges if edge.relation == "built_by"} - set(some)
        edges += graph.leaving(builds, at, ["built_from"])
        yield from (one for one in contradicting(edges) if one.source not in builds)


def _candidates(graph: Graph, at: int | None) -> list[Entity]:
    """Return the entities of which several things are said that exclude each other."""
    upper, lower = (FOR_EVER, SINCE_EVER) if at is None else (at, at)
    with graph.reading() as connection:
        query = (
            sa.select(EDGES.c.source)
            .where(
                EDGES.c.relation.in_(graph.words(connection, _EXCLUSIVE)), EDGES.c.strength > 0,
                EDGES.c.valid_from <= upper, EDGES.c.valid_to >= lower,
            )
            .group_by(EDGES.c.source)
            .having(sa.func.count(sa.distinct(EDGES.c.target)) > 1)
            .order_by(EDGES.c.source)
        )  # fmt: skip
        return graph.entities(connection, list(connection.execute(query).scalars()))


def _through(built_by: Edge, edges: Sequence[Edge]) -> Iterator[tuple[Entity, Proof]]:
    """Yield what a build was built from, for what it built."""
    for edge in edges:
        if edge.relation == "built_from":
            yield edge.target, (built_by, edge)
            repository = edge.evidence.get("repository")
            if edge.target.kind is EntityKind.COMMIT and isinstance(repository, str) and repository:
                yield Entity(EntityKind.REPOSITORY, repository), (built_by, edge)


def _contradiction(
    source: Entity, relation: str, kind: EntityKind, claims: Sequence[tuple[Entity, Proof]]
) -> Contradiction | None:
    by_method: dict[str, list[tuple[Entity, Proof]]] = defaultdict(list)
    for claim, proof in claims:
        by_method[proof[-1].method].append((claim, proof))
    apart = {
        method
        for pair in combinations(by_method, 2)
        if _apart(by_method[pair[0]], by_method[pair[1]])
        for method in pair
    }
    if not apart:
        return None
    told = [claim for method in by_method if method in apart for claim in by_method[method]]
    return Contradiction(source, relation, kind, tuple(sorted(told, key=_order)))


def _apart(some: Sequence[tuple[Entity, Proof]], others: Sequence[tuple[Entity, Proof]]) -> bool:
    """Say whether two methods name something at one time, and never the same."""
    at_once = [
        same(one, other) for one, proof in some for other, against in others if _together([*proof, *against])
    ]
    return bool(at_once) and not any(at_once)


def _together(edges: Sequence[Edge]) -> bool:
    """Say whether there is an instant at which all of these held."""
    return max(begins(edge.valid_from) for edge in edges) <= min(ends(edge.valid_to) for edge in edges)


def _order(claim: tuple[Entity, Proof]) -> tuple[int, str]:
    return -min(edge.strength for edge in claim[1]), claim[0].value


def _address(text: str) -> str:
    """Return a repository's address as all spellings of it have it: host and path in small letters."""
    bare = _SCHEME.sub("", text.strip().lower())
    return bare.replace(":", "/", 1).removesuffix("/").removesuffix(".git")
