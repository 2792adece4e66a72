"""Detections from other events than requests and processes, out of a real lake."""

import json

import pytest
from audit_records import PLAIN, PRIVILEGED, called, pod

from lemnis import app
from lemnis.app import evidence, ingest
from lemnis.app.attack import Attack
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import RefusedError

NOW = 1_772_600_000_000
DAY = [
    *(called(name, number=number) for number, name in enumerate(("GetUser", "ListRoles", "AttachRolePolicy"), 1)),
    called("GetUser", number=9, user="zoe"),
    *(called(name, "IAMUser", number=number) for number, name in enumerate(("AttachRolePolicy", "GetUser"), 4)),
]  # fmt: skip


@pytest.fixture
def soc(tmp_path):
    workspace = app.init(tmp_path / "soc", clock=ManualClock(NOW))
    for name, source, records in (
        ("trail.json", "aws_cloudtrail", DAY),
        ("audit.json", "kubernetes_audit", [pod(PLAIN, number=1), pod(PRIVILEGED, number=2)]),
    ):
        file = tmp_path / name
        file.write_text("".join(json.dumps(one) + "\n" for one in records), "utf-8")
        ingest.Ingest(workspace, source, ingest.watcher(workspace)).run([file])
    return workspace


def about(workspace, *needles):
    """Return the uids of the events whose records hold a text, as an attack, with an alert about them."""
    uids = frozenset(
        uid
        for batch in app.events(workspace).scan(6003)
        for uid, raw in zip(
            batch.table["metadata"].combine_chunks().field("uid").to_pylist(),
            batch.table["raw_data"].to_pylist(), strict=True,
        )
        if all(needle in raw for needle in needles)
    )  # fmt: skip
    alert = Alert(
        "al", "r", "t", Severity.HIGH, NOW, "s", tuple(uids), (), "sha256:0", (), first=NOW - 10**9, last=NOW
    )
    return Attack(uids, NOW, frozenset(), (), (), "linux"), [alert]


def test_the_call_that_no_other_of_its_kind_made(soc):
    attack, alerts = about(soc, "AttachRolePolicy", "AssumedRole")
    best, tried, records = evidence.detect(app.events(soc), Library.open(soc.content), attack, alerts)
    assert best.candidate.name == "AttachRolePolicy called by an AssumedRole"
    assert (set(best.attack_hits), best.other_hits) == (attack.uids, ())
    assert best in tried
    assert len(records) >= len(DAY)


def test_the_pod_that_asked_for_what_no_other_did(soc):
    attack, alerts = about(soc, '"privileged": true')
    best, _, _ = evidence.detect(app.events(soc), Library.open(soc.content), attack, alerts)
    assert best.candidate.name == "a workload with privileged"
    assert (set(best.attack_hits), best.other_hits) == (attack.uids, ())


def test_what_is_like_everything_else_gives_nothing(soc):
    attack, alerts = about(soc, "GetUser", "-000000000001")
    assert len(attack.uids) == 1
    with pytest.raises(RefusedError, match="nothing in the attack's events"):
        evidence.detect(app.events(soc), Library.open(soc.content), attack, alerts)
