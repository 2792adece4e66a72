"""SPDX, VEX and in-toto by ``findings import``: what becomes of them, and what of them is not read."""

import io
import os
import tarfile
from pathlib import Path

import orjson
import pytest
import zstandard

from lemnis import app
from lemnis.app import feeds, findings_documents
from lemnis.interfaces.cli import run
from lemnis.scan import losses_standards

DATA = Path(os.environ.get("LEMNIS_BENCH_DATA", Path(__file__).parents[3] / "shared/data")) / "devsecops"
NOW = 1_760_000_000_000
SPDX = {
    "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "shop", "documentNamespace": "https://x.example/1",
    "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: t"]},
    "packages": [
        {"SPDXID": "SPDXRef-a", "name": "demo", "versionInfo": "1.0", "downloadLocation": "NOASSERTION",
         "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                           "referenceLocator": "pkg:pypi/demo@1.0"}]},
    ],
    "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-a"}],
}  # fmt: skip
TAGS = """SPDXVersion: SPDX-2.3
DocumentNamespace: https://x.example/1
Creator: Tool: t
PackageName: demo
SPDXID: SPDXRef-a
PackageVersion: 1.0
PackageComment: <text>two
lines</text>
ExternalRef: PACKAGE-MANAGER purl pkg:pypi/demo@1.0
"""
CYCLONEDX = {
    "bomFormat": "CycloneDX", "specVersion": "1.7",
    "components": [{"type": "library", "name": "demo", "version": "1.0", "purl": "pkg:pypi/demo@1.0", "author": "a",
                    "components": [{"type": "file", "name": "part", "version": "1", "purl": "pkg:pypi/part@1", "cpe": "c"}]}],
}  # fmt: skip
XML = """<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.6" version="1"><components>
<component type="library"><name>demo</name><version>1.0</version><purl>pkg:pypi/demo@1.0</purl><author>a</author>
<hashes><hash alg="SHA-256">00</hash></hashes></component></components></bom>"""
OPENVEX = {
    "@context": "https://openvex.dev/ns/v0.2.0", "author": "me", "timestamp": "2026-01-01T00:00:00Z",
    "statements": [
        {"vulnerability": {"name": "PYSEC-1", "description": "bad"}, "status": "not_affected",
         "products": [{"@id": "pkg:pypi/demo@1.0"}], "justification": "vulnerable_code_not_in_execute_path"},
        {"vulnerability": "PYSEC-2", "status": "fixed", "products": ["pkg:pypi/demo@1.0"]},
        {"vulnerability": {"name": "PYSEC-3"}, "status": "perhaps"},
    ],
}  # fmt: skip
CSAF = {
    "document": {"csaf_version": "2.0", "title": "t", "tracking": {"current_release_date": "2026-01-01T00:00:00Z"}},
    "product_tree": {"branches": [{"name": "v", "branches": [
        {"name": "p", "product": {"product_id": "P", "name": "n", "product_identification_helper": {"purl": "pkg:pypi/demo@1.0"}}}]}]},
    "vulnerabilities": [{"cve": "CVE-2026-1", "notes": [{"text": "x"}], "product_status": {"known_not_affected": ["P"]}}],
}  # fmt: skip
STATEMENT = {
    "_type": "https://in-toto.io/Statement/v1", "predicateType": "https://x.example/odd/v1",
    "subject": [{"name": "shop", "digest": {"sha256": "0" * 64}}], "predicate": {"a": {"b": 1}},
}  # fmt: skip


@pytest.fixture
def place(tmp_path):
    assert run(["init", str(tmp_path / "w")]) == 0
    source = tmp_path / "a.json"
    source.write_bytes(orjson.dumps({
        "id": "PYSEC-1", "modified": "2026-01-01T00:00:00Z", "affected": [{
            "package": {"ecosystem": "PyPI", "name": "demo"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]}]}))  # fmt: skip
    feeds.pull(feeds.place(app.open_workspace(tmp_path / "w")), "osv", [str(source)], now=NOW)
    return tmp_path / "w"


def imported(capsys, place, name, document, *arguments):
    file = place.parent / name
    file.write_bytes(document if isinstance(document, bytes) else orjson.dumps(document))
    capsys.readouterr()
    code = run(["findings", "import", str(file), "--json", "-w", str(place), *arguments])
    told = capsys.readouterr()
    return code, orjson.loads(told.out.splitlines()[-1]) if told.out else {}, told.err


