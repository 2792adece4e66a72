"""The built-in checks hold, and a scan tells what they find, with lines, and what they could not judge."""

import json
import os
import shutil
import time

import pytest
from typer.testing import CliRunner

from lemnis.app import checks
from lemnis.content.library import Library
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import ContentError
from lemnis.contracts.findings import Health, Place
from lemnis.contracts.resources import Resource
from lemnis.interfaces.cli import build
from lemnis.policy.checks import judge
from lemnis.policy.engine import Engine
from lemnis.scan.checks import FileChecks, ImageChecks, ModuleChecks
from lemnis.scan.runner import scan

LIBRARY = Library.open()
CHECKS = checks.load(LIBRARY)


def test_every_built_in_check_holds():
    wrong = {one.name: one.why for one in checks.try_all(LIBRARY) if not one.passed}
    assert wrong == {}
    assert len(CHECKS) >= 200


def test_every_check_says_why_and_how_to_mend_it():
    for one in CHECKS:
        assert one.why, one.name
        assert one.fix, one.name
        assert all(kind.split(".")[0] in {
            "kubernetes", "dockerfile", "terraform", "github", "gitlab", "image", "network", "iam"} for kind in one.kinds)  # fmt: skip


@pytest.fixture
def overlay(tmp_path):
    folder = tmp_path / "content" / "checks"
    folder.mkdir(parents=True)
    shutil.copytree(LIBRARY.get("checks", "kubernetes_privileged").folder, folder / "kubernetes_privileged")
    return folder / "kubernetes_privileged"


def tried(overlay):
    (one,) = checks.try_all(Library.open(overlay.parents[1]), ["kubernetes_privileged"])
    return " ".join(one.why)


def test_examples_that_do_not_show_what_they_say_are_told(overlay):
    shutil.copy(overlay / "passes.yaml", overlay / "fails.yaml")
    assert "fails:" in tried(overlay)
    (overlay / "unknown.yaml").unlink()
    assert "no unknown.*" in tried(overlay)


def test_a_check_that_fails_on_what_is_unknown_is_told(overlay):
    text = (overlay / "check.yaml").read_text()
    (overlay / "check.yaml").write_text(text[: text.index("fails:")])
    (overlay / "check.rego").write_text(
        'package lemnis.kubernetes_privileged\nimport rego.v1\n\nfail contains {"resource": i, "path": ["name"], "message": "x"} if {\n'
        "    some i, one in input.resources\n    not one.securityContext.privileged == false\n}\n"
    )
    assert "although securityContext.privileged is unknown" in tried(overlay)


def test_a_rule_that_no_example_needs_is_told(overlay):
    with (overlay / "check.yaml").open("a") as file:
        file.write("  - path: workload\n    is: Sphinx\n")
    assert "nothing in it needs the rule" in tried(overlay)


def test_a_check_that_says_it_twice_or_not_at_all_is_refused(overlay):
    (overlay / "check.rego").write_text("package lemnis.kubernetes_privileged\n")
    with pytest.raises(ContentError, match="in both"):
        checks.load(Library.open(overlay.parents[1]))


FILES = {
    "Dockerfile": "FROM alpine:3.20@sha256:aa\nRUN sudo ls\nUSER app\n",
    "k8s/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\nspec:\n  hostNetwork: true\n  containers: []\n",
    "chart/templates/a.yaml": "apiVersion: v1\nkind: {{ .x }}\n",
    "main.tf": 'resource "aws_ebs_volume" "a" {\n  encrypted = false\n}\nresource "aws_ebs_volume" "b" {\n  encrypted = var.e\n}\n',
    "broken.tf": "resource {{\n",
    ".github/workflows/ci.yml": "on: push\npermissions: write-all\njobs: {}\n",
    "other.yaml": "a: [1, 2]\n",
}


@pytest.fixture
def folder(tmp_path):
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def scanned(scanner, folder):
    return scanner.scan(folder, sorted(path for path in FILES if scanner.fits(path)))


def test_a_scan_tells_lines_and_what_was_not_judged(folder):
    found, health = scanned(FileChecks(CHECKS, "1"), folder)
    places = {(one.rule_id, one.path, one.line) for one in found}
    assert {
        ("dockerfile_sudo", "Dockerfile", 2), ("kubernetes_host_network", "k8s/pod.yaml", 5),
        ("github_write_all", ".github/workflows/ci.yml", 2), ("not_judged", "chart/templates/a.yaml", 1),
    } <= places  # fmt: skip
    assert health.state is Health.OK
    assert health.rules


def test_terraform_of_a_folder_is_judged_together_and_a_broken_file_makes_the_scan_unknown(folder):
    found, health = scanned(ModuleChecks(CHECKS, "1"), folder)
    places = {(one.rule_id, one.path, one.line, one.severity) for one in found}
    assert ("aws_ebs_unencrypted", "main.tf", 2, Severity.HIGH) in places
    assert ("not_judged", "main.tf", 5, Severity.INFORMATIONAL) in places
    assert ("kubernetes_no_network_policy", "k8s/pod.yaml", 1, Severity.MEDIUM) in places
    assert health.state is Health.UNKNOWN
    assert "broken.tf:1" in health.errors[0]


def test_a_finding_offers_the_edit_that_mends_it(folder):
    found, _ = scanned(FileChecks(CHECKS, "1"), folder)
    (one,) = [one for one in found if one.rule_id == "kubernetes_host_network"]
    (edit,) = one.edits
    lines = FILES[edit.path].split("\n")
    text = lines[edit.line - 1]
    assert text[: edit.column - 1] + edit.text + text[edit.end_column - 1 :] == "  hostNetwork: false"


