"""Settings of GitHub: classic protection and rulesets add up; what may not be read is unknown, never a default."""

import itertools
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.app import checks
from lemnis.app.posture import KINDS
from lemnis.content.library import Library
from lemnis.contracts.resources import UNKNOWN, Verdict
from lemnis.policy.checks import judge
from lemnis.policy.engine import Engine
from lemnis.scan.readers import github_settings
from lemnis.scan.readers.github_branch import Protection
from lemnis.scan.readers.github_settings import Said

sys.path.insert(0, str(Path(__file__).parents[2] / "app"))
import githubs

CHECKS = [one for one in checks.load(Library.open()) if KINDS.intersection(one.kinds)]
NAME = "example/shop"
AT = f"/repos/{NAME}"


def asking(answers):
    def ask(path):
        status, document = answers.get(path.partition("?")[0], (404, {"message": "Not Found"}))
        return Said(status, document)

    return ask


def read(**changes):
    return github_settings.repository(NAME, asking(githubs.well(NAME, **changes)))


def only(found, kind):
    return [one for one in found.resources if one.kind == kind]


def verdicts(found):
    with Engine() as engine:
        return judge(CHECKS, found.resources, engine)


def failing(found):
    return {one.check for one in verdicts(found) if one.verdict is Verdict.FAIL}


def test_what_is_set_up_well_passes_every_check():
    found = read()
    assert found.errors == ()
    assert {one.verdict for one in verdicts(found)} == {Verdict.PASS}
    assert {one.kind for one in found.resources} == KINDS - {"github.organization"}


def test_what_is_set_up_badly_fails_every_check_of_its_kinds():
    found = github_settings.repository("example/bad", asking(githubs.badly()))
    assert found.errors == ()
    branch = {one.name for one in CHECKS if "github.branch" in one.kinds}
    of_private = {"github_fork_secrets"}
    of_organization = {one.name for one in CHECKS if one.kinds == ("github.organization",)}
    assert failing(found) == (
        {one.name for one in CHECKS} - (branch - {"github_branch_unprotected"}) - of_private - of_organization
    )


def test_an_organisation_well_and_badly():
    good = github_settings.organization("example", asking(githubs.organization()))
    assert good.errors == ()
    assert {one.verdict for one in verdicts(good)} == {Verdict.PASS}
    bad = github_settings.organization("example", asking(githubs.organization(good=False)))
    assert failing(bad) == {one.name for one in CHECKS if "github.organization" in one.kinds}


@pytest.mark.parametrize("status", [0, 403, 404, 500])
def test_nothing_passes_where_nothing_may_be_read(status):
    def ask(path):
        if path in {AT, "/orgs/example"}:  # what everybody is told
            return Said(
                200,
                {
                    "full_name": NAME,
                    "visibility": "public",
                    "default_branch": "main",
                    "owner": {"type": "Organization"},
                },
            )
        return Said(status, {"message": "Not Found" if status == 404 else "Resource not accessible"})

    found = github_settings.repository(NAME, ask)
    said = verdicts(found)
    seen = {one.check for one in said if one.verdict is not Verdict.UNKNOWN}
    # no fork of a public repository is given secrets; and a token that sees a repository sees its files
    files = {"github_no_codeowners", "github_no_security_policy"} if status == 404 else set()
    assert seen == {"github_fork_secrets", *files}
    assert {one.check for one in said} == {
        one.name for one in CHECKS if one.kinds != ("github.organization",)
    }
    assert found.errors
    of = verdicts(github_settings.organization("example", ask))
    assert {one.verdict for one in of} == {Verdict.UNKNOWN}


def test_each_answer_that_is_missing_makes_unknown_what_needs_it_and_nothing_pass():
    answers = githubs.well(NAME)
    before = {(one.check, one.resource.name) for one in verdicts(read())}
    for path in answers:
        if path == AT:
            continue
        without = {**answers, path: (403, {"message": "Resource not accessible by personal access token"})}
        found = github_settings.repository(NAME, asking(without))
        said = verdicts(found)
        assert not [one for one in said if one.verdict is Verdict.FAIL], path
        lost = before - {(one.check, one.resource.name) for one in said if one.verdict is Verdict.PASS}
        if path != f"{AT}/branches/main":  # it only spares a question
            assert found.errors, path
        if path not in {f"{AT}/branches/main", f"{AT}/rules/branches/main"}:  # the classic rules say it all
            assert lost, path


