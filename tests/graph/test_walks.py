"""Walks, impact and contradictions answer as a plain reference does, for any graph and any instant."""

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.alerts import Entity
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.provenance import RELATIONS, UNKNOWN, Edge, Exposed, Strength
from lemnis.graph import Graph, store, walks
from lemnis.graph.impact import impact
from lemnis.graph.walks import Bounds, Walker
from lemnis.store.database import open_engine
from lemnis.testing import cluster

NODES = [
    Entity.parse(text)
    for text in (
        "workload:w1", "workload:w2", "container:c", "image:i1", "image:i2", "package:p1", "package:p2",
        "vulnerability:v", "data_set:d", f"image:{UNKNOWN}",
    )
]  # fmt: skip
WORDS = ["instance_of", "contains", "part_of", "affects", "owned_by", "processes", "of_ours"]
BOUND = st.none() | st.integers(0, 6)
EDGES = st.lists(
    st.builds(
        Edge, st.sampled_from(NODES), st.sampled_from(NODES), st.sampled_from(WORDS), st.sampled_from("ab"),
        st.sampled_from(Strength), st.just({}), BOUND, BOUND,
    ),
    max_size=25,
)  # fmt: skip
AT = st.none() | st.integers(0, 6)
ASKED = st.lists(st.sampled_from(NODES), min_size=1, max_size=2, unique=True)


def last(edges):
    """What is kept of edges: of those of one key, the last."""
    return list({(e.source, e.relation, e.target, e.method, e.valid_from): e for e in edges}.values())


def links(edges, at):
    """What may be walked along at an instant."""
    return [
        e for e in edges
        if e.at(at) and e.strength is not Strength.BROKEN and UNKNOWN not in {e.source.value, e.target.value}
    ]  # fmt: skip


def reach(start, steps):
    """Hops to each entity and the weakest hop of the best way of that length, by breadth."""
    found = {start: (0, int(Strength.VERIFIED))}
    here = {start}
    depth = 0
    while here:
        depth += 1
        fresh = {}
        for one, other, strength in steps:
            if one in here and other not in found:
                fresh[other] = max(fresh.get(other, 0), min(strength, found[one][1]))
        found |= {one: (depth, strength) for one, strength in fresh.items()}
        here = set(fresh)
    return found


def both_ways(edges):
    return [
        pair for e in edges
        for pair in ((e.source, e.target, e.strength), (e.target, e.source, e.strength))
    ]  # fmt: skip


def along_exposure(edges):
    steps = []
    for e in edges:
        exposed = RELATIONS[e.relation].exposed if e.relation in RELATIONS else Exposed.NEITHER
        if exposed is Exposed.SOURCE:
            steps.append((e.target, e.source, e.strength))
        if exposed is Exposed.TARGET:
            steps.append((e.source, e.target, e.strength))
    return steps


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    made = open_engine(tmp_path_factory.mktemp("graph") / "g.db")
    sa.event.listen(made, "connect", lambda dbapi, _: dbapi.execute("PRAGMA synchronous=OFF").close())
    made.dispose()
    return made


def emptied(engine):
    with engine.begin() as connection:
        for table in ("edge", "evidence", "node", "word"):
            connection.exec_driver_sql(f"DELETE FROM graph_{table}")
    return Graph(engine)


