import io
import json
from xml.etree import ElementTree as ET

import orjson
import pytest

from lemnis import app
from lemnis.app import feeds, feeds_bundle, gate_replay, gates, scans
from lemnis.app.gate_facts import facts
from lemnis.contracts.alerts import Alert, Entity, EntityKind, Severity
from lemnis.contracts.clock import ManualClock, from_iso
from lemnis.contracts.errors import ContentError, UsageError
from lemnis.contracts.findings import Effect, Finding, Health, Kind, ScanHealth, ScanReport, Vulnerability
from lemnis.contracts.ids import stable_id
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph.store import Graph
from lemnis.incidents.entries import alert_entry
from lemnis.interfaces.cli import run
from lemnis.interfaces.cli.gate_formats import FORMATS
from lemnis.store.git import Repository

AT = from_iso("2026-03-10T12:00:00Z")
IMAGE = "sha256:" + "ab" * 32


def findings(text, path="x.py"):
    """Read findings off a file: a line that says BAD is one, SECRET another, KEV an exploited package."""
    for number, line in enumerate(text.splitlines(), 1):
        kind = next((word for word in ("BAD", "SECRET", "KEV") if word in line), "")
        if not kind:
            continue
        known = Vulnerability(("CVE-1",), "pkg:pypi/a@1", ("2",), exploited=True)
        yield Finding(
            stable_id("fp", kind, path, line), "fake", kind.lower(), f"{kind} thing", Severity.HIGH, path,
            number, number, kind={"BAD": Kind.CODE, "SECRET": Kind.SECRET, "KEV": Kind.DEPENDENCY}[kind],
            vulnerability=known if kind == "KEV" else None,
        )  # fmt: skip


@pytest.fixture(autouse=True)
def scanner(monkeypatch):
    """A scanner of a dozen lines, in place of programs that take seconds."""

    def report(files):
        health = ScanHealth("fake", "1", Health.UNKNOWN if "lame" in files else Health.OK, 1, (), 1)
        found = [f for path, data in files.items() for f in findings(data.decode(errors="replace"), path)]
        return ScanReport(tuple(found), (health,))

    def reports(_workspace, repository, commits, *, library=None):
        return {commit.id: report(dict(repository.tree(commit.id))) for commit in commits}

    def gated(_workspace, path):
        return report({p.name: p.read_bytes() for p in path.iterdir() if p.is_file()})

    monkeypatch.setattr(scans, "reports", reports)
    monkeypatch.setattr(scans, "gated", gated)


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "w", clock=ManualClock(AT))


@pytest.fixture
def shop(tmp_path):
    made = Repository.create(tmp_path / "shop")
    commit(made, "x = 1\n")
    return made


def commit(repository, text, name="x.py", at=AT):
    (repository.path / name).write_text(text)
    return repository.commit_all("c", author="A <a@example.org>", at=at)


def policies(made):
    return [(reason.policy, reason.where) for reason in made.reasons]


def test_what_is_staged_is_judged_and_nothing_is_written_down(workspace, shop):
    (shop.path / "x.py").write_text("x = 1\ny = BAD\n")
    assert gates.staged(workspace, shop).effect is Effect.ALLOW
    shop.run("add", "x.py")
    made = gates.staged(workspace, shop)
    assert policies(made) == [("new_findings_below_medium", "x.py:2")]
    assert made.reasons[0].finding.startswith("fp-")
    assert "security lead" in made.reasons[0].grants
    assert list(app.journal(workspace).entries(kind="decision")) == []


def test_the_editor_knows_what_head_has(workspace, shop):
    commit(shop, "y = BAD\n")
    (shop.path / "x.py").write_text("\ny = BAD\nz = SECRET\n")
    made = gates.editor(workspace, shop.path, shop)
    assert policies(made) == [("new_findings_below_medium", "x.py:3"), ("no_new_secrets", "x.py:3")]