def test_a_repository_that_is_not_seen_is_unknown():
    found = github_settings.repository("example/none", asking({}))
    assert found.errors == ("example/none: /repos/example/none: 404 Not Found",)
    assert {one.verdict for one in verdicts(found)} == {Verdict.UNKNOWN}


def test_404_says_no_only_to_who_would_be_told_yes():
    about = githubs.well(NAME)[AT][1]
    changes = {
        "/vulnerability-alerts": (404, {"message": "Not Found"}),
        "/automated-security-fixes": (404, {}),
    }
    assert failing(read(**changes)) == {"github_no_dependabot_alerts", "github_no_dependabot_updates"}
    reader = {**about, "permissions": {"admin": False}}
    (one,) = only(read(**changes, **{"": (200, reader)}), "github.repository")
    assert (one.data["dependabot_alerts"], one.data["dependabot_updates"]) == (UNKNOWN, UNKNOWN)
    said = {**changes, "/vulnerability-alerts": (404, {"message": "Vulnerability alerts are disabled."})}
    (one,) = only(read(**said, **{"": (200, reader)}), "github.repository")
    assert one.data["dependabot_alerts"] is False


def test_code_is_scanned_too_where_somebody_sends_results():
    none = {"/code-scanning/default-setup": (200, {"state": "not-configured"})}
    sent = {**none, "/code-scanning/analyses": (200, [{"id": 1}])}
    assert "github_no_code_scanning" not in failing(read(**sent))
    hidden = read(**none, **{"/code-scanning/analyses": (403, {"message": "Resource not accessible"})})
    assert only(hidden, "github.repository")[0].data["code_scanning"] == UNKNOWN
    bought = {"message": "Code Security must be enabled for this repository to use code scanning."}
    off = read(**{"/code-scanning/default-setup": (403, bought), "/code-scanning/analyses": (403, bought)})
    assert failing(off) == {"github_no_code_scanning"}
    assert off.errors == ()


def test_a_private_repository_is_asked_what_forks_get():
    private = {"": (200, {**githubs.well(NAME)[AT][1], "visibility": "private"})}
    at = "/actions/permissions/fork-pr-workflows-private-repos"
    gives = {
        "run_workflows_from_fork_pull_requests": True,
        "send_write_tokens_to_workflows": True,
        "send_secrets_and_variables": False,
    }
    assert failing(read(**private, **{at: (200, gives)})) == {"github_fork_secrets"}
    assert (
        failing(read(**private, **{at: (200, {**gives, "run_workflows_from_fork_pull_requests": False})}))
        == set()
    )
    assert only(read(**private), "github.repository")[0].data["actions"]["fork_secrets"] == UNKNOWN


def test_where_workflows_never_run_nothing_is_wrong_with_them():
    found = read(
        **{"/actions/permissions": (200, {"enabled": False}), "/actions/permissions/workflow": (403, {})}
    )
    assert found.errors == ()
    assert {one.verdict for one in verdicts(found)} == {Verdict.PASS}


def test_an_empty_repository_has_no_branch_and_a_branch_may_have_any_name():
    empty = read(**{"/branches/main": (404, {"message": "Branch not found"})})
    assert only(empty, "github.branch") == []
    about = {**githubs.well(NAME)[AT][1], "default_branch": "release/1 ü"}
    asked = []

    def ask(path):
        asked.append(path)
        return Said(200, about) if path == AT else Said(404, {"message": "Not Found"})

    github_settings.repository(NAME, ask)
    assert f"{AT}/branches/release%2F1%20%C3%BC/protection" in asked


def test_a_folder_of_a_thousand_entries_may_hold_more():
    many = [{"name": f"f{n}", "type": "file"} for n in range(1000)]
    one = only(read(**{"/contents": (200, many)}), "github.repository")[0]
    assert (one.data["codeowners"], one.data["security_policy"]) == (UNKNOWN, UNKNOWN)
    there = [{"name": "CODEOWNERS", "type": "file"}, {"name": "security.rst", "type": "file"}, *many]
    one = only(read(**{"/contents": (200, there)}), "github.repository")[0]
    assert (one.data["codeowners"], one.data["security_policy"]) == (True, True)


def test_the_policy_of_the_organisation_counts():
    none = {"/contents": (200, [{"name": "README.md", "type": "file"}])}
    shared = {
        **githubs.well(NAME, **none),
        "/repos/example/.github/contents": (200, [{"name": "SECURITY.md"}]),
    }
    found = github_settings.repository(NAME, asking(shared))
    assert failing(found) == {"github_no_codeowners"}


