"""Questions of the provenance graph as of an instant: what is there, what shares a cause, what is between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lemnis import app
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Contradiction, Edge, Node
from lemnis.graph import contradictions as contradicted
from lemnis.graph import whole
from lemnis.graph.impact import Impact
from lemnis.graph.impact import impact as exposed
from lemnis.graph.store import Graph
from lemnis.graph.walks import Bounds, Path, Walker
from lemnis.store.database import writing

CANDIDATES = 8
"""So many are told where a name may mean several."""


@dataclass(frozen=True, slots=True)
class Around:
    """An entity, the edges that leave it and those that lead to it, and what of it is contradicted.

    ``more`` counts the edges of each relation that are not among those told, by relation and direction.
    """

    node: Node
    at: int | None
    out: tuple[Edge, ...]
    into: tuple[Edge, ...]
    more: dict[tuple[str, bool], int]
    contradictions: tuple[Contradiction, ...]


def find(workspace: app.Workspace, text: str) -> Entity:
    """Return the entity that ``kind:value`` means: its value whole, or the beginning of one only.

    Without a kind, or with a value that has a colon itself, it is looked for among all kinds. Raises
    NotFoundError that tells which it may mean.
    """
    return _found(Graph(app.engine(workspace)), text)


def around(workspace: app.Workspace, text: str, at: int | None, *, limit: int) -> Around:
    """Return what is known of an entity; at most ``limit`` edges of each relation and direction."""
    graph = Graph(app.engine(workspace))
    entity = _found(graph, text)
    out, more_out = graph.some(entity, at, limit, back=False)
    into, more_into = graph.some(entity, at, limit, back=True)
    more = {
        (relation, back): n
        for back, some in ((False, more_out), (True, more_into))
        for relation, n in some.items()
    }
    told = contradicted.contradictions(graph, [entity], at)
    return Around(graph.node(entity) or Node(entity), at, tuple(out), tuple(into), more, tuple(told))


def impact(
    workspace: app.Workspace, text: str, at: int | None, *, limit: int | None, bounds: Bounds | None = None
) -> Impact:
    """Tell what else is exposed to the same cause as an entity; see ``lemnis.graph.impact``."""
    graph = Graph(app.engine(workspace))
    return exposed(graph, _found(graph, text), at, shown=limit, bounds=bounds)


def path(
    workspace: app.Workspace, one: str, other: str, at: int | None, *, strongest: bool, depth: int
) -> tuple[Entity, Entity, Path]:
    """Return the way between two entities, and which they are."""
    graph = Graph(app.engine(workspace))
    first, last = _found(graph, one), _found(graph, other)
    with graph.reading() as connection:
        walker = Walker(graph, connection, at)
        return first, last, walker.path(first, last, strongest=strongest, bounds=Bounds(depth=depth))


def stats(workspace: app.Workspace, at: int | None) -> whole.Tally:
    """Count what the graph holds."""
    return whole.tally(Graph(app.engine(workspace)), at)


def contradictions(
    workspace: app.Workspace, names: Iterable[str], at: int | None, *, limit: int
) -> list[Contradiction]:
    """Return what is contradicted of some entities, or of all."""
    graph = Graph(app.engine(workspace))
    asked = [_found(graph, name) for name in names]
    return contradicted.contradictions(graph, asked or None, at, limit=limit)


def tidy(workspace: app.Workspace) -> tuple[int, int]:
    """Remove entities and evidence that nothing rests on any more; return how many of each."""
    with writing(app.engine(workspace)) as connection:
        return whole.tidy(connection)


def contradiction_document(one: Contradiction) -> dict[str, Json]:
    """Return a contradiction for machines."""
    from lemnis.app.graph_files import edge_document

    return {
        "source": str(one.source),
        "relation": one.relation,
        "believed": None if one.believed is None else str(one.believed),
        "claims": [
            {"claim": str(claim), "proof": [edge_document(edge) for edge in proof]}
            for claim, proof in one.claims
        ],
        "says": one.line(),
    }


def _found(graph: Graph, text: str) -> Entity:
    kind, mark, value = text.partition(":")
    known = kind if kind in set(EntityKind) else ""
    if known and mark:
        asked = [(EntityKind(known), value)]
        if graph.node(Entity(*asked[0])) is not None:
            return Entity(*asked[0])
    else:
        asked = [(one, text) for one in EntityKind]
        whole_names = graph.nodes(Entity(one, text) for one in EntityKind)
        if len(whole_names) == 1:
            return whole_names[0].entity
    if not text.strip():
        raise UsageError("an empty name", fix="write kind:value, such as package:pkg:pypi/requests@2.31.0")
    beginning = [one for begins in asked for one in graph.beginning(*begins, CANDIDATES + 1)]
    if len(beginning) == 1:
        return beginning[0]
    if beginning:
        raise NotFoundError(f"{text} may mean {_several(beginning)}", fix="write more of it")
    near = graph.containing(value if known else text, EntityKind(known) if known else None, CANDIDATES + 1)
    raise NotFoundError(
        f"the graph knows no {text}",
        fix=f"did you mean {_several(near)}?" if near else "`lemnis graph stats` tells what it knows",
    )


def _several(entities: list[Entity]) -> str:
    told = [str(one) for one in entities[:CANDIDATES]]
    return ", ".join(told) + (" and others" if len(entities) > CANDIDATES else "")
