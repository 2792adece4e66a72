from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport
from lemnis.ocsf.validation import problems
from lemnis.scan import posture

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
FINDING = st.builds(
    Finding, fingerprint=st.from_regex(r"fp-[0-9a-f]{16}", fullmatch=True), tool=st.just("bandit"),
    rule_id=TEXT.filter(bool), title=TEXT, severity=st.sampled_from(Severity), path=TEXT.filter(bool),
    line=st.integers(0, 9), end_line=st.integers(0, 9), cwes=st.lists(st.integers(1, 2000), max_size=2).map(tuple),
    message=TEXT, confidence=TEXT, help_uri=st.sampled_from(["", "https://example.org"]),
)  # fmt: skip


def batch(*findings, now=5):
    health = (ScanHealth("bandit", "1.9", Health.OK, 1, (), 3),)
    return posture.batch(ScanReport(tuple(findings), health), resource="shop", revision="c" * 40, now=now)


@settings(deadline=None)
@given(st.lists(FINDING, max_size=4))
def test_any_scan_is_valid_ocsf(findings):
    made = batch(*findings)
    assert (made.class_uid, len(made)) == (2007, len(findings))
    assert problems(made.table, 2007) == {}


@settings(deadline=None)
@given(FINDING)
def test_the_same_finding_in_the_same_state_is_the_same_event_and_reads_back(finding):
    [first], [again] = batch(finding).table.to_pylist(), batch(finding, now=9).table.to_pylist()
    assert first["metadata"]["uid"] == again["metadata"]["uid"]
    row = posture.row(first)
    assert (row["id"], row["path"], row["line"]) == (finding.fingerprint, finding.path, finding.line)
    assert row["severity"] == finding.severity.name.lower()
