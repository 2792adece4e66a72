"""What exceptions hold back is kept, counted, and reopened: then it is what it would have been without them."""

import lived
import orjson
import pytest
from lived import ADMIN, DAY, NOW, SCANNER, START

from lemnis import app
from lemnis.app import incidents, incidents_suppressed, watch
from lemnis.app.detection import detection
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import ContentError, NotFoundError, UsageError
from lemnis.incidents import entries
from lemnis.incidents.view import views
from lemnis.interfaces.cli import run
from lemnis.store.suppressed import Held, Suppressed

KEPT = lived.EXCEPTION.replace("  owner: priya\n", "  owner: priya\n  keep: 3\n")


@pytest.fixture
def workspace(tmp_path):
    return lived.workspace(tmp_path, level="high")


def alerts(workspace):
    journal = app.journal(workspace)
    return {entry.subject: entry for entry in journal.entries(kind=entries.ALERT)}


def test_it_is_counted_kept_up_to_a_number_a_day_and_no_alert(workspace, tmp_path):
    lived.exception(workspace, KEPT)
    lived.live(workspace, tmp_path)
    (count,) = incidents_suppressed.counts(workspace)
    assert (count.exception, count.alerts, count.kept, count.not_kept) == ("own_scanner", 28, 21, 7)
    assert (count.first, count.last, count.reopened) == (START, START + 6 * DAY, 0)
    days = Suppressed(app.engine(workspace)).every()
    assert days == [Held("own_scanner", START + day * DAY, 4, 3) for day in range(7)]
    shown = list(incidents_suppressed.listed(workspace, exception="own_scanner"))
    assert len(shown) == 21
    assert {(one.alert.rule_id, one.exceptions) for one in shown} == {(ADMIN, ("own_scanner",))}
    assert {str(one.alert.entities[0]) for one in shown} == {f"address:{SCANNER}"}
    assert not {one.alert.id for one in shown} & set(alerts(workspace))
    inside = {alert for one in incidents.incidents(workspace) for alert in one.alert_ids}
    assert not {one.alert.id for one in shown} & inside


def test_what_comes_again_is_kept_once(workspace, tmp_path):
    lived.exception(workspace)
    lived.live(workspace, tmp_path)
    before = [one.alert.id for one in incidents_suppressed.listed(workspace)]
    watching = watch.Watch(workspace)
    watching.watch([batch for batch in app.lake(workspace).scan() if batch.source != "lemnis"])
    assert [one.alert.id for one in incidents_suppressed.listed(workspace)] == before
    (count,) = incidents_suppressed.counts(workspace)
    assert count.kept == len(before) == 28


