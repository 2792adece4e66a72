"""Bills of materials, records of deployments, findings of scanners."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from inventories import HOUR, T0, A, B, images, one, said

from lemnis import app
from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding, Kind, Suppression, Vulnerability
from lemnis.graph import Graph
from lemnis.graph.collect import findings, sbom
from lemnis.graph.collect.findings import Found
from lemnis.graph.collect.sbom import Part
from lemnis.interfaces.cli import run
from lemnis.store.findings import Findings, Placed

LOG4J = "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"
BOM = {
    "bomFormat": "CycloneDX", "specVersion": "1.5",
    "metadata": {"component": {"bom-ref": "root", "type": "container", "name": "r.test/shop", "version": A}},
    "components": [
        {"bom-ref": "a", "type": "library", "name": "log4j-core", "version": "2.14.1", "purl": LOG4J},
        {"bom-ref": "b", "type": "library", "name": "api", "version": "1", "purl": "pkg:maven/x/api@1"},
        {"bom-ref": "c", "type": "library", "name": "nameless"},
    ],
    "dependencies": [{"ref": "root", "dependsOn": ["a"]}, {"ref": "a", "dependsOn": ["b", "c", "lost"]}],
}  # fmt: skip


def row(at, image, **more):
    return {"workload": "prod/shop", "at": at, "image": f"r.test/shop@{image}", **more}


def lines(*rows):
    return b"\n".join(one if isinstance(one, bytes) else orjson.dumps(one) for one in rows)


def test_an_image_contains_its_packages_and_they_depend_on_others(space, give):
    told = give(BOM)
    assert (told.kind, told.edges) == ("sbom", 3)
    assert told.notes == ("left out, for want of a package URL: 1 component",)
    graph = Graph(app.engine(space))
    assert {e.target.value for e in graph.edges_from(one(f"image:{A}"))} == {LOG4J, "pkg:maven/x/api@1"}
    (depends,) = graph.edges_from(one(f"package:{LOG4J}"))
    assert (depends.relation, depends.target.value, depends.valid_from) == (
        "depends_on",
        "pkg:maven/x/api@1",
        None,
    )
    assert depends.evidence["digest"] == told.digest
    assert give(BOM).new == 0


def test_what_a_bill_is_about_may_be_said_and_is_asked_for(give):
    bare = {**BOM, "metadata": {}}
    assert "does not say what it is about" in give(bare).problems[0]
    assert give(bare, about=f"image:{B}").problems == ()


def test_subjects_by_digest_package_or_name():
    def about(**more):
        return str(sbom.subject(Part("r", "n", **more)))

    assert about(kind="container", version="1", purl=f"pkg:oci/n@{A.replace(':', '%3A')}") == f"image:{A}"
    assert about(kind="container", version="1") == "image:n:1"
    assert about(kind="application", version="1") == "artifact:n@1"
    assert about(kind="application", purl="pkg:npm/n@1") == "package:pkg:npm/n@1"
    assert about(kind="application", hashes=(("SHA-256", "a" * 64),)) == f"artifact:{A}"


def test_each_deployment_ends_the_one_before_also_across_files(space, give):
    first = lines(
        row(
            "2026-01-01T00:00:00Z",
            A,
            commit="9f2c1e7",
            repository="https://r.test/shop",
            run="run-1",
            by="Al",
        ),
        row("2026-01-01T04:00:00Z", A, id="rollback"),
    )
    told = give(first, "d.ndjson")
    assert (told.kind, told.problems) == ("deployments", ())
    assert images(space) == [(A, T0, T0 + 4 * HOUR - 1), (A, T0 + 4 * HOUR, None)]
    give(lines(row(T0 + 2 * HOUR, B), row("2026-01-01T03:00:00Z", A, status="failed")), "e.ndjson")
    assert images(space) == [
        (A, T0, T0 + 2 * HOUR - 1), (B, T0 + 2 * HOUR, T0 + 4 * HOUR - 1), (A, T0 + 4 * HOUR, None)
    ]  # fmt: skip
    assert give(first, "d.ndjson").new == 0
    assert [image for image, *_ in images(space, T0 + 3 * HOUR)] == [B]
    graph = Graph(app.engine(space))
    assert {str(e.target) for e in graph.edges_from(one(f"image:{A}"))} == {"commit:9f2c1e7"}
    assert {str(e.target) for e in graph.edges_from(one("workload:prod/shop"), T0, ["deployed_by"])} == {
        "workflow_run:run-1", "user:al"
    }  # fmt: skip


def test_an_own_end_holds_and_lines_that_are_wrong_are_told(space, give):
    told = give(
        lines(
            row(T0, A, ended=T0 + HOUR), b"{", row("yesterday", A), row(T0, A, colour="red"), b"[1]",
            row(T0, A, ended=T0 - 1), row(T0, A, status="maybe"), row(T0, A, commit="x"), {"workload": "w", "at": T0},
            row(T0 + 5 * HOUR, B),
        ),
        "d.ndjson",
    )  # fmt: skip
    assert [problem[:7] for problem in told.problems] == [f"line {n}:" for n in range(2, 10)]
    assert images(space) == [(A, T0, T0 + HOUR), (B, T0 + 5 * HOUR, None)]


def event(state, at, **payload):
    return {
        "action": "created", "repository": {"html_url": "https://r.test/shop"},
        "deployment": {"id": 7, "sha": "9f2c1e7", "environment": "prod", "creator": {"login": "Al"}, "payload": payload},
        "deployment_status": {"state": state, "created_at": at, "log_url": "https://r.test/run/7"},
    }  # fmt: skip


def test_events_of_github_are_records(space, give):
    events = [
        event("in_progress", "2026-01-01T00:00:00Z"),
        event("success", "2026-01-01T01:00:00Z", workload="prod/shop", image=f"r.test/shop@{A}"),
        event("success", "2026-01-01T02:00:00Z"),
    ]
    told = give(lines(*events), "e.ndjson")
    assert (told.kind, told.read, len(told.problems)) == ("deployments", 3, 1)
    assert "line 3: no workload" in told.problems[0]
    assert images(space) == [(A, T0 + HOUR, None)]
    assert give(lines(*events), "e.ndjson", about="workload:prod/other").problems == ()
    graph = Graph(app.engine(space))
    assert {str(e.target) for e in graph.edges_from(one("workload:prod/other"))} == {
        "user:al", "workflow_run:https://r.test/run/7"
    }  # fmt: skip
    (built,) = graph.edges_from(one(f"image:{A}"))
    assert (str(built.target), built.evidence["repository"]) == ("commit:9f2c1e7", "https://r.test/shop")


def test_who_deployed_is_ended_by_whatever_comes_next(space, give):
    give(lines(row(T0, A, by="al"), row(T0 + HOUR, B)), "d.ndjson")
    (who,) = Graph(app.engine(space)).edges_from(one("workload:prod/shop"), None, ["deployed_by"])
    assert (who.valid_from, who.valid_to) == (T0, T0 + HOUR - 1)


FINDING = Finding(
    "f1", "trivy", "CVE-2021-44228", "Log4Shell", Severity.CRITICAL, "pom.xml", 3, 3, kind=Kind.DEPENDENCY,
    vulnerability=Vulnerability(("CVE-2021-44228", "GHSA-jfh8"), LOG4J, ("2.15.0",), 10.0, exploited=True),
)  # fmt: skip


def test_findings_are_about_what_they_were_found_in_while_they_were_there():
    found = findings.collect([Found(FINDING, "shop", T0, T0 + HOUR)])
    assert said(found) == sorted(
        [
            f"finding:f1 about package:{LOG4J} recorded",
            "finding:f1 about file:pom.xml recorded",
            "file:pom.xml matches pattern:trivy:CVE-2021-44228 recorded",
            f"vulnerability:CVE-2021-44228 affects package:{LOG4J} recorded",
            f"vulnerability:GHSA-jfh8 affects package:{LOG4J} recorded",
        ]
    )
    # What is so of a version of a package was so before anybody looked.
    assert {(e.valid_from, e.valid_to) for e in found.edges if e.relation == "affects"} == {(None, None)}
    assert {(e.valid_from, e.valid_to) for e in found.edges if e.relation != "affects"} == {(T0, T0 + HOUR)}
    image = replace(FINDING, kind=Kind.IMAGE, resource=f"r.test/shop@{A}")
    told = said(findings.collect([Found(image, "shop", T0)]))
    assert f"finding:f1 about image:{A} recorded" in told
    assert f"image:{A} contains package:{LOG4J} recorded" in told
    assert not any("file:" in line for line in told)


def test_a_finding_of_a_resource_and_one_that_is_suppressed():
    made = Finding("f2", "prowler", "s3", "public", Severity.HIGH, "", 0, 0, kind=Kind.CONFIG, resource="arn:aws:s3:::o",
                   suppression=Suppression("external", "accepted"))  # fmt: skip
    found = findings.collect(
        [Found(made, "account", T0), Found(replace(made, fingerprint=""), "account", T0)]
    )
    assert said(found)[1:] == ["finding:f2 about cloud_resource:arn:aws:s3:::o recorded"]
    assert found.edges[0].evidence["suppressed"] == "accepted"
    assert found.problems == ("prowler:s3: a finding without fingerprint",)


def test_two_findings_of_one_pattern_hold_until_the_last_is_gone():
    other = replace(FINDING, fingerprint="f3")
    found = findings.collect([Found(FINDING, "shop", T0, T0 + HOUR), Found(other, "shop", T0)])
    (matches,) = [e for e in found.edges if e.relation == "matches"]
    assert (matches.valid_from, matches.valid_to) == (T0, None)


def test_the_findings_of_a_workspace_are_collected_and_end_when_they_are_fixed(space, capsys):
    kept = Findings(app.engine(space))
    kept.write("shop", now=T0, placed=[Placed(FINDING, "p", "own")])
    assert run(["graph", "collect", "--findings", "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["new"] == 5
    kept.write("shop", now=T0 + HOUR, gone=["f1"])
    assert run(["graph", "collect", "--findings", "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["new"] == 0
    edges = Graph(app.engine(space)).edges_from(one("finding:f1"))
    assert {(e.valid_from, e.valid_to) for e in edges} == {(T0, T0 + HOUR - 1)}


REAL = (
    Path(__file__).parents[3]
    / "../shared/data/devsecops/cyclonedx-bom-examples/cyclonedx-bom-examples.tar.zst"
)


@pytest.mark.skipif(not REAL.exists(), reason="the shared data are not here")
def test_a_real_bill_of_materials_is_read_whole(give):
    data = pa.input_stream(str(REAL), compression="zstd").read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        raw = archive.extractfile("SBOM/dropwizard-1.3.15/bom.json").read()
    told = give(raw, "bom.json", about=f"image:{B}")
    packages = {one["purl"] for one in orjson.loads(raw)["components"] if one.get("purl")}
    assert len(packages) > 100
    assert told.problems == ()
    assert told.edges >= len(packages)
