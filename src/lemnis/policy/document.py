"""What a policy sees: the document of each stage, its shape, and how it is made.

A field that is not in the shape is a mistake in a policy, found before it is run: in Rego it would be
undefined, and a rule that refuses would silently refuse nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lemnis.contracts.alerts import EntityKind, Severity
from lemnis.contracts.clock import to_iso
from lemnis.contracts.findings import Finding, Kind, ScanReport, Vulnerability
from lemnis.contracts.ids import Json

Shape = Any
"""An object is a dict, a list ``[shape]``, a text of known values a tuple of them, anything else None."""

SEVERITIES = tuple(level.name.lower() for level in Severity)
KNOWN = ("yes", "no", "unknown")
"""What is not known is said, so that no policy takes it for a no."""
PROOFS = ("verified", "missing", "invalid")
"""How an image's statement of one kind stands."""
STATEMENTS = ("provenance", "sbom", "scan", "tests", "gate")
"""The statements that an image may have."""
LABELS = ("agrees", "contradicts", "unproven", "absent")
"""How a label of an image stands against its provenance."""
_PERSONAL = frozenset({"personal", "pii", "phi", "special_category", "cardholder", "health", "biometric"})
_VULNERABILITY: Shape = {
    "ids": [None], "purl": None, "fixed_in": [None], "score": None, "epss": None, "exploited": KNOWN,
    "decision": None, "vex": None,
}  # fmt: skip
_FINDING: Shape = {
    "fingerprint": None, "tool": None, "rule_id": None, "title": None, "message": None,
    "kind": tuple(kind.value for kind in Kind),
    "severity": SEVERITIES, "severity_id": None, "confidence": None, "cwes": [None],
    "path": None, "line": None, "end_line": None, "where": None, "resource": None, "fix": None,
    "controls": [None], "new": None, "suppressed": None, "suppression": None,
    "vulnerability": _VULNERABILITY,
}  # fmt: skip
_CHANGE: Shape = {
    "repository": None, "commit": None, "base": None, "author": None, "email": None, "subject": None,
    "time": None, "files": [{"status": None, "path": None}],
}  # fmt: skip
_HEALTH: Shape = {
    "tool": None, "version": None, "state": ("ok", "unknown"), "files": None, "errors": [None],
    "rules": None, "data_until": None,
    "unjudged": [{
        "check": None, "severity": SEVERITIES, "severity_id": None, "path": None, "line": None,
        "where": None, "resource": None, "why": None, "count": None,
    }],
}  # fmt: skip
_FACTS: Shape = {
    "service": None, "owner": None, "team": None, "environment": None,
    "criticality": ("low", "medium", "high", "critical", "unknown"),
    "internet_facing": KNOWN, "personal_data": KNOWN, "data_classes": [None],
}  # fmt: skip
_THREATS: Shape = {
    "model": None, "followed": None,
    "added": [{
        "kind": ("entry_point", "data_store", "trust_boundary", "personal_data"),
        "path": None, "line": None, "where": None, "text": None,
    }],
}  # fmt: skip
_ATTESTATION: Shape = {
    "verified": None, "problem": None, "builder": None, "commit": None, "repository": None,
    "invocation": None, "commit_known": None, "build_gate": ("allow", "deny", "unknown", "none"),
}  # fmt: skip
_LABELS: Shape = {
    "state": (*LABELS, "unknown"),
    "compared": [{
        "name": None, "place": None, "value": None, "attested": None, "state": LABELS, "why": None,
    }],
}  # fmt: skip
_STATEMENTS: Shape = {kind: {"state": PROOFS, "problem": None} for kind in STATEMENTS}
_COMPONENT: Shape = {"name": None, "version": None, "purl": None, "licenses": [None], "path": None}
_ALERT: Shape = {
    "id": None, "rule_id": None, "title": None, "severity": SEVERITIES, "severity_id": None, "time": None,
}  # fmt: skip
_PLAYBOOK: Shape = {
    "stage": ("playbook",), "severity": None, "incident": {"id": None, "title": None},
    "entities": {kind.value: [None] for kind in EntityKind}, "trigger": None, "turn": None, "inputs": None,
    "steps": None,
}  # fmt: skip
_ACCESS: Shape = {
    "stage": ("access",), "permission": None,
    "person": {"id": None, "name": None, "roles": [None], "teams": [None], "how": ("session", "token")},
    "about": {
        "kind": None, "id": None, "service": None, "team": None, "owner": None, "author": None,
        "severity": None,
    },
}  # fmt: skip
_IMAGE: Shape = {"digest": None, "name": None}


def _code(stage: str) -> Shape:
    """What is known where a change is judged."""
    return {
        "stage": (stage,), "change": _CHANGE, "findings": [_FINDING], "health": [_HEALTH], "facts": _FACTS,
        "threats": _THREATS, **({} if stage == "editor" else {"sbom": [_COMPONENT]}),
    }  # fmt: skip


def _built(stage: str) -> Shape:
    """What is known where an image is judged."""
    return {
        "stage": (stage,), "image": _IMAGE, "attestation": _ATTESTATION, "statements": _STATEMENTS,
        "labels": _LABELS, "sbom": [_COMPONENT],
        "findings": [_FINDING], "health": [_HEALTH], "facts": _FACTS,
    }  # fmt: skip


