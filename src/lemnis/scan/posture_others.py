"""Findings that others sent as OCSF events, such as alerts of GitHub by webhook: as rows for lists. Pure.

They have OCSF's own attributes only; what an event does not say is empty in its row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lemnis.contracts.alerts import FindingStatus, Severity
from lemnis.contracts.findings import Kind
from lemnis.contracts.ids import Json
from lemnis.ocsf import schema

_KINDS: Final[Mapping[str, Kind]] = {
    "vulnerability_finding": Kind.DEPENDENCY, "compliance_finding": Kind.CONFIG,
}  # fmt: skip
_CWE: Final = re.compile(r"(?i)^cwe-0*([1-9]\d*)$")


def row(event: Mapping[str, Any]) -> dict[str, Json]:
    """Return what an event says, flat, with the columns that our own findings have."""
    info, metadata = _object(event, "finding_info"), _object(event, "metadata")
    analytic, about = _object(info, "analytic"), _first(event.get("resources"))
    flaw = _first(event.get("vulnerabilities"))
    code, package = _first(flaw.get("affected_code")), _first(flaw.get("affected_packages"))
    fix = _object(event, "remediation") or _object(flaw, "remediation")
    match = _CWE.match(_text(_object(flaw, "cwe"), "uid"))
    level = event.get("severity_id")
    known = level if level in set(Severity) else Severity.UNKNOWN
    return {
        "id": _text(info, "uid") or _text(metadata, "uid"),
        "tool": _tool(info, metadata),
        "rule_id": _text(analytic, "uid") or _text(_object(event, "compliance"), "control"),
        "title": _text(info, "title") or _text(event, "message"),
        "severity": Severity(known).name.lower(),
        "kind": _kind(event, info).value,
        "path": _text(_object(code, "file"), "path") or _text(package, "path"),
        "line": code.get("start_line") or 0,
        "cwe": f"CWE-{match[1]}" if match else None,
        "about": _text(package, "purl") or _text(package, "name") or None,
        "fix": _text(fix, "desc") or _fixed(package) or None,
        "suppressed": event.get("status_id") == FindingStatus.SUPPRESSED,
        "resolved": gone(event),
        "vulnerability": _vulnerability(analytic, flaw, package),
        "resource": _text(about, "name") or _text(about, "uid"),
        "revision": _text(about, "version"),
        "time": event["time"],
    }


def gone(event: Mapping[str, Any]) -> bool:
    """Say whether a finding was resolved, as its sender says."""
    return event.get("status_id") in {FindingStatus.RESOLVED, FindingStatus.ARCHIVED}


def changed(event: Mapping[str, Any]) -> tuple[int, int]:
    """Return when an event was, and when its sender last changed what it is about: the newest counts."""
    return int(event["time"]), int(_object(event, "finding_info").get("modified_time") or 0)


def _tool(info: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """Return who found it: the scanner that the sender names, else the product that sent it."""
    sources = info.get("data_sources")
    named = str(sources[0]) if isinstance(sources, Sequence) and sources else ""
    return named or _text(_object(metadata, "product"), "name") or _text(metadata, "log_name")


def _kind(event: Mapping[str, Any], info: Mapping[str, Any]) -> Kind:
    if any(str(one).lower() == Kind.SECRET for one in info.get("types") or ()):
        return Kind.SECRET
    return _KINDS.get(schema.event_class(int(event["class_uid"])).name, Kind.CODE)


def _vulnerability(analytic: Mapping[str, Any], flaw: Mapping[str, Any], package: Mapping[str, Any]) -> Json:
    """Return what is said of a published vulnerability; None where there is none."""
    cve = _object(flaw, "cve")
    if not _text(cve, "uid"):
        return None
    scored = _first(cve.get("cvss"))
    fixed = _text(package, "fixed_in_version")
    cvss: Json = None
    if scored.get("base_score") is not None:
        cvss = {"score": scored["base_score"], "vector": _text(scored, "vector_string")}
    advisory = _text(analytic, "uid")
    return {
        "ids": list(dict.fromkeys(filter(None, (_text(cve, "uid"), advisory)))),
        "purl": _text(package, "purl"), "fixed_in": [fixed] if fixed else [], "cvss": cvss,
        "epss": None, "kev": None, "ssvc": None, "vex": None,
    }  # fmt: skip


def _fixed(package: Mapping[str, Any]) -> str:
    name, version = _text(package, "name"), _text(package, "fixed_in_version")
    return f"update {name} to {version}" if name and version else ""


def _object(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = of.get(name)
    return found if isinstance(found, Mapping) else {}


def _first(some: Any) -> Mapping[str, Any]:
    """Return the first object of a list; an empty one if there is none."""
    found = some[0] if isinstance(some, Sequence) and some else None
    return found if isinstance(found, Mapping) else {}


def _text(of: Mapping[str, Any], name: str) -> str:
    found = of.get(name)
    return "" if found is None else str(found)
