"""Backtests: what new content adds and takes away over the lake, rule by rule."""

import lived
import pytest
from lived import ADMIN, ATTACKER, DAY, LOGIN, SCANNER, START

from lemnis import app
from lemnis.app import backtest
from lemnis.app.exceptions_report import quiet
from lemnis.app.replay import replay
from lemnis.contracts.errors import NotFoundError

NEW = "33333333-3333-4333-8333-333333333333"


@pytest.fixture
def workspace(tmp_path, two_weeks):
    """A workspace of its own, over the one lake."""
    made = lived.workspace(tmp_path)
    (made.state / "lake").symlink_to(two_weeks.state / "lake")
    lived.commit(made)
    return made


def run(workspace, old="HEAD", **options):
    with backtest.old_content(workspace, old) as before:
        return backtest.backtest(app.lake(workspace), before, app.library(workspace), **options)


def rules(workspace):
    return backtest.versions(app.library(workspace))


def counts(found):
    return {one.rule_id: (one.kept, one.added, one.gone, one.why) for one in found.differences}


def test_nothing_changed_is_nothing_replayed(workspace):
    told = []
    found = run(workspace, progress=lambda *seen: told.append(seen))
    assert (found.differences, found.differs, found.events, told) == ((), False, 0, [])
    assert found.unchanged == len(rules(workspace))
    assert found.old_digest == found.new_digest


def test_each_kind_of_change_is_told_with_its_alerts(workspace):
    lived.rule(workspace, "admin_page", number=ADMIN, field="cs-uri-stem", value="[/admin, /articles/3]")
    lived.rule(workspace, "articles", number=NEW, field="cs-uri-stem", value="/articles/1")
    told = []
    found = run(workspace, progress=lambda *seen: told.append(seen))
    assert counts(found) == {
        ADMIN: (58, 14, 0, "condition or exceptions"),
        NEW: (0, 14, 0, "new"),
    }
    assert found.differs
    assert found.unchanged == len(rules(workspace)) - 2
    assert found.events == told[-1][0] == 14 * 24 + 2
    (one,) = [one for one in found.differences if one.rule_id == ADMIN]
    assert [alert.event["http_request"]["url"]["path"] for alert in one.added_examples] == ["/articles/3"] * 3
    assert one.gone_examples == []
    back = run(workspace, old=str(workspace.content))
    assert not back.differs


def test_the_difference_is_that_of_two_whole_replays(workspace):
    lived.rule(workspace, "admin_page", number=ADMIN, field="c-ip", value=f"[{ATTACKER}, 203.0.113.7]")
    lived.rule(workspace, "login_page", number=LOGIN, field="c-ip", value="203.0.113.8")
    with backtest.old_content(workspace, "HEAD") as before:
        old = {one.id for one in replay(app.lake(workspace), before)}
        found = backtest.backtest(app.lake(workspace), before, app.library(workspace))
    new = {one.id for one in replay(app.lake(workspace), app.library(workspace))}
    sums = [sum(getattr(one, name) for one in found.differences) for name in ("kept", "added", "gone")]
    assert sums == [len(old & new), len(new - old), len(old - new)]
    assert sums == [2, 28, 56]


def test_a_removed_rule_and_a_range_of_time(workspace):
    for file in (workspace.content / "detections" / "admin_page").iterdir():
        file.unlink()
    (workspace.content / "detections" / "admin_page").rmdir()
    found = run(workspace, start=START + 2 * DAY, end=START + 3 * DAY)
    assert counts(found) == {ADMIN: (0, 0, 5, "removed")}
    assert {e.value for a in found.differences[0].gone_examples for e in a.entities} >= {SCANNER}


def test_an_exception_is_a_change_of_the_rules_it_is_for(workspace):
    lived.exception(workspace)
    assert counts(run(workspace)) == {ADMIN: (30, 0, 28, "condition or exceptions")}
    lived.commit(workspace)
    lived.exception(workspace, lived.EXCEPTION.replace("2025-11-09", "2025-11-10"))
    assert counts(run(workspace)) == {ADMIN: (26, 0, 4, "condition or exceptions")}


