"""SARIF as section 3 of the standard has it, and real scanners' reports read."""

import json
import re
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport
from lemnis.scan.sarif import write

TEXT = st.text(max_size=20)
FINDINGS = st.lists(
    st.builds(
        Finding, fingerprint=TEXT, tool=st.sampled_from(["a", "b"]), rule_id=TEXT.filter(bool), title=TEXT,
        severity=st.sampled_from(Severity), path=TEXT.filter(bool), line=st.integers(0, 9),
        end_line=st.integers(0, 9), cwes=st.lists(st.integers(1, 2000), max_size=3).map(tuple),
        message=TEXT, help_uri=st.sampled_from(["", "https://example.org/x"]),
    ),
    max_size=8,
)  # fmt: skip


def report(findings, state=Health.OK, errors=()):
    health = tuple(ScanHealth(tool, "1.2", state, 1, tuple(errors), 5) for tool in ("a", "b"))
    return ScanReport(tuple(findings), health)


def complain(log):
    """Yield what section 3 of SARIF 2.1.0 does not allow."""
    if log["version"] != "2.1.0" or not log["$schema"].startswith("https://"):
        yield "log"
    for run in log["runs"]:
        rules = run["tool"]["driver"]["rules"]
        if len({rule["id"] for rule in rules}) != len(rules):
            yield "rule twice"
        known = {taxon["id"] for taxonomy in run.get("taxonomies", ()) for taxon in taxonomy["taxa"]}
        for result in run["results"]:
            yield from complain_of_result(result, rules, known)


def complain_of_result(result, rules, known):
    if rules[result["ruleIndex"]]["id"] != result["ruleId"]:
        yield "ruleIndex"
    if result["level"] not in {"none", "note", "warning", "error"}:
        yield "level"
    if not result["message"]["text"]:
        yield "message"
    regions = [place["physicalLocation"].get("region") for place in result["locations"]]
    if any(region and not 1 <= region["startLine"] <= region["endLine"] for region in regions):
        yield "region"
    if not {taxon["id"] for taxon in result.get("taxa", ())} <= known:
        yield "taxa"


@given(FINDINGS)
def test_any_scan_gives_a_log_that_the_standard_allows(findings):
    log = json.loads(json.dumps(write(report(findings))))
    assert list(complain(log)) == []
    assert sum(len(run["results"]) for run in log["runs"]) == len(findings)


def test_a_tool_that_did_not_look_says_so():
    log = write(report([], Health.UNKNOWN, ["not installed"]))
    invocation = log["runs"][0]["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "not installed"


DATA = Path(__file__).parents[2].parent / "shared" / "data" / "devsecops"


def samples():
    """Yield the SARIF logs of other tools in the shared data."""
    for archive in sorted(DATA.glob("sarif-*/*.tar.zst")):
        with (
            archive.open("rb") as file,
            zstandard.open(file, "rb") as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            yield from _logs(tar)
    for path in sorted(DATA.glob("sarif-*/**/*.sarif")):
        yield path.name, path.read_bytes()


def _logs(tar):
    for member in tar:
        if member.isfile() and re.search(r"\.sarif(\.json)?$", member.name) and member.size < 3_000_000:
            yield member.name, tar.extractfile(member).read()


def shape(value, path=""):
    """Yield the property paths of a log."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}.{key}"
            yield from shape(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from shape(item, f"{path}[]")


@pytest.mark.skipif(not DATA.is_dir(), reason="no shared data beside the repository")
def test_no_property_is_of_our_own_making():
    """Every property that we write stands at the same place in some log of another tool."""
    known = set()
    for _, data in samples():
        try:
            log = json.loads(data.decode("utf-8-sig"))
        except ValueError:
            continue
        if isinstance(log, dict) and log.get("version") == "2.1.0":
            known |= set(shape(log))
    if len(known) < 100:
        pytest.skip("the shared data holds too few SARIF logs to compare with")
    finding = Finding(
        "fp-1", "a", "R1", "title", Severity.HIGH, "a.py", 1, 2, (78,), message="m", help_uri="https://e.org"
    )
    ours = set(shape(write(report([finding], Health.UNKNOWN, ["e"]))))
    free = {
        ".runs[].results[].partialFingerprints.lemnis/v1",  # a key that the standard leaves to tools
        ".runs[].invocations[].toolExecutionNotifications[].level",  # section 3.58.6; nobody there uses it
    }
    rules = ".runs[].tool.driver.rules[].properties."
    assert {p for p in ours - known - free if not p.startswith(rules)} == set()
