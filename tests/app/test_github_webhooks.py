"""Every webhook event of GitHub that matters: signed, received once, normalised; alerts become findings."""

import asyncio
import hashlib
import hmac
import sys
from pathlib import Path

import httpx
import orjson
import pytest

from lemnis import app
from lemnis.app import findings, receiving
from lemnis.app.intake import Intake
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock

sys.path.insert(0, str(Path(__file__).parents[1] / "ingest" / "transports"))
from listening import build, running

NOW = 1_762_200_000_000
SAMPLES = Library.open().get("sources", "github_webhook").folder / "samples"
EVENTS = [orjson.loads(line) for name in ("deliveries.jsonl", "events.jsonl") for line in (SAMPLES / name).read_bytes().splitlines()]  # fmt: skip
HOOK = {"webhooks": [{"name": "hub", "kind": "github", "secret_env": "HOOK"}]}
FINDINGS = {
    "code_scanning_alert": (2007, "application_security_posture_finding"),
    "secret_scanning_alert": (2007, "application_security_posture_finding"),
    "secret_scanning_alert_location": (2007, "application_security_posture_finding"),
    "dependabot_alert": (2002, "vulnerability_finding"),
}


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "workspace", clock=ManualClock(NOW))


def request(one, delivery=""):
    body = orjson.dumps(one["payload"])
    signature = hmac.new(b"fake-secret", body, hashlib.sha256).hexdigest()
    return body, {
        "X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Event": one["event"],
        "X-GitHub-Delivery": delivery or one["delivery"], "Content-Type": "application/json",
    }  # fmt: skip


def sent(workspace, requests):
    """Send requests to a receiver that has just begun, and work off what is in the inbox."""
    inbox = receiving.inbox(workspace)

    async def talk():
        intake = Intake(inbox)
        async with (
            running(build("http", workspace.root, **HOOK), intake) as (host, port),
            httpx.AsyncClient(base_url=f"http://{host}:{port}") as client,
        ):
            answers = [
                (await client.post("/webhook/hub", content=body, headers=head)).status_code
                for body, head in requests
            ]
        await intake.close()
        return answers

    answers = asyncio.run(talk())
    inbox = receiving.inbox(workspace)
    told = []
    worker = receiving.Worker(workspace, inbox, told=told.append)
    while worker.step():
        pass
    inbox.close()
    return answers, sum(one.accepted for one in told), sum(one.duplicates for one in told)


def lake(workspace, columns="*"):
    return app.lake(workspace).query(f"SELECT {columns} FROM events", limit=1000).to_pylist()


def test_all_named_events_are_among_the_samples():
    assert {one["event"] for one in EVENTS} >= {
        "push", "pull_request", "workflow_run", "code_scanning_alert", "secret_scanning_alert",
        "dependabot_alert", "branch_protection_rule", "branch_protection_configuration", "deploy_key",
        "member", "membership", "organization",
    }  # fmt: skip


def test_a_replay_to_a_receiver_that_begins_anew_is_the_same_event(workspace):
    some = [one for one in EVENTS if one["delivery"] in {"d-1", "d-12", "d-24"}]
    assert sent(workspace, [request(one) for one in some])[1:] == (3, 0)
    assert sent(workspace, [request(one, f"again-{number}") for number, one in enumerate(some)])[1:] == (0, 3)


@pytest.mark.slow
def test_every_event_is_received_once_whatever_is_sent_again(workspace):
    answers, accepted, duplicates = sent(workspace, [request(one) for one in EVENTS])
    assert answers == [200] * len(EVENTS)
    assert (accepted, duplicates) == (len(EVENTS), 0)
    rows = lake(workspace, "metadata.event_code AS event, metadata.original_event_uid AS delivery, class_uid")
    assert sorted(row["delivery"] for row in rows) == sorted(one["delivery"] for one in EVENTS)
    for row in rows:
        assert row["class_uid"] == FINDINGS.get(row["event"], (6003, ""))[0], row
    # a receiver that knows nothing of the former one: the lake does
    again = [request(one, f"replayed-{number}") for number, one in enumerate(EVENTS)]
    answers, accepted, duplicates = sent(workspace, again)
    assert answers == [200] * len(EVENTS)
    assert (accepted, duplicates) == (0, len(EVENTS))
    assert len(lake(workspace)) == len(EVENTS)


