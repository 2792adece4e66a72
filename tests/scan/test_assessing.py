"""What a match means, and the finding that says so."""

import pytest
from advised import component, database, record
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import RecordError
from lemnis.contracts.findings import Kind
from lemnis.scan import exploitation, matching
from lemnis.scan.assessing import Data, assess, findings
from lemnis.scan.exploitation import Exploited, Likely
from lemnis.scan.vex_statements import Statement, Status

HIGH = {"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"},
                     {"type": "CVSS_V3", "score": "CVSS:3.1/broken"}]}  # fmt: skip
KEV = {"CVE-2024-1": Exploited("CVE-2024-1", "2024-02-01", "2024-03-01", ransomware=True)}


def assessed(tmp_path, data, *, one=None, part=None, subject=()):
    with database(tmp_path / "osv.db", one or record(aliases=["CVE-2024-1"], top=HIGH)) as known:
        [match] = matching.match([part or component(path="requirements.txt", line=1)], known).matches
    return assess(match, data, subject)


def test_everything_that_is_known(tmp_path):
    data = Data(
        KEV,
        {"CVE-2024-1": Likely("CVE-2024-1", 0.4, 0.9)},
        {"exposure": ("open", "told"), "impact": ("high", "told")},
    )
    made = assessed(tmp_path, data)
    assert (made.severity, made.rated, made.vector.score) == (Severity.HIGH, "cvss", 7.5)
    assert (made.decision.value, made.likely.score, made.exploited.added) == ("immediate", 0.4, "2024-02-01")
    [finding] = findings([made], chains={}, lines={})
    said = finding.vulnerability
    assert (said.ids, said.exploited, said.epss, said.decision) == (
        ("CVE-2024-1", "T-1"),
        True,
        0.4,
        "immediate",
    )
    assert (said.score, said.vex, said.fixed_in) == (7.5, "", ("1.5",))
    assert (finding.kind, finding.resource, finding.path, finding.line) == (
        Kind.DEPENDENCY, "pkg:pypi/demo@1.2", "requirements.txt", 1,
    )  # fmt: skip
    assert finding.fix == "update demo to 1.5 or later"


def test_without_feeds_exploitation_is_unknown_and_there_is_no_decision(tmp_path):
    made = assessed(tmp_path, Data())
    [finding] = findings([made], chains={}, lines={})
    assert (finding.vulnerability.exploited, finding.vulnerability.epss, finding.vulnerability.decision) == (
        None,
        None,
        "",
    )


def test_what_was_made_to_do_harm_is_critical_and_says_so(tmp_path):
    for one in (record("MAL-2025-1"), record("GHSA-1", aliases=["MAL-2025-1"], top=HIGH)):
        (tmp_path / one["id"]).mkdir()
        made = assessed(tmp_path / one["id"], Data(), one=one)
        assert (made.severity, made.rated) == (Severity.CRITICAL, "malicious")
        [finding] = findings([made], chains={}, lines={})
        assert "made to do harm" in finding.message


def test_an_advisory_without_a_score_is_rated_by_its_word_or_by_the_decision(tmp_path):
    worded = record(aliases=["CVE-2024-1"], top={"database_specific": {"severity": "MODERATE"}})
    assert assessed(tmp_path, Data({}), one=worded).severity is Severity.MEDIUM
    for folder, known, severity in (
        ("a", {}, Severity.MEDIUM),
        ("b", KEV, Severity.HIGH),
        ("c", None, Severity.MEDIUM),
    ):
        (tmp_path / folder).mkdir()
        made = assessed(tmp_path / folder, Data(known), one=record(aliases=["CVE-2024-1"]))
        assert (made.severity, made.rated) == (severity, "ssvc")
    [finding] = findings([made], chains={}, lines={})
    assert "no severity is published" in finding.message


def test_evidence_of_an_exploit_counts_as_public(tmp_path):
    shown = record(top={"references": [{"type": "EVIDENCE", "url": "https://e"}]})
    assert str(assessed(tmp_path, Data({}), one=shown).decision.path[0]) == "exploitation=public poc"


@pytest.mark.parametrize(("field", "kind"), [("statements", "external"), ("told", "in_source")])
def test_vex_suppresses_and_does_not_delete(tmp_path, field, kind):
    said = Statement(
        ("CVE-2024-1",), ("pkg:pypi/demo",), Status.NOT_AFFECTED, "component_not_present", file="v.json"
    )
    made = assessed(tmp_path, Data({}, **{field: [said]}))
    [finding] = findings([made], chains={}, lines={})
    assert (finding.suppression.kind, finding.suppression.reason) == (
        kind,
        "VEX in v.json: not_affected: component_not_present",
    )
    assert finding.vulnerability.vex == "not_affected: component_not_present"


