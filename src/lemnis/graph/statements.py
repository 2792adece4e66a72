"""Statements about an artefact beside its provenance: bill of materials, scan, tests, gate decision.

Formats: in-toto Statement v1 with the predicates CycloneDX (https://cyclonedx.org/bom), Test Result v0.1 and
SLSA Verification Summary v1; a scan's health has none that fits, and one of our own. A bill of others may be
SPDX (https://spdx.dev/Document) too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lemnis.contracts.clock import to_iso
from lemnis.contracts.counting import counted
from lemnis.contracts.errors import IntegrityError, Location
from lemnis.contracts.findings import Health, ScanReport
from lemnis.contracts.ids import Json
from lemnis.graph import predicates
from lemnis.graph.attestation import STATEMENT, Signer, opened

SBOM = "https://cyclonedx.org/bom"
TESTS = "https://in-toto.io/attestation/test-result/v0.1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
SCAN = "https://lemnis.invalid/attestation/scan/v1"
TYPES: Mapping[str, str] = MappingProxyType({"sbom": SBOM, "scan": SCAN, "tests": TESTS, "gate": SUMMARY})
"""The predicate type that we write of each kind of statement."""


@dataclass(frozen=True, slots=True)
class Told:
    """A statement that was verified: its kind, what it says, and by whose key."""

    kind: str
    predicate: Mapping[str, Any]
    builder: str
    keyid: str

    @property
    def problem(self) -> str:
        """Say why what it tells is not good; empty if it is."""
        return _PROBLEMS[self.kind](self.predicate)


def statement(
    kind: str, *, subject: str, subject_digest: str, predicate: Mapping[str, Json]
) -> dict[str, Json]:
    """Return the Statement of a kind; the digest as ``sha256:…``."""
    algorithm, _, value = subject_digest.partition(":")
    return {
        "_type": STATEMENT,
        "subject": [{"name": subject, "digest": {algorithm: value}}],
        "predicateType": TYPES[kind],
        "predicate": dict(predicate),
    }


def scan_predicate(report: ScanReport, *, now: int) -> dict[str, Json]:
    """Return what a scan looked at and found: counts by severity, never the findings themselves."""
    counts: dict[str, int] = {}
    for finding in report.findings:
        level = finding.severity.name.lower()
        counts[level] = counts.get(level, 0) + 1
    return {
        "finishedOn": to_iso(now),
        "complete": bool(report.health) and all(one.state is Health.OK for one in report.health),
        "findings": dict(sorted(counts.items())),
        "scanners": [
            {
                "name": one.tool, "version": one.version, "state": one.state.value, "files": one.files,
                "errors": list(one.errors), "rules": one.rules, "durationMs": one.duration_ms,
                "dataUntil": None if one.data_until is None else to_iso(one.data_until),
            }
            for one in report.health
        ],
    }  # fmt: skip


def result_predicate(
    passed: Sequence[str], failed: Sequence[str], *, configuration: Sequence[tuple[str, str]] = ()
) -> dict[str, Json]:
    """Return a test result; ``configuration`` are names and digests (``sha256:…``) of what decided."""
    return {
        "result": "FAILED" if failed or not passed else "PASSED",
        "configuration": [
            {"name": name, "digest": dict([digest.split(":", 1)])} for name, digest in configuration
        ],
        "passedTests": sorted(passed),
        "failedTests": sorted(failed),
    }


def gate_predicate(
    *, verifier: str, resource: str, stage: str, decision: str, content: str, now: int
) -> dict[str, Json]:
    """Return a verification summary of a gate's decision; ``content`` is the digest of what decided."""
    algorithm, _, value = content.partition(":")
    return {
        "verifier": {"id": verifier},
        "timeVerified": to_iso(now),
        "resourceUri": resource,
        "policy": {"uri": f"lemnis:gate/{stage}", "digest": {algorithm: value}},
        "verificationResult": "PASSED" if decision == "allow" else "FAILED",
        "verifiedLevels": [],
    }


def verify(data: bytes, trusted: Sequence[Signer], *, subject_digest: str, kind: str, file: str = "") -> Told:
    """Verify an envelope as a statement of a kind about one artefact.

    Raises InputError when it is no envelope, IntegrityError naming the check that failed.
    """
    document, key, _ = opened(data, trusted, subject_digest=subject_digest, file=file)
    found = document.get("predicateType")
    if predicates.known(str(found)).name != kind:
        raise IntegrityError(f"type: {found!r} is no statement of kind {kind}", at=Location(file))
    predicate = document.get("predicate")
    if not isinstance(predicate, dict):
        raise IntegrityError("type: the predicate is no object", at=Location(file))
    return Told(kind, predicate, key.builder, key.keyid)


def _sbom(predicate: Mapping[str, Any]) -> str:
    cyclonedx = predicate.get("bomFormat") == "CycloneDX" and isinstance(predicate.get("components"), list)
    spdx = isinstance(predicate.get("spdxVersion"), str) and isinstance(predicate.get("packages"), list)
    return "" if cyclonedx or spdx else "it is no bill of materials with components"


def _scan(predicate: Mapping[str, Any]) -> str:
    if predicate.get("complete") is True:
        return ""
    scanners = predicate.get("scanners")
    bad = [
        str(one.get("name"))
        for one in (scanners if isinstance(scanners, list) else [])
        if isinstance(one, dict) and one.get("state") != Health.OK.value
    ]
    return f"the scan is not complete: {', '.join(bad) or 'no scanner looked'}"


def _tests(predicate: Mapping[str, Any]) -> str:
    if predicate.get("result") == "PASSED":
        return ""
    failed = predicate.get("failedTests")
    return (
        f"{counted(len(failed), 'test')} failed"
        if isinstance(failed, list) and failed
        else "the tests did not pass"
    )


def _gate(predicate: Mapping[str, Any]) -> str:
    return "" if predicate.get("verificationResult") == "PASSED" else "the gate did not let it pass"


_PROBLEMS: Mapping[str, Callable[[Mapping[str, Any]], str]] = MappingProxyType(
    {"sbom": _sbom, "scan": _scan, "tests": _tests, "gate": _gate}
)
