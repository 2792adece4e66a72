"""Plan, approve, run, undo: the whole way, on simulators, through the commands."""

import threading

import orjson
from simulated import INCIDENT, PLAYBOOK, TOKEN

from lemnis.testing.aws import EXAMPLE_KEYS


def plan(world, capsys, *more):
    code, (found,), _ = world.cli(capsys, "plan", PLAYBOOK, "--incident", INCIDENT, *more)
    assert code == 0
    return found


def test_contain_and_undo(world, capsys):
    world.incident()
    threads = set(threading.enumerate())
    planned = plan(world, capsys)
    assert [(a["action"], a["target"], a["refused"]) for a in planned["actions"]] == [
        ("lemnis.collect_evidence", INCIDENT, ""),
        ("kubernetes.read_workload", "shop/shop-web", ""),
        ("kubernetes.list_network_policies", "shop", ""),
        ("aws.read_role", "role/shop-node", ""),
        ("kubernetes.quarantine_workload", "shop/shop-web", ""),
        ("aws.deny_role_sessions", "role/shop-node", ""),
    ]
    assert planned["actions"][2]["before"] == {"names": ["shop-ingress"]}
    assert world.cluster.changes == world.cloud.changes == []

    short = planned["digest"][7:19]
    code, _, said = world.cli(capsys, "run", short)
    assert (code, "not approved" in said) == (1, True)
    code, (approval,), _ = world.cli(capsys, "approve", short, "--reason", "it is real")
    assert (code, approval["reason"]) == (0, "it is real")
    code, (done,), said = world.cli(capsys, "run", short)
    assert (code, done["outcome"], said) == (0, "done", "")
    assert [r["outcome"] for r in done["results"]] == ["done"] * 6
    assert world.cluster.changes == ["create networkpolicies shop/lemnis-quarantine-shop-web"]
    (name,) = world.cloud.policies("shop-node")
    assert world.cloud.changes == [f"put shop-node/{name}"]

    code, (again,), _ = world.cli(capsys, "run", short)
    assert (code, again["id"], len(world.cluster.changes)) == (0, done["id"], 1)

    code, (undone,), _ = world.cli(capsys, "undo", done["id"], "--reason", "rebuilt")
    assert (code, undone["outcome"]) == (0, "done")
    assert sorted(r["target"] for r in undone["results"]) == ["role/shop-node", "shop/shop-web"]
    assert world.cluster.changes[1:] == ["delete networkpolicies shop/lemnis-quarantine-shop-web"]
    assert world.cloud.policies("shop-node") == {}

    code, (nothing,), _ = world.cli(capsys, "undo", done["id"], "--reason", "again")
    assert (code, nothing["actions"]) == (0, [])
    world.journal().verify()
    written = b"".join(orjson.dumps([e.reason, e.payload]) for e in world.journal().entries())
    assert TOKEN.encode() not in written
    assert EXAMPLE_KEYS.secret.encode() not in written
    assert {t for t in threading.enumerate() if t.name.startswith("dbos")} == set()
    assert len([t for t in threading.enumerate() if t not in threads]) <= 2  # a simulator's open connections
