"""Scanner findings as OCSF Application Security Posture Findings, for the lake and for others. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pyarrow as pa

from lemnis.contracts.alerts import FindingStatus
from lemnis.contracts.events import EventBatch
from lemnis.contracts.findings import Finding, ScanReport
from lemnis.contracts.ids import Json, canonical, stable_id
from lemnis.ocsf import schema

CLASS = 2007
SOURCE = "lemnis"
_CREATE, _RULE, _REGULAR_FILE = 1, 1, 1


def batch(report: ScanReport, *, resource: str, revision: str, now: int) -> EventBatch:
    """Return a scan's findings as events; ``resource`` is the repository or folder, ``revision`` its state.

    The same finding in the same state is the same event, however often it is found.
    """
    versions = {health.tool: health.version for health in report.health}
    rows = [
        posture(f, version=versions.get(f.tool, ""), resource=resource, revision=revision, now=now)
        for f in report.findings
    ]
    return EventBatch(CLASS, SOURCE, "scan", pa.Table.from_pylist(rows, schema=schema.arrow_schema(CLASS)))


def posture(finding: Finding, *, version: str, resource: str, revision: str, now: int) -> dict[str, Json]:
    """Return one finding as an OCSF event.

    A weakness in code is a vulnerability with its CWE there; a finding without one has its place in
    ``unmapped`` only, where every finding has it.
    """
    kind = schema.event_class(CLASS)
    code: dict[str, Json] = {
        "file": {"name": finding.path.rpartition("/")[2], "path": finding.path, "type_id": _REGULAR_FILE},
        "start_line": finding.line,
        "end_line": finding.end_line,
    }
    weakness: dict[str, Json] = {
        "title": finding.title,
        "desc": finding.message,
        "severity": finding.severity.name.title(),
        "affected_code": [code],
        "references": [finding.help_uri] if finding.help_uri else [],
    }
    return {
        "class_uid": CLASS, "class_name": kind.caption,
        "category_uid": kind.category_uid, "category_name": kind.category,
        "activity_id": _CREATE, "activity_name": "Create",
        "type_uid": CLASS * 100 + _CREATE, "type_name": f"{kind.caption}: Create",
        "severity_id": int(finding.severity), "severity": finding.severity.name.title(),
        "status_id": int(FindingStatus.NEW), "status": FindingStatus.NEW.name.title(),
        "time": now,
        "message": f"{finding.path}:{finding.line}: {finding.title}",
        "confidence": finding.confidence,
        "metadata": {
            "uid": stable_id("ev", "posture", resource, revision, finding.fingerprint),
            "version": schema.version(), "log_name": SOURCE, "logged_time": now, "correlation_uid": resource,
            "labels": [f"revision:{revision}", *(f"cwe:{cwe}" for cwe in finding.cwes)],
            "product": {"name": finding.tool, "uid": finding.tool, "version": version},
        },
        "finding_info": {
            "uid": finding.fingerprint, "title": finding.title, "desc": finding.message, "created_time": now,
            "analytic": {"uid": finding.rule_id, "name": finding.title, "type_id": _RULE, "type": "Rule"},
            "types": ["Static Analysis"], "data_sources": [finding.tool],
        },
        "resources": [{"uid": resource, "name": resource, "type": "Source Code", "version": revision}],
        "vulnerabilities": [weakness | {"cwe": {"uid": f"CWE-{cwe}"}} for cwe in finding.cwes],
        "unmapped": canonical({"path": finding.path, "line": finding.line}).decode(),
    }  # fmt: skip


def row(event: Mapping[str, Any]) -> dict[str, Json]:
    """Return what a posture event of the lake says, flat, for lists."""
    info, place = event["finding_info"], orjson.loads(event["unmapped"])
    weaknesses = [(one["cwe"] or {}).get("uid") for one in event["vulnerabilities"] or ()]
    return {
        "id": info["uid"],
        "tool": event["metadata"]["product"]["name"],
        "rule_id": info["analytic"]["uid"],
        "title": info["title"],
        "severity": str(event["severity"]).lower(),
        "path": place["path"],
        "line": place["line"],
        "cwe": weaknesses[0] if weaknesses else None,
        "resource": event["resources"][0]["uid"],
        "revision": event["resources"][0]["version"],
        "time": event["time"],
    }