def test_a_level_counts_a_comment_does_not(workspace):
    rule = workspace.content / "detections" / "admin_page" / "rule.yml"
    rule.write_text(f"# why this is here\n{rule.read_text()}")
    assert not run(workspace).differences
    rule.write_text(rule.read_text().replace("level: medium", "level: high"))
    found = run(workspace)
    assert counts(found) == {ADMIN: (58, 0, 0, "level or title")}
    assert found.differs


def test_another_source_changes_the_rules_that_it_serves(workspace):
    built_in = app.library(workspace).get("sources", "web_combined")
    copy = workspace.content / "sources" / "web_combined"
    copy.mkdir(parents=True)
    for name in ("source.yaml", "mapping.yaml"):
        copy.joinpath(name).write_text(built_in.folder.joinpath(name).read_text())
    assert not run(workspace).differences
    copy.joinpath("source.yaml").write_text(
        copy.joinpath("source.yaml").read_text() + "    cs-uri-stem: {from: c-ip}\n"
    )
    found = run(workspace)
    assert counts(found)[ADMIN] == (0, 0, 58, "its source changed")
    served = {one.rule_id for one in found.differences}
    assert LOGIN in served
    assert len(served) < len(rules(workspace))


def test_a_workspace_within_a_repository_has_its_own_history(tmp_path, two_weeks):
    outer = app.init(tmp_path / "outer", clock=two_weeks.clock)
    inner = app.Workspace(outer.root / "security", two_weeks.clock)
    inner.state.mkdir(parents=True)
    (inner.root / app.SETTINGS).write_text("name: inner\n")
    lived.rule(inner, "admin_page", number=ADMIN, field="cs-uri-stem", value="/admin")
    (inner.state / "lake").symlink_to(two_weeks.state / "lake")
    (inner.root / ".gitignore").write_text("/.lemnis/\n")
    lived.commit(outer)
    assert not run(inner).differences
    lived.rule(inner, "admin_page", number=ADMIN, field="cs-uri-stem", value="/other")
    assert counts(run(inner)) == {ADMIN: (0, 0, 58, "condition or exceptions")}


@pytest.mark.parametrize("old", ["no-such-branch", "--upload-pack=x"])
def test_what_is_no_old_content_is_told(workspace, old):
    with pytest.raises(NotFoundError, match="neither a folder nor a commit"):
        run(workspace, old=old)


def test_rules_that_cannot_be_used_are_told(workspace):
    rule = workspace.content / "detections" / "admin_page" / "rule.yml"
    rule.write_text(rule.read_text().replace("condition: selection", "condition: elsewhere"))
    found = run(workspace)
    assert any("elsewhere" in str(problem) for problem in found.problems)
    assert counts(found) == {ADMIN: (0, 0, 58, "removed")}
    assert quiet(1, 2) is None


CORRELATION = """\
---
title: Many pages
id: 44444444-4444-4444-8444-444444444444
correlation:
  type: event_count
  rules: [{id}]
  group-by: [c-ip]
  timespan: 6h
  condition: {{gte: {least}}}
level: high
"""
MANY = "44444444-4444-4444-8444-444444444444"


def correlate(workspace, least):
    rule = workspace.content / "detections" / "admin_page" / "rule.yml"
    text = rule.read_text().partition("---\n")[0]
    rule.write_text(text + CORRELATION.format(id=ADMIN, least=least))


def test_correlations_are_compared_by_the_events_they_stand_for(workspace):
    correlate(workspace, 4)
    lived.commit(workspace)
    assert not run(workspace).differences
    correlate(workspace, 5)
    assert counts(run(workspace)) == {MANY: (0, 0, 14, "condition or exceptions")}
    correlate(workspace, 1)
    found = {one.rule_id: one for one in run(workspace).differences}
    assert found.keys() == {MANY}
    alerts = {
        one.event_uids for one in replay(app.lake(workspace), app.library(workspace)) if one.rule_id == MANY
    }
    assert found[MANY].kept + found[MANY].added == len(alerts)
    assert found[MANY].added_examples


def test_a_correlation_changes_with_the_rules_it_draws_on(workspace):
    correlate(workspace, 4)
    lived.commit(workspace)
    lived.exception(workspace)  # then the scanner's pages count no more, until it ends
    assert counts(run(workspace)) == {
        ADMIN: (0, 0, 0, "condition or exceptions"),  # only the correlation tells of it
        MANY: (7, 0, 7, "condition or exceptions"),
    }
