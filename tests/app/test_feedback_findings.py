"""A runtime alert on an asset raises the priority of its findings and voids exceptions there."""

import feeding
import orjson
import pytest
from feeding import DIGEST, NOW, attacked, runs, scanned, vulnerable
from watched import MINUTE, START

from lemnis import app
from lemnis.app import feedback_findings, findings, findings_life, gate_facts, pipeline, policies
from lemnis.app.feedback_findings import Attacked, Touched, prioritised
from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import to_iso
from lemnis.contracts.handling import Priority
from lemnis.interfaces.cli import run

EXCEPTION = """\
policy: new_findings_below_medium
fingerprint: fp-aaaaaaaaaaaaaaaa
reason: The command is built from a fixed list.
owner: anna@example.org
approved_by: lead@example.org
approved: 2023-11-01
expires: {expires}
assets: [shop]
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    made = feeding.made(tmp_path)
    monkeypatch.setattr(app, "default_clock", lambda: made.clock)
    monkeypatch.setenv("COLUMNS", "200")
    return made


@pytest.mark.parametrize(
    ("severity", "exploited", "touched", "level"),
    [
        (Severity.LOW, False, False, Priority.LOW),
        (Severity.LOW, True, True, Priority.HIGH),
        (Severity.MEDIUM, False, True, Priority.HIGH),
        (Severity.HIGH, False, False, Priority.HIGH),
        (Severity.CRITICAL, True, True, Priority.CRITICAL),
    ],
)
def test_exploitation_and_alerts_are_a_step_each(severity, exploited, touched, level):
    one = Touched(START, "al-1", "container:c1") if touched else None
    found, because = prioritised(severity, exploited=exploited, touched=one)
    assert found is level
    assert ("known exploited" in because) is exploited
    assert because.endswith("an alert of 2023-11-14 on container:c1 (al-1)") is touched


def into_lake(workspace, *found, resource="shop"):
    report = scanned(workspace, *found, resource=resource)
    pipeline.into_lake(workspace, report, resource=resource, revision="r1")


def test_an_alert_raises_the_findings_of_what_was_attacked_alone(workspace, capsys):
    into_lake(workspace, vulnerable(severity=Severity.MEDIUM, exploited=False))
    into_lake(workspace, vulnerable("b", severity=Severity.MEDIUM, exploited=False), resource="mail")
    assert {one["priority"] for one in findings.listed(workspace)} == {"medium"}
    attacked(workspace)
    runs(workspace)
    by_id = {one["id"]: one for one in findings.listed(workspace)}
    raised, other = by_id["fp-" + "a" * 16], by_id["fp-" + "b" * 16]
    assert (raised["priority"], other["priority"]) == ("high", "medium")
    assert f"an alert of 2023-11-14 on image:{DIGEST} (al-" in raised["priority_because"]
    [one] = [p for p in findings_life.problems(workspace) if p.chief.resource == "shop"]
    assert Attacked(workspace).problem(one)["priority"] == "high"
    at = ["-w", str(workspace.root)]
    assert run(["findings", "list", *at]) == 0
    assert "an alert of" in capsys.readouterr().out
    assert run(["findings", "problems", "--json", *at]) == 0
    told = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(one["priority"] for one in told) == ["high", "medium"]


def test_alerts_that_are_old_count_no_more(workspace):
    attacked(workspace)
    runs(workspace)
    assert Attacked(workspace).touched(["shop"]) is not None
    workspace.clock.advance(31 * 24 * 60 * MINUTE)
    assert Attacked(workspace).touched(["shop"]) is None


def test_exceptions_there_are_void_for_findings_as_for_gates(workspace):
    file = workspace.content / "exceptions" / "fixed_list.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(EXCEPTION.format(expires=to_iso(NOW + 30 * 86_400_000)[:10]))
    into_lake(workspace, vulnerable())
    [before] = findings.listed(workspace)
    assert before["exception"].startswith("fixed_list until 2023-12-")
    attacked(workspace)
    runs(workspace)
    [after] = findings.listed(workspace)
    assert after["exception"].startswith("exception void: fixed_list, alert al-")
    assert after["exception"].endswith("touched shop on 2023-11-14")
    content = app.library(workspace)
    [judged] = gate_facts.exceptions(workspace, content, policies.exceptions(content))
    assert judged.ended(NOW) == after["exception"]
    file.write_text("policy: nothing\n")
    assert feedback_findings.told(workspace, [before])[0]["exception"].startswith("unknown: ")
