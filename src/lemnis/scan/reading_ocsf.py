"""OCSF findings of other products (classes 2002, 2003, 2004, 2007) as ours: a list, lines, or one event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import Location, RecordError
from lemnis.contracts.findings import Finding, Kind, Suppression, Vulnerability
from lemnis.scan import values
from lemnis.scan.losses import lost, tree
from lemnis.scan.places import within

Object = Mapping[str, Any]
_VULNERABILITY, _COMPLIANCE, _DETECTION, _POSTURE = 2002, 2003, 2004, 2007
_CLASSES = frozenset({_VULNERABILITY, _COMPLIANCE, _DETECTION, _POSTURE})
_PASSED, _PASS = frozenset({"pass", "passed"}), 1
_SUPPRESSED = 3
_READ = tree(
    ("*", *path)
    for path in (
        ("class_uid",), ("class_name",), ("category_uid",), ("category_name",), ("activity_id",),
        ("activity_name",), ("type_uid",), ("type_name",), ("severity_id",), ("severity",), ("status_id",),
        ("status",), ("status_code",), ("message",), ("time",), ("time_dt",), ("confidence",),
        ("metadata", "product"), ("metadata", "event_code"), ("metadata", "version"), ("metadata", "uid"),
        ("finding_info", "title"), ("finding_info", "desc"), ("finding_info", "uid"),
        ("finding_info", "analytic", "uid"), ("finding_info", "types"), ("remediation", "desc"),
        ("compliance", "control"), ("compliance", "status"), ("compliance", "status_id"),
        ("compliance", "requirements"), ("compliance", "standards"), ("resources", "*", "uid"),
        ("resources", "*", "name"), ("vulnerabilities", "*", "cve", "uid"),
        ("vulnerabilities", "*", "cwe", "uid"), ("vulnerabilities", "*", "affected_packages"),
        ("vulnerabilities", "*", "affected_code"), ("vulnerabilities", "*", "references"),
        ("vulnerabilities", "*", "title"), ("vulnerabilities", "*", "desc"),
    )
)  # fmt: skip


def read(
    tool: str, document: Any, kind: str, *, losses: bool = True
) -> tuple[tuple[Finding, ...], None, tuple[str, ...], Mapping[str, int]]:
    """Read events; what passed is no finding. Raises RecordError for what is neither list nor event."""
    events = document if isinstance(document, list) else [document]
    if not isinstance(document, list | dict):
        raise RecordError("no OCSF: neither a list of events nor an event", at=Location(tool))
    findings: list[Finding] = []
    errors: list[str] = []
    for number, event in enumerate(events, 1):
        try:
            made = _finding(tool, event, Kind(kind))
        except (ValueError, TypeError, AttributeError) as error:
            errors.append(f"event {number}: {error}")
        else:
            findings += [made] if made is not None else []
    return tuple(findings), None, tuple(errors), lost(list(events), _READ) if losses else {}


def _finding(tool: str, event: Any, kind: Kind) -> Finding | None:
    if not isinstance(event, dict) or event.get("class_uid") not in _CLASSES:
        raise ValueError("no finding of class 2002, 2003, 2004 or 2007")
    compliance, info = _object(event.get("compliance")), _object(event.get("finding_info"))
    states = {str(event.get("status_code") or "").lower(), str(compliance.get("status") or "").lower()}
    if states & _PASSED or compliance.get("status_id") == _PASS:
        return None
    metadata = _object(event.get("metadata"))
    title = str(info.get("title") or event.get("message") or "")
    rule = metadata.get("event_code") or _object(info.get("analytic")).get("uid") or compliance.get("control")
    level = event.get("severity_id")
    severities = {int(one): one for one in Severity}
    word = str(event.get("severity") or "").lower()
    severity = severities.get(level) if isinstance(level, int) else values.WORDS.get(word)
    if severity is None:
        raise ValueError(f"severity_id {str(level)[:20]!r} is not known")
    flaw = next(iter(_objects(event.get("vulnerabilities"))), {})
    package = next(iter(_objects(flaw.get("affected_packages"))), {})
    code = next(iter(_objects(flaw.get("affected_code"))), {})
    path, _ = within(str(_object(code.get("file")).get("path") or ""))
    resources = _objects(event.get("resources"))
    resource = next(
        (str(r.get("uid") or r.get("name")) for r in resources if r.get("uid") or r.get("name")), ""
    )
    cve = str(_object(flaw.get("cve")).get("uid") or "")
    fixed = str(package.get("fixed_in_version") or "")
    kinds = {_VULNERABILITY: Kind.DEPENDENCY, _COMPLIANCE: Kind.CONFIG, _POSTURE: Kind.CODE}
    text = str(info.get("desc") or event.get("message") or title)
    start, end = code.get("start_line") or 0, code.get("end_line") or 0
    return Finding(
        fingerprint="", tool=tool, rule_id=str(rule or cve or title), title=title, severity=severity,
        path=path, line=int(start), end_line=max(int(start), int(end)),
        cwes=tuple(values.cwe_numbers(str(_object(flaw.get("cwe")).get("uid") or ""))),
        message=text, kind=kinds.get(event["class_uid"], kind),
        confidence=str(event.get("confidence") or "").lower(),
        help_uri=next(iter(values.texts(flaw.get("references"))), ""),
        resource=resource or ("" if path else str(info.get("uid") or "the event")),
        fix=str(_object(event.get("remediation")).get("desc") or ""),
        controls=tuple(values.texts(compliance.get("requirements"))),
        vulnerability=Vulnerability(
            (cve,), str(package.get("purl") or ""), (fixed,) if fixed else ()
        ) if cve else None,
        suppression=Suppression("external") if event.get("status_id") == _SUPPRESSED else None,
    )  # fmt: skip


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Object]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
