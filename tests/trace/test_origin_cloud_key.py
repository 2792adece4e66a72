"""A key that was used by somebody else: where in the history of which repository it stands."""

import pytest
from cloud import (
    AT,
    HOUR,
    OFFICE,
    OWNERS,
    Change,
    Trail,
    broken,
    cloud,
    key_id,
    secret_key,
    session,
    told,
    user,
)

from lemnis.app import trace
from lemnis.app.origins import cloud_key
from lemnis.contracts.findings import Kind
from lemnis.store.git import Repository

KEY, SECRET = key_id("robot"), secret_key("robot")
LEAK = f"#!/bin/sh\nexport AWS_ACCESS_KEY_ID={KEY}\nexport AWS_SECRET_ACCESS_KEY={SECRET}\n"
LEAKED = (
    Change("begin", OWNERS),
    Change("leak", {"data/job.sh": LEAK}),
    Change("mend", {"data/job.sh": "#!/bin/sh\n"}),
)
STRANGER = "198.51.100.9"


@pytest.fixture
def used():
    """The key as it is used at home, and by a stranger."""
    trail = Trail()
    robot = user("robot", key=KEY)
    trail.call(AT - HOUR // 2, robot, "s3:ListBuckets", source=OFFICE)
    trail.call(AT - 1000, robot, "sts:GetCallerIdentity", source=STRANGER)
    trail.call(AT, robot, "iam:CreateUser", source=STRANGER, error="AccessDenied")
    return trail


def one(world, *operations):
    [chain] = cloud_key.chains(world.asked(*operations))
    return chain


def test_the_line_is_found_in_the_history_though_it_was_taken_out(tmp_path, used):
    world = cloud(tmp_path, *LEAKED)
    world.trail(used)
    chain = one(world, "CreateUser")
    leak = world.commits["infra"]["leak"]
    assert told(chain) == [
        ("has_line", "infra:data/job.sh:2", "recorded"),
        ("introduced_by", leak, "recorded"),
        ("owned_by", "@shop/data", "label"),
    ]
    assert str(chain.begin) == f"credential:{KEY}"
    assert (chain.source.deployed, chain.source.culprit, chain.source.owner) == (leak, leak, "@shop/data")
    assert {finding.kind for finding in chain.facts.findings} == {Kind.SECRET}
    assert chain.hops[0].edge.evidence["notes"] == ["it is not there any more, but in the history"]
    assert [str(edge.source) for edge in chain.beside if edge.relation == "holds"] == [
        "principal:arn:aws:iam::111122223333:user/robot"
    ]
    [caller] = [row["metadata"]["uid"] for _, row in world.rows("GetCallerIdentity")]
    assert caller in chain.events  # the stranger's other call belongs to the attack, the one at home does not
    assert len(chain.events) == 2


def test_neither_key_nor_secret_is_written_down(tmp_path, used):
    world = cloud(tmp_path, *LEAKED)
    world.trail(used)
    asked = world.asked("CreateUser")
    found = trace.trace_alerts(world.workspace, "al-test", asked.alerts)
    assert found.holds
    for hop in found.hops:
        assert KEY not in repr(hop.edge.evidence)
    assert KEY not in found.chains[0].facts.text
    kept = [path for path in world.workspace.root.rglob("*") if path.is_file()]
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []


def test_a_key_that_stands_nowhere_breaks_the_chain(tmp_path, used):
    world = cloud(tmp_path, Change("begin", OWNERS), shop=[Change("begin", {"a.py": "x = 1\n"})])
    world.trail(used)
    relation, why = broken(one(world, "CreateUser"))
    assert relation == "has_line"
    assert why.startswith("the key stands in no history of the repositories of the settings (infra, shop)")


def test_what_was_written_after_the_incident_began_is_not_its_cause(tmp_path, used):
    world = cloud(tmp_path, Change("begin", OWNERS))
    world.trail(used)
    repository = Repository(tmp_path / "infra")
    files = {"data/job.sh": LEAK.encode()}
    late = repository.write_branch("late", "main", files, "late", author="A <a@example.org>", at=AT + HOUR)
    _, why = broken(one(world, "CreateUser"))
    assert why.startswith(
        f"the key was written only after the incident began: infra:data/job.sh:2 ({late[:12]})"
    )


def test_the_oldest_of_several_places_is_taken_and_the_others_are_told(tmp_path, used):
    later = [Change("begin", OWNERS), Change("copy", {"copy.sh": LEAK})]
    world = cloud(tmp_path, *LEAKED, copies=later)
    world.trail(used)
    chain = one(world, "CreateUser")
    assert chain.hops[0].edge.target.value == "infra:data/job.sh:2"
    _, copy = chain.hops[0].edge.evidence["notes"]
    assert copy.startswith("it stands in copies:copy.sh:2 (")


def test_a_key_that_no_scanner_knows_is_traced_and_hidden(tmp_path):
    odd = "OLDKEY" + "x" * 20
    world = cloud(tmp_path, Change("begin", OWNERS), Change("leak", {"notes.txt": f"use {odd} here\n"}))
    trail = Trail()
    trail.call(AT, user("robot", key=odd), "iam:CreateUser", source=STRANGER)
    world.trail(trail)
    chain = one(world, "CreateUser")
    assert told(chain)[0] == ("has_line", "infra:notes.txt:1", "recorded")
    assert chain.facts.findings == ()
    assert chain.facts.text == "use … here"
    assert odd not in repr([hop.edge.evidence for hop in chain.hops])


def test_temporary_keys_begin_no_chain(tmp_path):
    world = cloud(tmp_path, *LEAKED)
    trail = Trail()
    trail.call(AT, session("deploy", "a"), "iam:CreateUser")
    world.trail(trail)
    assert cloud_key.chains(world.asked("CreateUser")) == []