def checked(engine, told, at, asked):
    graph = emptied(engine)
    graph.add(told)
    edges = last(told)
    known = {end for e in edges for end in (e.source, e.target)}
    for node in NODES:
        holding = [e for e in edges if e.at(at)]
        assert same(graph.edges_from(node, at), [e for e in holding if e.source == node])
        assert same(graph.edges_to([node], at), [e for e in holding if e.target == node])
    assert same(graph.leaving(NODES[:4], at), [e for e in edges if e.at(at) and e.source in NODES[:4]])
    assert same(graph.edges_to(NODES[:4], at), [e for e in edges if e.at(at) and e.target in NODES[:4]])
    walked = links(edges, at)
    for node in asked:
        if node not in known or node.value == UNKNOWN:
            with pytest.raises(NotFoundError):
                impact(graph, node, at)
            continue
        causes = impact(graph, node, at).causes
        mine = [one for cause in causes if not cause.way for one in cause.affected]
        expected = reach(node, along_exposure(walked))
        del expected[node]
        assert {one.entity: (one.hops, one.strength) for one in mine} == expected
        for cause in causes:
            shared = reach(cause.entity, along_exposure(walked))
            assert {one.entity for one in cause.affected} == set(shared) - {node, cause.entity}
            assert sum(cause.counts.values()) == len(cause.affected)
            assert not cause.way or cause.way[0].edge.at(at)
        for all_named, some in zip(causes, impact(graph, node, at, shown=1).causes, strict=True):
            assert (some.affected, some.counts) == (all_named.affected[:1], all_named.counts)
        limit = 1 + len(told) % 4
        bounded(impact(graph, node, at, bounds=Bounds(nodes=limit)).causes, expected, limit - 1)
        bounded(impact(graph, node, at, bounds=Bounds(depth=limit)).causes, expected, None)
        bounded(impact(graph, node, at, bounds=Bounds(edges=limit)).causes, expected, None)
    named = {node for node in known if node.value != UNKNOWN}
    with graph.reading() as connection:
        paths(Walker(graph, connection, at), named & set(asked), named, walked)


def bounded(causes, expected, most):
    """A walk that was cut off is right as far as it goes, and says so."""
    mine = [one for cause in causes if not cause.way for one in cause.affected]
    for one in mine:
        hops, strength = expected[one.entity]
        assert one.hops == hops
        assert one.strength <= strength
    if len(mine) < len(expected):
        assert not mine or causes[0].more
    if most is not None:
        assert len(mine) == min(most, len(expected))
        assert not mine or causes[0].more == (most < len(expected))


def paths(walker, ones, others, walked):
    for one in sorted(ones):
        reached = reach(one, both_ways(walked))
        for other in sorted(others):
            found = walker.path(one, other).steps
            strong = walker.path(one, other, strongest=True).steps
            assert (found is None) == (strong is None) == (other not in reached)
            if found is not None:
                assert follow(one, found) == follow(one, strong) == other
                assert (len(found), weakest(found)) == reached[other]
                widest = [s for s in Strength if other in reach(one, both_ways(_least(walked, s)))]
                assert weakest(strong) == max(widest)


def _least(edges, strength):
    return [edge for edge in edges if edge.strength >= strength]


def follow(here, steps):
    for edge, back in steps:
        assert here == (edge.target if back else edge.source)
        here = edge.source if back else edge.target
    return here


def weakest(steps):
    return min((step.edge.strength for step in steps), default=Strength.VERIFIED)


def same(some, others):
    return sorted(map(repr, some)) == sorted(map(repr, others))


@settings(max_examples=18)
@given(EDGES, AT, ASKED)
def test_answers_are_those_of_a_plain_reference(engine, told, at, asked):
    checked(engine, told, at, asked)


def test_answers_are_the_same_however_few_are_asked_about_at_once(engine):
    @settings(max_examples=10)
    @given(EDGES, AT, ASKED)
    def compare(told, at, asked):
        checked(engine, told, at, asked)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(walks, "_AT_ONCE", 2)
        patched.setattr(store, "_AT_ONCE", 2)
        compare()


@pytest.mark.slow
def test_answers_are_the_same_on_postgresql():
    if reason := cluster.missing_postgres():
        pytest.skip(reason)
    with cluster.postgres() as server:
        engine = open_engine(server.url)

        @settings(max_examples=15)
        @given(EDGES, AT, ASKED)
        def compare(told, at, asked):
            checked(engine, told, at, asked)

        compare()
        engine.dispose()
