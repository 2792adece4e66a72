"""What a policy sees: the document of each stage, its shape, and how it is made.

A field that is not in the shape is a mistake in a policy, found before it is run: in Rego it would be
undefined, and a rule that refuses would silently refuse nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import to_iso
from lemnis.contracts.findings import Finding, ScanReport
from lemnis.contracts.ids import Json

Shape = Any
"""An object is a dict, a list ``[shape]``, a text of known values a tuple of them, anything else None."""

SEVERITIES = tuple(level.name.lower() for level in Severity)
_FINDING: Shape = {
    "fingerprint": None, "tool": None, "rule_id": None, "title": None, "message": None,
    "severity": SEVERITIES, "severity_id": None, "confidence": None, "cwes": [None],
    "path": None, "line": None, "end_line": None, "new": None,
}  # fmt: skip
_CHANGE: Shape = {
    "repository": None, "commit": None, "base": None, "author": None, "email": None, "subject": None,
    "time": None, "files": [{"status": None, "path": None}],
}  # fmt: skip
_HEALTH: Shape = {"tool": None, "version": None, "state": ("ok", "unknown"), "files": None, "errors": [None]}
_ATTESTATION: Shape = {
    "verified": None, "problem": None, "builder": None, "commit": None, "repository": None,
    "invocation": None, "commit_known": None, "build_gate": ("allow", "deny", "unknown", "none"),
}  # fmt: skip
DOCUMENTS: Mapping[str, Shape] = MappingProxyType(
    {
        "build": {"stage": ("build",), "change": _CHANGE, "findings": [_FINDING], "health": [_HEALTH]},
        "deploy": {
            "stage": ("deploy",),
            "image": {"digest": None, "name": None},
            "attestation": _ATTESTATION,
        },
    }
)
STAGES = tuple(DOCUMENTS)


def build_document(change: Mapping[str, Json], report: ScanReport, known: Collection[str]) -> dict[str, Json]:
    """Return the document of stage build; findings whose fingerprint is not in ``known`` are new."""
    return {
        "stage": "build",
        "change": dict(change),
        "findings": [finding_document(f, new=f.fingerprint not in known) for f in report.findings],
        "health": [
            {
                "tool": h.tool, "version": h.version, "state": h.state.value,
                "files": h.files, "errors": list(h.errors),
            }
            for h in report.health
        ],
    }  # fmt: skip


def change_document(
    *,
    repository: str,
    commit: str,
    base: str,
    author: str,
    email: str,
    subject: str,
    at: int,
    files: Sequence[tuple[str, str]],
) -> dict[str, Json]:
    """Return a change as policies see it; ``files`` are (status letter, path)."""
    return {
        "repository": repository, "commit": commit, "base": base, "author": author, "email": email,
        "subject": subject, "time": to_iso(at),
        "files": [{"status": status, "path": path} for status, path in files],
    }  # fmt: skip


def finding_document(finding: Finding, *, new: bool) -> dict[str, Json]:
    """Return a finding as policies see it."""
    return {
        "fingerprint": finding.fingerprint,
        "tool": finding.tool,
        "rule_id": finding.rule_id,
        "title": finding.title,
        "message": finding.message,
        "severity": finding.severity.name.lower(),
        "severity_id": int(finding.severity),
        "confidence": finding.confidence,
        "cwes": list(finding.cwes),
        "path": finding.path,
        "line": finding.line,
        "end_line": finding.end_line,
        "new": new,
    }
