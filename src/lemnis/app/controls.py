"""Controls with their evidence: what looks at each, what it said last, and what is missing.

Checks are evidence by their verdicts over what was collected and by the findings of scans; gates by their
decisions in the journal. A control that nothing looked at is a gap, never met.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lemnis import app
from lemnis.app import findings_life, gates, posture, posture_collect
from lemnis.app.risks import readable
from lemnis.content.library import Library
from lemnis.content.schemas.check import Check
from lemnis.content.schemas.policy import Policy
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.findings import NOT_JUDGED
from lemnis.contracts.ids import Json, canonical, digest
from lemnis.contracts.journal import Entry
from lemnis.contracts.resources import Verdict
from lemnis.policy.checks import judge
from lemnis.policy.engine import Engine
from lemnis.store.findings import Row, Scan

FAILED, UNKNOWN, UNSEEN, PASSED = STATES = ("failed", "unknown", "unseen", "passed")
"""What is known of a control, or of what looks at it: ``unseen`` is that nothing was looked at."""
CHECK, GATE = "check", "gate"
STALE_DAYS: Final = 30
_DAY: Final = 86_400_000
_MOST_SAID: Final = 200
_FRAMEWORKS: Final[Mapping[str, str]] = {
    "NIST.800-53": "NIST SP 800-53", "NIST.SSDF": "NIST SSDF (SP 800-218)", "NIST.CSF": "NIST CSF",
    "NIST.SP800-190": "NIST SP 800-190", "CIS.AWS": "CIS AWS Foundations", "CIS.Docker": "CIS Docker",
    "CIS.Kubernetes": "CIS Kubernetes", "CIS.GCP": "CIS Google Cloud",
    "CIS.EKS": "CIS EKS", "CIS.GKE": "CIS GKE",
    "OWASP.CICD": "OWASP CI/CD Top 10", "OWASP.SAMM": "OWASP SAMM", "OWASP.ASVS": "OWASP ASVS",
    "OpenSSF.Scorecard": "OpenSSF Scorecard", "SLSA": "SLSA", "PSS": "Pod Security Standards",
    "NSA.Kubernetes": "NSA Kubernetes Hardening", "GDPR": "GDPR", "CISA": "CISA",
}  # fmt: skip


def framework(control: str) -> str:
    """Return what a control is of, by the beginning of its id; its first part where that is not known."""
    return next(
        (title for start, title in _FRAMEWORKS.items() if control.startswith(start)),
        control.partition(".")[0],
    )


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a check said of a snapshot: how many resources pass, fail and could not be judged, as of when."""

    snapshot: str
    at: int
    revision: str
    passed: int
    failed: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Decided:
    """A gate's decision in which a policy was asked: what it said, and the entry that proves it."""

    seq: int
    at: int
    stage: str
    subject: str
    said: str
    hash: str


