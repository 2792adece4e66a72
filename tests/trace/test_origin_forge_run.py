"""What a forge itself tells of a run: its workflow, and the worst that is found in it."""

import json

from builds import AT, CI, OWNERS, Change, Runner, broken, builds, told

from lemnis.app import trace
from lemnis.app.origins import forge_run
from lemnis.contracts.alerts import Alert, Severity
from lemnis.contracts.provenance import Strength

FLOW = """\
on: pull_request_target
permissions: {}
jobs:
  test:
    runs-on: self-hosted
    steps:
      - uses: actions/checkout@v4
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: make test
"""
CALM = FLOW.replace("pull_request_target", "push").partition("        with:")[0]


def asked(world, *, commit="begin", event="workflow_run"):
    """A run begins; an alert is about what the forge tells of it."""
    runner = Runner("build-7")
    runner.begin(AT, "shop", run=900, commit=world.commits["shop"].get(commit, commit))
    runner.told = [one for one in runner.told if one[1]["event"] == event]
    path = world.folder / "hooks.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for _, one in runner.told))
    world.read("github_webhook", path)
    [row] = [row for _, row in world.rows(event)]
    uid = row["metadata"]["uid"]
    alert = Alert(
        "al-1",
        "rule",
        "Run with secrets",
        Severity.HIGH,
        row["time"],
        "github_webhook",
        (uid,),
        (),
        "sha256:" + "0" * 64,
    )
    return trace.ask(world.workspace, "al-1", [alert])


def test_a_run_is_traced_to_the_worst_of_its_workflow(tmp_path):
    world = builds(tmp_path, Change("begin", {**OWNERS, CI: FLOW}))
    [chain] = forge_run.chains(asked(world))
    begin = world.commits["shop"]["begin"]
    assert str(chain.begin) == "workflow_run:https://git.example/shop/actions/runs/900"
    assert told(chain)[0] == ("triggered_by", begin, "recorded")
    assert told(chain)[2:] == [("introduced_by", begin, "recorded"), ("owned_by", "@shop/all", "label")]
    assert chain.strength is Strength.NAME_MATCH  # which line of the workflow let it, nothing says
    worst = max(one.severity for one in chain.facts.findings)
    assert worst >= Severity.HIGH
    assert chain.source.located.path == CI


def test_a_job_that_is_not_told_with_its_run_has_no_file(tmp_path):
    world = builds(tmp_path, Change("begin", {**OWNERS, CI: FLOW}))
    assert forge_run.chains(asked(world, event="workflow_job")) == []


def test_a_workflow_in_which_nothing_is_found_leads_nowhere(tmp_path):
    world = builds(tmp_path, Change("begin", {**OWNERS, "README.md": "x\n"}))
    assert forge_run.chains(asked(world)) == []


def test_a_commit_that_is_not_here_is_told(tmp_path):
    world = builds(tmp_path, Change("begin", {**OWNERS, CI: FLOW}))
    [chain] = forge_run.chains(asked(world, commit="9" * 40))
    assert broken(chain)[0] == "has_line"


def test_other_events_of_forges_are_not_runs(tmp_path):
    world = builds(tmp_path, Change("begin", {**OWNERS, CI: CALM}))
    record = {
        "event": "push", "delivery": "d", "body_sha256": "a" * 64, "received_at": "2025-11-24T16:00:00Z",
        "payload": {
            "ref": "refs/heads/main", "before": "1" * 40, "after": "2" * 40, "commits": [], "sender": {"login": "x", "id": 1},
            "repository": {"id": 42, "full_name": "shop-inc/shop", "html_url": "https://git.example/shop"},
        },
    }  # fmt: skip
    path = world.folder / "push.jsonl"
    path.write_text(json.dumps(record) + "\n")
    world.read("github_webhook", path)
    [(_, row)] = world.rows("push")
    alert = Alert(
        "al-1", "rule", "Pushed", Severity.HIGH, row["time"], "github_webhook", (row["metadata"]["uid"],), (), "sha256:0",
    )  # fmt: skip
    assert forge_run.chains(trace.ask(world.workspace, "al-1", [alert])) == []
