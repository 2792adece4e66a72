"""Scanner findings as OCSF 1.8 events, for the lake and for others. Pure.

A weakness in code and a secret are Application Security Posture Findings (2007), a published vulnerability in
a package or an image is a Vulnerability Finding (2002), and a configuration that breaks a check is a
Compliance Finding (2003).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import pyarrow as pa
from packageurl import PackageURL

from lemnis.contracts.alerts import FindingStatus
from lemnis.contracts.events import EventBatch
from lemnis.contracts.findings import NOT_JUDGED, Finding, Kind, ScanReport
from lemnis.contracts.ids import Json, canonical, stable_id
from lemnis.ocsf import schema
from lemnis.ocsf.findings import CLOSE, CREATE, base

VULNERABILITY, COMPLIANCE, POSTURE = 2002, 2003, 2007
CLASSES: Final[Mapping[Kind, int]] = {
    Kind.CODE: POSTURE, Kind.SECRET: POSTURE, Kind.DEPENDENCY: VULNERABILITY, Kind.IMAGE: VULNERABILITY,
    Kind.CONFIG: COMPLIANCE,
}  # fmt: skip
TABLES: Final = tuple(schema.event_class(uid).name for uid in (POSTURE, VULNERABILITY, COMPLIANCE))
SOURCE = "lemnis"
PROVIDER = "scan"
"""In ``metadata.log_provider``: which of our own findings come from scans."""
_RULE, _REGULAR_FILE, _UNKNOWN, _PASS, _FAIL = 1, 1, 0, 1, 3
_TYPES: Final[Mapping[Kind, str]] = {
    Kind.CODE: "Static Analysis", Kind.SECRET: "Secret", Kind.DEPENDENCY: "Software Composition",
    Kind.IMAGE: "Container Image", Kind.CONFIG: "Configuration",
}  # fmt: skip


def batches(
    report: ScanReport, *, resource: str, revision: str, now: int, gone: bool = False
) -> list[EventBatch]:
    """Return a scan's findings as events, one batch a class that has any.

    ``resource`` is the repository or folder, ``revision`` its state. The same finding in the same state is
    the same event, however often it is found. With ``gone`` they say that the findings are resolved.
    """
    versions = {health.tool: health.version for health in report.health}
    rows: dict[int, list[dict[str, Json]]] = {}
    for one in report.findings:
        made = event(
            one, version=versions.get(one.tool, ""), resource=resource, revision=revision, now=now, gone=gone
        )
        rows.setdefault(class_of(one), []).append(made)
    return [
        EventBatch(uid, SOURCE, PROVIDER, pa.Table.from_pylist(many, schema=schema.arrow_schema(uid)))
        for uid, many in sorted(rows.items())
    ]


def uid(finding: Finding, resource: str, revision: str) -> str:
    """Return the id of a finding's event: it follows from what was found, where, and in which state."""
    return stable_id("ev", "posture", resource, revision, finding.fingerprint)


def class_of(finding: Finding) -> int:
    """Return the class of a finding: what tells no vulnerability of a package is about code."""
    uid = CLASSES[finding.kind]
    return uid if uid != VULNERABILITY or finding.vulnerability is not None else POSTURE


def table(finding: Finding) -> str:
    """Return the table of the lake in which a finding is."""
    return schema.event_class(class_of(finding)).name


