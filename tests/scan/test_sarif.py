"""SARIF as section 3 of the standard has it, and real scanners' reports read."""

import json
import os
import re
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import (
    Edit,
    Finding,
    Health,
    Kind,
    Place,
    ScanHealth,
    ScanReport,
    Suppression,
    Vulnerability,
)
from lemnis.scan.sarif import write

TEXT = st.text(max_size=20)
FINDINGS = st.lists(
    st.builds(
        Finding, fingerprint=TEXT, tool=st.sampled_from(["a", "b"]), rule_id=TEXT.filter(bool), title=TEXT,
        severity=st.sampled_from(Severity), path=TEXT.filter(bool), line=st.integers(0, 9),
        end_line=st.integers(0, 9), cwes=st.lists(st.integers(1, 2000), max_size=3).map(tuple),
        message=TEXT, help_uri=st.sampled_from(["", "https://example.org/x y"]), kind=st.sampled_from(Kind),
        column=st.integers(0, 9), end_column=st.integers(0, 9), resource=TEXT, fix=TEXT, snippet=TEXT,
        confidence=st.sampled_from(["", "high", "sure"]), controls=st.lists(TEXT, max_size=2).map(tuple),
        flow=st.lists(st.builds(Place, TEXT, st.integers(0, 9), st.integers(0, 9), TEXT), max_size=2).map(tuple),
        edits=st.lists(
            st.builds(Edit, TEXT, *[st.integers(0, 9)] * 4, TEXT), max_size=2
        ).map(tuple),
        vulnerability=st.none() | st.builds(Vulnerability, st.just(("CVE-1",)), TEXT),
        suppression=st.none() | st.builds(
            Suppression, st.sampled_from(["in_source", "external"]), TEXT, st.sampled_from(["accepted", "odd"])
        ),
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
    yield from complain_of_regions(result)
    if not {taxon["id"] for taxon in result.get("taxa", ())} <= known:
        yield "taxa"


def complain_of_regions(result):
    regions = [place.get("physicalLocation", {}).get("region") for place in result["locations"]]
    fixes = [change for fix in result.get("fixes", ()) for change in fix["artifactChanges"]]
    regions += [one["deletedRegion"] for change in fixes for one in change["replacements"]]
    for region in filter(None, regions):
        columns = region.get("startColumn", 1), region.get("endColumn", 10**6)
        if not 1 <= region["startLine"] <= region["endLine"] or min(columns) < 1:
            yield "region"
        if region["startLine"] == region["endLine"] and columns[0] > columns[1]:
            yield "columns"
    for flow in result.get("codeFlows", ()):
        if not all(thread["locations"] for thread in flow["threadFlows"]):
            yield "flow"
    for suppression in result.get("suppressions", ()):
        if suppression["kind"] not in {"inSource", "external"}:
            yield "suppression"


SCHEMA = os.environ.get("LEMNIS_SARIF_SCHEMA", "")


@pytest.mark.skipif(not SCHEMA, reason="LEMNIS_SARIF_SCHEMA does not name OASIS's sarif-schema-2.1.0.json")
@given(FINDINGS)
def test_any_scan_is_valid_by_the_schema(findings):
    import jsonschema  # noqa: PLC0415 - it builds grammars for seconds as it is imported

    schema = jsonschema.Draft7Validator(json.loads(Path(SCHEMA).read_text()))
    assert list(schema.iter_errors(json.loads(json.dumps(write(report(findings)))))) == []


@pytest.mark.parametrize("kind", Kind)
def test_a_secret_is_never_shown(kind):
    made = Finding("fp-1", "a", "R", "t", Severity.LOW, "a.py", 1, 1, snippet="hunter2", kind=kind)
    assert ("hunter2" in json.dumps(write(report([made])))) == (kind is not Kind.SECRET)


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
        "fp-1", "a", "R1", "title", Severity.HIGH, "a.py", 1, 2, (78,), message="m", help_uri="https://e.org",
        snippet="x", column=1, end_column=2, resource="r", fix="mend", flow=(Place("a.py", 1, 1, "m"),),
        edits=(Edit("a.py", 1, 1, 1, 2, "y"),), suppression=Suppression("in_source", "why"),
    )  # fmt: skip
    ours = set(shape(write(report([finding], Health.UNKNOWN, ["e"]))))
    free = {
        ".runs[].results[].partialFingerprints.lemnis/v1",  # a key that the standard leaves to tools
        ".runs[].invocations[].toolExecutionNotifications[].level",  # section 3.58.6; nobody there uses it
        ".runs[].originalUriBaseIds.%SRCROOT%",  # section 3.14.14, with 3.4.6
        ".runs[].originalUriBaseIds.%SRCROOT%.description",
        ".runs[].originalUriBaseIds.%SRCROOT%.description.text",
        ".runs[].tool.driver.supportedTaxonomies[].index",  # section 3.54.4
        ".runs[].tool.driver.rules[].relationships[].target.toolComponent.index",
        ".runs[].results[].locations[].logicalLocations[].kind",  # section 3.33.7
    }
    bags = (
        ".runs[].tool.driver.rules[].properties",
        ".runs[].invocations[].properties",
        ".runs[].results[].fixes[]",  # section 3.55: no log there has any with our parts
        ".runs[].results[].suppressions[].justification",  # section 3.35.6
    )
    assert {p for p in ours - known - free if not p.startswith(bags)} == set()
