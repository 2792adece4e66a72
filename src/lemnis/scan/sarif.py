"""SARIF 2.1.0 (OASIS): writes a scan as one log with a run a tool, with our fingerprints and CWE taxa."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport
from lemnis.contracts.ids import Json

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "lemnis/v1"
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
# The number that code hosts sort by; the middle of each CVSS 3.1 severity band (section 5).
_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.0"}


def write(report: ScanReport) -> dict[str, Json]:
    """Return the SARIF log of a scan; a tool that did not look has ``executionSuccessful`` false."""
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            _run(health, [f for f in report.findings if f.tool == health.tool]) for health in report.health
        ],
    }


def _run(health: ScanHealth, findings: Sequence[Finding]) -> dict[str, Json]:
    rules = sorted({f.rule_id for f in findings})
    cwes = sorted({cwe for f in findings for cwe in f.cwes})
    driver: dict[str, Any] = {
        "name": health.tool,
        "rules": [_rule(rule, next(f for f in findings if f.rule_id == rule)) for rule in rules],
    }
    if health.version:
        driver["version"] = health.version
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "invocations": [
            {
                "executionSuccessful": health.state is Health.OK,
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": e}} for e in health.errors
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [_result(f, rules.index(f.rule_id)) for f in findings],
    }
    if cwes:
        run["taxonomies"] = [
            {
                "name": "CWE",
                "organization": "MITRE",
                "shortDescription": {"text": "Common Weakness Enumeration"},
                "taxa": [{"id": str(cwe)} for cwe in cwes],
            }
        ]
    return run


def _rule(rule: str, finding: Finding) -> dict[str, Json]:
    made: dict[str, Any] = {
        "id": rule,
        "shortDescription": {"text": finding.title or rule},
        "properties": {"tags": ["security", *(f"external/cwe/cwe-{cwe:03d}" for cwe in finding.cwes)]},
    }
    if finding.severity in _SCORES:
        made["properties"]["security-severity"] = _SCORES[finding.severity]
    if finding.help_uri:
        made["helpUri"] = finding.help_uri
    return made


def _result(finding: Finding, index: int) -> dict[str, Json]:
    place: dict[str, Any] = {"artifactLocation": {"uri": finding.path, "uriBaseId": "%SRCROOT%"}}
    if finding.line > 0:
        place["region"] = {"startLine": finding.line, "endLine": max(finding.end_line, finding.line)}
    made: dict[str, Any] = {
        "ruleId": finding.rule_id,
        "ruleIndex": index,
        "level": _LEVELS.get(finding.severity, "none"),
        "message": {"text": finding.message or finding.title or finding.rule_id},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
    }
    if finding.cwes:
        made["taxa"] = [{"id": str(cwe), "toolComponent": {"name": "CWE"}} for cwe in finding.cwes]
    return made