def test_what_nobody_signed_reaches_neither_inbox_nor_lake(workspace):
    forged = [
        (body, {**head, "X-Hub-Signature-256": "sha256=" + "0" * 64}) for body, head in map(request, EVENTS)
    ]
    answers, accepted, _ = sent(workspace, forged)
    assert (set(answers), accepted) == ({401}, 0)


def test_alerts_are_findings_with_a_life(workspace):
    sent(workspace, [request(one) for one in EVENTS if one["event"] in FINDINGS])
    found = {}
    for table in ("application_security_posture_finding", "vulnerability_finding"):
        for row in (
            app.lake(workspace)
            .query(f'SELECT * FROM "{table}" ORDER BY metadata.original_event_uid')
            .to_pylist()
        ):
            found.setdefault(row["finding_info"]["uid"].rpartition("shop-inc/shop/security/")[2], []).append(
                row
            )
    said = {
        name: [(row["activity_name"], row["status"], row["severity"]) for row in rows]
        for name, rows in found.items()
    }
    assert said == {
        "code-scanning/4": [("Create", "New", "High"), ("Close", "Suppressed", "High"), ("Close", "Resolved", "High")],
        "secret-scanning/7": [("Create", "New", "Critical"), ("Close", "Resolved", "Low"), ("Create", "New", "Critical")],
        "dependabot/11": [("Create", "New", "Critical"), ("Close", "Suppressed", "Critical"), ("Close", "Resolved", "Critical")],
    }  # fmt: skip
    code = found["code-scanning/4"][0]["vulnerabilities"][0]
    assert code["cwe"]["uid"] == "CWE-089"
    assert (code["affected_code"][0]["file"]["path"], code["affected_code"][0]["start_line"]) == (
        "shop/labels.py",
        21,
    )
    package = found["dependabot/11"][0]["vulnerabilities"][0]
    assert package["cve"]["uid"] == "CVE-2025-99999"
    assert package["cve"]["cvss"][0]["base_score"] == 9.8
    assert package["affected_packages"][0]["fixed_in_version"] == "2.1.0"
    assert (
        found["secret-scanning/7"][2]["vulnerabilities"][0]["affected_code"][0]["file"]["path"]
        == "deploy/env.sh"
    )


def test_alerts_are_among_the_findings_until_they_are_closed(workspace):
    alerts = [one for one in EVENTS if one["event"] in FINDINGS]
    opened = [one for one in alerts if one["payload"]["action"] == "created"]
    closed = [one for one in alerts if one["payload"]["action"] in {"fixed", "resolved"}]
    assert (len(opened), len(closed)) == (4, 3)
    sent(workspace, [request(one) for one in opened])
    found = {str(one["id"]).rpartition("/")[0].rpartition("/")[2]: one for one in findings.listed(workspace)}
    assert set(found) == {"code-scanning", "secret-scanning", "dependabot"}
    code, secret, package = (found[name] for name in ("code-scanning", "secret-scanning", "dependabot"))
    assert (code["tool"], code["severity"], code["path"], code["line"], code["cwe"]) == (
        "CodeQL", "high", "shop/labels.py", 21, "CWE-89",
    )  # fmt: skip
    assert (secret["kind"], secret["severity"], secret["resource"]) == ("secret", "critical", "shop-inc/shop")
    assert secret["fix"].startswith("Revoke the secret")
    assert (package["kind"], package["path"], package["about"]) == (
        "dependency",
        "requirements.txt",
        "examplelib",
    )
    assert package["fix"] == "update examplelib to 2.1.0"
    assert package["vulnerability"]["ids"] == ["CVE-2025-99999", "GHSA-xxxx-yyyy-zzzz"]
    assert package["vulnerability"]["cvss"]["score"] == 9.8
    (one,) = findings.shown(workspace, package["id"])
    assert one["priority"] == "critical"
    workspace.clock.advance(60_000)
    sent(workspace, [request(one) for one in closed])
    assert findings.listed(workspace) == []
    assert len(findings.shown(workspace, package["id"])) == 2
