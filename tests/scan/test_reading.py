import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import RecordError
from lemnis.scan.places import relative
from lemnis.scan.reading import read

BANDIT = yaml.load(Library.open().get("scanners", "bandit").manifest, Scanner)


def result(**changes):
    return {
        "filename": "./app/x.py", "line_number": 5, "line_range": [5, 6], "test_id": "B602",
        "issue_text": "shell", "issue_severity": "HIGH", "issue_confidence": "HIGH",
        "issue_cwe": {"id": 78}, "code": "5 x\n", "more_info": "https://example.org/b602", **changes,
    }  # fmt: skip


def report(*results, errors=(), metrics=("./app/x.py",)):
    return orjson.dumps(
        {"results": results, "errors": list(errors), "metrics": {name: {} for name in ("_totals", *metrics)}}
    )


def said(data):
    return read(
        BANDIT.name, BANDIT.reports, data, lambda _: ["a", "b", "c", "d", "run( cmd,", "shell = True )"]
    )


def test_a_result_becomes_a_finding():
    got = said(report(result(), errors=[{"filename": "bad.py", "reason": "syntax"}]))
    [finding] = got.findings
    assert (finding.path, finding.line, finding.end_line, finding.cwes) == ("app/x.py", 5, 6, (78,))
    assert (finding.severity, finding.confidence) == (Severity.HIGH, "high")
    assert got.examined == ("app/x.py",)
    assert got.errors == ("bad.py: syntax",)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"filename": ""}, "path"),
        ({"line_number": "five"}, "line"),
        ({"issue_severity": "DIRE"}, "DIRE"),
        ({"test_id": None}, "rule"),
    ],
)
def test_a_result_that_cannot_be_read_is_an_error_and_the_others_stay(change, word):
    got = said(report(result(**change), result()))
    assert len(got.findings) == 1
    assert word in got.errors[0]


def test_what_leads_outside_names_a_resource_and_no_file():
    [finding] = said(report(result(filename="../../etc/passwd"))).findings
    assert (finding.path, finding.resource) == ("", "../../etc/passwd")


@pytest.mark.parametrize("data", [b"", b"no json", b"[]", b'{"results": 3}'])
def test_what_is_no_report_is_refused(data):
    with pytest.raises(RecordError):
        said(data)


def test_what_is_nested_without_end_is_read_or_told():
    deep = b"[" * 900 + b"]" * 900  # deeper than our own encoder goes
    data = report(result(issue_text="DEEP"), result()).replace(b'"DEEP"', deep)
    assert len(said(data).findings) == 2


VALUES = st.recursive(
    st.none() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(VALUES)
def test_any_result_is_a_finding_or_an_error(value):
    got = said(orjson.dumps({"results": [value], "metrics": {"_totals": {"loc": 1}}}))
    assert len(got.findings) + len(got.errors) == 1


def test_fingerprints_stay_when_lines_move_and_tell_twins_apart():
    source = ["import x", "run(cmd, shell=True)", "run(cmd, shell=True)"]
    first = read(
        BANDIT.name,
        BANDIT.reports,
        report(result(line_number=2, line_range=[2]), result(line_number=3, line_range=[3])),
        lambda _: source,
    )
    moved = ["", "", "import x", "  run(cmd,  shell=True)", "run(cmd, shell=True)"]
    second = read(
        BANDIT.name,
        BANDIT.reports,
        report(result(line_number=4, line_range=[4]), result(line_number=5, line_range=[5])),
        lambda _: moved,
    )
    assert [f.fingerprint for f in first.findings] == [f.fingerprint for f in second.findings]
    assert len({f.fingerprint for f in first.findings}) == 2


@pytest.mark.parametrize(
    ("path", "clean"),
    [("./a/b", "a/b"), ("a/../b", "b"), ("../a", ""), ("/a", ""), ("a\\b", "a/b"), (".", "")],
)
def test_paths_stay_inside(path, clean):
    assert relative(path) == clean
