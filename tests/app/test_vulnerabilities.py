"""Vulnerabilities of a folder: by lock files and bills of materials, with what could not be looked at."""

import io
import json
import tarfile

import orjson
import pytest

from lemnis import app
from lemnis.app import feeds, gate_facts, vulnerabilities
from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Health
from lemnis.interfaces.cli import run

NOW = 1_780_000_000_000
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def osv(identity, name, fixed, **more):
    return orjson.dumps(
        {"id": identity, "modified": "2026-05-20T00:00:00Z", "summary": f"{name} is broken", "affected": [{
            "package": {"ecosystem": "PyPI", "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"fixed": fixed}]}],
        }], **more}
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Feeds with two advisories of demo, one of them exploited."""
    source = tmp_path_factory.mktemp("source")
    (source / "a.json").write_bytes(
        osv(
            "GHSA-1",
            "demo",
            "1.5",
            aliases=["CVE-2024-0001"],
            severity=[{"type": "CVSS_V3", "score": CRITICAL}],
        )
    )
    (source / "b.json").write_bytes(osv("PYSEC-2", "demo", "1.6"))
    (source / "kev.csv").write_text("cveID,dateAdded,dueDate\nCVE-2024-0001,2026-05-01,2026-05-15\n")
    (source / "epss.csv").write_text("CVE-2024-0001,0.93,0.99\n")
    root = tmp_path_factory.mktemp("feeds")
    feeds.pull(root, "osv", [str(source / "a.json"), str(source / "b.json")], now=NOW)
    feeds.pull(root, "kev", [str(source / "kev.csv")], now=NOW)
    feeds.pull(root, "epss", [str(source / "epss.csv")], now=NOW, until=NOW)
    return root


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "web"
    made.mkdir()
    (made / "requirements.txt").write_text("# ours\ndemo==1.2\nother==3.0\n")
    return made


def look(folder, root, workspace=None):
    scanner = vulnerabilities.VulnerabilityScanner(workspace, root)
    files = sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())
    return scanner.scan(folder, [one for one in files if scanner.fits(one)])


def test_findings_of_a_lock_file(folder, data):
    found, health = look(folder, data)
    assert (health.state, health.files, health.errors) == (Health.OK, 1, ())
    assert health.data_until == 1779235200000
    by_id = {one.rule_id: one for one in found}
    worst = by_id["CVE-2024-0001"]
    assert (worst.severity, worst.path, worst.line) == (Severity.CRITICAL, "requirements.txt", 2)
    said = worst.vulnerability
    assert (said.exploited, said.epss, said.decision, said.score) == (True, 0.93, "out-of-cycle", 9.8)
    assert [one.text for one in by_id["PYSEC-2"].edits] == ["1.6"]


def test_without_data_nothing_is_known(folder, tmp_path):
    for root in (None, tmp_path / "nothing"):
        found, health = look(folder, root)
        assert (found, health.state) == ((), Health.UNKNOWN)
        assert "lemnis content pull osv" in health.errors[0]


def test_damaged_data_are_not_looked_into(folder, data, tmp_path):
    for name in ("osv.db", "osv.manifest.dsse.json"):
        (tmp_path / name).write_bytes((data / name).read_bytes())
    found, health = look(folder, tmp_path)
    assert (found, health.state) == ((), Health.UNKNOWN)
    assert "signed by no key" in health.errors[0]


def test_what_is_not_covered_makes_the_scan_unknown(folder, data):
    (folder / "package-lock.json").write_text('{"packages": {"node_modules/a": {"version": "1.0.0"}}}')
    (folder / "poetry.lock").write_text("[[package]]\nname = ")
    (folder / "requirements-dev.txt").write_text("demo>=1\n")
    found, health = look(folder, data)
    assert (len(found), health.state, health.files) == (2, Health.UNKNOWN, 3)
    assert health.errors == (
        "poetry.lock: no TOML: Invalid value",
        "npm: 1 component, no advisories of it in the data",
        "requirements-dev.txt:1 demo: without a version",
    )


def test_modules_are_told_by_the_module_file_where_there_is_one(folder, data):
    (folder / "requirements.txt").unlink()
    (folder / "go.mod").write_text("module m\n\nrequire example.com/a v1.0.0\n")
    (folder / "go.sum").write_text("example.com/b v1.0.0 h1:x=\n")
    _, health = look(folder, data)
    assert (health.files, health.errors) == (2, ("Go: 1 component, no advisories of it in the data",))


def vex(status="not_affected"):
    return orjson.dumps(
        {"statements": [{"vulnerability": {"name": "CVE-2024-0001"}, "products": [{"@id": "pkg:pypi/demo"}],
                         "status": status, "justification": "component_not_present"}]}
    )  # fmt: skip


def test_vex_in_the_folder_is_told_apart_from_the_operators(folder, data, tmp_path):
    (folder / "app.openvex.json").write_bytes(vex())
    found, _ = look(folder, data)
    assert {one.rule_id: one.suppression and one.suppression.kind for one in found} == {
        "CVE-2024-0001": "in_source", "PYSEC-2": None,
    }  # fmt: skip
    workspace = app.init(tmp_path / "w")
    (workspace.root / "vex").mkdir()
    (workspace.root / "vex" / "team.json").write_bytes(vex())
    (workspace.root / "vex" / "broken.json").write_bytes(b"{")
    found, health = look(folder, data, workspace)
    assert {one.suppression.kind for one in found if one.suppression} == {"external"}
    assert "vex/broken.json:1:2: no JSON" in health.errors[0]


def test_the_assets_say_what_a_service_is_exposed_to(folder, data, tmp_path):
    workspace = app.init(tmp_path / "w")
    (workspace.content / "assets").mkdir()
    (workspace.content / "assets" / "a.yaml").write_text(
        "- {id: w1, services: [web], criticality: critical, internet_facing: true}\n"
    )
    found, _ = look(folder, data, workspace)
    assert {one.rule_id: one.vulnerability.decision for one in found} == {
        "CVE-2024-0001": "immediate", "PYSEC-2": "out-of-cycle",
    }  # fmt: skip


def test_the_assets_are_asked_only_of_what_is_vulnerable(folder, data, tmp_path, monkeypatch):
    asked = []
    known = gate_facts.facts

    def counted(*given):
        asked.append(given)
        return known(*given)

    monkeypatch.setattr(gate_facts, "facts", counted)
    workspace = app.init(tmp_path / "w")
    look(folder, tmp_path / "nothing", workspace)
    (folder / "requirements.txt").write_text("other==3.0\n")
    look(folder, data, workspace)
    assert asked == []
    (folder / "requirements.txt").write_text("demo==1.2\n")
    look(folder, data, workspace)
    assert len(asked) == 1


def test_a_bill_of_materials_in_the_folder(folder, data):
    (folder / "requirements.txt").unlink()
    part = {"bom-ref": "d", "name": "demo", "version": "1.2", "purl": "pkg:pypi/demo@1.2"}
    bom = {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": {"bom-ref": "root", "name": "web"}},
        "components": [{"bom-ref": "m", "name": "middle", "version": "1", "purl": "pkg:pypi/middle@1"}, part],
        "dependencies": [{"ref": "root", "dependsOn": ["m"]}, {"ref": "m", "dependsOn": ["d"]}],
        "vulnerabilities": [{"id": "PYSEC-2", "affects": [{"ref": "d"}], "analysis": {"state": "false_positive"}}],
    }  # fmt: skip
    (folder / "bom.json").write_bytes(orjson.dumps(bom))
    found, health = look(folder, data)
    assert health.state is Health.OK
    said = {one.rule_id: one for one in found}
    assert "needed by middle 1 > demo 1.2" in said["CVE-2024-0001"].message
    assert said["PYSEC-2"].suppression.kind == "in_source"


def tarred(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content in files.items():
            one = tarfile.TarInfo(path)
            one.size = len(content)
            tar.addfile(one, io.BytesIO(content))
    return out.getvalue()


def test_packages_of_an_image(folder, data):
    (folder / "requirements.txt").unlink()
    place = "usr/lib/python3/dist-packages/demo-1.2.dist-info/METADATA"
    layer = tarred({place: b"Metadata-Version: 2.1\nName: demo\nVersion: 1.2\n\n"})
    manifest = [{"Config": "config.json", "RepoTags": ["web:1"], "Layers": ["0/layer.tar"]}]
    files = {"manifest.json": orjson.dumps(manifest), "config.json": b'{"config": {}}', "0/layer.tar": layer}
    (folder / "web.tar").write_bytes(tarred(files))
    (folder / "other.tar").write_bytes(tarred({"a.txt": b"no image"}))
    found, health = look(folder, data)
    assert {one.rule_id for one in found} == {"CVE-2024-0001", "PYSEC-2"}
    assert {one.path for one in found} == {f"web.tar:/{place}"}
    assert (health.state, health.files) == (Health.OK, 1)


def test_hostile_files_are_errors_of_their_own(folder, data):
    (folder / "bom.json").write_bytes(
        b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": ' + b"[" * 5000
    )
    (folder / "pom.xml").write_text('<!DOCTYPE p [<!ENTITY a "aaaaaaaa">]><project>&a;</project>')
    found, health = look(folder, data)
    assert (len(found), health.files) == (2, 1)
    assert [one.partition(": ")[2].split(" ", maxsplit=1)[0] for one in health.errors] == ["no", "declares"]


def test_scan_takes_part(folder, data, monkeypatch, capsys):
    monkeypatch.setenv("LEMNIS_FEEDS", str(data))
    monkeypatch.chdir(folder)
    assert run(["scan", ".", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert "CVE-2024-0001" in {one["rule_id"] for one in said["findings"]}
    assert "lemnis_vulnerabilities" in {one["tool"] for one in said["health"]}


def test_list_and_explain(folder, data, monkeypatch, capsys):
    monkeypatch.setenv("LEMNIS_FEEDS", str(data))
    monkeypatch.chdir(folder)
    assert run(["vulnerabilities", "list", ".", "--json"]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["ids"][0], second["ids"][0]) == ("CVE-2024-0001", "PYSEC-2")
    assert run(["vulnerabilities", "list", "requirements.txt"]) == 1
    assert "CVE-2024-0001" in capsys.readouterr().out
    assert run(["vulnerabilities", "explain", "pkg:pypi/demo@1.5", "--json"]) == 1
    one, rest = map(json.loads, capsys.readouterr().out.splitlines())
    assert one["matched"][0]["why"] == "1.5 lies in [1.0, 1.6) by the order of PyPI"
    assert [point["assumed"] for point in one["ssvc"]["path"]] == [False, True, True, True]
    assert rest["passed"] == [
        {"id": "GHSA-1", "names": ["CVE-2024-0001", "GHSA-1"], "undecided": False,
         "why": "1.5 is in none of ECOSYSTEM: introduced 1.0, fixed 1.5"}
    ]  # fmt: skip
    assert run(["vulnerabilities", "explain", "pkg:pypi/demo@1.2", "ghsa-1"]) == 1
    assert "in it since 2026-05-01" in " ".join(capsys.readouterr().out.split())
    assert run(["vulnerabilities", "explain", "pkg:pypi/demo@2.0"]) == 0
    assert run(["vulnerabilities", "explain", "pkg:npm/demo@1.2"]) == 3
    assert run(["vulnerabilities", "explain", "pkg:pypi/demo@1.2", "CVE-1999-0001"]) == 2
    assert run(["vulnerabilities", "explain", "demo"]) == 2


def test_nothing_found_is_not_nothing_there(folder, data, monkeypatch, capsys):
    monkeypatch.setenv("LEMNIS_FEEDS", str(data))
    (folder / "requirements.txt").write_text("other==1.0\n")
    assert run(["vulnerabilities", "list", str(folder)]) == 0
    assert "no vulnerability is known" in capsys.readouterr().out
    (folder / "yarn.lock").write_text('a@1:\n  version "1.0.0"\n')
    assert run(["vulnerabilities", "list", str(folder)]) == 3
    assert "unknown" in capsys.readouterr().out


def test_sbom_is_written(folder, monkeypatch, capsys):
    assert run(["sbom", str(folder), "-o", str(folder / "bom.cdx.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["components"] == 2
    assert vulnerabilities.read(folder, ["bom.cdx.json"]).sboms[0].format == "CycloneDX 1.6"
    (folder / "requirements.txt").write_text("")
    assert run(["sbom", str(folder)]) == 3


def shown(capsys, workspace, fingerprint, *more):
    assert run(["findings", "show", fingerprint, "-w", str(workspace.root), *more]) == 0
    return capsys.readouterr().out


def test_findings_show_what_is_known_of_a_vulnerability(folder, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LEMNIS_FEEDS", str(data))
    monkeypatch.setenv("COLUMNS", "300")
    workspace = app.init(tmp_path / "w")
    assert (
        run(["scan", str(folder), "-w", str(workspace.root), "--tool", "lemnis_vulnerabilities", "--json"])
        == 1
    )
    found = json.loads(capsys.readouterr().out)["findings"]
    fingerprint = next(one["fingerprint"] for one in found if one["rule_id"] == "CVE-2024-0001")
    said = json.loads(shown(capsys, workspace, fingerprint, "--json"))["vulnerability"]
    assert said["ids"][0] == "CVE-2024-0001"
    assert said["cvss"] == {"score": 9.8, "vector": CRITICAL, "version": "3.1"}
    assert said["epss"] == {"score": 0.93, "percentile": 0.99}
    assert said["kev"] == {"exploited": True, "added": "2026-05-01", "due": "2026-05-15", "ransomware": False}
    assert said["ssvc"]["decision"] == "out-of-cycle"
    assert said["vex"] is None
    (workspace.root / "vex").mkdir()
    (workspace.root / "vex" / "team.json").write_bytes(vex())
    text = " ".join(shown(capsys, workspace, fingerprint).split())
    for words in (
        f"9.8 {CRITICAL}",
        "93.00% within 30 days",
        "since 2026-05-01",
        "out-of-cycle",
        "not_affected",
    ):
        assert words in text
    monkeypatch.setenv("LEMNIS_FEEDS", str(tmp_path / "nothing"))
    said = json.loads(shown(capsys, workspace, fingerprint, "--json"))["vulnerability"]
    assert (said["now"], said["epss"], said["kev"]) == (["vex"], {"score": 0.93}, {"exploited": True})
    assert (said["cvss"]["score"], said["ssvc"]) == (9.8, {"decision": "out-of-cycle"})


def test_what_another_tool_found_is_told_by_the_feeds(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LEMNIS_FEEDS", str(data))
    workspace = app.init(tmp_path / "w")
    bom = {
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "components": [{"bom-ref": "d", "name": "elsewhere", "version": "1", "purl": "pkg:npm/elsewhere@1"}],
        "vulnerabilities": [{"id": "CVE-2024-0001", "affects": [{"ref": "d"}]},
                            {"id": "CVE-2024-0002", "affects": [{"ref": "d"}]}],
    }  # fmt: skip
    (tmp_path / "bom.json").write_bytes(orjson.dumps(bom))
    at = ["-w", str(workspace.root)]
    assert run(["findings", "import", "--tool", "cyclonedx", str(tmp_path / "bom.json"), *at]) == 0
    capsys.readouterr()
    assert run(["findings", "list", "--json", *at]) == 0
    rows = {one["rule_id"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    said = json.loads(shown(capsys, workspace, rows["CVE-2024-0001"]["id"], "--json"))["vulnerability"]
    assert (said["kev"]["exploited"], said["epss"]["score"], said["cvss"], said["ssvc"]) == (
        True,
        0.93,
        None,
        None,
    )
    said = json.loads(shown(capsys, workspace, rows["CVE-2024-0002"]["id"], "--json"))["vulnerability"]
    assert (said["kev"], said["epss"]) == ({"exploited": False}, None)


def test_a_scan_without_advisories_says_in_one_line_what_to_run(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LEMNIS_FEEDS", str(tmp_path / "nothing"))
    assert run(["scan", str(folder), "--tool", "lemnis_vulnerabilities"]) == 3
    told = [line for line in capsys.readouterr().err.splitlines() if "lemnis_vulnerabilities" in line]
    assert len(told) == 1
    assert "run `lemnis content pull osv`" in told[0]
