"""Gaps of traces as findings: into the lake, with the incidents they hindered, until the hop holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import lemnis
from lemnis import app
from lemnis.app import findings_life, pipeline
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.clock import to_iso
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport
from lemnis.contracts.provenance import Edge, Hop, Strength
from lemnis.graph import gaps
from lemnis.graph.store import Graph

_HINDERED, _METHOD = "about", "trace"


def keep(workspace: app.Workspace, subject: str, hops: Sequence[Hop]) -> tuple[Finding, ...]:
    """Write down the gaps of a trace, and that others are mended; return those that there are.

    A gap that is known, of an incident that is known to have met it, is not written again.
    """
    found = gaps.gaps(hops)
    for source, controls in gaps.looked_at(hops).items():
        name = str(source)
        _of_source(workspace, subject, name, [one for one in found if one.resource == name], controls)
    return tuple(found)


def hindered(workspace: app.Workspace, fingerprint: str) -> list[str]:
    """Return the incidents and alerts whose traces met a gap."""
    edges = Graph(app.engine(workspace)).edges_from(_entity(fingerprint), relations=[_HINDERED])
    return sorted(edge.target.value for edge in edges if edge.method == _METHOD)


def _of_source(
    workspace: app.Workspace, subject: str, resource: str, found: Sequence[Finding], controls: frozenset[str]
) -> None:
    """Hold the gaps of a source against those that are known of it; what was not asked about stays."""
    rows = [row.finding for row in findings_life.store(workspace).rows(resource=resource)]
    known = {one.fingerprint: one for one in rows if one.tool == gaps.TOOL}
    now = {one.fingerprint for one in found}
    gone = [one for name, one in known.items() if name not in now and one.rule_id in controls]
    met = {one.fingerprint: hindered(workspace, one.fingerprint) for one in found}
    fresh = [o for o in found if o.fingerprint not in known or subject not in met[o.fingerprint]]
    if not fresh and not gone:
        return
    told = [_with(one, sorted({*met[one.fingerprint], subject})) for one in fresh]
    mended = [_with(one, hindered(workspace, one.fingerprint)) for one in gone]
    revision = f"{subject}@{to_iso(workspace.clock.now())}"
    for some, over in ((told, False), (mended, True)):
        pipeline.into_lake(workspace, _report(some), resource=resource, revision=revision, gone=over)
    Graph(app.engine(workspace)).add([_edge(one.fingerprint, subject) for one in fresh])
    left = [one for name, one in known.items() if name not in now and one.rule_id not in controls]
    report = _report([*found, *left])
    findings_life.remember(workspace, report, resource=resource, revision=revision)


def _with(one: Finding, incidents: Sequence[str]) -> Finding:
    return replace(one, message=f"{one.message}. Hindered: {', '.join(incidents)}")


def _report(found: Sequence[Finding]) -> ScanReport:
    health = ScanHealth(gaps.TOOL, lemnis.__version__, Health.OK, 0, (), 0)
    return ScanReport(tuple(found), (health,))


def _entity(fingerprint: str) -> Entity:
    return Entity(EntityKind.FINDING, fingerprint)


def _edge(fingerprint: str, subject: str) -> Edge:
    kind = EntityKind.ALERT if subject.startswith("al-") else EntityKind.INCIDENT
    return Edge(_entity(fingerprint), Entity(kind, subject), _HINDERED, _METHOD, Strength.RECORDED, {})
