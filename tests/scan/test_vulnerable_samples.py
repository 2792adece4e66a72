"""``lemnis scan`` over the vulnerable samples of the shared data finds what their MANIFEST names.

What is expected is derived from the MANIFEST: which sets are vulnerable, and what their ground truth is. The
scanners are those that come with Lemnis, so that the table in docs/scanning.md holds on every machine; with
LEMNIS_WRITE_GOLDEN=1 it is written again.
"""

import os
import re
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
import zstandard

from lemnis.app import scans
from lemnis.content.library import Library
from lemnis.contracts.findings import NOT_JUDGED
from lemnis.scan.programs import missing

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
DOCS = ROOT / "docs" / "scanning.md"
LIBRARY = Library.open()
VULNERABLE = re.compile(r"[Vv]ulnerable-by-design|with weaknesses|[Gg]ood and bad")
"""How the MANIFEST says that a set is made to be found."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DATA / "MANIFEST.md").is_file(),
        reason="no shared data beside the repository: shared/data/MANIFEST.md",
    ),
]


@dataclass(frozen=True)
class Sample:
    """A set of the MANIFEST: where it lies, what it is, what is known to be wrong in it."""

    place: str
    what: str
    truth: str

    @property
    def name(self):
        return self.place.rpartition("/")[2]


def manifest():
    """The vulnerable sets that the MANIFEST names."""
    text = (DATA / "MANIFEST.md").read_text() if (DATA / "MANIFEST.md").is_file() else ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| devsecops/") and VULNERABLE.search(cells[1]):
            yield Sample(cells[0], cells[1], cells[6])


SAMPLES = {one.name: one for one in manifest()}


def unpacked(sample):
    with (
        (DATA / sample.place / f"{sample.name}.tar.zst").open("rb") as file,
        zstandard.open(file, "rb") as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        return {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}


def scanned(folder):
    """Scan a folder as ``lemnis scan`` does, with the scanners that come with Lemnis."""
    always = [one for one in scans.scanners(LIBRARY) if one.part == "always"]
    for one in always:
        if missing(one):
            pytest.skip(f"{one.name} is not installed: {one.install}")
    asked = [*(one.name for one in always), *(name for name in scans.GATING if name != scans.VULNERABILITIES)]
    done = scans.scan(folder, LIBRARY, asked=asked)
    found = [one for one in done.report.findings if one.rule_id != NOT_JUDGED]
    broken = [f"{one.tool}: {error}" for one in done.report.health for error in one.errors]
    return done, found, broken


def laid(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


# one ground truth each: what is named, and what of it was found


def as_a_whole(sample, folder):
    """Every file with resources in it is bad."""
    files = unpacked(sample)
    laid(folder, files)
    done, found, broken = scanned(folder)
    named = {name for name, data in files.items() if re.search(rb"(?m)^resource ", data)}
    return named, {one.path for one in found} & named, found, broken, done


def by_scenario(sample, folder):
    """Every scenario is bad: its manifests, or the image that it is about."""
    files = unpacked(sample)
    laid(folder, files)
    done, found, broken = scanned(folder)
    kinds = {"kubernetes", "dockerfile", "helm"}
    named = {Path(path).parts[1] for path, of in done.inventory.files.items() if of & kinds and "/" in path}
    named -= {"kind-setup"}  # the cluster that the scenarios run in
    return named, {Path(one.path).parts[1] for one in found if "/" in one.path} & named, found, broken, done


NOT_AUDITS = re.compile(
    r"^(?:issue-|pr-|config-scenarios|invalid|e2e-menagerie|neutral|anonymous-definition|misfeature)"
)
OURS = {
    "artipacked": {"github_credentials_kept"}, "bot-conditions": {"github_bot_condition"},
    "cache-poisoning": {"github_cache_in_release"}, "dangerous-triggers": {"github_dangerous_trigger"},
    "github-env": {"github_job_files_written"}, "hardcoded-credentials": {"github_credential_written"},
    "insecure-commands": {"github_unsafe_commands"}, "overprovisioned-secrets": {"github_all_secrets"},
    "secrets-inherit": {"github_secrets_inherited"}, "self-hosted": {"github_own_runner"},
    "template-injection": {"github_script_injection", "github_script_expression"},
    "unpinned-images": {"github_image_unpinned"},
    "excessive-permissions": {"github_write_all", "github_rights_for_all_jobs", "github_rights_not_set"},
}  # fmt: skip
"""Checks of ours for zizmor's audits."""


