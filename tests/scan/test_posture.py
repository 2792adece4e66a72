from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import (
    Finding,
    Health,
    Kind,
    ScanHealth,
    ScanReport,
    Suppression,
    Vulnerability,
)
from lemnis.ocsf.validation import problems
from lemnis.scan import posture

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VULNERABILITY = st.builds(
    Vulnerability,
    ids=st.lists(st.sampled_from(["CVE-2021-44228", "GHSA-jfh8-c2jp-5v3q"]), max_size=2).map(tuple),
    purl=st.sampled_from(["", "pkg:maven/org.apache/log4j@2.14.1", "no purl"]),
    fixed_in=st.sampled_from([(), ("2.15.0",)]), score=st.none() | st.floats(0, 10),
    vector=st.sampled_from(["", "CVSS:3.1/AV:N"]), exploited=st.none() | st.booleans(),
)  # fmt: skip
FINDING = st.builds(
    Finding, fingerprint=st.from_regex(r"fp-[0-9a-f]{16}", fullmatch=True), tool=st.just("bandit"),
    rule_id=TEXT.filter(bool), title=TEXT, severity=st.sampled_from(Severity), path=TEXT.filter(bool),
    line=st.integers(0, 9), end_line=st.integers(0, 9), cwes=st.lists(st.integers(1, 2000), max_size=2).map(tuple),
    message=TEXT, confidence=TEXT, help_uri=st.sampled_from(["", "https://example.org"]),
    kind=st.sampled_from(Kind), resource=TEXT, fix=TEXT, controls=st.lists(TEXT, max_size=2).map(tuple),
    vulnerability=st.none() | VULNERABILITY, suppression=st.none() | st.just(Suppression("external", "why")),
)  # fmt: skip


def batches(*findings, now=5):
    health = (ScanHealth("bandit", "1.9", Health.OK, 1, (), 3),)
    report = ScanReport(tuple(findings), health)
    return posture.batches(report, resource="shop", revision="c" * 40, now=now)


@settings(max_examples=30)
@given(st.lists(FINDING, max_size=4))
def test_any_scan_is_valid_ocsf(findings):
    made = batches(*findings)
    assert sum(len(batch) for batch in made) == len(findings)
    for batch in made:
        assert problems(batch.table, batch.class_uid) == {}


def finding(kind, **changes):
    return Finding("fp-1", "tool", "R1", "title", Severity.HIGH, "a.py", 1, 1, kind=kind, **changes)


def test_each_kind_has_its_class():
    log4j = Vulnerability(
        ("GHSA-x", "CVE-2021-44228"), "pkg:maven/org.apache/log4j@2.14.1", ("2.15.0",), 10.0
    )
    found = [finding(kind) for kind in Kind] + [finding(Kind.IMAGE, vulnerability=log4j)]
    # a package without a published vulnerability (a licence, say) is no Vulnerability Finding
    assert [posture.class_of(one) for one in found] == [2007, 2007, 2007, 2007, 2003, 2002]
    [event] = batches(found[-1])[0].table.to_pylist()
    [weakness] = event["vulnerabilities"]
    assert weakness["cve"]["uid"] == "CVE-2021-44228"
    assert weakness["cve"]["cvss"][0]["base_score"] == 10.0
    [package] = weakness["affected_packages"]
    assert (package["name"], package["version"]) == ("org.apache/log4j", "2.14.1")
    assert (package["fixed_in_version"], weakness["is_fix_available"]) == ("2.15.0", True)


def test_a_suppressed_finding_is_stored_as_suppressed_with_the_reason():
    [batch] = batches(finding(Kind.CODE, suppression=Suppression("in_source", "tested by hand")))
    [event] = batch.table.to_pylist()
    assert (event["status_id"], event["comment"]) == (3, "tested by hand")


@settings(max_examples=40)
@given(FINDING)
def test_the_same_finding_in_the_same_state_is_the_same_event_and_reads_back(finding):
    [first] = batches(finding)[0].table.to_pylist()
    [again] = batches(finding, now=9)[0].table.to_pylist()
    assert first["metadata"]["uid"] == again["metadata"]["uid"]
    row = posture.row(first)
    assert (row["id"], row["path"], row["line"]) == (finding.fingerprint, finding.path, finding.line)
    assert row["severity"] == finding.severity.name.lower()
    assert row["kind"] == finding.kind.value