def test_a_pull_request_is_compared_with_where_it_left_the_main_branch(workspace, shop):
    start = shop.resolve("HEAD")
    shop.run("checkout", "--quiet", "-b", "topic")
    topic = commit(shop, "y = BAD\n", "topic.py")
    commit(shop, "ok = 1\n", "more.py")
    shop.run("checkout", "--quiet", "main")
    commit(shop, "z = BAD here\n", "main.py")
    made = gates.code(workspace, "pull_request", shop, "topic")
    assert policies(made) == [("new_findings_below_medium", "topic.py:1")]
    assert gates.code(workspace, "pull_request", shop, "topic", base="main").effect is Effect.DENY
    assert gates.code(workspace, "build", shop, "topic").effect is Effect.ALLOW
    assert gates.code(workspace, "build", shop, topic).effect is Effect.DENY
    assert shop.merge_base("main", "topic") == start
    with pytest.raises(UsageError, match="main branch"):
        gates.code(workspace, "pull_request", shop, start)


def test_a_policy_sees_the_components_of_lock_files_where_a_commit_is_judged(workspace, shop):
    folder = workspace.content / "policies/no_leftpad"
    folder.mkdir(parents=True)
    (folder / "policy.rego").write_text("""package lemnis.no_leftpad
import rego.v1
deny contains reason if {
    some one in input.sbom
    startswith(one.purl, "pkg:pypi/leftpad@")
    reason := {"message": "no", "where": one.path, "fix": "write it yourself"}
}
""")
    manifest = "id: no_leftpad\ntitle: T\ndescription: D.\nstages: [{}]\neffect: deny\nseverity: high\ncontrols: []\n"
    (folder / "policy.yaml").write_text(manifest.format("commit, build"))
    assert gates.code(workspace, "build", shop, "HEAD").effect is Effect.ALLOW
    commit(shop, "leftpad==1.0\n", "requirements.txt")
    assert policies(gates.code(workspace, "build", shop, "HEAD")) == [("no_leftpad", "requirements.txt")]
    (shop.path / "requirements.txt").write_text("other==1.0\n")
    shop.run("add", "requirements.txt")
    assert gates.staged(workspace, shop).effect is Effect.ALLOW
    (folder / "policy.yaml").write_text(manifest.format("editor"))
    with pytest.raises(ContentError, match="sbom"):
        gates.code(workspace, "build", shop, "HEAD")


def test_an_exploited_vulnerability_counts_though_it_is_old(workspace, shop):
    commit(shop, "KEV\n", "requirements.txt")
    commit(shop, "x = 2\n")
    made = gates.code(workspace, "build", shop, "HEAD")
    assert policies(made) == [("no_exploited_vulnerabilities", "requirements.txt:1")]
    assert made.reasons[0].fix == "update to 2"


def exempt(workspace, **changes):
    said = {
        "policy": "new_findings_below_medium", "where": "x.py:*", "reason": "a reason that is long enough",
        "owner": "anna", "approved_by": "lead", "expires": "2026-12-31", **changes,
    }  # fmt: skip
    folder = workspace.content / "exceptions"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "e.yaml").write_text(json.dumps({k: v for k, v in said.items() if v is not None}))


def alert(workspace, *entities, at=AT, name="al-1"):
    made = Alert(name, "r", "shell in container", Severity.HIGH, at, "s", (name,), entities, "sha256:0")
    app.journal(workspace).append(alert_entry(made))


def test_an_exception_counts_at_its_stages_and_is_void_when_an_alert_touches_its_asset(workspace, shop):
    (shop.path / "x.py").write_text("y = BAD\n")
    shop.run("add", "x.py")
    exempt(workspace, stages=["build"])
    assert gates.staged(workspace, shop).effect is Effect.DENY
    exempt(workspace, assets=["shop"], approved="2026-03-01")
    assert gates.staged(workspace, shop).exceptions == ("e",)
    alert(workspace, Entity(EntityKind.IMAGE, "registry.example/shop:1"), at=from_iso("2026-02-01T00:00:00Z"))
    alert(workspace, Entity(EntityKind.IMAGE, "registry.example/other:1"), name="al-2")
    assert gates.staged(workspace, shop).effect is Effect.ALLOW
    alert(workspace, Entity(EntityKind.IMAGE, "registry.example/shop:1"), name="al-3")
    made = gates.staged(workspace, shop)
    assert made.effect is Effect.DENY
    assert "exception void: e, alert al-3 touched shop on 2026-03-10" in made.reasons[0].message


