"""Which statements exclude each other, and which only look as if they did."""

import pytest

from lemnis.contracts.alerts import Entity
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph import Graph
from lemnis.graph.contradictions import contradicting, contradictions, same
from lemnis.store.database import open_engine

ONE, TWO = "1" * 40, "2" * 40
SHOP = "https://git.example/org/shop.git"


def edge(source, relation, target, method="m", strength=Strength.RECORDED, **more):
    return Edge(Entity.parse(source), Entity.parse(target), relation, method, strength, **more)


def attested(image="image:a", run="run-1", commit=ONE, **more):
    proof = {"repository": SHOP}
    return [
        edge(image, "built_by", f"build:{run}", "attestation", Strength.VERIFIED, **more),
        edge(
            f"build:{run}", "built_from", f"commit:{commit}", "attestation", Strength.VERIFIED, evidence=proof
        ),
    ]


def labelled(target, image="image:a", strength=Strength.LABEL, **more):
    return edge(image, "built_from", target, "oci_label", strength, **more)


def test_a_label_against_an_attestation():
    told = [*attested(), labelled(f"commit:{TWO}")]
    [found] = contradicting(told)
    assert (str(found.source), found.relation, str(found.believed)) == (
        "image:a",
        "built_from",
        f"commit:{ONE}",
    )
    assert [proof for _, proof in found.claims] == [tuple(told[:2]), (told[2],)]
    assert found.line() == (
        f"image:a is built_from commit:{ONE} by attestation (verified) but commit:{TWO} by oci_label (label)"
    )


def test_of_equal_strength_none_is_believed():
    [found] = contradicting(
        [labelled(f"commit:{ONE}"), edge("image:a", "built_from", f"commit:{TWO}", "name", Strength.LABEL)]
    )
    assert found.believed is None


def test_a_repository_in_the_proof_counts():
    [found] = contradicting([*attested(), labelled("repository:https://git.example/org/fork")])
    assert (found.kind, str(found.believed)) == ("repository", f"repository:{SHOP}")


@pytest.mark.parametrize(
    "told",
    [
        [*attested(), labelled(f"commit:{ONE}")],
        [*attested(), labelled(f"commit:{ONE[:7]}")],
        [*attested(), labelled("repository:git@git.example:org/shop")],
        [*attested(), labelled("repository:git+https://user:pw@GIT.example/org/shop/")],
        [*attested(), *attested(run="run-2")],  # two builds of one commit
        [*attested(), *attested(run="run-2", commit=TWO), labelled(f"commit:{TWO}")],
        [*attested(), labelled(f"commit:{TWO}", strength=Strength.BROKEN)],
        [*attested(), labelled("commit:?")],
        [labelled(f"commit:{ONE}", valid_to=5), edge("image:a", "built_from", f"commit:{TWO}", valid_from=6)],
        [
            labelled(f"commit:{ONE}"),
            labelled(f"commit:{TWO}"),
        ],  # one method, which does not contradict itself
        [edge("image:a", "contains", "package:p", "x"), edge("image:a", "contains", "package:q", "y")],
        [
            edge("workload:w", "instance_of", "image:a", "x"),
            edge("workload:w", "instance_of", "image:b", "y"),
        ],
        [],
    ],
)
def test_what_is_no_contradiction(told):
    assert contradicting(told) == []


def test_names_that_mean_one_thing():
    assert same(Entity.parse(f"commit:{ONE}"), Entity.parse(f"commit:{ONE[:8].upper()}"))
    assert not same(Entity.parse(f"commit:{ONE}"), Entity.parse("commit:1"))
    assert not same(Entity.parse(f"commit:{ONE}"), Entity.parse(f"build:{ONE}"))
    assert not same(
        Entity.parse("repository:https://a.example/x"), Entity.parse("repository:https://b.example/x")
    )


def test_they_are_found_in_the_graph_as_of_a_time(tmp_path):
    graph = Graph(open_engine(tmp_path / "g.db"))
    graph.load(
        [*attested(valid_from=10), labelled(f"commit:{TWO}", valid_to=20), *attested("image:b", "run-9")]
    )
    container = [edge("container:c", "instance_of", f"image:{name}", name) for name in "xy"]
    graph.add(container)
    found = contradictions(graph, None, 15)
    assert [str(one.source) for one in found] == ["image:a", "container:c"]
    assert [str(one.source) for one in contradictions(graph, None, 15, limit=1)] == ["image:a"]
    assert [str(one.source) for one in contradictions(graph, None, 5)] == ["container:c"]
    assert contradictions(graph, [Entity.parse("image:b"), Entity.parse("build:run-1")], 15) == []
    assert contradictions(graph, [Entity.parse("image:a")], 15) == found[:1]
    assert len(contradictions(graph, None, None)) == 2