def event(
    finding: Finding, *, version: str, resource: str, revision: str, now: int, gone: bool = False
) -> dict[str, Json]:
    """Return one finding as an OCSF event; with ``gone`` that it is resolved.

    Its place and what the class has no attribute for are in ``unmapped``, where every finding has them.
    """
    number = class_of(finding)
    suppressed = finding.suppression is not None
    status = FindingStatus.SUPPRESSED if suppressed else FindingStatus.NEW
    if gone:
        status = FindingStatus.RESOLVED
    where = _where(finding)
    return {
        **base(number, CLOSE if gone else CREATE, finding.severity),
        "status_id": int(status), "status": status.name.title(),
        "time": now,
        "message": f"{where}: {finding.title}" if where else finding.title,
        "confidence": finding.confidence,
        "comment": finding.suppression.reason if finding.suppression is not None else None,
        "metadata": {
            "uid": uid(finding, resource, revision),
            "version": schema.version(), "log_name": SOURCE, "log_provider": PROVIDER, "logged_time": now,
            "correlation_uid": resource,
            "labels": [
                f"revision:{revision}", f"kind:{finding.kind.value}", *(f"cwe:{cwe}" for cwe in finding.cwes),
            ],
            "product": {"name": finding.tool, "uid": finding.tool, "version": version},
        },
        "finding_info": {
            "uid": finding.fingerprint, "title": finding.title, "desc": finding.message, "created_time": now,
            "analytic": {"uid": finding.rule_id, "name": finding.title, "type_id": _RULE, "type": "Rule"},
            "types": [_TYPES[finding.kind]], "data_sources": [finding.tool],
        },
        "resources": _resources(finding, resource, revision),
        **_of_class(number, finding, gone=gone),
        "unmapped": canonical(_place(finding)).decode(),
    }  # fmt: skip


def _where(finding: Finding) -> str:
    if not finding.path:
        return finding.resource
    return f"{finding.path}:{finding.line}" if finding.line else finding.path


def _place(finding: Finding) -> dict[str, Json]:
    """Return what lists show and no attribute holds; what is empty is left out."""
    place: dict[str, Json] = {"path": finding.path, "line": finding.line}
    known = finding.vulnerability
    more: dict[str, Json] = {
        "column": finding.column, "resource": finding.resource, "fix": finding.fix,
        "kind": finding.kind.value,
    }  # fmt: skip
    if known is not None:
        more |= {
            "ids": list(known.ids), "purl": known.purl, "epss": known.epss, "exploited": known.exploited,
            "decision": known.decision, "vex": known.vex, "fixed_in": list(known.fixed_in),
        }  # fmt: skip
    said = {name: one for name, one in more.items() if isinstance(one, bool | float) or one}
    return place | said  # no and none of it are answers too


def _resources(finding: Finding, resource: str, revision: str) -> list[Json]:
    found: list[Json] = [{"uid": resource, "name": resource, "type": "Source Code", "version": revision}]
    if finding.resource:
        found.append({"uid": finding.resource, "name": finding.resource})
    return found


def _of_class(uid: int, finding: Finding, *, gone: bool) -> dict[str, Json]:
    """Return the attributes that only a finding of this class has."""
    fix: Json = {"desc": finding.fix, "references": _references(finding)} if finding.fix else None
    if uid == COMPLIANCE:
        looked = finding.rule_id != NOT_JUDGED
        verdict = (_PASS, "Pass") if gone else (_FAIL, "Fail") if looked else (_UNKNOWN, "Unknown")
        made: dict[str, Json] = {
            "control": finding.rule_id, "requirements": list(finding.controls),
            "status_id": verdict[0], "status": verdict[1],
            "status_detail": finding.message,
        }  # fmt: skip
        return {"compliance": made, "remediation": fix}
    if uid == VULNERABILITY:
        return {"vulnerabilities": [_package(finding, fix)]}
    weaknesses: list[Json] = [_weakness(finding) | {"cwe": {"uid": f"CWE-{cwe}"}} for cwe in finding.cwes]
    return {"vulnerabilities": weaknesses, "remediation": fix}


def _weakness(finding: Finding) -> dict[str, Json]:
    file: dict[str, Json] = {
        "name": finding.path.rpartition("/")[2], "path": finding.path, "type_id": _REGULAR_FILE,
    }  # fmt: skip
    code: dict[str, Json] = {"file": file, "start_line": finding.line, "end_line": finding.end_line}
    return {
        "title": finding.title,
        "desc": finding.message,
        "severity": finding.severity.name.title(),
        "affected_code": [code] if finding.path else [],
        "references": _references(finding),
    }