def test_an_exception_is_void_when_an_incident_leads_to_its_code(workspace, shop):
    head = commit(shop, "y = BAD\n")
    exempt(workspace, approved="2026-03-01")
    assert gates.code(workspace, "build", shop, head).effect is Effect.ALLOW
    alert(workspace, Entity(EntityKind.HOST, "h"), name="al-9")
    process, container, image, build = (
        Entity(kind, "a")
        for kind in (EntityKind.PROCESS, EntityKind.CONTAINER, EntityKind.IMAGE, EntityKind.BUILD)
    )
    code, line = Entity(EntityKind.COMMIT, head), Entity(EntityKind.SOURCE_LINE, "x.py:1")
    steps = [process, container, image, build, code, line]
    relations = ["runs_in", "instance_of", "built_by", "built_from", "has_line"]
    Graph(app.engine(workspace)).add(
        Edge(one, other, relation, "m", Strength.VERIFIED, {"alert": "al-9"})
        for one, other, relation in zip(steps, steps[1:], relations, strict=False)
    )
    made = gates.code(workspace, "build", shop, head)
    assert made.effect is Effect.DENY
    assert "alert al-9 of 2026-03-10 was traced to this code" in made.reasons[0].message


def test_a_scan_that_failed_blocks_until_it_is_waived(workspace, shop):
    commit(shop, "", "lame")
    made = gates.code(workspace, "build", shop, "HEAD")
    assert (made.effect, made.reasons[0].where) == (Effect.UNKNOWN, "fake")
    exempt(workspace, policy="scan", where="fake")
    made = gates.code(workspace, "build", shop, "HEAD")
    assert (made.effect, made.exceptions) == (Effect.ALLOW, ("e",))


def test_assets_say_what_a_service_is_exposed_to(workspace, shop):
    (workspace.content / "assets").mkdir(parents=True)
    (workspace.content / "assets" / "a.yaml").write_text(
        "- {id: web-1, services: [shop], criticality: high, internet_facing: true, owner: anna}\n"
        "- {id: db-1, services: [shop], criticality: critical, data_classes: [personal]}\n"
    )
    known = facts(workspace, "shop")
    assert (known.owner, known.criticality, known.internet_facing, known.personal) == (
        "anna",
        "critical",
        True,
        True,
    )
    assert facts(workspace, "registry.example/shop:2").internet_facing is True
    assert facts(workspace, "other").internet_facing is None


def test_an_image_is_judged_by_its_stage(workspace):
    made = gates.image(workspace, "release", IMAGE)
    assert {reason.policy for reason in made.reasons} == {"image_attested", "image_evidence_complete"}
    urgent = {
        "id": "al-1", "rule_id": "r", "title": "shell", "severity": "high", "severity_id": 4, "time": "",
    }  # fmt: skip
    made = gates.image(workspace, "runtime", IMAGE, workload="shop", alerts=[urgent])
    assert policies(made) == [("no_running_image_under_attack", f"image {IMAGE}")]
    with pytest.raises(UsageError, match="images"):
        gates.image(workspace, "build", IMAGE)


