"""Controls with their evidence: what looks at each, what it said, what is missing."""

import orjson
import pytest

from lemnis import app
from lemnis.app import controls, findings_life, gates, posture_collect
from lemnis.app.graph_collect import Options
from lemnis.content.library import Library
from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.findings import Finding, Health, Kind, ScanHealth, ScanReport
from lemnis.contracts.ids import canonical, digest
from lemnis.contracts.journal import NewEntry

NOW = 1_772_366_400_000
LIBRARY = Library.open()
PRIVILEGED = "PSS.Baseline.Privileged"


@pytest.fixture
def soc(tmp_path):
    return app.init(tmp_path / "soc", clock=ManualClock(NOW))


def collect(soc, *, privileged):
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "prod"},
        "spec": {"containers": [{"name": "w", "image": "i", "securityContext": {"privileged": privileged}}]},
    }  # fmt: skip
    file = soc.root / "cluster.json"
    file.write_bytes(orjson.dumps({"apiVersion": "v1", "kind": "List", "items": [pod]}))
    list(posture_collect.collect(soc, [file], Options(scope="eu")))


def known(soc, name=PRIVILEGED):
    found = controls.controls(controls.know(soc, LIBRARY))
    return next(one for one in found if one.id == name)


def test_where_nothing_looked_there_is_a_gap_and_nothing_is_met(soc):
    found = controls.controls(controls.know(soc, LIBRARY))
    assert {one.state for one in found} == {"unseen"}
    assert all(one.gaps for one in found)
    assert "lemnis posture collect" in known(soc).gaps[0]


def test_what_passes_is_evidence_too(soc):
    collect(soc, privileged=False)
    found = known(soc)
    (look,) = (one for one in found.looks if one.name == "kubernetes_privileged")
    (said,) = look.verdicts
    assert (said.snapshot, said.passed, said.failed, said.unknown) == ("kubernetes/eu", 1, 0, 0)
    assert (look.state, found.state, found.framework) == ("passed", "passed", "Pod Security Standards")


def test_what_fails_is_told_with_its_findings_and_since_when(soc):
    collect(soc, privileged=True)
    assert known(soc).state == "failed", "also before `posture check` wrote it down"
    posture_collect.check(soc, LIBRARY)
    found = known(soc)
    assert (found.state, found.open) == ("failed", 1)
    document = controls.evidence(soc, LIBRARY, found)
    said = next(one for one in document["looks"] if one["name"] == "kubernetes_privileged")
    assert said["verdicts"][0]["failed"] == 1
    assert said["verdicts"][0]["files"][0]["digest"].startswith("sha256:")
    assert said["findings"][0]["about"] == "prod/Pod/a/w"
    rest = {name: value for name, value in document.items() if name != "digest"}
    assert document["digest"] == digest(canonical(rest))
    soc.clock.advance(40 * 86_400_000)
    assert "check kubernetes_privileged: looked last more than 30 days ago" in known(soc).gaps


def test_a_check_that_could_not_look_is_unknown(soc):
    one = Finding(
        "fp-1", "lemnis_posture", "not_judged", "t", Severity.INFORMATIONAL, "", 0, 0, kind=Kind.CONFIG,
        message="2 checks could not look: kubernetes_privileged, kubernetes_seccomp", resource="x",
    )  # fmt: skip
    report = ScanReport((one,), (ScanHealth("lemnis_posture", "1", Health.UNKNOWN, 0, (), 0),))
    findings_life.remember(soc, report, resource="kubernetes/eu", revision="1")
    found = known(soc)
    assert found.state == "unknown"
    assert "could not judge everything" in " ".join(found.gaps)


def test_a_gate_is_evidence_by_its_decisions(soc):
    policies = LIBRARY.items("policies")
    known_ = controls.know(soc, LIBRARY)
    gate = next(name for name, one in known_.gates.items() if one.controls and "build" in one.stages)
    control = known_.gates[gate].controls[0]
    assert gate in policies
    for n, said in enumerate(("deny", "allow")):
        reasons = [{"policy": gate, "effect": "deny", "message": "no"}] if said == "deny" else []
        payload = {"stage": "build", "decision": said, "reasons": reasons}
        app.journal(soc).append(NewEntry(gates.DECISION, f"commit:{n}", f"k{n}", payload))
    look = next(one for one in known(soc, control).looks if one.name == gate)
    assert (look.asked, look.refused, look.state) == (2, 1, "passed")
    assert [one.said for one in look.decisions] == ["allow", "deny"]
    assert look.decisions[0].hash == app.journal(soc).head()[1]


def test_findings_of_other_tools_name_controls_too(soc):
    one = Finding(
        "fp-2", "checkov", "CKV_1", "t", Severity.HIGH, "a.tf", 1, 1, kind=Kind.CONFIG, controls=("ACME.7",)
    )
    report = ScanReport((one,), (ScanHealth("checkov", "1", Health.OK, 1, (), 0),))
    findings_life.remember(soc, report, resource="shop", revision="1")
    found = known(soc, "ACME.7")
    assert (found.state, found.open, found.looks, found.framework) == ("failed", 1, (), "ACME")
    assert "only findings of other tools" in found.gaps[0]
