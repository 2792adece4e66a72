"""Foreign labelled snippets: trivy-checks (good and bad), zizmor (folder = audit), terragoat, kubernetes-goat.

A check of ours tells a foreign one apart if it fails on all of its bad snippets and on none of its good ones.
"""

import tarfile
from collections import Counter
from pathlib import Path

import pytest
import yaml
import zstandard

from lemnis.app import checks
from lemnis.content.library import Library
from lemnis.contracts.resources import Verdict
from lemnis.policy.checks import judge
from lemnis.policy.engine import Engine
from lemnis.scan import resources

DATA = Path(__file__).parents[3] / "shared/data/devsecops"
CHECKS = checks.load(Library.open())
LABELLED = 182
"""Of 317 foreign checks with snippets for Terraform, CloudFormation, Dockerfile or Kubernetes, those that ours
tell apart."""
AUDITS = {
    "artipacked": {"github_credentials_kept"}, "bot-conditions": {"github_bot_condition"},
    "cache-poisoning": {"github_cache_in_release"}, "dangerous-triggers": {"github_dangerous_trigger"},
    "github-env": {"github_job_files_written"}, "github_env": {"github_job_files_written"},
    "hardcoded-credentials": {"github_credential_written"}, "insecure-commands": {"github_unsafe_commands"},
    "overprovisioned-secrets": {"github_all_secrets"}, "secrets-inherit": {"github_secrets_inherited"},
    "template-injection": {"github_script_injection", "github_script_expression"},
    "excessive-permissions": {"github_write_all", "github_rights_for_all_jobs", "github_rights_not_set"},
}  # fmt: skip


def unpacked(name):
    path = DATA / name / f"{name}.tar.zst"
    if not path.is_file():
        pytest.skip(f"shared/data has no {name}")
    with (
        path.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        return {one.name: tar.extractfile(one).read().decode() for one in tar if one.isfile()}


def failing(found, known=CHECKS):
    with Engine() as engine:
        return [one for one in judge(known, found, engine) if one.verdict is Verdict.FAIL]


def of_snippet(kind, text):
    if kind == "terraform":
        read = resources.read_module([("x.tf", text)])
    else:
        read = resources.read("Dockerfile" if kind == "dockerfile" else "x.yaml", text)
    assert read.errors == (), text
    return {one.check for one in failing(read.resources)}


@pytest.mark.slow
def test_labelled_snippets_are_told_apart():
    apart = []
    for name, text in unpacked("trivy-checks-iac").items():
        for kind, said in (yaml.safe_load(text) if name.endswith(".yaml") else {}).items():
            if kind in {"terraform", "cloudformation", "dockerfile", "kubernetes"}:
                bad, good = (
                    [of_snippet(kind, one) for one in said.get(which) or [] if isinstance(one, str)]
                    for which in ("bad", "good")
                )
                if bad and set.intersection(*bad) - set().union(*good):
                    apart.append(name)
    assert len(apart) >= LABELLED


def test_workflows_with_a_weakness_are_told_by_the_check_for_it():
    seen, told = Counter(), Counter()
    known = [one for one in CHECKS if one.name.startswith("github")]
    for name, text in unpacked("zizmor-workflows").items():
        if "/test-data/" not in name or not name.endswith((".yml", ".yaml")):
            continue
        audit = name.partition("/test-data/")[2].split("/")[0].removesuffix(".yml")
        found = resources.read(name, text).resources
        if found and audit in AUDITS:
            seen[audit] += 1
            told[audit] += any(one.check in AUDITS[audit] for one in failing(found, known))
    assert sum(told.values()) >= 66  # of 82; the folders also hold what must not be told
    assert all(told[audit] for audit in seen), told


def test_samples_that_are_vulnerable_by_design_are_not_clean():
    folders = {}
    for name, text in unpacked("terragoat").items():
        if name.endswith(".tf"):
            folders.setdefault(name.rpartition("/")[0], []).append((name, text))
    for name, files in folders.items():
        read = resources.read_module(files)
        assert read.errors == ()
        assert failing(read.resources) or "providers" in name, name
    told = {
        one.check for files in folders.values() for one in failing(resources.read_module(files).resources)
    }
    assert {"cloud_admin_port_open", "aws_rds_public", "aws_ebs_unencrypted", "aws_user_data_secret", "aws_provider_key",
            "gcp_open_to_everybody", "gcp_sql_public"} <= told  # fmt: skip


def test_kubernetes_goat_is_found_for_what_its_scenarios_are():
    told = {}
    for name, text in unpacked("kubernetes-goat").items():
        if resources.fits(name):
            told[name] = {one.check for one in failing(resources.read(name, text).resources)}
    scenario = lambda part: set().union(*(found for name, found in told.items() if f"/{part}/" in f"/{name}"))  # noqa: E731
    assert {"kubernetes_privileged", "kubernetes_runtime_socket"} <= scenario("health-check")
    assert "kubernetes_cluster_admin" in scenario("insecure-rbac")
    assert {"kubernetes_host_pid", "kubernetes_host_network"} <= scenario("docker-bench-security")
    assert "kubernetes_role_reads_secrets" in scenario("hunger-check")
    assert "dockerfile_secret" in scenario("users-repo")


def test_plans_of_the_format_s_authors_are_read():
    plans = unpacked("terraform-plan-json")
    reads = [resources.read(name, text) for name, text in plans.items() if name.endswith(".json")]
    assert [error for read in reads for error in read.errors] == []
    assert sum(len(read.resources) for read in reads) >= 60