def test_a_history_is_replayed_with_what_became_of_it(workspace, shop, tmp_path):
    first = shop.resolve("HEAD")
    bad = commit(shop, "y = BAD\n", at=AT + 1000)
    commit(shop, "y = 1\n", at=AT + 2000)
    stays = commit(shop, "z = BAD\n", "z.py", at=AT + 3000)
    done = gate_replay.replay(workspace, shop, f"{first}..HEAD")
    said = {one.commit.id: (one.mended, one.stays) for one in done.commits if one.mended or one.stays}
    assert said == {bad: (("x.py:1",), ()), stays: ((), ("z.py:1",))}
    assert (len(done.commits), done.rightly, done.doubtful) == (3, 1, 1)
    trial = tmp_path / "trial" / "policies" / "only_tests"
    trial.mkdir(parents=True)
    (trial / "policy.yaml").write_text("id: only_tests\ntitle: t\nstages: [build]\n")
    (trial / "policy.rego").write_text(
        "package lemnis.only_tests\nimport rego.v1\n"
        'deny contains {"message": "no tests", "where": f.path} if some f in input.change.files\n'
    )
    tried = gate_replay.replay(workspace, shop, f"{first}..HEAD", content=tmp_path / "trial")
    assert tried.count(Effect.DENY) == 3
    with pytest.raises(UsageError, match="no commit"):
        gate_replay.replay(workspace, shop, "HEAD..HEAD")


EVIL = 'a"|<img src=x>\n::error::`%0A,:\x01.py'


def decided(workspace, shop):
    (shop.path / EVIL.replace("/", "")).write_text("y = BAD\n")
    shop.run("add", "--all")
    return gates.staged(workspace, shop)


@pytest.mark.parametrize("form", FORMATS)
def test_a_hostile_name_stays_a_name_in_every_format(workspace, shop, form):
    text = FORMATS[form](decided(workspace, shop), "commit")
    if form == "sarif":
        [result] = orjson.loads(text)["runs"][0]["results"]
        assert "\n" not in result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert result["partialFingerprints"]["lemnis/v1"].startswith("fp-")
    elif form == "gitlab":
        assert orjson.loads(text)[0]["location"]["lines"]["begin"] == 1
    elif form == "junit":
        suite = ET.parse(io.StringIO(text)).getroot()  # noqa: S314 - our own
        assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    elif form == "github":
        assert text.count("\n") == 1
        assert text.startswith("::error file=")
    else:
        assert "<img" not in text
        assert all(line.startswith(("#", "|", "<sub>")) or not line for line in text.splitlines())


