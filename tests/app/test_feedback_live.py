"""A finding that is live in what alerts are about raises their incident's priority, as of the incident."""

import feeding
import pytest
from feeding import DIGEST, attacked, runs, scanned, vulnerable
from watched import MINUTE, START

from lemnis import app
from lemnis.app import feedback_live, incidents, incidents_handling, pipeline
from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Suppression
from lemnis.contracts.handling import Priority
from lemnis.graph.store import Graph
from lemnis.interfaces.cli import run


@pytest.fixture
def workspace(tmp_path):
    return feeding.made(tmp_path)


def weighed(workspace):
    [one] = incidents_handling.standings(workspace, incidents.incidents(workspace))
    return one.weighed


def test_an_exploited_vulnerability_in_the_image_is_told_and_counts(workspace, capsys):
    attacked(workspace)
    before = weighed(workspace)
    assert (before.priority, before.points, before.live) == (Priority.HIGH, 55, ())
    runs(workspace)
    scanned(workspace, vulnerable())
    after = weighed(workspace)
    told = f"CVE-2021-44228: known exploited, live in image:{DIGEST}"
    assert (after.points, after.live, after.risk) == (80, (told,), before.risk + 25)
    assert f"{told} 25" in after.priority_because
    [one] = incidents.incidents(workspace)
    for command in ("show", "explain"):
        assert run(["incident", command, one.id, "-w", str(workspace.root)]) == 0
        assert "CVE-2021-44228: known exploited" in capsys.readouterr().out


def test_only_what_is_open_counts_and_was_there_then(workspace):
    attacked(workspace)
    runs(workspace, until=START)  # the alert came later
    scanned(workspace, vulnerable())
    assert weighed(workspace).live == ()
    runs(workspace)
    assert len(weighed(workspace).live) == 1
    scanned(workspace, vulnerable(suppression=Suppression("external", "no")), vulnerable("b", cve="CVE-2"))
    scanned(workspace, vulnerable("b", cve="CVE-2"))
    assert [one.split(":")[0] for one in weighed(workspace).live] == ["CVE-2"]
    scanned(workspace)
    assert weighed(workspace).live == ()


def test_what_the_code_has_that_it_was_built_from_counts_too(workspace):
    attacked(workspace)
    runs(workspace)
    scanned(workspace, vulnerable(exploited=False, severity=Severity.CRITICAL), resource="shop")
    assert weighed(workspace).live == (
        f"CVE-2021-44228: critical, live in image:{DIGEST} (open in shop, which it was built from)",
    )


def test_of_a_commit_that_was_scanned_only_its_own_findings_count(workspace):
    attacked(workspace)
    runs(workspace)
    commit = feeding.Entity(feeding.EntityKind.COMMIT, "9f" * 20)
    Graph(app.engine(workspace)).add([feeding.edge(feeding.IMAGE, "built_from", commit)])
    scanned(workspace, vulnerable("b", cve="CVE-9"), resource="shop")
    report = scanned(workspace, vulnerable(), resource="other")
    pipeline.into_lake(workspace, report, resource="shop", revision=commit.value)
    assert weighed(workspace).live == (
        f"CVE-2021-44228: known exploited, live in image:{DIGEST} (found in its commit 9f9f9f9f9f9f)",
    )


def test_each_thing_is_read_once_a_look(workspace, monkeypatch):
    runs(workspace)
    scanned(workspace, vulnerable())
    look = feedback_live.Living(workspace)
    assert len(look.of((feeding.CONTAINER,), START + 5 * MINUTE)) == 1
    monkeypatch.setattr("lemnis.store.findings.Findings.rows", None)
    monkeypatch.setattr("lemnis.graph.store.Graph.leaving", None)
    assert len(look.of((feeding.IMAGE, feeding.CONTAINER), START + 6 * MINUTE)) == 1
