"""Silence of a source opens one alarm, says what is blind meanwhile, and closes when it speaks again."""

import logging
import shutil

import orjson
import pytest
from speaking import World

from lemnis import app
from lemnis.app import coverage, init, watching
from lemnis.app.watching_alarms import CLOSED, OPENED, alarms
from lemnis.contracts.watching import ALL, DAY, HOUR, STEP
from lemnis.ingest.health import DRIFTING, LIVING, REJECTING, SILENT


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The cache of the rules that ship: compiled once for all workspaces here."""
    made = init(tmp_path_factory.mktemp("compiled") / "w")
    watching.Rules(made).seeing()
    return made.state / "cache"


@pytest.fixture
def world(tmp_path, compiled):
    made = World(tmp_path / "w")
    shutil.copytree(compiled, made.workspace.state / "cache", dirs_exist_ok=True)
    return made


def test_an_alarm_opens_and_closes_once_and_says_what_is_blind(world):
    both = ("aws_cloudtrail", "a"), ("okta", "b")
    world.pass_hours(60, *both)
    assert {w.state for w in world.look().values()} == {LIVING}
    world.pass_hours(5, both[1])
    found = world.look()["aws_cloudtrail", ALL]
    assert found.state == SILENT
    (alarm,) = found.alarms
    assert alarm.id.startswith("watch-")
    blind = {one.name: one for one in found.blind}
    assert "aws_trail_silenced" in blind
    assert any(one.startswith("T") for one in blind["aws_trail_silenced"].techniques)
    assert not any(name.startswith("okta") for name in blind)
    again = world.look()["aws_cloudtrail", ALL]
    assert again.alarms == (alarm,)
    world.pass_hours(2, *both)
    assert world.look()["aws_cloudtrail", ALL].state == LIVING
    assert alarms(world.journal) == []
    assert [e.subject for kind in (OPENED, CLOSED) for e in world.journal.entries(kind=kind)] == [
        alarm.id
    ] * 2


def test_alarms_are_detection_findings_in_the_lake_once(world):
    world.pass_hours(60, ("aws_cloudtrail", "a"))
    world.pass_hours(5, step=HOUR)
    for _ in range(3):
        world.look()
    world.pass_hours(2, ("aws_cloudtrail", "a"))
    world.look()
    rows = world.lake.query("SELECT * FROM detection_finding ORDER BY time").to_pylist()
    assert [(row["activity_name"], row["status"]) for row in rows] == [
        ("Create", "New"),
        ("Close", "Resolved"),
    ]
    opened = rows[0]
    assert opened["finding_info"]["title"] == "aws_cloudtrail is silent"
    assert opened["is_alert"] is True
    assert opened["finding_info"]["attacks"]
    assert orjson.loads(opened["unmapped"])["blind"]
    assert opened["severity"] == "High"
    assert rows[1]["finding_info"]["uid"] == opened["finding_info"]["uid"]


def test_one_host_of_several_falls_silent_and_the_source_does_not(world):
    world.pass_hours(60, ("linux_audit", "a", "b"))
    world.pass_hours(5, ("linux_audit", "b"))
    found = world.look()
    assert found["linux_audit", ALL].state == LIVING
    assert found["linux_audit", "a"].state == SILENT
    assert ("linux_audit", "b") not in found
    assert world.look(hosts=True)["linux_audit", "b"].state == LIVING
    assert [one.of for one in alarms(world.journal)] == [("linux_audit", "a", SILENT)]
    world.pass_hours(5)
    silent = [one.of[:2] for one in alarms(world.journal)]
    world.look()
    assert silent == [("linux_audit", "a")]
    assert {one.of[:2] for one in alarms(world.journal)} == {("linux_audit", ALL)}  # it covers its hosts


def test_rejects_raise_an_alarm_whose_reasons_are_told(world):
    world.pass_hours(30, ("okta", "a"))
    world.pass_hours(1, ("okta", "a"), step=STEP, rejects=3)
    found = world.look()["okta", ALL]
    assert found.state == REJECTING
    assert found.reasons == {"no time": 36}


def test_drift_names_the_detections_that_read_the_field(world):
    usual = {"eventName": {"text": 100}, "eventSource": {"text": 100}, "awsRegion": {"text": 100}}
    world.pass_hours(60, ("aws_cloudtrail", "a"), fields=usual)
    assert world.look()["aws_cloudtrail", ALL].state == LIVING
    world.pass_hours(
        4, ("aws_cloudtrail", "a"), fields={name: k for name, k in usual.items() if name != "eventName"}
    )
    found = world.look()["aws_cloudtrail", ALL]
    assert found.state == DRIFTING
    assert [(one.field, one.change) for one in found.health.drift.found] == [("eventName", "missing")]
    assert "aws_trail_silenced" in {one.name for one in found.blind}


def test_what_lemnis_did_not_hear_raises_no_alarm_but_old_events_are_told(world):
    world.pass_hours(60, ("okta", "a"))
    world.clock.advance(3 * DAY)
    found = world.look()["okta", ALL]
    assert (found.state, found.alarms) == (SILENT, ())
    assert "its newest event is 3 d" in found.why[0]


def test_who_feeds_a_rule_too_is_named(world):
    two = ("tetragon", "a"), ("linux_audit", "b")
    world.pass_hours(60, *two)
    world.pass_hours(5, two[0])
    found = world.look()["linux_audit", ALL]
    assert found.state == SILENT
    assert {one.elsewhere for one in found.blind} == {(), ("tetragon",)}


def test_what_a_source_that_spoke_for_too_short_a_time_raises(world):
    world.pass_hours(5, ("okta", "a"))
    world.pass_hours(6)
    assert world.look()["okta", ALL].state == LIVING
    assert world.look(silent_after=HOUR)["okta", ALL].state == SILENT
    assert alarms(world.journal) == []


def fed(world):
    library = app.library(world.workspace)
    living, _, _ = coverage._lake(world.workspace, library, None, coverage.LATELY, lambda *_: None)
    return {product for offers in living for product in offers.products}


def test_what_a_silent_source_serves_is_not_fed(world):
    world.pass_hours(60, ("okta", "a"), ("aws_cloudtrail", "b"))
    assert watching.silent_sources(world.workspace) == frozenset()
    assert fed(world) == {"aws", "okta"}
    world.pass_hours(5, ("okta", "a"))
    assert watching.silent_sources(world.workspace) == {"aws_cloudtrail"}
    assert alarms(world.journal) == []
    assert fed(world) == {"okta"}


def test_who_looks_again_and_again_tells_of_alarms_once(world, caplog):
    with caplog.at_level(logging.INFO, "lemnis.watching"):
        looking = watching.Watching(world.workspace)
        world.pass_hours(60, ("okta", "a"))
        looking.look()
        world.pass_hours(5)
        for _ in range(2):
            looking.look()
        world.pass_hours(2, ("okta", "a"))
        looking.look()
        looking.look_if_due()
    silent, well = [one.getMessage() for one in caplog.records]
    assert "nothing for" in silent
    assert silent.partition(":")[0] == well.partition(":")[0]


ABSENCE = """
title: Backup begins
name: backup_begins
id: 6f0b3f1e-0000-4000-8000-000000000001
status: test
level: informational
logsource: {product: linux, service: syslog}
detection: {selection: {message|contains: backup begins}, condition: selection}
---
title: Backup ends
name: backup_ends
id: 6f0b3f1e-0000-4000-8000-000000000002
status: test
level: informational
logsource: {product: linux, service: syslog}
detection: {selection: {message|contains: backup ends}, condition: selection}
---
title: A backup does not end
id: 6f0b3f1e-0000-4000-8000-000000000003
status: test
level: high
tags: [attack.t1490]
correlation: {type: absence, rules: [backup_begins], without: [backup_ends], group-by: [host], timespan: 2h}
"""


def test_an_absence_is_withheld_while_its_source_is_silent(world):
    folder = world.workspace.content / "detections" / "backup_does_not_end"
    folder.mkdir(parents=True)
    (folder / "rule.yml").write_text(ABSENCE)
    world.pass_hours(60, ("linux_syslog", "a"), ("okta", "b"))
    world.pass_hours(5, ("okta", "b"))
    found = world.look()["linux_syslog", ALL]
    mine = {one.title: one for one in found.blind if one.name == "backup_does_not_end"}
    assert mine["A backup does not end"].withheld
    assert mine["A backup does not end"].techniques == ("T1490",)
    assert not mine["Backup begins"].withheld
