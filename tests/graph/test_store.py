import pytest

from lemnis.contracts.alerts import Entity
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph import Graph
from lemnis.store.database import open_engine

CHAIN = [
    ("process:h/1", "runs_in", "container:c"),
    ("container:c", "instance_of", "image:sha256:aa"),
    ("image:sha256:aa", "built_by", "build:run-1"),
    ("build:run-1", "built_from", "commit:abc"),
    ("commit:abc", "has_line", "source_line:app/x.py:3"),
    ("source_line:app/x.py:3", "introduced_by", "commit:def"),
    ("source_line:app/x.py:3", "owned_by", "owner:@team"),
]


def edge(source, relation, target, strength=Strength.RECORDED, method="m", **more):
    return Edge(
        Entity.parse(source), Entity.parse(target), relation, method, strength, {"why": "test"}, **more
    )


@pytest.fixture
def graph(tmp_path):
    made = Graph(open_engine(tmp_path / "g.db"))
    made.add(edge(*link) for link in CHAIN)
    return made


def test_the_walk_goes_from_the_process_to_the_owner(graph):
    hops = graph.trace(Entity.parse("process:h/1"))
    assert [(str(h.edge.source), h.edge.relation, str(h.edge.target)) for h in hops] == CHAIN
    assert not any(hop.broken for hop in hops)
    assert graph.trace(Entity.parse("image:sha256:aa"))[0].edge.relation == "built_by"


def test_the_strongest_edge_is_walked(graph):
    graph.add([edge("container:c", "instance_of", "image:sha256:bb", Strength.VERIFIED, "signed")])
    hops = graph.trace(Entity.parse("process:h/1"))
    assert str(hops[1].edge.target) == "image:sha256:bb"
    assert hops[2].broken == "nothing says what image:sha256:bb built by"
    assert len(hops) == 3


def test_an_edge_that_did_not_hold_breaks_the_walk(graph):
    graph.add(
        [
            Edge(
                Entity.parse("image:sha256:aa"),
                Entity.parse("build:?"),
                "built_by",
                "zz",
                Strength.BROKEN,
                {"reason": "signature"},
            )
        ]
    )
    assert len(graph.trace(Entity.parse("process:h/1"))) == 7
    graph.add([edge("container:d", "instance_of", "image:sha256:dd")])
    graph.add(
        [
            Edge(
                Entity.parse("image:sha256:dd"),
                Entity.parse("build:?"),
                "built_by",
                "zz",
                Strength.BROKEN,
                {"reason": "signature"},
            )
        ]
    )
    [*_, last] = graph.trace(Entity.parse("container:d"))
    assert last.broken == "signature"


def test_edges_hold_in_their_time(graph):
    graph.add([edge("container:t", "instance_of", "image:x", valid_from=10, valid_to=20)])
    source = Entity.parse("container:t")
    assert [len(graph.edges_from(source, at)) for at in (None, 9, 10, 20, 21)] == [1, 0, 1, 1, 0]


def test_saying_it_again_replaces(graph):
    again = edge(*CHAIN[0], valid_to=5)
    graph.add([again])
    assert graph.edges_from(again.source) == [again]


def test_what_is_renewed_leaves_nothing_stronger_behind(graph):
    broken = edge("image:sha256:aa", "built_by", "build:?", Strength.BROKEN, "signature")
    graph.renew([broken])
    assert graph.edges_from(broken.source) == [broken]
    assert graph.trace(Entity.parse("process:h/1"))[-1].broken == "it did not hold"
    graph.renew([])