STACK = """AWSTemplateFormatVersion: '2010-09-09'
Resources:
  Disk:
    Type: AWS::EC2::Volume
    Properties: {Encrypted: false}
"""


def test_templates_and_terraform_in_json_are_judged(folder):
    (folder / "a.tf.json").write_text('{"resource": {"aws_ebs_volume": {"a": {"encrypted": false}}}}')
    (folder / "stack.yaml").write_text(STACK)
    one, other = FileChecks(CHECKS, "1"), ModuleChecks(CHECKS, "1")
    assert [one.fits("a.tf.json"), other.fits("a.tf.json"), other.fits("x/prod.auto.tfvars")] == [
        False,
        True,
        True,
    ]
    for scanner, path, line in ((one, "stack.yaml", 5), (other, "a.tf.json", 1)):
        found, health = scanner.scan(folder, [path])
        assert [(f.rule_id, f.path, f.line) for f in found] == [("aws_ebs_unencrypted", path, line)]
        assert (health.state, health.unjudged) == (Health.OK, ())
        assert found[0].fix.endswith("(named as in Terraform)") is (path == "stack.yaml")


def test_health_and_exit_code_say_what_was_not_judged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.tf").write_text('resource "aws_ebs_volume" "b" {\n  encrypted = var.e\n}\n')
    runner = CliRunner()
    said = runner.invoke(build(), ["scan", ".", "--tool", "lemnis_modules", "--json"])
    assert said.exit_code == 3
    (health,) = json.loads(said.stdout)["health"]
    assert health["state"] == "ok"
    assert [(one["check"], one["path"], one["line"], one["count"]) for one in health["unjudged"]] == [
        ("aws_ebs_unencrypted", "main.tf", 2, 1)
    ]
    again = runner.invoke(build(), ["scan", ".", "--tool", "lemnis_modules"])  # kept, and told all the same
    assert "1 value known only later and not judged" in " ".join(again.stdout.split())
    assert again.exit_code == 3
    (tmp_path / "main.tf").write_text('resource "aws_sns_topic" "b" {\n  kms_master_key_id = var.e\n}\n')
    low = runner.invoke(build(), ["scan", ".", "--tool", "lemnis_modules"])
    assert (low.exit_code, "not judged" in " ".join(low.stdout.split())) == (3, True)
    (tmp_path / "main.tf").write_text('resource "aws_ebs_volume" "b" {\n  encrypted = true\n}\n')
    assert runner.invoke(build(), ["scan", ".", "--tool", "lemnis_modules"]).exit_code == 0


def test_what_is_kept_tells_of_each_file_what_was_not_judged(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(STACK.replace("false", "!ImportValue x"))
    kept = {}

    def told():
        (health,) = scan(tmp_path, (), [FileChecks(CHECKS, "1")], kept=kept).report.health
        return sorted(one.path for one in health.unjudged)

    assert told() == told() == ["a.yaml", "b.yaml"]
    (tmp_path / "a.yaml").write_text(STACK)
    assert told() == ["b.yaml"]


def test_pipes_large_files_and_what_is_gone_are_errors(folder):
    os.mkfifo(folder / "pipe.yaml")
    (folder / "large.yaml").write_bytes(b"#" * 20_000_001)
    _, health = FileChecks(CHECKS, "1").scan(folder, ["pipe.yaml", "large.yaml", "gone.yaml"])
    assert [error.split(":")[0] for error in health.errors] == ["pipe.yaml", "large.yaml", "gone.yaml"]


def test_an_archive_that_is_no_image_is_left_alone(folder):
    (folder / "a.tar").write_bytes(b"no tar" * 1000)
    scanner = ImageChecks(CHECKS, "1", 0)
    assert [scanner.fits(path) for path in ("a.tar", "x/oci-layout", "a.zip")] == [True, True, False]
    found, health = scanner.scan(folder, ["a.tar"])
    assert (list(found), health.state) == ([], Health.OK)


def test_a_pipe_named_like_an_image_is_told(folder):
    os.mkfifo(folder / "a.tar")
    _, health = ImageChecks(CHECKS, "1", 0).scan(folder, ["a.tar"])
    assert health.errors == ("a.tar: no regular file",)


def test_a_thousand_resources_and_sixty_checks_take_seconds():
    known = [one for one in CHECKS if "kubernetes.container" in one.kinds]
    found = [
        Resource("kubernetes.container", f"c{n}", Place("a.yaml", n + 1, 1), {
            "image": f"app{n}:1", "image_parts": {"name": f"app{n}", "tag": "1", "digest": ""}, "effective": {"runAsUser": n},
            "securityContext": {"privileged": n % 3 == 0}, "added": [f"X{n % 30}"], "dropped": [], "secrets": [],
        }) for n in range(1000)
    ]  # fmt: skip
    began = time.process_time()
    with Engine() as engine:
        judged = judge((known * 60)[:60], found, engine)
    assert len(judged) >= 60_000
    assert time.process_time() - began < 3


def test_the_commands(overlay):
    runner = CliRunner()
    listed = runner.invoke(build(), ["checks", "list", "--kind", "dockerfile", "--json"])
    assert listed.exit_code == 0
    assert '"id":"dockerfile_root"' in listed.stdout.replace('": "', '":"')
    assert runner.invoke(build(), ["checks", "test", "dockerfile_root"]).exit_code == 0
