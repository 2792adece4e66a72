"""From events to incidents through the journal, with a detection made for the test."""

import random
import shutil

import pyarrow as pa
import pytest
from watched import DETECTION, MINUTE, SCHEMA, START, batch

from lemnis import app
from lemnis.app import incidents, watch
from lemnis.app.replay import each
from lemnis.content.library import Library
from lemnis.contracts.alerts import IncidentStatus, Severity, Verdict
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import NotFoundError, RefusedError
from lemnis.contracts.events import EventBatch
from lemnis.contracts.journal import NewEntry


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "w", clock=ManualClock(START + 30 * MINUTE))


@pytest.fixture
def watching(workspace):
    return watch.Watch(workspace, detecting=DETECTION)


ATTACK = batch(
    (1, 0, "low", "192.0.2.1"),
    (2, 5, "fine", "192.0.2.1"),
    (3, 9, "high", "192.0.2.1"),
    (4, 9, "low", "192.0.2.77"),
)


def test_events_become_alerts_and_an_incident(workspace, watching):
    watching.watch([ATTACK])
    watching.finish()
    assert watching.alerts == 3
    (one,) = incidents.incidents(workspace)
    assert [(group.rule_id, group.count) for group in one.groups] == [("low", 1), ("high", 1)]
    assert one.severity is Severity.HIGH
    assert one.decisive == START + 9 * MINUTE
    assert [alert.rule_id for alert in incidents.alerts_of(workspace, one.id)] == ["low", "high"]
    assert incidents.alerts_of(workspace, one.alert_ids[1])[0].event["message"] == "high"
    assert incidents.incident_of(workspace, one.alert_ids[0]).id == one.id
    times = incidents.metrics(workspace, one)
    assert (times.time_to_detect, times.lag) == (9 * MINUTE, 21 * MINUTE)


def test_the_same_events_again_change_nothing(workspace, watching):
    for _ in range(2):
        watching.watch([ATTACK])
        watching.finish()
    before = app.journal(workspace).head()
    again = watch.Watch(workspace, detecting=DETECTION)
    again.watch([ATTACK])
    again.finish()
    assert again.alerts == 0
    assert app.journal(workspace).head() == before


def test_an_alert_that_was_not_correlated_is_when_one_looks(workspace, watching):
    watching.watch([ATTACK])
    assert len(incidents.incidents(workspace)) == 1
    watching.finish()
    assert watching.changes == 0


def test_the_note_of_how_far_it_came_may_be_lost_or_foreign(workspace, watching):
    watching.watch([ATTACK])
    watching.finish()
    before = app.journal(workspace).head()
    note = workspace.state / "cache" / "grouping.db"
    for text in ("", "al-0000000000000000 sha256:0" * 9, "\xff"):
        note.unlink()
        note.write_bytes(text.encode("latin-1"))
        assert watch.settle(workspace) == 0
    note.unlink()
    assert watch.settle(workspace) == 0
    assert app.journal(workspace).head() == before


def test_a_note_of_another_workspace_with_the_same_alerts_hides_none(tmp_path, workspace, watching):
    watching.watch([ATTACK])
    watching.finish()
    other = app.init(tmp_path / "other", clock=workspace.clock)
    shutil.copytree(workspace.content, other.content, dirs_exist_ok=True)
    shutil.copytree(workspace.state / "cache", other.state / "cache", dirs_exist_ok=True)
    theirs = watch.Watch(other, detecting=DETECTION)
    app.journal(other).append(NewEntry("note", "s", "k", {}))
    theirs.watch([ATTACK])
    theirs.finish()
    assert incidents.incidents(other) == incidents.incidents(workspace) != []


def test_a_changed_grouping_is_applied_to_what_is_there(workspace, watching):
    watching.watch([batch((1, 0, "low", "192.0.2.1"), (2, 9, "low", "192.0.2.1"))])
    watching.finish()
    assert incidents.incidents(workspace) == []
    builtin = Library.open().get("correlations", "default").manifest.read_text()
    own = workspace.content / "correlations" / "default"
    own.mkdir(parents=True)
    (own / "grouping.yaml").write_text(builtin.replace("open_at: 60", "open_at: 10"))
    assert len(incidents.incidents(workspace)) == 1


