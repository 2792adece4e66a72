"""``lesson check``: a later change of the content that breaks what a lesson proved is told, by its incident."""

import re
import shutil

import pytest
import yaml
from world import AT, World

from lemnis import app
from lemnis.app import lesson_check, lesson_seal, lessons
from lemnis.app.proof import prove
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import IntegrityError


@pytest.fixture(scope="module")
def once(told, tmp_path_factory):
    """The lesson proven and merged, made once."""
    world, written = told
    root = shutil.copytree(world.workspace.root, tmp_path_factory.mktemp("merged") / "soc", symlinks=True)
    workspace = app.open_workspace(root, clock=ManualClock(AT + 60_000))
    assert prove(workspace, written.id).proven
    lessons.merge(workspace, written.id, actor="ana")
    return root


@pytest.fixture
def merged(told, once, tmp_path):
    world, written = told
    copy = shutil.copytree(once, tmp_path / "soc", symlinks=True)
    return World(app.open_workspace(copy, clock=ManualClock(AT + 60_000)), world.shop, world.commits), written


def check(world, **options):
    return list(lesson_check.check(world.workspace, **options))


def change(world, path, edit):
    file = world.workspace.content / path
    text = file.read_text()
    file.write_text(edit(text))
    assert file.read_text() != text


def test_what_is_merged_holds_and_the_next_check_is_of_what_changed(merged):
    world, written = merged
    [one] = check(world)
    assert [(part.name, part.state) for part in one.parts] == [
        ("test", "holds"), ("gate", "holds"), ("detection", "holds"), ("proof", "holds"),
    ]  # fmt: skip
    assert (one.lesson, one.incident, one.unchanged) == (written.id, written.lesson.incident, False)
    [same] = check(world)
    assert (same.unchanged, same.parts) == (True, one.parts)
    assert not check(world, again=True)[0].unchanged
    change(world, f"policies/{written.lesson.gate}/policy.yaml", lambda text: text.replace("high", "medium"))
    [other] = check(world)
    assert not other.unchanged
    assert other.broken == ()
    assert [part.name for part in other.unknown] == ["proof"]


BREAKS = {
    "the rule is narrowed": (
        "detections/{}/rule.yml",
        lambda t: t.replace("/labels/preview", "/x"),
        "test, detection",
    ),
    "the gate is emptied": ("policies/{}/policy.rego", lambda t: t.replace("{78}", "{79}"), "gate"),
    "the policy moves on": ("policies/{}/policy_test.rego", lambda _: "package lemnis.x_test\n", "gate"),
    "the attack sample is made harmless": (
        "detections/{}/samples/attack.log",
        lambda t: re.sub(r"text=\S+", "text=Anna", t),
        "test",
    ),
    "the rule is no rule": (
        "detections/{}/rule.yml",
        lambda t: t.replace("condition:", "conditions:"),
        "test, detection",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_change_that_breaks_a_part_is_told_by_the_incident(merged, name):
    world, written = merged
    path, edit, parts = BREAKS[name]
    change(world, path.format(written.lesson.gate), edit)
    [one] = check(world)
    assert one.incident == written.lesson.incident
    assert ", ".join(part.name for part in one.broken) == parts
    assert all(part.says for part in one.parts)
    assert [part.state for part in check(world)[0].parts] == [part.state for part in one.parts]


def test_a_lesson_that_is_removed_is_broken(merged):
    world, written = merged
    shutil.rmtree(world.workspace.content / "lessons" / written.id)
    [one] = check(world)
    assert (one.incident, [part.name for part in one.broken]) == (written.lesson.incident, ["lesson"])


def test_a_lesson_that_is_retired_with_a_reason_need_not_hold(merged):
    world, written = merged
    change(world, f"lessons/{written.id}/lesson.yaml", lambda text: f"{text}retired: the service is gone\n")
    shutil.rmtree(world.workspace.content / "policies" / written.lesson.gate)
    [one] = check(world)
    assert (one.broken, one.parts[0].says) == ((), "retired: the service is gone")


def test_an_exception_that_lets_the_cause_pass_breaks_the_gate(merged):
    world, written = merged
    folder = world.workspace.content / "exceptions"
    folder.mkdir()
    (folder / "all.yaml").write_text(
        yaml.safe_dump({
            "policy": written.lesson.gate, "where": "*", "reason": "it was in the way", "owner": "ben",
            "approved_by": "ana", "expires": "2099-01-01",
        })
    )  # fmt: skip
    [one] = check(world)
    assert [part.name for part in one.broken] == ["gate"], one.parts


def test_in_ci_only_the_content_is_at_hand(merged, tmp_path):
    world, written = merged
    bare = app.init(tmp_path / "ci", clock=world.workspace.clock)
    shutil.copytree(world.workspace.content, bare.content, dirs_exist_ok=True)
    [one] = list(lesson_check.check(bare))
    assert [(part.name, part.state) for part in one.parts] == [
        ("test", "holds"), ("gate", "unknown"), ("detection", "unknown"), ("proof", "unknown"),
    ]  # fmt: skip
    change(world, f"policies/{written.lesson.gate}/policy.rego", lambda text: text.replace("{78}", "{79}"))
    shutil.copytree(world.workspace.content, bare.content, dirs_exist_ok=True)
    [one] = list(lesson_check.check(bare))
    assert [part.name for part in one.broken] == ["gate"]


def test_the_proof_is_signed_and_attached(merged):
    world, written = merged
    [entry] = app.journal(world.workspace).entries(kind=lessons.PROVED, subject=written.id)
    stated = lesson_seal.opened(world.workspace, entry)
    assert (stated["proven"], stated["incident"]) == (True, written.lesson.incident)
    cost = stated["history"]["cost"]
    assert cost["minutes_per_alert"] == 10
    assert cost["alerts_a_week"]["low"] <= cost["alerts_a_week"]["rate"] <= cost["alerts_a_week"]["high"]
    assert cost["minutes_a_week"]["high"] > 0
    assert stated["history"]["commits_stopped_rightly"] == [world.commits["hole"]]
    held = [one.payload["digest"] for one in app.journal(world.workspace).entries(kind="evidence")]
    assert held == [entry.payload["envelope"]]


def test_a_proof_that_was_edited_or_signed_by_others_does_not_hold(merged):
    world, written = merged
    keys = world.workspace.state / "keys"
    shutil.rmtree(keys)
    [one] = check(world)
    assert [part.name for part in one.broken] == ["proof"]
    [entry] = app.journal(world.workspace).entries(kind=lessons.PROVED, subject=written.id)
    with pytest.raises(IntegrityError, match="signature"):
        lesson_seal.opened(world.workspace, entry)


def test_the_command_exits_1_with_the_incident(lemnis):
    lemnis("lesson", "prove", lemnis.written.id)
    lemnis("lesson", "merge", lemnis.written.id)
    assert "holds" in lemnis("lesson", "check")
    [one] = lemnis("lesson", "check", "--json")
    assert (one["holds"], one["unchanged"]) == (True, True)
    change(
        lemnis.world,
        f"policies/{lemnis.written.lesson.gate}/policy.rego",
        lambda text: text.replace("{78}", "{79}"),
    )
    text = lemnis("lesson", "check", expect=1)
    assert lemnis.written.lesson.incident in text
    assert "gate" in text
    [one] = lemnis("lesson", "check", "--json", expect=1)
    assert (one["holds"], one["broken"]) == (False, ["gate"])