@dataclass(frozen=True, slots=True)
class Look:
    """What looks at a control, with what it said: a check's verdicts and findings, or a gate's decisions."""

    kind: str
    name: str
    title: str
    severity: str
    state: str
    at: int | None
    verdicts: tuple[Verdicts, ...] = ()
    findings: tuple[Row, ...] = ()
    mended: int = 0
    asked: int = 0
    refused: int = 0
    decisions: tuple[Decided, ...] = ()
    gap: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """A control with all that looks at it; ``others`` are open findings of other tools that name it."""

    id: str
    looks: tuple[Look, ...]
    others: tuple[Row, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def framework(self) -> str:
        """What it is of."""
        return framework(self.id)

    @property
    def open(self) -> int:
        """How many findings are open that violate it."""
        return len(self.others) + sum(len(one.findings) for one in self.looks)

    @property
    def state(self) -> str:
        """What is known of it, the worst first."""
        if self.open:
            return FAILED
        states = {one.state for one in self.looks}
        return next((one for one in (FAILED, UNKNOWN, PASSED) if one in states), UNSEEN)

    @property
    def at(self) -> int | None:
        """When anything last looked (ms)."""
        return max((one.at for one in self.looks if one.at is not None), default=None)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of everything that can be evidence; read once, for all controls."""

    checks: Mapping[str, Check]
    gates: Mapping[str, Policy]
    problems: tuple[str, ...]
    verdicts: Mapping[str, tuple[Verdicts, ...]] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    scans: tuple[Scan, ...] = ()
    decided: tuple[Entry, ...] = ()
    now: int = 0


def know(workspace: app.Workspace, library: Library) -> Known:
    """Read what can be evidence: content, verdicts over what was collected, findings, decisions."""
    problems: list[str] = []
    checks = readable(library, "checks", Check, problems)
    policies = readable(library, "policies", Policy, problems)
    kept, decided = findings_life.store(workspace), app.journal(workspace).entries(kind=gates.DECISION)
    return Known(
        checks, policies, tuple(problems), verdicts(workspace, library), tuple(kept.rows(open_only=False)),
        tuple(kept.scans()), tuple(decided), workspace.clock.now(),
    )  # fmt: skip


def verdicts(workspace: app.Workspace, library: Library) -> dict[str, tuple[Verdicts, ...]]:
    """Judge the newest snapshots once more, for what passes too; nothing is written."""
    try:
        known = posture_collect.snapshots(workspace)
    except NotFoundError:
        return {}
    checks = posture_collect.catalogue(library)
    found: dict[str, list[Verdicts]] = {}
    with Engine() as engine:
        for one in known:
            counts: dict[str, Counter[Verdict]] = {}
            resources: dict[str, set[tuple[str, str, Verdict]]] = {}
            for said in judge(checks.values(), posture_collect.resources(workspace, one).resources, engine):
                key = said.resource.kind, said.resource.name, said.verdict
                seen = resources.setdefault(said.check, set())
                if key not in seen:  # a resource that fails twice is one that fails
                    seen.add(key)
                    counts.setdefault(said.check, Counter())[said.verdict] += 1
            for name, n in counts.items():
                found.setdefault(name, []).append(
                    Verdicts(
                        one.name, one.at, one.revision, n[Verdict.PASS], n[Verdict.FAIL], n[Verdict.UNKNOWN]
                    )
                )
    return {name: tuple(some) for name, some in found.items()}


def controls(known: Known) -> list[Control]:
    """Return all controls that checks, gates or findings name, with their evidence. Pure."""
    by_control: dict[str, list[Look]] = {}
    by_rule: dict[str, list[Row]] = {}
    for row in known.rows:
        by_rule.setdefault(row.finding.rule_id, []).append(row)
    unjudged = frozenset(_named(by_rule.get(NOT_JUDGED, ())))
    looks = {
        name: of_check(name, one, by_rule.get(name, ()), known, unjudged=name in unjudged)
        for name, one in known.checks.items()
    }
    looks |= {f"{GATE}:{name}": of_gate(name, one, known) for name, one in known.gates.items()}
    named = {name: one.controls for name, one in known.checks.items()}
    named |= {f"{GATE}:{name}": one.controls for name, one in known.gates.items()}
    for key, some in named.items():
        for control in some:
            by_control.setdefault(control, []).append(looks[key])
    others: dict[str, list[Row]] = {}
    for row in known.rows:
        if row.fixed_at is None and row.finding.rule_id not in known.checks:
            for control in row.finding.controls:
                others.setdefault(control, []).append(row)
    return [
        _control(name, by_control.get(name, ()), others.get(name, ()))
        for name in sorted(by_control.keys() | others.keys())
    ]


def _control(name: str, looks: Sequence[Look], others: Sequence[Row]) -> Control:
    looks = sorted(looks, key=lambda one: (STATES.index(one.state), one.kind, one.name))
    gaps = [f"{one.kind} {one.name}: {one.gap}" for one in looks if one.gap]
    if not looks:
        gaps.append("no check and no gate looks at it: only findings of other tools name it")
    return Control(name, tuple(looks), tuple(others), tuple(gaps))


def of_check(name: str, check: Check, mine: Sequence[Row], known: Known, *, unjudged: bool) -> Look:
    """Return what a check said by its verdicts, its findings and whether it could not look. Pure."""
    there = tuple(one for one in mine if one.fixed_at is None)
    said = known.verdicts.get(name, ())
    seen = {one.resource for one in mine}
    at = max((*(one.at for one in said), *(s.at for s in known.scans if s.resource in seen)), default=None)
    unseen = any(one.unknown for one in said) or unjudged
    state = FAILED if there or any(one.failed for one in said) else UNKNOWN if unseen else PASSED
    gap = ""
    if not said and not mine and not unseen:
        state, gap = UNSEEN, _never(check, known.scans)
    elif unseen:
        gap = "could not judge everything: what is not known does not count as met"
    elif at is not None and at < known.now - STALE_DAYS * _DAY:
        gap = f"looked last more than {STALE_DAYS} days ago"
    mended = sum(one.fixed_at is not None for one in mine)
    return Look(CHECK, name, check.title, check.severity, state, at, said, there, mended, gap=gap)


def _named(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the words of open findings that say which checks could not look."""
    for one in rows:
        if one.fixed_at is None:
            yield from one.finding.message.replace(",", " ").split()


def _never(check: Check, scans: Sequence[Scan]) -> str:
    if posture.KINDS.intersection(check.kinds):
        return "never judged anything here: `lemnis posture github OWNER/NAME` reads such settings"
    if scans:
        return "found nothing in what was scanned; scans keep no account of what passed"
    return "never judged anything here: `lemnis posture collect FILE`, or `lemnis scan`"


def of_gate(name: str, policy: Policy, known: Known) -> Look:
    """Return what a gate decided where a policy was asked. Pure."""
    told = [
        Decided(one.seq, one.at, str(one.payload["stage"]), one.subject, _said(name, one.payload), one.hash)
        for one in known.decided
        if one.payload.get("stage") in policy.stages
    ]
    at = max((one.at for one in told), default=None)
    unknown = bool(told) and max(told, key=lambda one: one.seq).said == "unknown"
    gap = ""
    if not told:
        gap = f"was never asked here (it decides at: {', '.join(policy.stages)})"
    elif at is not None and at < known.now - STALE_DAYS * _DAY:
        gap = f"was asked last more than {STALE_DAYS} days ago"
    return Look(
        GATE, name, policy.title, policy.severity, UNSEEN if not told else UNKNOWN if unknown else PASSED, at,
        asked=len(told), refused=sum(one.said == "deny" for one in told),
        decisions=tuple(sorted(told, key=lambda one: -one.seq)[:_MOST_SAID]), gap=gap,
    )  # fmt: skip


def _said(policy: str, payload: Mapping[str, Any]) -> str:
    """Return what a policy said in a decision: what it refused, could not tell, or nothing against it."""
    effects = [
        str(one.get("effect") or payload.get("decision"))
        for one in payload.get("reasons") or ()
        if isinstance(one, Mapping) and one.get("policy") == policy
    ]
    return next((one for one in ("deny", "unknown") if one in effects), "allow")


def evidence(workspace: app.Workspace, library: Library, control: Control) -> dict[str, Json]:
    """Return the evidence of a control as one document, with the digest of all of it.

    Whoever has the workspace can check it: decisions are entries of the journal (number and hash), snapshots
    lie in the vault by the digests of their files.
    """
    seq, hash_ = app.journal(workspace).head()
    files = {name: some[-1].files for name, some in posture_collect.every(workspace).items()}
    said: dict[str, Json] = {
        "control": control.id, "framework": control.framework, "state": control.state,
        "as_of": to_iso(workspace.clock.now()), "content": library.digest,
        "journal": {"seq": seq, "hash": hash_},
        "looks": [_look(one, files) for one in control.looks],
        "other_findings": [_row(one) for one in control.others],
        "gaps": list(control.gaps),
    }  # fmt: skip
    return {**said, "digest": digest(canonical(said))}


def _look(one: Look, files: Mapping[str, Sequence[posture_collect.File]]) -> Json:
    return {
        "kind": one.kind, "name": one.name, "title": one.title, "state": one.state,
        "looked": None if one.at is None else to_iso(one.at), "gap": one.gap,
        "verdicts": [
            {
                "snapshot": v.snapshot, "as_of": to_iso(v.at), "revision": v.revision,
                "passed": v.passed, "failed": v.failed, "unknown": v.unknown,
                "files": [
                    {"name": f.name, "digest": f.digest, "kept": f.kept} for f in files.get(v.snapshot, ())
                ],
            }
            for v in one.verdicts
        ],
        "findings": [_row(row) for row in one.findings], "mended": one.mended,
        "asked": one.asked, "refused": one.refused,
        "decisions": [
            {
                "seq": d.seq, "at": to_iso(d.at), "stage": d.stage, "subject": d.subject, "said": d.said,
                "hash": d.hash,
            }
            for d in one.decisions
        ],
    }  # fmt: skip


def _row(row: Row) -> Json:
    one = row.finding
    return {
        "finding": one.fingerprint, "tool": one.tool, "rule": one.rule_id,
        "severity": one.severity.name.lower(), "resource": row.resource,
        "about": one.resource or f"{one.path}:{one.line}", "title": one.title,
        "first_seen": to_iso(row.first_seen),
    }  # fmt: skip
