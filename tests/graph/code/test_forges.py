"""What GitHub and GitLab tell, as edges."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.provenance import RELATIONS, Strength
from lemnis.graph.code.forges import Told, read

ONE, TWO = "1" * 40, "2" * 40
REPO = {"full_name": "shop-inc/shop", "html_url": "https://github.com/shop-inc/shop"}
PROJECT = {"path_with_namespace": "shop/label", "web_url": "https://git.example/shop/label"}


def told(record):
    found = Told()
    read(found, json.loads(json.dumps(record)), "ev-1", 1_000)
    assert all(edge.relation in RELATIONS for edge in found.edges)
    assert all(edge.evidence["event"] == "ev-1" for edge in found.edges)
    return found


def rows(record):
    return {(str(e.source), e.relation, str(e.target), e.strength.name) for e in told(record).edges}


def test_a_push_tells_of_its_commits_and_who_wrote_them():
    push = {
        "ref": "refs/heads/main", "before": ONE, "after": TWO, "forced": True, "repository": REPO,
        "sender": {"login": "Tomasz"},
        "commits": [{"id": TWO, "author": {"name": "Tomasz", "email": "T@shop.example"}}],
    }  # fmt: skip
    for record in (push, {"event": "push", "delivery": "d", "payload": push}):
        assert rows(record) == {
            (f"commit:{TWO}", "in_repository", "repository:https://github.com/shop-inc/shop", "RECORDED"),
            (f"commit:{TWO}", "authored_by", "person:t@shop.example", "LABEL"),
        }
        [forced] = told(record).rewritten
        assert (forced.ref, forced.before, forced.after, forced.by) == ("refs/heads/main", ONE, TWO, "tomasz")


def test_a_pull_request_counts_when_it_is_merged():
    request = {
        "number": 12, "merged": True, "merge_commit_sha": TWO, "html_url": "https://github.com/shop-inc/shop/pull/12",
        "user": {"login": "tomasz"}, "merged_by": {"login": "Priya"}, "head": {"sha": ONE}, "title": "Preview",
    }  # fmt: skip
    name = "pull_request:https://github.com/shop-inc/shop/pull/12"
    record = {"action": "closed", "pull_request": request, "repository": REPO}
    assert rows(record) == {
        (name, "in_repository", "repository:https://github.com/shop-inc/shop", "RECORDED"),
        (name, "merged_as", f"commit:{TWO}", "RECORDED"),
        (name, "authored_by", "user:tomasz", "RECORDED"),
    }
    [merged] = [one for one in told(record).edges if one.relation == "merged_as"]
    assert (merged.evidence["head"], merged.evidence["merged_by"]) == (ONE, "priya")
    assert rows({"pull_request": {**request, "merged": False}, "repository": REPO}) == set()
    review = {"review": {"state": "APPROVED", "user": {"login": "priya"}, "commit_id": ONE}}
    assert (name, "approved_by", "user:priya", "RECORDED") in rows({**record, **review})


def test_runs_and_deployments():
    run = {"id": 9, "head_sha": TWO, "html_url": "https://github.com/shop-inc/shop/actions/runs/9", "actor": {"login": "priya"},
           "conclusion": "success", "path": ".github/workflows/release.yml"}  # fmt: skip
    name = "workflow_run:https://github.com/shop-inc/shop/actions/runs/9"
    assert rows({"workflow_run": run, "repository": REPO}) == {
        (name, "triggered_by", f"commit:{TWO}", "RECORDED"),
        (name, "triggered_by", "user:priya", "RECORDED"),
    }
    deployed = {
        "deployment": {"sha": TWO, "environment": "prod", "creator": {"login": "bot"}},
        "deployment_status": {"state": "success"}, "workflow_run": run, "repository": REPO,
    }  # fmt: skip
    found = told(deployed)
    assert {
        (str(e.source), str(e.target), e.strength, e.valid_from)
        for e in found.edges
        if e.relation == "deployed_by"
    } == {
        ("workload:prod/shop", name, Strength.NAME_MATCH, 1_000),
        ("workload:prod/shop", "user:bot", Strength.NAME_MATCH, 1_000),
    }
    deployed["deployment_status"] = {"state": "failure"}
    assert not [e for e in told(deployed).edges if e.relation == "deployed_by"]


def test_gitlab():
    push = {
        "object_kind": "push", "after": TWO, "before": ONE, "ref": "refs/heads/main", "user_username": "tomasz",
        "project": PROJECT, "commits": [{"id": TWO, "author": {"name": "Tomasz", "email": "t@shop.example"}}],
    }  # fmt: skip
    assert (f"commit:{TWO}", "authored_by", "person:t@shop.example", "LABEL") in rows(push)
    merge = {
        "object_kind": "merge_request", "user": {"username": "priya"}, "project": PROJECT,
        "object_attributes": {"iid": 7, "state": "merged", "action": "merge", "merge_commit_sha": TWO, "last_commit": {"id": ONE}},
    }  # fmt: skip
    name = "pull_request:https://git.example/shop/label!7"
    assert (name, "merged_as", f"commit:{TWO}", "RECORDED") in rows(merge)
    merge["object_attributes"]["merge_commit_sha"] = None
    assert (name, "merged_as", f"commit:{ONE}", "RECORDED") in rows(merge)
    pipeline = {
        "object_kind": "pipeline",
        "project": PROJECT,
        "object_attributes": {"id": 31, "sha": TWO},
        "user": {"username": "priya"},
    }
    assert (
        "workflow_run:https://git.example/shop/label/-/pipelines/31",
        "triggered_by",
        f"commit:{TWO}",
        "RECORDED",
    ) in rows(pipeline)
    deployed = {
        "object_kind": "deployment", "status": "success", "environment": "prod", "project": PROJECT,
        "deployable_url": "https://git.example/shop/label/-/jobs/3", "user": {"username": "priya"},
        "commit_url": f"https://git.example/shop/label/-/commit/{TWO}",
    }  # fmt: skip
    assert (
        "workload:prod/label",
        "deployed_by",
        "workflow_run:https://git.example/shop/label/-/jobs/3",
        "NAME_MATCH",
    ) in rows(deployed)


def test_githubs_events():
    event = {"id": "1", "type": "PushEvent", "actor": {"login": "kim"}, "repo": {"name": "acme/billing"},
             "payload": {"ref": "refs/heads/main", "head": TWO, "before": ONE}}  # fmt: skip
    assert rows(event) == {(f"commit:{TWO}", "in_repository", "repository:acme/billing", "RECORDED")}


@pytest.mark.parametrize("sha", ["0" * 40, "x" * 40, "12", ""])
def test_what_is_no_commit_is_none(sha):
    assert (
        rows({"ref": "r", "before": ONE, "after": sha, "commits": [{"id": sha}], "repository": REPO}) == set()
    )


_KEYS = st.sampled_from(
    ["payload", "pull_request", "deployment", "deployment_status", "workflow_run", "before", "after", "commits",
     "object_kind", "object_attributes", "repository", "project", "user", "author", "forced", "id", "review", "state"]
)  # fmt: skip
_ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["push", "success", "merged", ONE]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_KEYS, _ANY, max_size=6))
def test_any_record(record):
    found = told(record)
    assert set(found.problems) <= {"ev-1"}


def test_runs_and_their_jobs_tell_of_what_they_ran_and_where():
    run = {
        "id": 900, "path": ".github/workflows/ci.yml", "head_sha": TWO, "event": "push", "status": "completed",
        "html_url": "https://github.com/shop-inc/shop/actions/runs/900", "run_started_at": "2025-11-24T16:00:00Z",
        "updated_at": "2025-11-24T16:05:00Z",
    }  # fmt: skip
    [one] = told({"workflow_run": run, "repository": REPO}).ran
    assert (str(one.run), one.number, one.workflow, one.commit, one.on) == (
        f"workflow_run:{run['html_url']}", "900", run["path"], TWO, "push",
    )  # fmt: skip
    assert one.until - one.since == 300_000
    [open_] = told({"workflow_run": {**run, "status": "in_progress"}, "repository": REPO}).ran
    assert open_.until is None
    job = {
        "id": 9, "run_id": 900, "name": "test", "head_sha": TWO, "runner_name": "build-7", "workflow_name": "ci",
        "html_url": f"{run['html_url']}/job/9", "started_at": "2025-11-24T16:01:00Z", "completed_at": None,
    }  # fmt: skip
    [two] = told({"workflow_job": job, "repository": REPO}).ran
    assert (two.run, two.number, two.job, two.runner, two.until) == (
        one.run,
        one.number,
        "test",
        "build-7",
        None,
    )
    assert told({"workflow_job": {**job, "run_id": None}, "repository": REPO}).ran[0].number == ""
    assert told({"workflow_job": {**job, "started_at": "soon"}, "repository": REPO}).ran[0].since is None
