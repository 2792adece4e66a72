"""SIGKILL at random moments of `lemnis playbook run`: every effect once, nothing begun is left unsettled."""

import functools
import os
import random
import re
import subprocess
import sys

import pytest
from simulated import ENVIRONMENT, PLAYBOOK, world

from lemnis.app import respond
from lemnis.content.library import builtin_root
from lemnis.contracts import kinds

KILLS = 20
WORKLOADS = ("web", "stock", "mail")
OBJECTS = [
    {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": f"{name}-{n}", "namespace": "shop"},
     "spec": {"selector": {"matchLabels": {"app": name}}}}
    for name in WORKLOADS for n in range(KILLS)
]  # fmt: skip
ROLES = [f"role-{n}" for n in range(KILLS)]
COMMAND = [sys.executable, "-c", "from lemnis.interfaces.cli import main; main()"]


def begin(root, digest):
    return subprocess.Popen(
        [*COMMAND, "playbook", "run", digest, "--json", "--workspace", str(root)],
        env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


class Trap:
    """Kills a process when it has asked a simulator for the n-th time: before the answer, or before the effect."""

    def __init__(self, moments):
        self.moments, self.child, self.left, self.early = moments, None, 0, False

    def set(self, child, last):
        self.left, self.early = self.moments.randint(1, last), self.moments.random() < 0.5
        self.child = child

    def take(self, simulator, asked):
        child = self.child
        if child is not None:
            self.left -= 1
        fires = child is not None and self.left == 0
        if fires and self.early:
            child.kill()
        reply = type(simulator).take(simulator, asked)
        if fires and not self.early:
            child.kill()
        return reply


def killed(child, timeout):
    """Wait for a child; say whether it was killed."""
    try:
        out, said = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return True
    assert child.returncode in {0, -9}, (out, said)
    return child.returncode == -9


@pytest.mark.slow
def test_a_killed_run_does_everything_once(tmp_path):
    moments = random.Random(3)  # noqa: S311 - moments, not secrets
    trap, kills, number = Trap(moments), 0, 0
    with world(tmp_path / "ws", objects=OBJECTS, roles=ROLES) as made:
        for simulator in (made.cluster, made.cloud):
            simulator.take = functools.partial(trap.take, simulator)
        lift_caps(made.root / "content/actions")
        while kills < KILLS:
            digest = approved(made, number)
            dead = killed(begin(made.root, digest), moments.uniform(0.1, 1.5))
            kills += dead
            for last in (26, 12, 8, 6):
                child = begin(made.root, digest)
                trap.set(child, last)
                dead = killed(child, 60)
                kills += dead
                if not dead:
                    break
            trap.child = None
            if dead:
                assert not killed(begin(made.root, digest), 60)
            number += 1
        check(made, number)


def lift_caps(own):
    for action in ("kubernetes/quarantine_workload", "aws/deny_role_sessions"):
        text = (builtin_root() / f"actions/{action}.yaml").read_text()
        (own / action).parent.mkdir(parents=True)
        (own / f"{action}.yaml").write_text(re.sub(r"targets_per_hour: \d+", "targets_per_hour: 999", text))


def approved(made, number):
    incident = made.incident(
        f"in-{number:016}",
        [f"workload:shop/{name}-{number}" for name in WORKLOADS]
        + [f"principal:arn:aws:sts::123456789012:assumed-role/role-{number}/i-1"],
    )
    planned = respond.plan(made.workspace, PLAYBOOK, incident)
    respond.approve(made.workspace, planned.plan.digest, actor="ana", reason="test")
    return planned.plan.digest


def check(made, number):
    journal = made.journal()
    journal.verify()
    entries = list(journal.entries())
    changes = made.cluster.changes + made.cloud.changes
    assert len(changes) == len(set(changes)) == number * (len(WORKLOADS) + 1)
    assert all(len(made.cloud.policies(f"role-{n}")) == 1 for n in range(number))
    intents = {e.payload["key"] for e in entries if e.kind == kinds.INTENT}
    results = {e.payload["key"]: e.payload for e in entries if e.kind == kinds.RESULT}
    assert intents <= set(results)
    assert len(intents) == len(changes)
    assert {p["outcome"] for p in results.values()} <= {"done", "already"}
    assert all(p["ours"] for key, p in results.items() if key in intents)
    assert any(p["reconciled"] for p in results.values()), "no kill fell between an effect and its result"
    assert len([e for e in entries if e.kind == kinds.FINISHED]) == number
