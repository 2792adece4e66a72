"""A machine's keys that are used elsewhere: back to the process that asked the metadata service for them."""

import pytest
from world import AT, World, alert, request, runtime

from lemnis.app.trace import trace_alerts
from lemnis.contracts.alerts import Alert, Entity, Severity
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.provenance import Strength

SESSION = "principal:arn:aws:sts::111122223333:assumed-role/gallery-node/i-0a1b2c3d4e5f60718"
THIEF = "198.51.100.23"
OTHER = "0ther0" * 10


def used(uid="ev-use", at=AT + 120_000, client=THIEF):
    return {
        "metadata": {"uid": uid, "log_name": "aws_cloudtrail"}, "time": at, "class_uid": 6003, "activity_id": 2,
        "src_endpoint": {"ip": client},
    }  # fmt: skip


def reached(uid, at, *, pid=500, address="169.254.169.254"):
    return {
        "metadata": {"uid": uid, "log_name": "linux_audit"}, "time": at, "class_uid": 4001, "activity_id": 1,
        "device": {"hostname": "node-1"}, "actor": {"process": {"pid": pid}}, "dst_endpoint": {"ip": address, "port": 80},
    }  # fmt: skip


def of_session(entity=SESSION):
    return Alert(
        "al-use", "rule-2", "Keys of a machine used from outside", Severity.HIGH, AT + 120_000, "aws_cloudtrail",
        ("ev-use",), (Entity.parse(entity),), "sha256:" + "0" * 64,
    )  # fmt: skip


@pytest.fixture
def taken(world: World):
    world.attest()
    world.attack()
    world.see(used())
    return world


def follow(world, *alerts):
    found = trace_alerts(world.workspace, "in-1", alerts or [of_session()])
    [chain] = [one for one in found.chains if one.begin.value == SESSION.partition(":")[2]]
    return chain, {hop.edge.relation: hop for hop in chain.hops}


def named(client=THIEF):
    return request("ev-q", AT - 300, "/labels/preview", "text=http%3A%2F%2F169.254.169.254%2Flatest", client)


def test_who_uses_the_keys_had_the_service_ask_for_them(taken):
    taken.see(named(), reached("ev-c", AT - 200))
    chain, hops = follow(taken)
    edge = hops["obtained_by"].edge
    assert (str(edge.target), edge.strength) == ("process:node-1/500", Strength.OBSERVED)
    assert (edge.evidence["connections"], edge.evidence["clients"]) == (["ev-c"], [THIEF])
    assert "alert" not in hops["runs_in"].edge.evidence
    assert hops["has_line"].edge.target.value.startswith("shop:shop/labels.py:")
    assert (chain.holds, chain.alerts, chain.events) == (True, ("al-use",), ("ev-c", "ev-q"))


def test_somebody_else_asked_for_it(taken):
    taken.see(named("203.0.113.9"), reached("ev-c", AT - 200))
    edge = follow(taken)[1]["obtained_by"].edge
    assert edge.strength is Strength.NAME_MATCH
    assert edge.evidence["notes"] == ["nothing but time ties it to who uses the keys"]


def test_two_that_may_have_asked_for_it(taken):
    taken.see(
        reached("ev-c", AT - 200), reached("ev-d", AT - 100, pid=900),
        runtime("ev-r8", AT - 60_000, 99, pid=900, container=OTHER), runtime("ev-r9", AT - 59_990, 1, pid=900, container=OTHER),
        {**reached("ev-x", AT - 59_980, pid=900), "class_uid": 1007,
         "process": {"pid": 900, "cmd_line": "agent", "file": {"path": "/agent"}, "parent_process": {"pid": 1}}},
    )  # fmt: skip
    edge = follow(taken)[1]["obtained_by"].edge
    assert edge.strength is Strength.NAME_MATCH
    assert "asked for keys, too" in edge.evidence["notes"][0]


def test_nobody_asked_for_it_or_it_is_no_machines(taken):
    taken.see(reached("ev-c", AT - 200, address="192.0.2.1"), reached("ev-d", AT - 13 * 3_600_000))
    with pytest.raises(NotFoundError, match="code is known of"):
        follow(taken)
    taken.see(reached("ev-e", AT - 200))
    follow(taken)
    person = "principal:arn:aws:sts::111122223333:assumed-role/admin/ana"
    with pytest.raises(NotFoundError, match="code is known of"):
        follow(taken, of_session(person))


def test_with_the_process_in_one_incident(taken):
    taken.see(named(), reached("ev-c", AT - 200))
    found = trace_alerts(taken.workspace, "in-1", [alert(), of_session()])
    begun = [str(chain.begin) for chain in found.chains if chain.holds]
    assert begun == ["process:node-1/601", SESSION]
    assert found.holds
