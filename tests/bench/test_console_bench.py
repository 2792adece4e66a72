"""`lemnis bench console`: its workspace is one that Lemnis could have made, and its lanes run."""

from dataclasses import asdict

import pytest

from lemnis import app
from lemnis.app import bench, incidents
from lemnis.incidents.entries import ALERT

EVENTS, ALERTS = 2_000, 120
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("bench") / f"place-{EVENTS}-{ALERTS}"
    return root, bench.load("_consoleplace").make(root, EVENTS, ALERTS, blocks=4, basis=300)


def test_alerts_are_about_events_of_the_lake_and_are_grouped(made):
    root, told = made
    opened = app.open_workspace(root / "soc")
    entries = list(app.journal(opened).entries(kind=ALERT))
    own = {"detection_finding", "incident_finding"}
    assert sum(one.rows for one in app.lake(opened).status() if one.name not in own) == EVENTS
    assert told.written == len({one.subject for one in entries}) > ALERTS * 0.9
    assert told.incidents == len(incidents.incidents(opened)) > 0
    uid = str(entries[0].payload["event_uids"][0])
    sql = "SELECT count(*) AS n FROM process_activity WHERE metadata.uid = ?"
    assert app.lake(opened).query(sql, parameters=[uid]).to_pylist() == [{"n": 1}]


def test_the_account_is_of_what_was_asked_for(made):
    place = bench.load("_consoleplace")
    found = place.there(made[0], EVENTS, ALERTS)
    assert found is not None
    assert asdict(found) == asdict(made[1])
    assert place.there(made[0], EVENTS, ALERTS + 1) is None


def test_pages_and_people_are_measured(made):
    root, told = made
    console = bench.load("console")
    place = console.Bench(root.parent, EVENTS, ALERTS, users_s=2.0, made=told)
    found = {one.name: one for lane in ("pages", "users") for one in console.LANES[lane](place)}
    assert found["pages: queue, again, median"].value > 0
    assert found["pages: incident, first"].target == 1.0
    assert found["users: failed"].value == 0
    assert found["users: 95 %"].target == 300.0
