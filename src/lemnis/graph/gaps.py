"""What a trace could not prove, as findings: hops that are missing, contradicted, a name match only. Pure.

A gap is of what was asked (the source of the hop), not of the incident that asked: two incidents that meet
the same gap meet one finding. A hop that another chain of the same trace holds is none, and neither is what
an image's label says against its provenance: that is a finding, and an alert, of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from lemnis.contracts.alerts import Entity, Severity
from lemnis.contracts.findings import Finding, Kind
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.provenance import Edge, Hop, Strength

TOOL = "lemnis_trace"
_LABELS = "oci_label"
_PROVENANCE, _ROLES = "NIST.SSDF.PS.3", "NIST.SSDF.PO.2"


class Wrong(StrEnum):
    """What is wrong with a hop, the gravest first."""

    BROKEN = "broken"
    CONTRADICTED = "contradicted"
    WEAK = "weak"


@dataclass(frozen=True, slots=True)
class Need:
    """What a relation needs: the control, how bad it is without, in words, how to mend it."""

    control: str
    severity: Severity
    says: str
    fix: str
    requirements: tuple[str, ...] = (_PROVENANCE,)


_NEEDS: Mapping[str, Need] = MappingProxyType(
    {
        "runs_in": Need(
            "provenance.process_placed", Severity.MEDIUM, "where a process ran",
            "read the starts of processes and containers of this host, or the forge's webhooks of jobs",
        ),
        "instance_of": Need(
            "provenance.image_known", Severity.MEDIUM, "which image a container runs",
            "read a record of the runtime that tells the image's digest",
        ),
        "built_by": Need(
            "provenance.build_attested", Severity.HIGH, "which build made an image",
            "let the build sign an attestation of its provenance, give its builder in `builders` of the "
            "settings, and read it with `lemnis attest`",
            (_PROVENANCE, "SLSA.v1.0.Build.L2"),
        ),
        "built_from": Need(
            "provenance.source_attested", Severity.HIGH, "which commit was built",
            "let the build's attestation name repository and commit, and build from one commit at a time",
            (_PROVENANCE, "SLSA.v1.0.Build.L2"),
        ),
        "based_on": Need(
            "provenance.base_known", Severity.MEDIUM, "which image another builds on",
            "name the base by digest in FROM, and in the attestation of the build",
        ),
        "defined_by": Need(
            "provenance.deployed_commit_known", Severity.MEDIUM, "of which commit it was deployed",
            "write down deployments with their commit (`lemnis graph collect`), or tag what is deployed with "
            "repository and commit",
        ),
        "has_line": Need(
            "provenance.line_known", Severity.MEDIUM, "which line of the code it was",
            "declare the repository in the settings, and log requests and stack traces of the service",
        ),
        "introduced_by": Need(
            "provenance.author_known", Severity.LOW, "which commit wrote a line",
            "keep the whole history: no shallow copies, no rewritten branches that were built",
        ),
        "owned_by": Need(
            "provenance.owner_known", Severity.LOW, "who owns a line of the code",
            "give the file an owner in the repository's CODEOWNERS",
            (_ROLES,),
        ),
    }
)  # fmt: skip


def need(relation: str) -> Need:
    """Return what a relation needs; each has a control of its own."""
    return _NEEDS.get(relation) or Need(
        f"provenance.{relation}_proven", Severity.MEDIUM, f"what it is {relation.replace('_', ' ')}",
        "collect a record that says so (`lemnis graph collect`), or declare it",
    )  # fmt: skip


def looked_at(hops: Iterable[Hop]) -> dict[Entity, frozenset[str]]:
    """Return which controls a trace asked about, by source: what is no gap of these any more is mended."""
    found: dict[Entity, set[str]] = {}
    for edge in _told(hops):
        found.setdefault(edge.source, set()).add(need(edge.relation).control)
    return {source: frozenset(controls) for source, controls in found.items()}


def gaps(hops: Sequence[Hop]) -> list[Finding]:
    """Return the gaps of a trace's hops, one a source, relation, method and what is wrong."""
    told = list(_told(hops))
    held = {(edge.source, edge.relation) for edge in told if wrong(edge) is None}
    found: dict[str, Finding] = {}
    for edge in told:
        bad = wrong(edge)
        if bad is Wrong.CONTRADICTED or (bad is not None and (edge.source, edge.relation) not in held):
            made = _finding(edge, bad)
            found.setdefault(made.fingerprint, made)
    return list(found.values())


def wrong(edge: Edge) -> Wrong | None:
    """Say what is wrong with a hop; None where it is held."""
    if not edge.holds:
        return Wrong.BROKEN
    if edge.evidence.get("contradicted_by") or edge.evidence.get("contradicts"):
        return Wrong.CONTRADICTED
    return Wrong.WEAK if edge.strength is Strength.NAME_MATCH else None


def _told(hops: Iterable[Hop]) -> Iterable[Edge]:
    return (hop.edge for hop in hops if hop.edge.method != _LABELS)


def _finding(edge: Edge, bad: Wrong) -> Finding:
    asked, source = need(edge.relation), str(edge.source)
    severity = asked.severity if bad is not Wrong.WEAK else Severity.LOW
    ends = {
        Wrong.BROKEN: "is not known", Wrong.CONTRADICTED: "is contradicted",
        Wrong.WEAK: "rests on a name only",
    }  # fmt: skip
    return Finding(
        stable_id("fp", TOOL, source, edge.relation, edge.method, bad.value), TOOL, asked.control,
        f"{asked.says} {ends[bad]}", severity, "", 0, 0, message=_message(edge, bad), kind=Kind.CONFIG,
        resource=source, fix=asked.fix, controls=asked.requirements,
    )  # fmt: skip


def _message(edge: Edge, bad: Wrong) -> str:
    """Say what was found, by which method; without what only this incident knows."""
    evidence = edge.evidence
    what = f"{edge.relation} by {edge.method} {bad.value}"
    if bad is Wrong.BROKEN:
        return f"{what}: {evidence.get('reason', 'it did not hold')}"
    said = evidence.get("contradicted_by") or evidence.get("contradicts") or evidence.get("weaker") or ()
    several = said if isinstance(said, list | tuple) else [said]
    return f"{what}: {edge.target}" + "".join(f"; {_words(one)}" for one in several)


def _words(said: Json) -> str:
    return (
        ", ".join(f"{name} {one}" for name, one in said.items()) if isinstance(said, Mapping) else str(said)
    )
