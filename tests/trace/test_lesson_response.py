"""A playbook is drafted into the lesson's branch where the response was slow, and nowhere else."""

import pytest
import yaml
from telemetry import Logs, read_in, the_incident
from world import World, make_workspace

from lemnis import app
from lemnis.app import (
    lesson_beside,
    lesson_check,
    lessons,
    playbook_lint,
    proof,
    respond,
    respond_triggers,
    shelf,
)
from lemnis.lessons.compile import folder, rule_id
from lemnis.store.git import Repository
from lemnis.testing.switches import READ, SWITCH, TOKEN, Switches

HOUR = 3_600_000
CUT = """\
title: Cut the front door off
triggers: [{by: incident}]
approval: {expires_min: 30}
steps: [{id: shut, action: vendor.switch, with: {name: door}}]
"""
TESTS = """\
cases:
  - name: the door
    entities: [host:web-1]
    expect: {plan: [shut vendor.switch door], changes: [vendor on door], undone: [vendor off door]}
"""


@pytest.fixture
def vendor():
    with Switches() as made:
        yield made


@pytest.fixture
def attacked(tmp_path, shop, vendor, monkeypatch):
    """The story, in a workspace whose playbook `cut` can contain it."""
    monkeypatch.setenv("VENDOR_TOKEN", TOKEN)
    made = World(make_workspace(tmp_path / "soc", shop), *shop)
    root = made.workspace.root
    for path, text in (
        ("playbooks/cut/playbook.yaml", CUT), ("playbooks/cut/tests.yaml", TESTS),
        ("actions/vendor/read.yaml", READ), ("actions/vendor/switch.yaml", SWITCH),
    ):  # fmt: skip
        file = root / "content" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    settings = yaml.safe_load((root / app.SETTINGS).read_text())
    settings["connections"] = {"vendor": {"url": vendor.url, "token_env": "VENDOR_TOKEN"}}
    (root / app.SETTINGS).write_text(yaml.safe_dump(settings))
    Repository(root).commit_all("A playbook", author=app.AUTHOR, at=1_000)
    read_in(made.workspace, Logs(tmp_path / "logs").story())
    made.attest()
    return made


def contain(world, *, after=0, by_itself=False):
    """Let the playbook contain the incident, begun by hand or by what triggers it."""
    world.workspace.clock.instant += after
    incident = the_incident(world)
    if by_itself:
        facts = respond.facts(world.workspace, incident)
        with respond.room(world.workspace) as made:
            [armed] = respond_triggers.armed(app.library(world.workspace), ["cut"])
            planned = respond_triggers.begin(made, armed, facts)
    else:
        planned = respond.plan(world.workspace, "cut", incident)
    digest = planned.plan.digest
    respond.approve(world.workspace, digest, actor="ana", reason="test")
    assert respond.run(world.workspace, digest).outcome == "done"
    return incident


def playbooks(world, written):
    return {path for path in shelf.lesson_files(world.workspace, written) if "/playbooks/" in path}


def test_a_slow_response_drafts_a_playbook_and_the_proof_holds(attacked):
    found = lessons.propose(attacked.workspace, contain(attacked, after=30 * 24 * HOUR))
    written, name = found.written, folder(found.written.id)
    inside = f"content/playbooks/{name}"
    assert playbooks(attacked, written) == {f"{inside}/playbook.yaml", f"{inside}/tests.yaml"}
    made = yaml.safe_load(shelf.lesson_files(attacked.workspace, written)[f"{inside}/playbook.yaml"])
    assert made["triggers"] == [{"by": "alert", "if": f"trigger.rule == '{rule_id(written.id)}'"}]
    assert made["approval"] == {"expires_min": 30}
    assert [step["playbook"] for step in made["steps"]] == ["cut"]
    [said] = [one for one in found.proposed.payload["review"] if one.startswith("playbooks: ")]
    assert "cut was begun by hand and contained it " in said
    assert shelf.beside(attacked.workspace, written) == ()
    with shelf.library_at(attacked.workspace, written.commit) as library:
        assert [one for one in playbook_lint.lint(library, (name,)) if one.name == name] == []
    beside = lesson_beside.look(attacked.workspace, written)
    assert beside.drafted == beside.document()["drafted"] == name
    assert any(f"{name} is drafted" in point for point in beside.points())
    again = lessons.propose(attacked.workspace, written.lesson.incident)
    assert again.written == written
    verdict = proof.prove(attacked.workspace, written.id)
    assert (verdict.proven, verdict.reasons) == (True, ())
    lessons.merge(attacked.workspace, written.id, actor="lee")
    assert shelf.find(attacked.workspace, written.id).merged
    assert lessons.show(attacked.workspace, written.id).proven
    [checked] = lesson_check.check(attacked.workspace)
    assert [(one.name, one.state, one.says) for one in checked.parts if one.name == "proof"] == [
        ("proof", "holds", f"signed, {len(verdict.checks)} checks")
    ]


def test_a_fast_response_drafts_none_and_says_why(attacked):
    found = lessons.propose(attacked.workspace, contain(attacked, by_itself=True))
    assert playbooks(attacked, found.written) == set()
    said = "playbooks: none is drafted: cut began by itself and contained it in time"
    assert said in found.proposed.payload["review"]
    assert lesson_beside.look(attacked.workspace, found.written).drafted == ""


def test_one_that_no_playbook_contained_drafts_none_and_a_later_one_leaves_the_branch(attacked):
    first = lessons.propose(attacked.workspace, the_incident(attacked))
    assert playbooks(attacked, first.written) == set()
    assert any("no playbook contained it" in one for one in first.proposed.payload["review"])
    contain(attacked, after=HOUR)
    assert lessons.propose(attacked.workspace, first.written.lesson.incident).written == first.written


def test_a_playbook_that_lint_refuses_is_no_proof(attacked):
    found = lessons.propose(attacked.workspace, contain(attacked, after=HOUR))
    attacked.edit(
        found.written, {"playbook.yaml": lambda text: text.replace("playbook: cut", "playbook: gone")}
    )
    verdict = proof.prove(attacked.workspace, found.written.id)
    assert not verdict.proven
    assert "there is no playbook gone" in str(verdict.reasons)
