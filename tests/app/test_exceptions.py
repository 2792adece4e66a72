"""Exceptions from rules: judged at the event's time, told when they end, refused without owner or last day."""

import lived
import pytest
from lived import ADMIN, ATTACKER, DAY, LOGIN, NOW, SCANNER, START

from lemnis import app
from lemnis.app import content, exceptions, grouping_file, rules_lint
from lemnis.app.detection import detection
from lemnis.app.exceptions_report import days_left, report
from lemnis.app.replay import replay
from lemnis.contracts.errors import ContentError
from lemnis.detect.rules import load_rules
from lemnis.incidents import entries

LAST = START + 7 * DAY  # the exception's last day is the seventh: it ends when the eighth begins


@pytest.fixture
def workspace(tmp_path):
    return lived.workspace(tmp_path)


def told(workspace):
    return sorted(
        (alert.time, alert.entities[0].value, alert.id)
        for alert in map(entries.read_alert, app.journal(workspace).entries(kind=entries.ALERT))
        if alert.rule_id == ADMIN
    )


def test_it_holds_back_until_its_last_day_is_over_and_replay_equals_live(workspace, tmp_path):
    lived.exception(workspace)
    lived.live(workspace, tmp_path)
    live = told(workspace)
    assert {(time >= LAST, who) for time, who, _ in live} == {
        (False, ATTACKER),
        (True, ATTACKER),
        (True, SCANNER),
    }
    assert len(live) == 2 + 7 * 4
    workspace.clock.advance(400 * DAY)  # looked at a year later, it is what it was
    again = replay(app.lake(workspace), app.library(workspace))
    assert [(one.time, one.id) for one in again if one.rule_id == ADMIN] == [
        (time, key) for time, _, key in live
    ]


def test_without_it_everything_fires_and_no_other_rule_is_touched(workspace, tmp_path):
    lived.live(workspace, tmp_path)
    assert len(told(workspace)) == 14 * 4 + 2
    lived.exception(workspace, lived.EXCEPTION.replace("[admin_page]", f"[{LOGIN}]"))
    assert len(replay(app.lake(workspace), app.library(workspace))) == 14 * 4 + 2


@pytest.mark.parametrize("rules", ["[admin_page]", f"[{ADMIN}]", ADMIN, "any", "[own-name]"])
def test_rules_are_named_by_id_by_detection_by_their_own_name_or_not_at_all(workspace, tmp_path, rules):
    path = workspace.content / "detections" / "admin_page" / "rule.yml"
    path.write_text(f"name: own-name\n{path.read_text()}")
    lived.live(workspace, tmp_path)
    lived.exception(workspace, lived.EXCEPTION.replace("[admin_page]", rules))
    assert len(replay(app.lake(workspace), app.library(workspace))) == 2 + 7 * 4