@pytest.mark.parametrize(
    ("document", "lost"),
    [
        (SPDX, {"name": 1, "creationInfo.created": 1, "creationInfo.creators[]": 1,
                "packages[].downloadLocation": 1, "packages[].externalRefs[].referenceCategory": 1}),
        (TAGS.encode(), {"Creator": 1, "PackageComment": 1}),
        (CYCLONEDX, {"components[].author": 1, "components[].components[].cpe": 1}),
        (XML.encode(), {"@version": 1, "components[].component[].author[]": 1}),
    ],
)  # fmt: skip
def test_components_of_a_bill_are_looked_up_and_what_is_not_read_is_told(place, capsys, document, lost):
    code, said, _ = imported(capsys, place, "bill", document)
    assert (code, said["findings"], said["new"]) == (0, 1, 1)
    assert said["tool"] in {"spdx", "cyclonedx"}
    assert said["lost_fields"] == lost
    assert imported(capsys, place, "bill", document)[1]["new"] == 0
    assert run(["findings", "list", "--json", "-w", str(place)]) == 0
    assert "PYSEC-1" in capsys.readouterr().out


def test_openvex_becomes_the_operators_own_and_counts(place, capsys):
    code, said, errors = imported(capsys, place, "said.json", OPENVEX)
    assert (code, said["tool"], said["findings"], said["statements"], said["new"]) == (2, "openvex", 0, 2, 2)
    assert "'perhaps' is no status" in errors
    assert said["lost_fields"] == {"author": 1, "statements[].vulnerability.description": 1}
    assert imported(capsys, place, "said.json", OPENVEX)[1]["new"] == 0
    other = {**OPENVEX, "author": "another"}
    code, _, errors = imported(capsys, place, "said.json", other)
    assert code == 2
    assert "already" in errors
    assert imported(capsys, place, "bill", SPDX)[1]["findings"] == 1
    assert run(["sql", "SELECT status FROM vulnerability_finding", "--json", "-w", str(place)]) == 0
    assert orjson.loads(capsys.readouterr().out) == {"status": "Suppressed"}


def test_csaf_is_read_through_its_branches(place, capsys):
    code, said, _ = imported(capsys, place, "c.json", CSAF)
    assert (code, said["tool"], said["statements"]) == (0, "csaf", 1)
    assert said["lost_fields"] == {
        "document.title": 1, "product_tree.branches[].name": 1, "product_tree.branches[].branches[].name": 1,
        "product_tree.branches[].branches[].product.name": 1, "vulnerabilities[].notes[].text": 1,
    }  # fmt: skip


def test_statements_of_in_toto_are_kept(place, capsys):
    code, said, _ = imported(capsys, place, "s.json", STATEMENT)
    assert (code, said["tool"], said["statements"], said["lost_fields"]) == (0, "in_toto", 1, {"a.b": 1})
    lines = orjson.dumps(STATEMENT) + b"\n{}\n"
    code, said, errors = imported(capsys, place, "s.jsonl", lines)
    assert (code, said["tool"], said["statements"]) == (2, "in_toto", 1)
    assert "s.jsonl" in errors


def test_what_lists_vulnerabilities_is_a_report(place, capsys):
    more = {**CYCLONEDX, "version": 1, "vulnerabilities": [{"id": "CVE-2026-1"}, {"id": "CVE-2026-2"}]}
    code, said, _ = imported(capsys, place, "bom.json", more)
    assert (code, said["tool"], said["findings"]) == (0, "cyclonedx", 2)
    assert imported(capsys, place, "bom.json", CYCLONEDX, "--tool", "syft")[1]["findings"] == 1


def test_components_that_nobody_can_look_up_are_unknown(place, capsys):
    lines = TAGS.replace("pkg:pypi/demo", "pkg:swift/demo").encode()
    code, said, errors = imported(capsys, place, "bill.spdx", lines, "--tool", "spdx")
    assert (code, said["findings"], said["errors"]) == (3, 0, 0)
    assert "no advisories of it" in errors


@pytest.mark.parametrize("name", ["spdx", "openvex", "csaf", "in-toto"])
@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"spdxVersion": "SPDX-9"}', b"\xff\xfe\x00"])
def test_what_is_none_is_refused(place, capsys, name, data):
    code, _, errors = imported(capsys, place, "odd", data, "--tool", name)
    assert code == 2
    assert "odd" in errors


def test_real_documents_are_told_apart_and_their_losses_named():
    for name, form, least in (("spdx-examples", "spdx", 28), ("guac-exampledata", "in_toto", 5)):
        path = DATA / name / f"{name}.tar.zst"
        if not path.is_file():
            pytest.skip(f"{name} is not in {DATA}")
        with zstandard.open(path) as stream, tarfile.open(fileobj=io.BytesIO(stream.read())) as tar:
            every = [tar.extractfile(one).read() for one in tar if one.isfile()]
        found = [data for data in every if findings_documents.form(data) == form]
        assert len(found) >= least
        if form == "spdx":
            assert all(losses_standards.spdx(data) for data in found)