def test_replay_of_the_lake_gives_the_alerts_of_live_detection(workspace, watching):
    lake = app.lake(workspace)
    watching.watch([ATTACK])
    lake.append([ATTACK])
    wide = SCHEMA.append(pa.field("later", pa.struct([("x", pa.int32())])))
    other = batch((9, 50, "high", "192.0.2.5"), source="other")
    other = EventBatch(
        1007,
        "other",
        "file",
        pa.Table.from_pylist([{**other.table.to_pylist()[0], "later": {"x": 1}}], schema=wide),
    )
    watching.watch([other])
    lake.append([other])
    lake.flush()
    live = {
        entry.subject: incidents.alert(workspace, entry.subject)
        for entry in app.journal(workspace).entries(kind="alert")
    }
    assert {alert.id: alert for alert in each(lake, DETECTION)} == live
    assert len(live) == 4
    some = list(each(lake, DETECTION, start=START + 9 * MINUTE, end=START + 20 * MINUTE))
    assert {alert.rule_id for alert in some} == {"high", "low"}
    assert [alert.source for alert in each(lake, DETECTION, sources=["other"])] == ["other"]


def test_a_decision_is_journaled_and_a_second_one_of_the_same_moment_is_refused(workspace, watching):
    watching.watch([ATTACK])
    (one,) = incidents.incidents(workspace)
    incidents.acknowledge(workspace, one.id[:8], actor="ana")
    stale = app.journal(workspace)
    with pytest.raises(RefusedError, match="ana changed"):
        incidents._write(
            stale, one, incidents.writing.transition(one, IncidentStatus.ON_HOLD, actor="bo", reason="x")
        )
    now = incidents.get(workspace, one.id)
    assert (now.owner, now.status) == ("ana", IncidentStatus.IN_PROGRESS)
    done = incidents.close(workspace, one.id, Verdict.TRUE_POSITIVE, actor="ana", reason="contained")
    assert not done.open
    with pytest.raises(NotFoundError):
        incidents.get(workspace, "in-nothing")
    app.journal(workspace).verify()


def test_what_contained_it_is_measured_and_on_the_timeline(workspace, watching):
    watching.watch([ATTACK])
    (one,) = incidents.incidents(workspace)
    workspace.clock.advance(4 * MINUTE)
    app.journal(workspace).append(
        NewEntry("incident.contained", one.id, "c", {"run": "r"}, "ana", "quarantined shop")
    )
    assert incidents.metrics(workspace, one).time_to_contain == 4 * MINUTE
    last = incidents.timeline(workspace, incidents.get(workspace, one.id))[-1]
    assert (last.kind, last.title, last.actor) == ("contained", "quarantined shop", "ana")


def test_evidence_is_in_the_vault_and_on_the_incident(workspace, watching):
    watching.watch([ATTACK])
    (one,) = incidents.incidents(workspace)
    digest = incidents.add_evidence(workspace, one.id, b"mail", "mail.eml", actor="ana")
    assert app.vault(workspace).get(digest) == b"mail"
    assert incidents.get(workspace, one.id).evidence[0].digest == digest


def test_batches_in_any_order_and_cut_anywhere_end_in_the_same_incidents(tmp_path):
    rng = random.Random(3)  # noqa: S311 - an order, not a secret
    rows = [
        (n, rng.randrange(300), rng.choice(["low", "low", "high", "fine"]), f"192.0.2.{rng.randrange(6)}")
        for n in range(60)
    ]
    seen = []
    for turn in range(4):
        workspace = app.init(tmp_path / f"w{turn}", clock=ManualClock(START))
        watching = watch.Watch(workspace, detecting=DETECTION)
        rng.shuffle(rows)
        for at in range(0, 60, 12 if turn else 60):
            watching.watch([batch(*rows[at : at + 12 if turn else 60])])
            watching.finish()
        whole = [one for one in incidents.incidents(workspace) if not one.merged_into]
        seen.append({frozenset(one.alert_ids) for one in whole})
        assert len(set().union(*seen[-1])) == sum(map(len, seen[-1]))
    assert all(one == seen[0] for one in seen)
    assert len(seen[0]) > 1


def test_the_lake_has_alerts_and_incidents_as_findings_once(workspace, watching):
    lake = app.lake(workspace)
    watching.watch([ATTACK])
    watching.finish()
    watching.finish()
    alerts = lake.query("SELECT metadata.uid AS uid, time FROM detection_finding ORDER BY uid").to_pylist()
    assert [row["uid"] for row in alerts] == sorted(
        e.subject for e in app.journal(workspace).entries(kind="alert")
    )
    (one,) = incidents.incidents(workspace)
    incidents.close(workspace, one.id, Verdict.TEST, actor="ana", reason="a test")
    incidents.incidents(workspace)
    found = lake.query("SELECT activity_id, status_id FROM incident_finding ORDER BY activity_id").to_pylist()
    assert found == [{"activity_id": 1, "status_id": 1}, {"activity_id": 3, "status_id": 5}]
    assert list(each(lake, DETECTION)) == []
