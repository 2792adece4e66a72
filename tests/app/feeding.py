"""A workspace with an alert about a container and a finding in the image that it runs; not a test itself."""

from dataclasses import replace

from watched import DETECTION, MINUTE, START, batch

from lemnis import app
from lemnis.app import findings_life, watch
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.findings import Finding, Health, Kind, ScanHealth, ScanReport, Vulnerability
from lemnis.contracts.provenance import Edge, Strength
from lemnis.detect.alerts import Alerts
from lemnis.graph.store import Graph

NOW = START + 20 * MINUTE
DIGEST = "sha256:" + "4b" * 32
CONTAINER, IMAGE = Entity(EntityKind.CONTAINER, "c1"), Entity(EntityKind.IMAGE, DIGEST)
REPOSITORY = Entity(EntityKind.REPOSITORY, "https://git.example/shop.git")
DETECTING = replace(DETECTION, alerts=Alerts("sha256:test", lambda *_: [CONTAINER]))


def made(folder):
    """Make an empty workspace."""
    return app.init(folder / "w", clock=ManualClock(NOW))


def edge(source, relation, target, **times):
    return Edge(source, target, relation, "inventory", Strength.RECORDED, **times)


def runs(workspace, *, until=None):
    """Say in the graph that the container runs the image, which was built from the repository."""
    Graph(app.engine(workspace)).add(
        [edge(CONTAINER, "instance_of", IMAGE, valid_to=until), edge(IMAGE, "built_from", REPOSITORY)]
    )


def vulnerable(name="a", *, severity=Severity.HIGH, exploited=True, cve="CVE-2021-44228", **more):
    known = Vulnerability((cve,), "pkg:maven/a/b@1", exploited=exploited)
    return Finding(
        f"fp-{name * 16}", "trivy", "r", "t", severity, "", 0, 0, kind=Kind.IMAGE, vulnerability=known, **more
    )


def scanned(workspace, *findings, resource=DIGEST):
    report = ScanReport(findings, (ScanHealth("trivy", "1", Health.OK, 1, (), 1),))
    findings_life.remember(workspace, report, resource=resource, revision="r1")
    return report


def attacked(workspace, uid=1, at=5):
    """Let a severe alert about the container come in."""
    watching = watch.Watch(workspace, detecting=DETECTING)
    watching.watch([batch((uid, at, "high", "x"))])
    watching.finish()
