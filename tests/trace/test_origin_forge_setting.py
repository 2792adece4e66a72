"""What one session did to a repository: which setting, kept as code, let it, and when nobody can say."""

import json

import pytest
from cloud import AT, HOUR, OWNERS, Change, broken, cloud, told
from clusters import alerted, read

from lemnis.app.origins import forge_setting

REPOSITORY = 'resource "github_repository" "shop" {\n  name = "shop"\n}\n'
PROTECTION = """
resource "github_branch_protection" "{branch}" {{
  repository_id = github_repository.{of}.node_id
  pattern       = "{pattern}"
{more}
}}
"""
RULESET = """
resource "github_repository_ruleset" "main" {
  repository  = github_repository.shop.name
  target      = "branch"
  enforcement = "active"
  bypass_actors {
    actor_id    = 5
    actor_type  = "RepositoryRole"
    bypass_mode = "always"
  }
}
"""
REVIEWED = "  required_pull_request_reviews {{\n    required_approving_review_count = {}\n  }}"
FILE = "data/shop.tf"


def protection(more, *, branch="main", pattern="main", of="shop"):
    return PROTECTION.format(branch=branch, pattern=pattern, more=more, of=of)


def passed(
    at=AT,
    *,
    operation="protected_branch.policy_override",
    address="198.51.100.9",
    repo="shop-inc/shop",
    **more,
):
    record = {
        "@timestamp": at, "_document_id": f"{at}-{operation}", "action": operation, "actor": "tomasz", "actor_id": 18,
        "actor_ip": address, "operation_type": "modify", "org": "shop-inc", "repo": repo, **more,
    }  # fmt: skip
    return json.dumps(record)


def traced(folder, text, *records, state=True, **more):
    """Tell what a repository's settings were, and what was done to it; return the chains."""
    world = cloud(folder, Change("begin", OWNERS), Change("sets", {FILE: REPOSITORY + text}), **more)
    if state:
        world.collect(
            ("github_repository", "shop", {"id": "shop", "name": "shop"}, []), scope="infra", at=AT - HOUR
        )
    read(world, github_audit=list(records) or [passed(branch="refs/heads/main")])
    return world, forge_setting.chains(alerted(world))


def test_administrators_may_pass(tmp_path):
    world, [chain] = traced(
        tmp_path,
        protection("  enforce_admins = false"),
        passed(AT - 60_000),
        passed(AT - 50_000, address="203.0.113.5"),
        passed(),
    )
    assert told(chain) == [
        ("defined_by", "infra/github_repository.shop", "recorded"),
        ("has_line", f"infra:{FILE}:8", "recorded"),
        ("introduced_by", world.commits["infra"]["sets"], "recorded"),
        ("owned_by", "@shop/data", "label"),
    ]
    assert str(chain.begin) == "repository:shop-inc/shop"
    assert chain.hops[0].edge.evidence["by"] == ["tomasz"]
    one = chain.facts.setting
    assert (one.kind, one.steps, one.value, one.good) == (
        "terraform.github_branch_protection",
        ("enforce_admins",),
        False,
        True,
    )
    assert len(chain.events) == 2  # of the same address


def test_what_is_not_set_lets_them_too(tmp_path):
    _, [chain] = traced(tmp_path, protection(""))
    assert chain.facts.setting.value is None
    assert chain.source.text.startswith('resource "github_branch_protection"')
    assert chain.hops[1].edge.evidence["attribute"] == "github_branch_protection.main: enforce_admins not set"


def test_of_several_protections_the_one_of_the_branch(tmp_path):
    text = protection("  enforce_admins = false", branch="old", pattern="v1") + protection(
        "  enforce_admins = false", branch="releases", pattern="release/*"
    )
    _, [chain] = traced(tmp_path, text, passed(branch="refs/heads/release/2"))
    assert chain.facts.setting.name == "github_branch_protection.releases"


def test_a_ruleset_that_may_always_be_passed(tmp_path):
    _, [chain] = traced(tmp_path, RULESET)
    assert chain.facts.setting.steps == ("bypass_actors", 0, "bypass_mode")
    assert chain.facts.setting.good == "pull_request"


@pytest.mark.parametrize(("count", "holds"), [(0, True), (1, False)])
def test_a_push_that_needed_no_review(tmp_path, count, holds):
    text = protection(REVIEWED.format(count))
    _, [chain] = traced(tmp_path, text, passed(operation="git.push", ref="refs/heads/main"))
    assert chain.holds is holds
    if not holds:
        assert (
            broken(chain)[1]
            == "nothing that protects github_repository.shop in the code lets it: it was set in another way"
        )


def test_no_review_is_asked_for_at_all(tmp_path):
    _, [chain] = traced(tmp_path, protection("  enforce_admins = true"), passed(operation="git.push"))
    assert chain.facts.setting.steps == ("required_pull_request_reviews",)


@pytest.mark.parametrize("value", ["true", "var.admins"])
def test_what_is_right_or_not_known_is_not_blamed(tmp_path, value):
    _, [chain] = traced(tmp_path, protection(f"  enforce_admins = {value}"))
    assert "set in another way" in broken(chain)[1]


def test_the_protection_of_another_repository_is_not_blamed(tmp_path):
    text = (
        protection("  enforce_admins = false", of="stock")
        + 'resource "github_repository" "stock" {\n  name = "stock"\n}\n'
    )
    _, [chain] = traced(tmp_path, text)
    assert "set in another way" in broken(chain)[1]


def test_without_a_state_nobody_knows(tmp_path):
    _, [chain] = traced(tmp_path, protection("  enforce_admins = false"), state=False)
    assert broken(chain)[0] == "defined_by"
    assert "lemnis graph collect" in broken(chain)[1]


@pytest.mark.parametrize("operation", ["repo.access", "team.add_member"])
def test_what_no_protection_refuses_is_nothing_of_ours(tmp_path, operation):
    _, chains = traced(tmp_path, protection("  enforce_admins = false"), passed(operation=operation))
    assert chains == []
