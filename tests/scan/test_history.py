"""Scans of many commits at once: what is found belongs to the tree that it was found in."""

from dataclasses import dataclass, replace

import pytest

from lemnis.app import checks
from lemnis.content.library import Library
from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import NOT_JUDGED, Finding, Health, ScanHealth
from lemnis.scan.checks import FileChecks, ModuleChecks
from lemnis.scan.history import history
from lemnis.store.git import Repository

CHECKS = checks.load(Library.open())
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {containers: [{name: a, image: a}]}\n"
POLICY = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: shop}\n"
DISK = 'resource "aws_ebs_volume" "a" {\n  encrypted = var.e\n}\n'


@pytest.fixture
def repository(tmp_path):
    return Repository.create(tmp_path / "shop")


def commit(repository, **files):
    for name, text in files.items():
        (repository.path / name.replace("__", ".")).write_text(text)
    return repository.commit_all("c", author="A <a@example.org>", at=1_700_000_000_000)


def scanned(repository, *own, kept=None):
    return history(repository, repository.commits(), (), kept, own)


@dataclass
class Whole:
    """A scanner that finds something about a folder and names no file in it."""

    name: str = "whole"
    definition: str = "1"
    per_file: bool = True

    def fits(self, path):
        return path.endswith(".txt")

    def scan(self, folder, files):
        bad = [path for path in files if "BAD" in (folder / path).read_text()]
        made = Finding("", self.name, "bad", "bad", Severity.HIGH, "", 0, 0, resource="the cluster")
        return [made] if bad else [], ScanHealth(self.name, "1", Health.OK, len(files), (), 0)


def test_a_finding_without_a_path_is_of_the_commit_that_has_it(repository):
    clean = commit(repository, a__txt="fine")
    bad = commit(repository, a__txt="BAD")
    mended = commit(repository, a__txt="mended")
    found = scanned(repository, Whole())
    assert {name: len(one.findings) for name, one in found.items()} == {clean: 0, bad: 1, mended: 0}
    assert [one.health[0].tool for one in found.values()] == ["whole"] * 3
    (alone,) = history(
        repository, [one for one in repository.commits() if one.id == bad], (), None, [Whole()]
    ).values()
    assert alone.findings == found[bad].findings


def test_what_is_named_by_its_file_is_the_same_finding_in_every_commit(repository):
    commit(repository, Dockerfile="FROM a\nUSER root\n")
    commit(repository, Dockerfile="FROM a\nUSER root\n", a__txt="more")
    one, other = scanned(repository, FileChecks(CHECKS, "1")).values()
    root = [[f for f in report.findings if f.rule_id == "dockerfile_root"] for report in (one, other)]
    assert root[0] == root[1]
    assert root[0][0].resource == "Dockerfile"
    assert "Dockerfile: " in root[0][0].message


def test_a_policy_in_one_commit_says_nothing_of_the_pods_of_another(repository):
    without = commit(repository, pod__yaml=POD)
    within = commit(repository, policy__yaml=POLICY)
    found = scanned(repository, ModuleChecks(CHECKS, "1"))
    rules = {name: {f.rule_id for f in report.findings} for name, report in found.items()}
    assert "kubernetes_no_network_policy" in rules[without]
    assert "kubernetes_no_network_policy" not in rules[within]


def test_what_could_not_be_judged_is_told_of_each_commit_and_kept(repository):
    open_ = commit(repository, main__tf=DISK)
    known = commit(repository, main__tf=DISK.replace("var.e", "true"))
    kept = {}
    for _ in range(2):
        found = scanned(repository, ModuleChecks(CHECKS, "1"), kept=kept)
        (health,) = found[open_].health
        assert [(one.check, one.path, one.line, one.severity, one.count) for one in health.unjudged] == [
            ("aws_ebs_unencrypted", "main.tf", 2, Severity.HIGH, 1)
        ]
        assert health.state is Health.OK
        assert [one.rule_id for one in found[open_].findings] == [NOT_JUDGED]
        assert found[known].health[0].unjudged == ()
    assert len(kept) == 2


def test_a_program_that_is_named_and_not_installed_leaves_the_scan_unknown(repository, bandit):
    head = commit(repository, a__py="x = 1\n")
    absent = replace_command(bandit)
    (health,) = history(repository, repository.commits(), [absent])[head].health
    assert health.state is Health.UNKNOWN
    assert "not installed" in health.errors[0]


def replace_command(scanner):
    return scanner.model_copy(
        update={"part": "present", "command": ("no-such-program", "{files}"), "version": ("no-such-program",)}
    )


def test_a_change_that_is_an_edit_names_the_file_of_its_commit(repository):
    text = POD.replace("{containers", "{hostNetwork: true, containers")
    commit(repository, pod__yaml=text)
    commit(repository, pod__yaml=text, a__txt="x")
    for report in scanned(repository, FileChecks(CHECKS, "1")).values():
        edits = [edit for one in report.findings for edit in one.edits]
        assert edits
        assert {edit.path for edit in edits} == {"pod.yaml"}


def test_a_finding_without_a_path_keeps_its_own_fingerprint(repository):
    commit(repository, a__txt="BAD")

    class Naming(Whole):
        def scan(self, folder, files):
            found, health = super().scan(folder, files)
            return [replace(one, fingerprint="fp-own") for one in found], health

    (report,) = scanned(repository, Naming(per_file=False)).values()
    assert [one.fingerprint for one in report.findings] == ["fp-own"]
