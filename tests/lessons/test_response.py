"""The playbook that a lesson drafts where the response was slow."""

from pathlib import Path

import pytest

from lemnis.app import playbook_lint, playbook_tests, shelf
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.playbook import Playbook
from lemnis.content.schemas.playbook_tests import PlaybookTests
from lemnis.lessons.compile import folder, rule_id
from lemnis.lessons.response import Response, cases_of, compile_response

LESSON, HOUR = "2026-014abc", 3_600_000
NAME = folder(LESSON)
BUILTIN = Library.open()


def drafted(called, response=None):
    item = BUILTIN.get("playbooks", called)
    tests = yaml.load(item.folder / "tests.yaml", PlaybookTests)
    files = compile_response(
        LESSON, "in-1", response or Response(HOUR, called, by_hand=True), yaml.load(item.manifest, Playbook),
        cases_of(tests),
    )  # fmt: skip
    return files, tests


@pytest.mark.parametrize("called", ["contain_compromised_workload", "brute_force"])
def test_it_passes_lint_and_its_own_tests(called):
    files, tests = drafted(called)
    with shelf.laid_over(BUILTIN, files) as library:
        assert [one for one in playbook_lint.lint(library, (NAME,)) if one.name == NAME] == []
        found = list(playbook_tests.run(library, (NAME,)))
    assert [one.problems for one in found if one.problems] == []
    assert [one.name for one in found] == [*(one.name for one in cases_of(tests)), "branches"]


def test_it_begins_with_the_lessons_alert_and_keeps_who_approves(tmp_path):
    files, _ = drafted("brute_force")
    path = tmp_path / "playbook.yaml"
    path.write_bytes(files[f"content/playbooks/{NAME}/playbook.yaml"])
    made = yaml.load(path, Playbook)
    called = yaml.load(Path(BUILTIN.get("playbooks", "brute_force").manifest), Playbook)
    [trigger] = made.triggers
    assert (trigger.by, trigger.condition.cel) == ("alert", f"trigger.rule == '{rule_id(LESSON)}'")
    assert (made.approval, made.deadline_min, made.kind) == (
        called.approval, called.deadline_min, called.kind
    )  # fmt: skip
    assert [step.playbook for step in made.steps] == ["brute_force"]


@pytest.mark.parametrize(
    ("response", "slow", "told"),
    [
        (Response(HOUR, "p", by_hand=True), True, "p was begun by hand and contained it 1 h 0 min too late"),
        (Response(0, "p", by_hand=True), True, "p was begun by hand and contained it in time"),
        (Response(HOUR, "p"), True, "p began by itself and contained it 1 h 0 min too late"),
        (Response(0, "p"), False, "p began by itself and contained it in time"),
        (Response(HOUR), False, "it was not contained in time, and no playbook contained it"),
        (Response(), False, "no playbook contained it"),
    ],
)
def test_what_is_slow(response, slow, told):
    assert response.slow is slow
    assert response.told.startswith(told)


def test_a_case_with_inputs_given_by_hand_is_left_out():
    tests = yaml.load(BUILTIN.get("playbooks", "propose_lesson").folder / "tests.yaml", PlaybookTests)
    assert cases_of(tests) == []