def audit_of(path):
    name = path.partition("/test-data/")[2].split("/")[0].removesuffix(".yml").replace("_", "-")
    return "" if NOT_AUDITS.match(name) else name


def by_audit(sample, folder):
    """Every folder or file that is named after an audit of zizmor has what that audit is about."""
    files = unpacked(sample)
    laid(folder, files)
    done, found, broken = scanned(folder)
    named = {audit for path in files if path.endswith((".yml", ".yaml")) and (audit := audit_of(path))}
    hits = {
        audit
        for one in found
        if (audit := audit_of(one.path)) and (one.rule_id == audit or one.rule_id in OURS.get(audit, ()))
    }
    return named, hits & named, found, broken, done


SUFFIX = {
    "terraform": "main.tf",
    "cloudformation": "stack.yaml",
    "kubernetes": "manifest.yaml",
    "dockerfile": "Dockerfile",
}


def by_snippet(sample, folder):
    """Every bad snippet has a finding."""
    named = set()
    for path, data in unpacked(sample).items():
        for kind, said in (yaml.safe_load(data) if path.endswith(".yaml") else {}).items():
            for number, text in enumerate((said or {}).get("bad") or (), 1):
                if kind in SUFFIX and isinstance(text, str):
                    name = f"{path.removesuffix('.yaml')}/{kind}/{number}"
                    laid(folder, {f"{name}/{SUFFIX[kind]}": text.encode()})
                    named.add(name)
    done, found, broken = scanned(folder)
    return named, {one.path.rpartition("/")[0] for one in found} & named, found, broken, done


TRUTHS = {
    "known bad as a whole": (as_a_whole, "files with resources"),
    "scenario folder": (by_scenario, "scenarios"),
    "folder = audit": (by_audit, "audits"),
    "`good` / `bad` lists per check": (by_snippet, "bad snippets"),
}
MISSED = {
    "terragoat": 0, "kubernetes-goat": 0,
    "zizmor-workflows": 10,  # those that ask GitHub or a configuration, and what is wrong in general only
    "trivy-checks-iac": 55,
}  # fmt: skip
"""How much of what is named may be missed."""


def told(sample):
    for words, truth in TRUTHS.items():
        if words in sample.truth:
            return truth
    raise AssertionError(f"{sample.place}: nobody knows yet what {sample.truth!r} expects")


def row(sample, named, hits, unit, found):
    tools = Counter(one.tool for one in found)
    by = ", ".join(f"{tool} {count}" for tool, count in tools.most_common())
    return f"| {sample.name} | {unit} | {len(named)} | {len(hits)} | {by} |"


def test_the_manifest_names_vulnerable_samples():
    assert set(SAMPLES) == set(MISSED)


@pytest.mark.parametrize("name", sorted(MISSED))
def test_what_the_manifest_names_is_found(name, tmp_path):
    sample = SAMPLES[name]
    look, unit = told(sample)
    named, hits, found, broken, _ = look(sample, tmp_path)
    assert [one for one in broken if one.startswith("lemnis")] == []
    line = row(sample, named, hits, unit, found)
    if os.environ.get("LEMNIS_WRITE_GOLDEN"):
        text = DOCS.read_text()
        DOCS.write_text(re.sub(rf"(?m)^\| {re.escape(name)} \|.*$", lambda _: line, text))
    assert len(named) > 10
    assert len(named - hits) <= MISSED[name], sorted(named - hits)
    (documented,) = re.findall(rf"(?m)^\| {re.escape(name)} \| [^|]+\| (\d+) \| (\d+) \|", DOCS.read_text())
    assert len(named) == int(documented[0])
    assert len(hits) >= int(documented[1])
    assert {one.tool for one in found} & {"lemnis", "lemnis_modules"}
