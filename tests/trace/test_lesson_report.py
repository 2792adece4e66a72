"""``lesson report`` and the columns of ``lesson list``, on a journal that a story wrote."""

import shutil

import pytest
from world import AT, World, commands

from lemnis import app
from lemnis.app import gates, lesson_report, lessons
from lemnis.app.proof import prove
from lemnis.contracts.clock import ManualClock


@pytest.fixture(scope="module")
def once(told, tmp_path_factory):
    """The lesson is merged; then the gate stops the hole once more, and lets the fix pass: made once."""
    world, written = told
    root = shutil.copytree(world.workspace.root, tmp_path_factory.mktemp("enforced") / "soc", symlinks=True)
    workspace = app.open_workspace(root, clock=ManualClock(AT + 60_000))
    assert prove(workspace, written.id).proven
    workspace.clock.instant = AT + 120_000
    lessons.merge(workspace, written.id, actor="ana")
    for minutes, commit in ((5, "hole"), (25, "fix")):
        workspace.clock.instant = AT + minutes * 60_000
        gates.code(workspace, "build", world.shop, world.commits[commit])
    return root


@pytest.fixture
def enforced(told, once, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    world, written = told
    copy = shutil.copytree(once, tmp_path / "soc", symlinks=True)
    workspace = app.open_workspace(copy, clock=ManualClock(AT + 25 * 60_000))
    return commands(World(workspace, world.shop, world.commits), written, capsys)


def test_a_report_counts_what_the_gate_did(enforced):
    world = enforced.world
    [one] = lesson_report.report(world.workspace).rows
    found = lesson_report.row(one)
    assert (found["id"], found["state"], found["cause"]) == (enforced.written.id, "merged", "CWE-78")
    assert found["blocks"] == {"right": 1, "wrong": 0, "open": 0}
    assert found["developer_minutes"] == 20.0
    assert found["time_to_gate"] == 60_000
    assert found["escape"]["before"] == {"seen": 1, "escaped": 1, "travelled": 6, "rate": 1.0}
    assert found["escape"]["after"] == {"seen": 1, "escaped": 0, "travelled": 3, "rate": 0.0}
    assert (found["recurrences"], found["visible_from"]) == (0, "editor")
    assert found["precision"]["share"] == 1.0
    assert found["precision"]["low"] < 0.5
    assert found["exposure"] == {"before": 1, "now": 1, "removed": 0}  # the workload of the traced container
    week = found["analyst_minutes_a_week"]
    assert week["low"] == week["rate"] == 0
    assert week["high"] > 0


def test_an_overruled_block_was_wrong(enforced):
    world = enforced.world
    policy = world.workspace.content / "policies" / enforced.written.lesson.gate / "policy.rego"
    policy.write_text(policy.read_text().replace("{78}", "{79}"))
    gates.code(world.workspace, "build", world.shop, world.commits["hole"])
    [one] = lesson_report.report(world.workspace).rows
    assert (one.measures.right, one.measures.wrong) == (0, 1)
    assert one.measures.after.seen == 0


def test_the_report_is_told_to_people_machines_and_in_markdown(enforced, tmp_path):
    [whole] = enforced("lesson", "report", "--json")
    assert [one["id"] for one in whole["lessons"]] == [enforced.written.id]
    assert whole["precision"]["of"] == 1
    assert whole["escape"]["before"]["share"] == 1.0
    [cause] = whole["causes"]
    assert (cause["cause"], cause["came_again"]) == ("CWE-78", 0)
    text = enforced("lesson", "report")
    assert "gate precision: 100%" in text
    out = tmp_path / "report.md"
    enforced("lesson", "report", "--out", str(out))
    assert out.read_text().startswith("# Lessons\n\n| id | state | cause |")
    assert "- gate precision: 100%" in enforced("lesson", "report", "--markdown")
    enforced("lesson", "report", "--markdown", "--json", expect=2)


def test_the_list_has_what_was_measured(enforced):
    [one] = enforced("lesson", "list", "--json")
    assert (one["state"], one["measures"]["blocks"]["right"]) == ("merged", 1)
    assert "1, 0, 0" in enforced("lesson", "list")


def test_a_proposed_lesson_has_no_figures_yet(lemnis):
    [one] = lesson_report.report(lemnis.world.workspace).rows
    found = lesson_report.row(one)
    assert (found["time_to_gate"], found["analyst_minutes_a_week"]) == (None, None)
    assert found["precision"]["share"] is None
    assert "not yet" in lemnis("lesson", "list")
