"""What an entity is besides its alerts: owners, deploys, findings, posture, data held, exposure."""

import pytest

from lemnis import app
from lemnis.app import entity_facts, findings_life, gates
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.findings import Finding, Health, Kind, ScanHealth, ScanReport
from lemnis.contracts.journal import NewEntry
from lemnis.contracts.provenance import Edge, Node, Strength
from lemnis.graph.store import Graph

NOW = 1_772_366_400_000
K = EntityKind
OLD, NEW = (Entity(K.IMAGE, f"sha256:{c * 64}") for c in "ab")
SHOP, POD, HOST = Entity(K.WORKLOAD, "prod/shop"), Entity(K.CONTAINER, "c1"), Entity(K.HOST, "node-1")
DATA, BUCKET, ROLE = (
    Entity(K.DATA_SET, "orders"),
    Entity(K.CLOUD_RESOURCE, "arn:aws:s3:::o"),
    Entity(K.ROLE, "arn:r"),
)
SELF, OWNER = Entity(K.SERVICE_ACCOUNT, "prod/shop"), Entity(K.TEAM, "@example/shop")
INSIDE, OUTSIDE = Entity(K.ENDPOINT, "tcp://shop.prod.svc:80"), Entity(K.ENDPOINT, "https://shop.example/")


def edge(source, relation, target, since=None, until=None, **evidence):
    return Edge(source, target, relation, "kubernetes", Strength.RECORDED, evidence, since, until)


@pytest.fixture
def soc(tmp_path):
    made = app.init(tmp_path / "soc", clock=ManualClock(NOW))
    Graph(app.engine(made)).add(
        [
            edge(SHOP, "instance_of", OLD, NOW - 2000, NOW - 1000), edge(SHOP, "instance_of", NEW, NOW - 999),
            edge(SHOP, "deployed_by", Entity(K.IDENTITY, "alice"), NOW - 999), edge(POD, "part_of", SHOP),
            edge(POD, "runs_on", HOST), edge(POD, "instance_of", NEW, NOW - 999), edge(SHOP, "owned_by", OWNER),
            edge(SHOP, "exposes", INSIDE), edge(SHOP, "exposes", OUTSIDE, of="Ingress"),
            edge(SHOP, "runs_as", SELF), edge(SELF, "has_role", ROLE), edge(ROLE, "grants", BUCKET),
            edge(DATA, "stored_in", BUCKET), edge(SHOP, "processes", Entity(K.DATA_SET, "carts")),
        ],
        [Node(DATA, {"labels": ["email"]})],
    )  # fmt: skip
    return made


def scan(soc, resource, *findings):
    findings_life.remember(
        soc,
        ScanReport(findings, (ScanHealth("t", "1", Health.OK, 1, (), 0),)),
        resource=resource,
        revision="1",
    )


def finding(number, title, kind=Kind.IMAGE, resource=""):
    return Finding(
        f"fp-{number:016x}", "t", f"r{number}", title, Severity.HIGH, "", 0, 0, kind=kind, resource=resource
    )


def facts(soc, entity, config=()):
    return entity_facts.facts(soc, entity, config, NOW)


def test_a_workload_has_its_deploys_newest_first_with_who_and_what_the_gate_said(soc):
    app.journal(soc).append(
        NewEntry(gates.DECISION, f"image:{NEW.value}", "k", {"stage": "deploy", "decision": "deny"})
    )
    found = facts(soc, SHOP).deploys
    assert [(one.image, one.gate) for one in found] == [(NEW, "deny"), (OLD, "")]
    assert [one.value for one in found[0].by] == ["alice"]
    assert not found[1].by
    assert [one.image for one in facts(soc, OLD).deploys] == []  # it runs no more
    assert {one.workload for one in facts(soc, NEW).deploys} == {SHOP, POD}


def test_what_it_holds_reads_and_comes_to(soc):
    held = {one.data.value: one for one in facts(soc, SHOP).held}
    assert (held["orders"].how, held["orders"].labels, held["orders"].hops) == (
        "comes to by its rights",
        ("email",),
        4,
    )
    assert held["carts"].how == "reads or writes"
    assert [one.how for one in facts(soc, BUCKET).held] == ["holds"]
    assert [one.labels for one in facts(soc, DATA).held if one.how == "is"] == [("email",)]


def test_what_is_reached_from_outside_comes_first_and_owners_are_told(soc):
    found = facts(soc, HOST)
    assert set(found.runs) == {POD, SHOP}
    assert [(one.endpoint, one.outside) for one in found.exposed] == [(OUTSIDE, True), (INSIDE, False)]
    assert [one.owner for one in found.owners] == [OWNER]
    assert {OWNER, OUTSIDE, DATA} <= found.entities
    assert facts(soc, SHOP).members == facts(soc, NEW).members == (POD,)
    assert [one.workload for one in facts(soc, OUTSIDE).exposed] == [SHOP]


def test_who_owns_the_code_owns_what_runs_of_it(soc):
    build, commit = Entity(K.BUILD, "b"), Entity(K.COMMIT, "c" * 40)
    line, who = Entity(K.SOURCE_LINE, "shop:a.py:1"), Entity(K.OWNER, "@example/web")
    ways = ((NEW, "built_by", build), (build, "built_from", commit), (commit, "has_line", line),
            (line, "introduced_by", commit), (line, "owned_by", who))  # fmt: skip
    Graph(app.engine(soc)).add([edge(*one) for one in ways])
    found = {one.owner: one.through for one in facts(soc, SHOP).owners}
    assert found == {OWNER: SHOP, who: line}


def test_findings_of_what_runs_and_posture_of_the_object(soc):
    scan(soc, f"r.example/shop@{NEW.value}", finding(1, "log4j"))
    scan(
        soc, "kubernetes/eu", finding(2, "privileged", Kind.CONFIG, "prod/Deployment/shop/web"),
        finding(3, "other", Kind.CONFIG, "prod/Deployment/shop-2/web"),
    )  # fmt: skip
    config = list(findings_life.store(soc).rows())
    for entity in (SHOP, HOST, POD, NEW):
        assert [one.title for one in entity_facts.problems(soc, entity, NOW)] == ["log4j"], entity
    assert [row.finding.title for row in facts(soc, SHOP, config).posture] == ["privileged"]
    assert entity_facts.problems(soc, OLD, NOW) == []


def test_of_what_nobody_knows_nothing_is_said(soc):
    found = facts(soc, Entity(K.HOST, "nowhere"))
    assert not found.knows
    assert not any((found.runs, found.owners, found.deploys, found.held, found.exposed, found.posture))


@pytest.mark.parametrize(
    ("entity", "name", "about"),
    [
        (SHOP, "prod/Pod/shop", True), (SHOP, "prod/Service/shop", False), (SHOP, "dev/Pod/shop", False),
        (Entity(K.CLUSTER_OBJECT, "eu/Service/prod/shop"), "prod/Service/shop", True),
        (Entity(K.CLUSTER_OBJECT, "eu/Service/prod/shop"), "prod/Service/shops", False),
        (ROLE, "arn:r/orders.policy", True), (ROLE, "arn:rx", False), (ROLE, "", False),
        (OLD, f"r/shop@{OLD.value}", True), (Entity(K.IMAGE, "shop:1"), "shop:1", True),
    ],
)  # fmt: skip
def test_by_which_names_checks_call_what(entity, name, about):
    assert entity_facts.is_about(entity, name) is about