def test_the_digest_of_the_content_covers_it(workspace):
    before = app.library(workspace).digest
    path = lived.exception(workspace)
    with_it = app.library(workspace).digest
    path.write_text(path.read_text().replace("2025-11-09", "2025-11-10"))
    assert len({before, with_it, app.library(workspace).digest}) == 3


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("  owner: priya\n", "", 8, "owner"),
        ("  expires: 2025-11-09\n", "", 8, "expires"),
        ("2025-11-09", "20251109", 9, "a day, such as"),
        ("2025-11-09", "2025-13-09", 9, "month"),
        ("scans of our own, agreed with operations", "why not", 10, "reason"),
        ("x-lemnis:", "x-lemon:", 1, "x-lemnis"),
        ("  condition: not selection\n", "", 3, "condition"),
        ("not selection", "not elsewhere", 6, "elsewhere"),
        ("c-ip: 192", "c-ip|nosuch: 192", 5, "nosuch"),
        ("[admin_page]", "[no_such_page]", 4, "no rule"),
        ("category: webserver", "category: proxy", 4, "logsource"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(workspace, old, new, line, what):
    path = lived.exception(workspace, lived.EXCEPTION.replace(old, new))
    (problem,) = content.lint(app.library(workspace), "rule_exceptions")
    assert isinstance(problem, ContentError)
    assert (problem.at.file, problem.at.line) == (str(path), line), problem
    assert what in str(problem)


def test_rules_lint_tells_it_too(workspace):
    path = lived.exception(workspace, lived.EXCEPTION.replace("  owner: priya\n", ""))
    (found,) = [one for one in rules_lint.lint(app.library(workspace)).findings if one.check == "exception"]
    assert (found.at.file, found.at.line) == (str(path), 8)


def test_a_broken_one_is_a_problem_of_detection_and_holds_nothing_back(workspace, tmp_path):
    lived.exception(workspace, lived.EXCEPTION.replace("  owner: priya\n", ""))
    detecting = detection(app.library(workspace))
    assert any("owner" in str(problem) for problem in detecting.problems)
    lived.live(workspace, tmp_path)
    assert len(told(workspace)) == 14 * 4 + 2


def test_the_report_says_what_it_held_back_and_what_fires_since_it_ended(workspace, tmp_path):
    lived.exception(workspace)
    lived.exception(
        workspace,
        lived.EXCEPTION.replace("192.0.2.10}", f"[{ATTACKER}, {SCANNER}]}}").replace("11-09", "11-20"),
        name="wide",
    )
    lived.live(workspace, tmp_path)
    found = report(app.lake(workspace), app.library(workspace), now=NOW)
    assert found.problems == ()
    own, wide = found.reports
    assert (own.exception.name, own.held, own.alone, own.fired) == ("own_scanner", {ADMIN: 28}, 0, 28)
    assert (wide.exception.name, wide.held, wide.alone, wide.fired) == ("wide", {ADMIN: 58}, 30, 0)
    assert (own.ended, own.days_left, wide.ended, wide.days_left) == (True, -8, False, 3)
    assert own.last == START + 6 * DAY + 3 * 3_600_000
    assert {alert.rule_id for alert in own.examples} == {ADMIN}
    assert len(own.examples) == 3
    some = report(app.lake(workspace), app.library(workspace), now=NOW, start=START + 6 * DAY)
    assert [one.total for one in some.reports] == [4, 33]


def test_the_last_day_counts():
    until = START + DAY
    assert [days_left(until, START + hours * 3_600_000) for hours in (-1, 0, 23, 24)] == [1, 0, 0, -1]


def test_nothing_is_read_of_the_lake_where_there_is_none(workspace):
    found = report(app.lake(workspace), app.library(workspace), now=NOW)
    assert (found.reports, found.problems) == ((), ())


def test_keywords_and_positive_conditions_are_exceptions_too(workspace, tmp_path):
    lived.live(workspace, tmp_path)
    text = lived.EXCEPTION.replace("selection: {c-ip: 192.0.2.10}", "selection: ['192.0.2.10', '203.0.113.']")
    lived.exception(workspace, text)
    assert len(replay(app.lake(workspace), app.library(workspace))) == 30
    text = lived.EXCEPTION.replace("192.0.2.10", ATTACKER).replace("not selection", "selection")
    lived.exception(workspace, text)  # only the attacker may fire
    assert len(replay(app.lake(workspace), app.library(workspace))) == 30


def test_it_lies_over_rules_that_other_filters_narrow(workspace):
    loaded = load_rules([workspace.content / "detections" / "admin_page" / "rule.yml"])
    lived.exception(workspace)
    found, problems = exceptions.load(app.library(workspace))
    assert problems == ()
    over = exceptions.over(loaded, found)
    assert over.rules[0] == loaded.rules[0]
    assert (over.count, len(over.rules), over.meant) == (1, 2, {0: (1,)})
    assert grouping_file.load_grouping(app.library(workspace))
