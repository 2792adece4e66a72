"""What breaks an attack path: walked again without each hop."""

import pytest

from lemnis import app
from lemnis.app import posture_cuts, posture_paths
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.provenance import Edge, Node, Strength
from lemnis.graph.store import Graph

NOW = 1_772_366_400_000
K = EntityKind


def of(kind, value):
    return Entity(kind, value)


def edge(source, relation, target, **evidence):
    return Edge(source, target, relation, "kubernetes", Strength.RECORDED, evidence)


SHOP, IMAGE, LOG = (
    of(K.WORKLOAD, "prod/shop"),
    of(K.IMAGE, "sha256:" + "4b" * 32),
    of(K.PACKAGE, "pkg:maven/log4j@2.14.1"),
)
FLAW, OTHER = of(K.VULNERABILITY, "CVE-2021-44228"), of(K.VULNERABILITY, "CVE-2021-45046")
SELF, ROLE, BUCKET = (
    of(K.SERVICE_ACCOUNT, "prod/shop"),
    of(K.ROLE, "arn:aws:iam::1:role/shop"),
    of(K.CLOUD_RESOURCE, "arn:aws:s3:::orders"),
)
DATA, MAIL = of(K.DATA_SET, "orders"), of(K.DATA_SET, "mail")
OUT = of(K.ENDPOINT, "https://shop.example:443")


@pytest.fixture
def soc(tmp_path):
    return app.init(tmp_path / "soc", clock=ManualClock(NOW))


def shop(soc, *more, flaws=(FLAW,)):
    Graph(app.engine(soc)).add(
        [
            edge(SHOP, "exposes", OUT, of="Ingress"), edge(SHOP, "instance_of", IMAGE), edge(IMAGE, "contains", LOG),
            *(edge(one, "affects", LOG) for one in flaws), edge(SHOP, "runs_as", SELF), edge(SELF, "has_role", ROLE),
            edge(ROLE, "grants", BUCKET, actions=["s3:GetObject"]), edge(DATA, "stored_in", BUCKET), *more,
        ],
        [Node(one, {"score": 9.8}) for one in flaws] + [Node(DATA, {"labels": ["email"]})],
    )  # fmt: skip


def cut(soc, name="orders"):
    found = posture_paths.paths(soc, None)
    path = next(one for one in found.paths if one.data.value == name)
    told = posture_cuts.cuts(soc, path, found, None, least=Severity.HIGH)
    return found, {one.step.edge.relation: (one.breaks, one.ends) for one in told}, told


def test_each_hop_of_the_only_way_breaks_it(soc):
    shop(soc)
    found, told, ordered = cut(soc)
    assert len(found.paths) == 1
    assert told == dict.fromkeys(
        ("exposes", "affects", "runs_as", "has_role", "grants", "stored_in"), (True, 1)
    )
    assert "s3:GetObject on arn:aws:s3:::orders" in next(
        o.says for o in ordered if o.step.edge.relation == "grants"
    )


def test_a_hop_that_another_stands_in_for_breaks_nothing(soc):
    shop(
        soc,
        edge(SHOP, "exposes", of(K.ENDPOINT, "https://www.example:443"), of="Ingress"),
        flaws=(FLAW, OTHER),
    )
    _, told, ordered = cut(soc)
    assert told["exposes"] == told["affects"] == (False, 0)
    assert told["grants"] == (True, 1)
    assert [one.breaks for one in ordered] == sorted((one.breaks for one in ordered), reverse=True)


def test_a_hop_that_many_paths_share_ends_them_all_and_comes_first(soc):
    shop(soc, edge(MAIL, "stored_in", BUCKET))
    found, told, ordered = cut(soc)
    assert {one.data for one in found.paths} == {DATA, MAIL}
    assert (told["grants"], told["stored_in"]) == ((True, 2), (True, 1))
    assert ordered[-1].step.edge.relation == "stored_in"
    counts = {step.edge.relation: n for step, _, n in posture_cuts.shared(found.paths)}
    assert (counts["grants"], counts["stored_in"]) == (2, 1)
    assert len({one.id for one in found.paths}) == 2


def test_a_right_by_a_pattern_can_be_taken_away_too(soc):
    shop(soc)
    granting = edge(ROLE, "grants", BUCKET)
    graph = Graph(app.engine(soc))
    graph.add([], [Node(ROLE, {"grants": ["s3:* on arn:aws:s3:::or*"]})])
    left = posture_paths.paths(
        soc, None, without=[posture_paths.said(posture_paths.Step(granting, back=False))]
    )
    assert left.paths == (), "the pattern says the same"
