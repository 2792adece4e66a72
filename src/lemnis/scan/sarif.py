"""SARIF 2.1.0 (OASIS): writes a scan as one log with a run a tool.

Results have our fingerprints, CWE taxa, code flows, suppressions and fixes; a tool that did not look has
``executionSuccessful`` false. A secret's line is never written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote

from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import to_iso
from lemnis.contracts.findings import (
    Edit,
    Finding,
    Health,
    Kind,
    Place,
    ScanHealth,
    ScanReport,
    Suppression,
    Unjudged,
)
from lemnis.contracts.ids import Json

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "lemnis/v1"
_LEVELS: Final = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
# The number that code hosts sort by; the middle of each CVSS 3.1 severity band (section 5).
_SCORES: Final = {
    Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.0",
}  # fmt: skip
_KINDS: Final = {"in_source": "inSource", "external": "external"}
_STATUSES: Final = frozenset({"accepted", "underReview", "rejected"})
_PRECISIONS: Final = frozenset({"very-high", "high", "medium", "low"})


def write(report: ScanReport) -> dict[str, Json]:
    """Return the SARIF log of a scan."""
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            _run(health, [f for f in report.findings if f.tool == health.tool]) for health in report.health
        ],
    }


def _run(health: ScanHealth, findings: Sequence[Finding]) -> dict[str, Json]:
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.rule_id, finding)
    rules = sorted(first)
    numbers = {rule: number for number, rule in enumerate(rules)}
    cwes = sorted({cwe for f in findings for cwe in f.cwes})
    driver: dict[str, Any] = {"name": health.tool, "rules": [_rule(rule, first[rule]) for rule in rules]}
    if health.version:
        driver["version"] = health.version
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"lemnis/{health.tool}/"},
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "The folder that was scanned."}}},
        "invocations": [_invocation(health)],
        "columnKind": "unicodeCodePoints",
        "results": [_result(f, numbers[f.rule_id]) for f in findings],
    }
    if cwes:
        driver["supportedTaxonomies"] = [{"name": "CWE", "index": 0}]
        run["taxonomies"] = [
            {
                "name": "CWE",
                "organization": "MITRE",
                "shortDescription": {"text": "Common Weakness Enumeration"},
                "taxa": [{"id": str(cwe)} for cwe in cwes],
            }
        ]
    return run


def words(one: Unjudged) -> str:
    """Say what could not be judged, in one line."""
    more = f" (and {one.count - 1} more)" if one.count > 1 else ""
    return f"{one.path}:{one.line}: {one.check} could not judge {one.resource}: {one.why}{more}"


def _invocation(health: ScanHealth) -> dict[str, Json]:
    """Return how the tool did (section 3.20), with what its health says beside that."""
    properties: dict[str, Json] = {"files": health.files, "durationMs": health.duration_ms}
    if health.rules:
        properties["rules"] = health.rules
    if health.data_until is not None:
        properties["dataUntil"] = to_iso(health.data_until)
    return {
        "executionSuccessful": health.state is Health.OK,
        "toolExecutionNotifications": [
            *({"level": "error", "message": {"text": error}} for error in health.errors),
            *({"level": "note", "message": {"text": words(one)}} for one in health.unjudged),
        ],
        "properties": properties,
    }


def _rule(rule: str, finding: Finding) -> dict[str, Json]:
    properties: dict[str, Any] = {
        "tags": list(
            dict.fromkeys(
                [
                    "security",
                    finding.kind.value,
                    *(f"external/cwe/cwe-{cwe:03d}" for cwe in finding.cwes),
                    *finding.controls,
                ]
            )
        )
    }
    if finding.severity in _SCORES:
        properties["security-severity"] = _SCORES[finding.severity]
    if finding.confidence in _PRECISIONS:
        properties["precision"] = finding.confidence
    made: dict[str, Any] = {
        "id": rule,
        "shortDescription": {"text": finding.title or rule},
        "defaultConfiguration": {"level": _LEVELS.get(finding.severity, "none")},
        "properties": properties,
    }
    if finding.cwes:
        made["relationships"] = [
            {"target": {"id": str(cwe), "toolComponent": {"name": "CWE", "index": 0}}, "kinds": ["superset"]}
            for cwe in dict.fromkeys(finding.cwes)
        ]
    if finding.help_uri:
        made["helpUri"] = quote(finding.help_uri, safe=":/?#[]@!$&'()*+,;=%-._~")
    if finding.fix:
        made["help"] = {"text": finding.fix}
    return made


def _result(finding: Finding, index: int) -> dict[str, Json]:
    made: dict[str, Any] = {
        "ruleId": finding.rule_id,
        "ruleIndex": index,
        "level": _LEVELS.get(finding.severity, "none"),
        "message": {"text": finding.message or finding.title or finding.rule_id},
        "locations": [_location(finding)],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
    }
    if finding.cwes:
        made["taxa"] = [
            {"id": str(cwe), "toolComponent": {"name": "CWE"}} for cwe in dict.fromkeys(finding.cwes)
        ]
    if finding.flow:
        steps = [{"location": _step(place)} for place in finding.flow]
        made["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    if finding.suppression is not None:
        made["suppressions"] = [_suppression(finding.suppression)]
    if any(edit.path and edit.line for edit in finding.edits):
        made["fixes"] = [_fix(finding)]
    known = finding.vulnerability
    if known is not None:
        facts = {
            "ids": list(known.ids),
            "purl": known.purl,
            "fixedIn": list(known.fixed_in),
            "vex": known.vex,
        }
        made["properties"] = {name: value for name, value in facts.items() if value}
    return made


def _location(finding: Finding) -> dict[str, Json]:
    """Return the place in a file, and what is not a file as a logical location (section 3.33)."""
    made: dict[str, Any] = {}
    if finding.path:
        place: dict[str, Any] = {"artifactLocation": _artifact(finding.path)}
        if finding.line > 0:
            end = max(finding.end_line, finding.line)
            place["region"] = _region(finding.line, finding.column, end, finding.end_column)
            if finding.snippet and finding.kind is not Kind.SECRET:
                place["region"]["snippet"] = {"text": finding.snippet}
        made["physicalLocation"] = place
    name = finding.resource or (finding.vulnerability.purl if finding.vulnerability else "")
    if name:
        made["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "resource"}]
    return made


def _region(line: int, column: int, end_line: int, end_column: int) -> dict[str, Any]:
    """Return a region (section 3.30); columns that do not fit the lines are left out."""
    made: dict[str, Any] = {"startLine": line, "endLine": end_line}
    if column > 0 and (end_column == 0 or end_line > line or end_column >= column):
        made["startColumn"] = column
        if end_column > 0:
            made["endColumn"] = end_column
    return made


def _artifact(path: str) -> dict[str, Json]:
    """Return where a file is, as a URI reference (RFC 3986), which may hold no space."""
    return {"uri": quote(path.encode("utf-8", "replace"), safe="/-._~!$&'()*+,;=@"), "uriBaseId": "%SRCROOT%"}


def _step(place: Place) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if place.path:
        made["physicalLocation"] = {"artifactLocation": _artifact(place.path)}
        if place.line > 0:
            region: dict[str, Any] = {"startLine": place.line}
            made["physicalLocation"]["region"] = region | (
                {"startColumn": place.column} if place.column > 0 else {}
            )
    if place.message:
        made["message"] = {"text": place.message}
    return made


def _suppression(made: Suppression) -> dict[str, Json]:
    found: dict[str, Json] = {"kind": _KINDS.get(made.kind, "external")}
    if made.status in _STATUSES:
        found |= {"status": made.status}
    return found | ({"justification": made.reason} if made.reason else {})


def _fix(finding: Finding) -> dict[str, Json]:
    """Return a fix with a change a file (section 3.55)."""
    files: dict[str, list[Edit]] = {}
    for edit in finding.edits:
        if edit.path and edit.line > 0:
            files.setdefault(edit.path, []).append(edit)
    changes: list[Json] = [
        {"artifactLocation": _artifact(path), "replacements": list(_replacements(edits))}
        for path, edits in files.items()
    ]
    words: dict[str, Json] = {"description": {"text": finding.fix}} if finding.fix else {}
    return words | {"artifactChanges": changes}


def _replacements(edits: Iterable[Edit]) -> Iterable[Json]:
    for edit in edits:
        region = _region(edit.line, edit.column, max(edit.end_line, edit.line), edit.end_column)
        yield {"deletedRegion": region, "insertedContent": {"text": edit.text}}