def test_of_a_webhook_only_the_server_is_told():
    (one,) = only(read(), "github.webhook")
    assert "hidden" not in repr(one)
    assert one.name == "example/shop webhook 2 ci.example"


@pytest.mark.parametrize(
    "rubbish", [None, "text", 7, [], {}, [1, "x", None], {"environments": {}}, {"config": 3}]
)
def test_rubbish_is_no_good_news(rubbish):
    answers = githubs.well(NAME)

    def passing(path, status, document):
        found = github_settings.repository(NAME, asking({**answers, path: (status, document)}))
        return {(one.check, one.resource.name) for one in verdicts(found) if one.verdict is Verdict.PASS}

    for path in answers:
        assert passing(path, 200, rubbish) <= passing(path, 403, {"message": "no"}), path


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 1200) | st.sampled_from(["", "http://[", "main", "required_reviewers"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([
            "type", "ruleset_id", "parameters", "bypass_actors", "actor_type", "config", "url", "enforce_admins", "enabled",
            "full_name", "default_branch", "owner", "name", "protected", "protection_rules", "deployment_branch_policy",
            "permissions", "environments", "security_and_analysis", "secret_scanning", "status", "message", "state",
        ]), inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    path=st.sampled_from([*githubs.well(NAME), f"{AT}/rulesets/7"]),
    status=st.sampled_from([200, 204, 403, 404]),
    document=JSON,
)
@settings(max_examples=200)
def test_whatever_is_answered_is_read(path, status, document):
    rules = {f"{AT}/rules/branches/main": (200, [{"type": "pull_request", "ruleset_id": 7}])}
    found = github_settings.repository(
        NAME, asking({**githubs.well(NAME), **rules, path: (status, document)})
    )
    assert found.resources
    assert all(one.kind in KINDS and one.data is not None for one in found.resources)


CLASSIC = githubs.well(NAME)[f"{AT}/branches/main/protection"][1]
RULES = [
    {"type": "pull_request", "ruleset_id": 1, "parameters": {"required_approving_review_count": 2, "require_code_owner_review": True, "dismiss_stale_reviews_on_push": True}},
    {"type": "required_status_checks", "ruleset_id": 1, "parameters": {"required_status_checks": [{"context": "gate"}]}},
    {"type": "non_fast_forward", "ruleset_id": 1}, {"type": "deletion", "ruleset_id": 1}, {"type": "required_signatures", "ruleset_id": 1},
]  # fmt: skip
FREE = {1: {"bypass_actors": []}}


def test_classic_protection_and_rulesets_add_up_in_three_values():
    full = {
        "protected": True, "reviews": 2, "code_owners": True, "dismisses_stale": True, "signed": True, "keeps_history": True,
        "keeps_branch": True, "status_checks": True, "binds_admins": True,
    }  # fmt: skip
    none = {name: 0 if name == "reviews" else False for name in full}
    assert Protection(CLASSIC, [], {}).facts() == full
    assert Protection({}, RULES, FREE).facts() == full
    assert Protection({}, [], {}).facts() == none
    for classic, rules in itertools.product((CLASSIC, None), (RULES, None)):
        if classic is not None or rules is not None:
            assert Protection(classic, rules, FREE).facts() == full
    for classic, rules in (({}, None), (None, []), (None, None)):
        assert Protection(classic, rules, {}).facts() == dict.fromkeys(full)


@pytest.mark.parametrize(
    ("sets", "bound"),
    [
        ({1: {"bypass_actors": []}}, True),
        ({1: {"bypass_actors": [{"actor_type": "RepositoryRole", "bypass_mode": "always"}]}}, False),
        ({1: {"bypass_actors": [{"actor_type": "OrganizationAdmin", "bypass_mode": "pull_request"}]}}, False),
        ({1: {"bypass_actors": [{"actor_type": "Integration", "bypass_mode": "always"}]}}, True),
        ({1: {"name": "told to those alone who may change it"}}, None),
        ({1: None}, None),
    ],
)
def test_who_gets_past_a_ruleset(sets, bound):
    assert Protection({}, RULES, sets).facts()["binds_admins"] is bound


def test_rules_about_names_and_messages_protect_nothing():
    facts = Protection({}, [{"type": "commit_message_pattern", "ruleset_id": 1}], FREE).facts()
    assert (facts["protected"], facts["binds_admins"]) == (False, False)


def test_pages_of_repositories_without_archived_ones():
    names, errors = github_settings.repositories("example", asking(githubs.organization()))
    assert (names, errors) == (["example/shop"], ())
    assert github_settings.repositories("none", asking({}))[1]