def _package(finding: Finding, fix: Json) -> dict[str, Json]:
    """Return a published vulnerability; one that has no CVE is named by the id that it has."""
    known = finding.vulnerability
    if known is None:
        return _weakness(finding)
    names = (*(one for one in known.ids if one.startswith("CVE-")), *known.ids, finding.rule_id)
    score: list[Json] = []
    if known.score is not None:
        version = known.vector.removeprefix("CVSS:").partition("/")[0] if "CVSS:" in known.vector else "3.1"
        score = [{"base_score": known.score, "version": version, "vector_string": known.vector or None}]
    return {
        **_weakness(finding), "affected_code": [],
        "cve": {"uid": names[0], "cvss": score},
        "affected_packages": [_affected(known.purl, known.fixed_in, finding.path)] if known.purl else [],
        "is_fix_available": bool(known.fixed_in), "remediation": fix,
    }  # fmt: skip


def _affected(purl: str, fixed_in: Sequence[str], path: str) -> dict[str, Json]:
    try:
        parts = PackageURL.from_string(purl)
        name = f"{parts.namespace}/{parts.name}" if parts.namespace else parts.name
        version, manager = parts.version or "", parts.type
    except ValueError:
        name, version, manager = purl, "", None
    return {
        "name": name, "version": version, "purl": purl, "path": path or None, "package_manager": manager,
        "fixed_in_version": ", ".join(fixed_in) or None,
    }  # fmt: skip


def _references(finding: Finding) -> list[Json]:
    return [finding.help_uri] if finding.help_uri else []


def _vulnerability(event: Mapping[str, Any], place: Mapping[str, Any]) -> Json:
    """Return what an event says of a published vulnerability; None where it is about none."""
    if not place.get("ids"):
        return None
    scored = [
        score
        for one in event.get("vulnerabilities") or ()
        for score in (one.get("cve") or {}).get("cvss") or ()
    ]
    cvss: Json = None
    if scored:
        cvss = {"score": scored[0]["base_score"], "vector": scored[0].get("vector_string") or ""}
    told = {name: place.get(name) for name in ("epss", "exploited", "decision", "vex")}
    return {
        "ids": list(place["ids"]), "purl": place.get("purl"), "fixed_in": list(place.get("fixed_in") or ()),
        "cvss": cvss,
        "epss": None if told["epss"] is None else {"score": told["epss"]},
        "kev": None if told["exploited"] is None else {"exploited": told["exploited"]},
        "ssvc": {"decision": told["decision"]} if told["decision"] else None,
        "vex": told["vex"],
    }  # fmt: skip


def ours(event: Mapping[str, Any]) -> bool:
    """Say whether an event of the lake is a finding of one of our scans or imports."""
    about: Mapping[str, Any] = event["metadata"]
    return (about.get("log_name"), about.get("log_provider")) == (SOURCE, PROVIDER)


def row(event: Mapping[str, Any]) -> dict[str, Json]:
    """Return what an event of the lake says, flat, for lists."""
    info, place = event["finding_info"], orjson.loads(event["unmapped"])
    cwes = [one[4:] for one in event["metadata"]["labels"] or () if one.startswith("cwe:")]
    return {
        "id": info["uid"],
        "tool": event["metadata"]["product"]["name"],
        "rule_id": info["analytic"]["uid"],
        "title": info["title"],
        "severity": str(event["severity"]).lower(),
        "kind": place.get("kind", Kind.CODE.value),
        "path": place["path"],
        "line": place["line"],
        "cwe": f"CWE-{cwes[0]}" if cwes else None,
        "about": place.get("purl") or place.get("resource"),
        "fix": place.get("fix"),
        "suppressed": event["status_id"] == int(FindingStatus.SUPPRESSED),
        "resolved": event["status_id"] == int(FindingStatus.RESOLVED),
        "vulnerability": _vulnerability(event, place),
        "resource": event["resources"][0]["uid"],
        "revision": event["resources"][0]["version"],
        "time": event["time"],
    }
