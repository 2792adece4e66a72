"""The vulnerable repositories of the shared data, scanned by what is installed."""

import tarfile
from pathlib import Path

import pytest
import zstandard

from lemnis.app.scans import own, scanners
from lemnis.content.library import Library
from lemnis.contracts.findings import Kind
from lemnis.scan.programs import missing
from lemnis.scan.runner import scan

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "devsecops"
LIBRARY = Library.open()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="no shared data beside the repository"),
]


def scanned(name, folder):
    with (
        (DATA / name / f"{name}.tar.zst").open("rb") as file,
        zstandard.open(file, "rb") as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        tar.extractall(folder, filter="data")
    always = [one for one in scanners(LIBRARY) if one.part == "always"]
    for one in always:
        if missing(one):
            pytest.skip(f"{one.name} is not installed: {one.install}")
    return scan(folder, always, own(LIBRARY, None))


def test_terragoat_is_bad_as_a_whole(tmp_path):
    done = scanned("terragoat", tmp_path)
    bad = {finding.path for finding in done.report.findings if finding.kind is Kind.CONFIG}
    assert done.inventory.kinds()["terraform"] == 21
    clouds = {path.split("/")[1] for path in bad if path.startswith("terraform/")}
    assert clouds == {"aws", "gcp"}
    assert len(bad) >= 16  # the others hold variables and providers


def test_each_scenario_of_kubernetes_goat_is_found(tmp_path):
    done = scanned("kubernetes-goat", tmp_path)
    scenarios = {
        Path(path).parts[1]
        for path, kinds in done.inventory.files.items()
        if path.startswith("scenarios/") and "kubernetes" in kinds
    }
    found = {Path(f.path).parts[1] for f in done.report.findings if f.path.startswith("scenarios/")}
    assert len(scenarios) > 5
    assert scenarios - found == set()


OFFLINE = frozenset(
    {"artipacked", "cache-poisoning", "dangerous-triggers", "excessive-permissions", "github-env", "hardcoded-container-credentials",
     "insecure-commands", "obfuscation", "template-injection", "unpinned-uses", "use-trusted-publishing"}
)  # fmt: skip


def test_weaknesses_of_workflows_are_found_in_the_folders_named_after_them(tmp_path):
    done = scanned("zizmor-workflows", tmp_path)
    found = {}
    for finding in done.report.findings:
        if finding.tool == "zizmor":
            found.setdefault(Path(finding.path).parts[-2], set()).add(finding.rule_id)
    folders = {Path(path).parts[-2] for path in done.inventory.files if "/test-data/" in path} & OFFLINE
    assert len(folders) > 4
    assert {folder for folder in folders if folder not in found.get(folder, ())} <= {
        "artipacked",
        "dangerous-triggers",
    }
