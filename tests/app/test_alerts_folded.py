"""Alerts that fold, through the journal and into the lake."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from watched import DETECTION, MINUTE, START, batch

from lemnis import app
from lemnis.app import incidents, watch
from lemnis.app.replay import each
from lemnis.contracts.clock import ManualClock
from lemnis.detect.alerts import Facts
from lemnis.detect.suppress import Suppression, fold
from lemnis.incidents import entries as writing

WINDOW = 60 * MINUTE
FOLDING = replace(
    DETECTION, alerts=replace(DETECTION.alerts, facts=lambda _: Facts(suppression=Suppression(WINDOW)))
)
BASE = -(START % WINDOW // MINUTE)  # minutes from START back to the first one of its window
ROWS = [(n, BASE + n % 60, "high" if n % 3 else "low", f"192.0.2.{n % 4}") for n in range(1, 60)]


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "w", clock=ManualClock(START + 90 * MINUTE))


def told(workspace):
    """Return every alert of the journal as it stands."""
    journal = app.journal(workspace)
    found = (incidents.alert(workspace, entry.subject) for entry in journal.entries(kind=writing.ALERT))
    return {one.id: one for one in found}


def said(alerts):
    """Return what does not depend on which event came first."""
    return {
        one.id: (one.rule_id, one.count, frozenset(one.event_uids), one.began, one.ended, one.entities)
        for one in alerts
    }


def ingest(workspace, *batches):
    watching = watch.Watch(workspace, detecting=FOLDING)
    for one in batches:
        watching.watch([one])
    watching.finish()
    return watching


def test_repeats_are_one_alert_that_counts_and_names_them(workspace):
    watching = ingest(workspace, batch(*ROWS[:20]), batch(*ROWS[20:]))
    found = told(workspace)
    assert watching.alerts == len(found) == 8  # two rules, four addresses
    assert sum(one.count for one in found.values()) == len(ROWS)
    assert said(found.values()) == said(fold(FOLDING.detect(batch(*ROWS))))
    shown = [
        one
        for incident in incidents.incidents(workspace)
        for one in incidents.alerts_of(workspace, incident.id)
    ]
    assert sum(one.count for one in shown) == len(ROWS)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), st.integers(1, 7))
def test_order_batches_and_events_that_come_again_change_nothing(tmp_path_factory, random, parts):
    workspace = app.init(tmp_path_factory.mktemp("w") / "w", clock=ManualClock(START + 90 * MINUTE))
    rows = random.sample(ROWS, len(ROWS))
    ingest(workspace, *(batch(*rows[n::parts]) for n in range(parts)))
    ingest(workspace, batch(*rows[:30]), batch(*rows[30:]))  # a restart that reads all again, in other pieces
    assert said(told(workspace).values()) == said(fold(FOLDING.detect(batch(*ROWS))))


def test_the_same_batches_again_write_nothing(workspace):
    pieces = batch(*ROWS[:20]), batch(*ROWS[20:])
    ingest(workspace, *pieces)
    before = app.journal(workspace).head()
    assert ingest(workspace, *pieces).alerts == 0
    assert app.journal(workspace).head() == before


def test_the_lake_has_the_alert_and_what_it_became(workspace):
    ingest(workspace, batch(*ROWS[:20]))
    ingest(workspace, batch(*ROWS[20:]))
    lake = app.lake(workspace)
    sql = (
        "SELECT finding_info.uid AS id, arg_max(count, activity_id) AS n, count(*) AS rows"
        " FROM detection_finding GROUP BY 1"
    )
    rows = lake.query(sql).to_pylist()
    assert {row["id"]: row["n"] for row in rows} == {one.id: one.count for one in told(workspace).values()}
    assert {row["rows"] for row in rows} == {2}
    assert incidents.loose(workspace) == len(rows) - sum(
        group.count for one in incidents.incidents(workspace) for group in one.groups
    )


def test_more_events_than_an_entry_holds_are_all_kept(workspace):
    many = [(n, BASE + n % 60, "low", "192.0.2.1") for n in range(2500)]
    ingest(workspace, batch(*many))
    (one,) = told(workspace).values()
    assert (one.count, len(set(one.event_uids))) == (2500, 2500)


def test_replay_folds_as_live_detection_does(workspace):
    lake = app.lake(workspace)
    lake.append([batch(*ROWS[:20])])
    lake.append([batch(*ROWS[20:])])
    assert said(fold(each(lake, FOLDING))) == said(fold(FOLDING.detect(batch(*ROWS))))