CODE_STAGES = ("editor", "commit", "pull_request", "build")
IMAGE_STAGES = ("release", "deploy", "runtime")
DOCUMENTS: Mapping[str, Shape] = MappingProxyType(
    {
        **{stage: _code(stage) for stage in CODE_STAGES},
        "release": _built("release"),
        "deploy": _built("deploy"),
        "runtime": {**_built("runtime"), "workload": None, "alerts": [_ALERT]},
        "playbook": _PLAYBOOK,
        "access": _ACCESS,
    }
)
STAGES = tuple(DOCUMENTS)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the service that something belongs to; empty and None are unknown."""

    service: str = ""
    owner: str = ""
    team: str = ""
    environment: str = ""
    criticality: str = ""
    internet_facing: bool | None = None
    data_classes: tuple[str, ...] = ()

    @property
    def personal(self) -> bool | None:
        """Whether it holds personal data; None if nobody said what it holds."""
        return bool(_PERSONAL & set(self.data_classes)) if self.data_classes else None


def code_document(
    stage: str,
    change: Mapping[str, Json],
    report: ScanReport,
    known: Collection[str],
    *,
    facts: Facts | None = None,
    threats: Mapping[str, Json] | None = None,
    sbom: Sequence[Mapping[str, Json]] = (),
) -> dict[str, Json]:
    """Return the document of a stage that judges a change; findings not in ``known`` are new.

    ``threats`` says what the change adds to the attack surface, and whether the threat model follows;
    ``sbom`` are the components that lock files name (not asked for at stage ``editor``).
    """
    return {
        "stage": stage,
        "change": dict(change),
        **_scanned(report, known),
        "facts": facts_document(facts or Facts()),
        "threats": dict(threats) if threats is not None else {"model": "", "followed": False, "added": []},
        "sbom": [dict(one) for one in sbom],
    }


def image_document(
    stage: str,
    *,
    image: str,
    name: str,
    attestation: Mapping[str, Json],
    statements: Mapping[str, tuple[str, str]],
    report: ScanReport,
    facts: Facts | None = None,
    labels: tuple[str, Sequence[Mapping[str, Json]]] = ("unknown", ()),
    sbom: Sequence[Mapping[str, Json]] = (),
) -> dict[str, Json]:
    """Return the document of a stage that judges an image.

    ``statements`` are the state and problem of each kind that was looked for; the others are missing;
    ``labels`` how the image's labels stand against its provenance, together and each; ``sbom`` are the
    components of the bill of materials that was attested. What is found in an
    image is new by definition: there is no state before it.
    """
    return {
        "stage": stage,
        "image": {"digest": image, "name": name},
        "attestation": dict(attestation),
        "statements": {
            kind: dict(zip(("state", "problem"), statements.get(kind, ("missing", "")), strict=True))
            for kind in STATEMENTS
        },
        "labels": {"state": labels[0], "compared": [dict(one) for one in labels[1]]},
        "sbom": [dict(one) for one in sbom],
        **_scanned(report, ()),
        "facts": facts_document(facts or Facts()),
    }


def _scanned(report: ScanReport, known: Collection[str]) -> dict[str, Json]:
    return {
        "findings": [finding_document(f, new=f.fingerprint not in known) for f in report.findings],
        "health": [
            {
                "tool": h.tool, "version": h.version, "state": h.state.value,
                "files": h.files, "errors": list(h.errors), "rules": h.rules,
                "data_until": None if h.data_until is None else to_iso(h.data_until),
                "unjudged": [
                    {
                        "check": one.check, "severity": one.severity.name.lower(),
                        "severity_id": int(one.severity), "path": one.path, "line": one.line,
                        "where": f"{one.path}:{one.line}", "resource": one.resource, "why": one.why,
                        "count": one.count,
                    }
                    for one in h.unjudged
                ],
            }
            for h in report.health
        ],
    }  # fmt: skip


def facts_document(facts: Facts) -> dict[str, Json]:
    """Return what is known of a service as policies see it."""
    return {
        "service": facts.service, "owner": facts.owner, "team": facts.team,
        "environment": facts.environment, "criticality": facts.criticality or "unknown",
        "internet_facing": known(facts.internet_facing), "personal_data": known(facts.personal),
        "data_classes": list(facts.data_classes),
    }  # fmt: skip


def known(value: bool | None) -> str:  # noqa: FBT001 - a value, not a switch
    """Return yes, no or unknown."""
    return "unknown" if value is None else "yes" if value else "no"


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
    """Return a finding as policies see it; ``where`` is how a reason names its place."""
    about = finding.vulnerability or Vulnerability((), "")
    return {
        "fingerprint": finding.fingerprint,
        "tool": finding.tool,
        "rule_id": finding.rule_id,
        "title": finding.title,
        "message": finding.message,
        "kind": finding.kind.value,
        "severity": finding.severity.name.lower(),
        "severity_id": int(finding.severity),
        "confidence": finding.confidence,
        "cwes": list(finding.cwes),
        "path": finding.path,
        "line": finding.line,
        "end_line": finding.end_line,
        "where": place(finding),
        "resource": finding.resource,
        "fix": finding.fix,
        "controls": list(finding.controls),
        "new": new,
        "suppressed": finding.suppression is not None,
        "suppression": finding.suppression.reason if finding.suppression else "",
        "vulnerability": {
            "ids": list(about.ids), "purl": about.purl, "fixed_in": list(about.fixed_in),
            "score": about.score, "epss": about.epss, "exploited": known(about.exploited),
            "decision": about.decision, "vex": about.vex,
        },
    }  # fmt: skip


def place(finding: Finding) -> str:
    """Return where a finding is: file and line, else the resource, else the package."""
    if finding.path:
        return f"{finding.path}:{finding.line}"
    return finding.resource or (finding.vulnerability.purl if finding.vulnerability else "")