def test_vex_that_says_affected_suppresses_nothing(tmp_path):
    said = Statement(("CVE-2024-1",), ("root",), Status.AFFECTED)
    made = assessed(tmp_path, Data({}, statements=[said]), subject=["root"])
    [finding] = findings([made], chains={}, lines={})
    assert (finding.suppression, finding.vulnerability.vex) == (None, "affected")


def test_a_pinned_line_is_edited_to_the_version_that_mends_everything(tmp_path):
    records = [record("A"), record("B", ranges=[[("introduced", "0"), ("fixed", "1.6")]])]
    with database(tmp_path / "osv.db", *records) as known:
        matches = matching.match([component(path="r.txt", line=2)], known).matches
    made = list(
        findings([assess(one, Data({})) for one in matches], chains={("r.txt", "demo@1.2"): ("app", "demo 1.2")},
                 lines={"r.txt": ["# x", "demo == 1.2 ; python_version > '3'"]})
    )  # fmt: skip
    assert made[0].fix == "update demo to 1.5 or later (1.6 mends all that is known)"
    [edit] = made[0].edits
    assert (edit.line, edit.column, edit.end_column, edit.text) == (2, 9, 12, "1.6")
    assert "needed by app > demo 1.2" in made[0].message
    assert made[0].fingerprint != made[1].fingerprint


@pytest.mark.parametrize("line", ["demo==1.2 --hash=sha256:00", "demo==1.2 \\", "demo>=1", ""])
def test_a_line_that_hashes_pin_or_that_is_not_pinned_is_not_edited(tmp_path, line):
    [finding] = findings([assessed(tmp_path, Data({}))], chains={}, lines={"requirements.txt": [line]})
    assert finding.edits == ()


def test_a_finding_is_the_same_after_an_update_that_does_not_mend(tmp_path):
    prints = []
    for folder, version, line in (("a", "1.2", 1), ("b", "1.3", 7)):
        (tmp_path / folder).mkdir()
        made = assessed(tmp_path / folder, Data({}), part=component(version, path="r.txt", line=line))
        prints.append(next(findings([made], chains={}, lines={})).fingerprint)
    assert prints[0] == prints[1]


def test_the_catalogue_and_the_probabilities_in_each_form(tmp_path):
    errors = []
    rows, until = exploitation.kev(
        b'{"dateReleased": "2025-08-25T17:04:19.9796Z", "vulnerabilities": [{"cveID": "CVE-2024-0001", "dateAdded": "2024-02-01",'
        b' "knownRansomwareCampaignUse": "Known"}, {"cveID": "nothing"}]}', "kev.json", errors,
    )  # fmt: skip
    assert (rows[0].ransomware, until) == (True, 1756141459980)
    rows_csv, _ = exploitation.kev(b"cveID,dateAdded\nCVE-2024-0001,2024-02-01\n", "kev.csv", errors)
    scores, day = exploitation.epss(
        b"#model_version:v2025.03.14,score_date:2026-08-16T00:00:00+0000\ncve,epss,percentile\nCVE-2024-0001,0.5,0.9\nx\n",
        "e.csv",
        errors,
    )
    plain, undated = exploitation.epss(b"CVE-2024-0002;0.1;0.2\nCVE-2024-0003;7;0.2\n", "e.csv", errors)
    assert (rows_csv[0].added, day, undated) == ("2024-02-01", 1786838400000, None)
    assert [str(one) for one in errors] == [
        "kev.json#2: 'nothing' is no CVE", "e.csv:4: no score: 'x'", "e.csv:2: no score: 'CVE-2024-0003;7;0.2'",
    ]  # fmt: skip
    exploitation.build(tmp_path / "kev.db", "kev", rows)
    exploitation.build(tmp_path / "epss.db", "epss", [*scores, *plain])
    assert exploitation.exploited(tmp_path / "kev.db", ["CVE-2024-0001", "x"]) == {"CVE-2024-0001": rows[0]}
    assert exploitation.likely(tmp_path / "epss.db", ["CVE-2024-0002"])["CVE-2024-0002"].score == 0.1


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    for read in (exploitation.kev, exploitation.epss):
        errors = []
        try:
            found, _ = read(data, "x", errors)
        except RecordError as error:
            errors.append(error)
            found = []
        assert all(one.cve.startswith("CVE-") for one in found)
        assert all(error.at is not None for error in errors)