def test_what_was_not_written_is_not_counted_when_it_comes_again(workspace, tmp_path, monkeypatch):
    lived.exception(workspace)
    lived.live(workspace, tmp_path)
    batches = [batch for batch in app.lake(workspace).scan() if batch.source != "lemnis"]
    watching = watch.Watch(workspace)
    with monkeypatch.context() as broken:
        broken.setattr(watching, "_write", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watching.watch(batches)
    watching.watch(batches)
    (count,) = incidents_suppressed.counts(workspace)
    assert (count.alerts, count.kept) == (56, 28)


def test_in_the_lake_it_is_a_suppressed_finding_with_the_exceptions_name(workspace, tmp_path):
    lived.exception(workspace)
    lived.live(workspace, tmp_path)
    (row,) = (
        app.lake(workspace)
        .query(
            "SELECT status, is_alert, status_detail, count(*) AS n FROM detection_finding"
            " WHERE status_id = 3 GROUP BY ALL"
        )
        .to_pylist()
    )
    assert (row["status"], row["is_alert"], row["n"]) == ("Suppressed", False, 28)
    assert row["status_detail"] == "held back by the exception own_scanner"


def test_reopened_it_is_what_it_would_have_been_without_the_exception(workspace, tmp_path):
    other = lived.workspace(tmp_path / "other", level="high")
    lived.live(other, tmp_path)
    lived.exception(workspace)
    lived.live(workspace, tmp_path)
    assert set(alerts(workspace)) < set(alerts(other))
    done = incidents_suppressed.reopen(
        workspace, exception="own_scanner", actor="ana", reason="it was taken over"
    )
    assert (done.alerts, done.before) == (28, 0)
    mine, theirs = alerts(workspace), alerts(other)
    assert set(mine) == set(theirs)
    for name, entry in mine.items():
        same = {key: value for key, value in entry.payload.items() if key != "content_digest"}
        assert same == {k: v for k, v in theirs[name].payload.items() if k != "content_digest"}
    grouped = [
        {one.id: one.alert_ids for one in views(app.journal(w)).values() if not one.merged_into}
        for w in (workspace, other)
    ]
    assert grouped[0] == grouped[1]
    assert set(done.incidents) <= set(grouped[0])
    told = list(incidents_suppressed.listed(workspace, reopened=True))
    assert {(one.reopened.actor, one.reopened.reason) for one in told} == {("ana", "it was taken over")}
    again = incidents_suppressed.reopen(workspace, exception="own_scanner", actor="bo", reason="once more")
    assert (again.alerts, again.before) == (0, 28)


def test_one_alert_or_what_came_since_is_reopened(workspace, tmp_path):
    lived.exception(workspace)
    lived.live(workspace, tmp_path)
    first = next(incidents_suppressed.listed(workspace)).alert
    with pytest.raises(NotFoundError, match="is suppressed by own_scanner"):
        incidents.alert(workspace, first.id)
    done = incidents_suppressed.reopen(workspace, alerts=[first.id], actor="ana", reason="odd")
    assert (done.alerts, len(done.incidents)) == (1, 1)
    assert incidents.alert(workspace, first.id).time == first.time
    since = START + 6 * DAY
    done = incidents_suppressed.reopen(
        workspace, exception="own_scanner", since=since, actor="ana", reason="the last day"
    )
    assert done.alerts == 4


def test_what_was_not_suppressed_is_not_reopened(workspace, tmp_path):
    lived.exception(workspace)
    lived.live(workspace, tmp_path)
    told = next(iter(alerts(workspace)))
    with pytest.raises(NotFoundError, match="no suppressed alert"):
        incidents_suppressed.reopen(workspace, alerts=[told], actor="ana", reason="odd")
    with pytest.raises(NotFoundError, match="these did: own_scanner"):
        incidents_suppressed.reopen(workspace, exception="nobody", actor="ana", reason="odd")
    with pytest.raises(UsageError, match="nothing is chosen"):
        incidents_suppressed.reopen(workspace, actor="ana", reason="odd")
    with pytest.raises(UsageError, match="takes a reason"):
        incidents_suppressed.reopen(workspace, exception="own_scanner", actor="ana", reason=" ")


def test_two_exceptions_that_hold_the_same_back_are_both_named_and_counted(workspace, tmp_path):
    lived.exception(workspace)
    lived.exception(workspace, name="another")
    lived.live(workspace, tmp_path)
    assert {one.exceptions for one in incidents_suppressed.listed(workspace)} == {("another", "own_scanner")}
    assert [(one.exception, one.alerts, one.kept) for one in incidents_suppressed.counts(workspace)] == [
        ("another", 28, 28),
        ("own_scanner", 28, 28),
    ]


def test_of_an_exception_that_keeps_nothing_all_is_counted(workspace, tmp_path):
    lived.exception(workspace, KEPT.replace("keep: 3", "keep: 0"))
    lived.live(workspace, tmp_path)
    (count,) = incidents_suppressed.counts(workspace)
    assert (count.alerts, count.kept) == (28, 0)
    assert list(incidents_suppressed.listed(workspace)) == []


def test_how_many_are_kept_is_checked(workspace):
    path = lived.exception(workspace, KEPT.replace("keep: 3", "keep: -1"))
    (problem,) = [one for one in detection(app.library(workspace)).problems if "keep" in str(one)]
    assert isinstance(problem, ContentError)
    assert (problem.at.file, problem.at.line) == (str(path), 9)


def test_without_an_exception_nothing_is_asked_of_the_database(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr("lemnis.app.suppressing.Suppressed", None)
    lived.live(workspace, tmp_path)
    assert incidents_suppressed.counts(workspace) == []


def test_the_commands(workspace, tmp_path, monkeypatch, capsys):
    lived.exception(workspace, KEPT)
    lived.live(workspace, tmp_path)
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(app, "default_clock", lambda: ManualClock(NOW))

    def ask(*arguments, code=0):
        assert run(["incident", "suppressed", *arguments]) == code
        return capsys.readouterr().out

    (count,) = map(orjson.loads, ask("counts", "--json").splitlines())
    assert count == {
        "name": "own_scanner", "alerts": 28, "kept": 21, "not_kept": 7, "reopened": 0,
        "first_day": "2025-11-03", "last_day": "2025-11-09",
    }  # fmt: skip
    assert "only counted" in ask("counts")
    (one,) = map(orjson.loads, ask("list", "--json", "--limit", "1").splitlines())
    assert (one["status"], one["exceptions"], one["reopened"]) == ("suppressed", ["own_scanner"], None)
    assert "there are more" in ask("list", "--limit", "1")
    done = orjson.loads(ask("reopen", "--alert", one["id"], "--reason", "odd", "--as", "ana", "--json"))
    assert (done["reopened"], done["before"], len(done["incidents"])) == (1, 0, 1)
    first = orjson.loads(ask("list", "--all", "--json").splitlines()[0])
    assert (first["status"], first["reopened"]["actor"]) == ("reopened", "ana")
    assert "20 alerts reopened, 1 had been before" in ask(
        "reopen", "--exception", "own_scanner", "--reason", "x"
    )
    ask("list", "--exception", "nobody", code=2)