def test_a_job_of_github_gets_annotations_and_a_summary(workspace, shop, monkeypatch, tmp_path, capsys):
    decided(workspace, shop)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    at = ["--repo", str(shop.path), "-w", str(workspace.root)]
    assert run(["gate", "commit", *at]) == 1
    assert "::error file=" in capsys.readouterr().out
    assert "⛔ denied" in (tmp_path / "summary.md").read_text()
    assert (
        run(["gate", "commit", *at, "--format", "sarif", "--out", str(tmp_path / "x.sarif"), "--json"]) == 1
    )
    assert orjson.loads(capsys.readouterr().out)["decision"] == "deny"
    assert orjson.loads((tmp_path / "x.sarif").read_bytes())["version"] == "2.1.0"
    assert run(["gate", "replay", "HEAD", *at, "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out.splitlines()[-1])["changes"] == 1
    assert run(["gate", "commit", *at, "--format", "pdf"]) == 2
    assert run(["gate", "nonsense", *at]) == 2
    assert "pull_request" in capsys.readouterr().err


def test_our_checks_and_what_is_known_of_packages_take_part_in_every_gate(workspace, tmp_path, monkeypatch):
    monkeypatch.undo()
    made = Repository.create(tmp_path / "real")
    (made.path / "Dockerfile").write_text("FROM scratch\nUSER root\nADD https://x.example/a.sh /a.sh\n")
    (made.path / "requirements.txt").write_text("shopkit==1.0\n")
    made.commit_all("c", author="A <a@example.org>", at=AT)
    head = made.commits()
    monkeypatch.setattr(scans, "scanners", lambda _library: [])
    found = scans.reports(workspace, made, head)[head[0].id].findings
    assert {one.tool for one in found} == {"lemnis"}
    assert {one.tool for one in scans.gated(workspace, made.path).findings} == {"lemnis"}
    assert gates.editor(workspace, made.path, made).reasons == ()  # HEAD has all of it
    (made.path / "main.tf").write_text('resource "aws_ebs_volume" "a" {\n  encrypted = false\n}\n')
    assert policies(gates.editor(workspace, made.path, made)) == [("new_findings_below_medium", "main.tf:2")]
    made.run("add", "main.tf")
    assert policies(gates.staged(workspace, made)) == [("new_findings_below_medium", "main.tf:2")]
    osv = {
        "id": "PYSEC-1", "aliases": ["CVE-2026-1"], "modified": "2026-03-01T00:00:00Z",
        "affected": [{"package": {"ecosystem": "PyPI", "name": "shopkit"},
                      "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]}],
    }  # fmt: skip
    (tmp_path / "osv.json").write_bytes(orjson.dumps(osv))
    assert (
        run(["content", "pull", "osv", "--from", str(tmp_path / "osv.json"), "-w", str(workspace.root)]) == 0
    )
    tools = {one.tool for one in scans.reports(workspace, made, head)[head[0].id].findings}
    assert tools == {"lemnis", "lemnis_vulnerabilities"}
    (workspace.root / "lemnis.yaml").write_text("name: w\ngates: {scanners: [lemnsi]}\n")
    with pytest.raises(ContentError, match="lemnsi"):
        scans.reports(workspace, made, head)


WAIVED = "gates.advisories: waive"


def locked(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr(scans, "scanners", lambda _library: [])
    made = Repository.create(tmp_path / "locked")
    commit(made, "shopkit==1.0\n", "requirements.txt")
    return made


def test_known_vulnerabilities_nobody_can_look_for_block_or_are_waived_by_name(
    workspace, tmp_path, monkeypatch
):
    made = locked(monkeypatch, tmp_path)
    settings = (workspace.root / "lemnis.yaml").read_text()
    assert "advisories: waive" in settings
    said = gates.code(workspace, "build", made, "HEAD")
    assert (said.effect, said.exceptions) == (Effect.ALLOW, (WAIVED,))
    (workspace.root / "lemnis.yaml").write_text(settings.replace("waive", "block"))
    said = gates.code(workspace, "build", made, "HEAD")
    assert (said.effect, said.exceptions) == (Effect.UNKNOWN, ())
    assert "run `lemnis content pull osv`" in said.reasons[0].message
    exempt(workspace, policy="scan", where="lemnis_vulnerabilities")
    said = gates.code(workspace, "build", made, "HEAD")
    assert (said.effect, said.exceptions) == (Effect.ALLOW, ("e",))


def test_advisories_that_are_damaged_are_not_waived(workspace, tmp_path, monkeypatch):
    made = locked(monkeypatch, tmp_path)
    folder = workspace.state / "feeds"
    folder.mkdir(parents=True)
    (folder / "osv.db").write_bytes(b"{}")
    (folder / f"osv.{feeds_bundle.MANIFEST}").write_bytes(b"{}")
    assert feeds.one(folder, "osv").problem not in {"", feeds.ABSENT}
    assert gates.code(workspace, "build", made, "HEAD").effect is Effect.UNKNOWN


def test_what_could_not_be_judged_is_told_and_a_policy_can_refuse_it(workspace, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(scans, "scanners", lambda _library: [])
    made = Repository.create(tmp_path / "open")
    commit(made, 'resource "aws_ebs_volume" "a" {\n  encrypted = var.e\n}\n', "main.tf")
    said = gates.code(workspace, "build", made, "HEAD")
    (reason,) = [one for one in said.reasons if one.policy == "configuration_judged"]
    assert (said.effect, reason.effect, reason.where) == (Effect.ALLOW, Effect.ALLOW, "main.tf")
    assert "aws_ebs_unencrypted" in reason.message
    folder = workspace.content / "policies" / "all_judged"
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text("id: all_judged\ntitle: t\nstages: [build]\n")
    (folder / "policy.rego").write_text(
        "package lemnis.all_judged\nimport rego.v1\n"
        'deny contains {"message": one.why, "where": one.where} if {\n'
        "    some health in input.health\n    some one in health.unjudged\n    one.severity_id >= 4\n}\n"
    )
    said = gates.code(workspace, "build", made, "HEAD")
    assert said.effect is Effect.DENY
    assert ("all_judged", "main.tf:2") in policies(said)
