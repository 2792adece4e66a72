"""Saved and scheduled searches: content like any other, alerts like any other."""

import asyncio
import json
import os
import subprocess
import sys

import pyarrow as pa
import pytest

from lemnis import app
from lemnis.app import content, searches, searches_schedule
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import ContentError, InputError, NotFoundError, UsageError
from lemnis.contracts.events import EventBatch
from lemnis.incidents import entries as writing
from lemnis.incidents.view import views
from lemnis.interfaces.cli import run
from lemnis.store.query import Handle

MINUTE = 60_000
START = 20_000 * 86_400_000
SCHEDULED = """\
title: Root logs in
query: class:authentication user.name:root
schedule:
  every: 15m
  by: [src_endpoint.ip]
  when: count > 1
  title: Root logged in more than once
  level: high
  tags: [attack.t1078]
"""


def login(number, minute, user="root", ip="198.51.100.7"):
    return {
        "class_uid": 3002, "severity_id": 2, "time": START + minute * MINUTE, "message": f"login {number}",
        "metadata": {"uid": f"ev-{number}", "log_name": "sshd"}, "user": {"name": user}, "src_endpoint": {"ip": ip},
        "device": {"hostname": "web1"}, "status_id": 1,
    }  # fmt: skip


def add(workspace, *rows):
    app.lake(workspace).append([EventBatch(3002, "sshd", "o", pa.Table.from_pylist(list(rows)))])


def put(workspace, text=SCHEDULED, name="root_logins"):
    path = workspace.content / f"searches/{name}/search.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def workspace(tmp_path):
    made = app.init(tmp_path / "w", clock=ManualClock(START + 40 * MINUTE))
    put(made)
    add(
        made, login(1, 1), login(2, 2), login(3, 14, ip="192.0.2.9"), login(4, 16), login(5, 20), login(6, 29),
        login(7, 3, "bob"), login(8, 4, "bob"),
    )  # fmt: skip
    return made


def alerts(workspace):
    return [writing.read_alert(entry) for entry in app.journal(workspace).entries(kind=writing.ALERT)]


def test_a_window_that_fires_is_an_alert_with_its_events_and_entities(workspace):
    assert [one.search for one in searches_schedule.run_due(workspace)] == ["root_logins"]
    (alert,) = alerts(workspace)
    assert (alert.rule_id, alert.title, alert.severity, alert.count) == (
        "search:root_logins",
        "Root logged in more than once",
        4,
        3,
    )
    assert alert.event_uids == ("ev-4", "ev-5", "ev-6")
    assert (alert.first, alert.last, alert.time) == (
        START + 16 * MINUTE,
        START + 29 * MINUTE,
        START + 29 * MINUTE,
    )
    assert [str(entity) for entity in alert.entities] == ["address:198.51.100.7", "host:web1"]
    assert alert.event["window"] == [START + 15 * MINUTE, START + 30 * MINUTE]
    assert alert.tags == ("attack.t1078",)
    assert alert.id == "al-19abcb63fbb247a9"  # golden: it is the same on every machine


def test_each_window_is_asked_once_and_what_was_missed_is_caught_up(workspace):
    searches_schedule.run_due(workspace)
    assert searches_schedule.run_due(workspace) == []
    workspace.clock.advance(40 * MINUTE)
    add(
        workspace,
        login(10, 46),
        login(11, 47),
        login(12, 61),
        login(13, 62, ip="192.0.2.9"),
        login(14, 63, ip="192.0.2.9"),
    )
    fired = searches_schedule.run_due(workspace)
    assert [(one.start // MINUTE % 1440, one.group) for one in fired] == [
        (45, {"src_endpoint.ip": "198.51.100.7"}), (60, {"src_endpoint.ip": "192.0.2.9"}),
    ]  # fmt: skip
    assert len(alerts(workspace)) == 3


def test_a_replay_gives_the_same_ids_and_writes_nothing_twice(workspace):
    live = searches_schedule.run_due(workspace)
    again = searches_schedule.replay(workspace, ["root_logins"], START, START + 40 * MINUTE)
    assert [one.alert.id for one in again] == [again[0].alert.id, live[0].alert.id]
    assert [one.new for one in again] == [True, False]
    assert [one.new for one in searches_schedule.replay(workspace, [], START, START + 40 * MINUTE)] == [
        False,
        False,
    ]
    assert len(alerts(workspace)) == 2


def test_a_late_event_waits_for_the_delay(workspace):
    workspace.clock.instant = START + 30 * MINUTE + 30_000
    assert [one.end for one in searches_schedule.run_due(workspace)] == [START + 15 * MINUTE]
    workspace.clock.advance(31_000)
    assert [one.end for one in searches_schedule.run_due(workspace)] == [START + 30 * MINUTE]


@pytest.mark.parametrize(("text", "fires"), [
    (SCHEDULED.replace("count > 1", "count > 3"), []),
    (SCHEDULED.replace("  by: [src_endpoint.ip]\n", ""), [({}, 3)]),
    (SCHEDULED.replace("  by: [src_endpoint.ip]\n", "").replace("root\n", "nobody\n", 1).replace("count > 1", "count = 0"), [({}, 1)]),
    (SCHEDULED.replace("  by: [src_endpoint.ip]\n", "").replace("user.name:root", "| stats count as n, dc(uid) as d by user.name").replace("count > 1", "d >= 3"), [({"user.name": "root"}, 3)]),
    (SCHEDULED.replace("  by: [src_endpoint.ip]\n", "").replace("user.name:root", "| top 1 device.hostname").replace("count > 1", "percent > 99"), [({"device.hostname": "web1"}, 3)]),
    (SCHEDULED.replace("every: 15m", "every: 15m\n  over: 30m"), [({"src_endpoint.ip": "198.51.100.7"}, 5)]),
])  # fmt: skip
def test_what_fires(workspace, text, fires):
    put(workspace, text)
    assert [(dict(one.group), one.alert.count) for one in searches_schedule.run_due(workspace)] == fires


def test_alerts_become_incidents(workspace):
    put(workspace, SCHEDULED.replace("level: high", "level: critical"))
    searches_schedule.run_due(workspace)
    (incident,) = views(app.journal(workspace)).values()
    assert incident.groups[0].alerts[0][0] == alerts(workspace)[0].id


def test_a_search_that_fails_holds_up_no_other_and_is_asked_again(workspace, caplog):
    path = put(workspace, SCHEDULED.replace("user.name:root", "no.such.field:1"), "broken")
    assert [one.search for one in searches_schedule.run_due(workspace)] == ["root_logins"]
    assert "no event has a field no.such.field" in caplog.text
    path.write_text(SCHEDULED, encoding="utf-8")
    assert [one.search for one in searches_schedule.run_due(workspace)] == ["broken"]


KILLED = """
import os, sys
from pathlib import Path
from lemnis import app
from lemnis.app import searches_schedule
from lemnis.contracts.clock import ManualClock
from lemnis.store.journal import SqlJournal
workspace = app.open_workspace(Path(sys.argv[1]), clock=ManualClock(int(sys.argv[2])))
write = SqlJournal.append_all
def killed(self, entries):
    if sys.argv[3] == "before":
        os._exit(9)
    write(self, entries)
    os._exit(9)
SqlJournal.append_all = killed
searches_schedule.run_due(workspace)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_between_query_and_alert_or_behind_it_there_is_one_alert(workspace, when):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(workspace.root), str(workspace.clock.now()), when],
        check=False,
        env=os.environ,
    )
    assert done.returncode == 9
    assert len(alerts(workspace)) == (when == "after")
    searches_schedule.run_due(workspace)
    searches_schedule.run_due(workspace)
    assert len(alerts(workspace)) == 1
    assert len(views(app.journal(workspace))) == 1


@pytest.mark.parametrize(("text", "line", "column", "what"), [
    ("title: T\nquery: class:x user.name\nscedule: {}\n", 3, None, "scedule"), ("title: T\nquery: a | stat count\n", 2, 12, "did you mean stats"),
    ("title: T\nquery: 'a | stat count'\n", 2, 13, "did you mean stats"), ("title: T\nquery: >-\n  a | stat\n  count\n", 2, 8, "column 5 of the query"),
    ("title: T\nquery: a\nschedule: {every: 15m, when: count >}\n", 3, 37, "no value"), ("title: T\nquery: a\nschedule:\n  every: 3 days\n", 4, None, "no span"),
    ("title: T\nquery: a\nschedule:\n  every: 1s\n", 4, None, "between 1m and 7d"), ("title: T\nquery: a\nschedule:\n  every: 1h\n  over: 15m\n", 4, None, "events are missed"),
])  # fmt: skip
def test_a_wrong_file_is_told_with_its_place(workspace, text, line, column, what):
    path = put(workspace, text, "wrong")
    with pytest.raises(ContentError, match=what) as caught:
        searches.load(app.library(workspace), "wrong")
    assert (caught.value.at.file, caught.value.at.line) == (str(path), line)
    assert column in {None, caught.value.at.column}
    assert what in str(next(content.lint(app.library(workspace), "searches")))


def test_what_ships_holds(workspace):
    found, wrong = searches.every(app.library(None))
    assert len(found) >= 3
    assert not wrong


def test_a_search_is_saved_named_and_listed(workspace, capsys):
    at = ["--workspace", str(workspace.root)]
    assert run(["search", "user.name:bob", "--save", "bobs", "--since", "2024-10-04", *at]) == 0
    assert run(["search", "@bobs", "--json", *at]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["uid"] for line in lines[-2:]] == ["ev-8", "ev-7"]
    assert run(["search", "@bobs | stats count", "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out) == {"count": 2}
    assert run(["search", "--saved", "--json", *at]) == 0
    listed = {one["name"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert listed["bobs"]["query"] == "user.name:bob"
    assert listed["root_logins"]["schedule"]["every"] == 15 * MINUTE
    assert listed["root_logins"]["own"]
    for arguments in (
        ["a", "--save", "bobs"],
        ["a", "--save", "A B"],
        ["(a", "--save", "x"],
        ["@nobody"],
        ["@bobs user"],
    ):
        assert run(["search", *arguments, *at]) == 2


def test_windows_are_run_by_hand(workspace, capsys):
    at = ["--workspace", str(workspace.root), "--json"]
    assert (
        run(
            [
                "searches",
                "run",
                "root_logins",
                "--since",
                "2024-10-04",
                "--until",
                "2024-10-04T01:00:00Z",
                *at,
            ]
        )
        == 0
    )
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert second == {
        "id": "al-19abcb63fbb247a9", "search": "root_logins", "window": [START + 15 * MINUTE, START + 30 * MINUTE],
        "group": {"src_endpoint.ip": "198.51.100.7"}, "count": 3, "new": True,
    }  # fmt: skip
    assert first["count"] == 2
    assert run(["searches", "run", "--until", "now", *at]) == 2
    assert run(["searches", "run", "failed_logins_by_address", "--since", "2024-10-04", *at]) == 2
    with pytest.raises(UsageError, match="no schedule"):
        searches_schedule.replay(workspace, ["shell_downloads"], START, START + 1)
    with pytest.raises(NotFoundError):
        searches_schedule.replay(workspace, ["nothing"], START, START + 1)
    with pytest.raises(InputError):
        searches.expand(workspace, "@root_logins more")


def test_the_service_asks_what_is_due_and_ends_what_runs(workspace):
    async def serve():
        stop = asyncio.Event()
        keeping = asyncio.create_task(searches_schedule.keep(workspace, stop))
        while not alerts(workspace):  # noqa: ASYNC110 - what it waits for is in the journal
            await asyncio.sleep(0.02)
        stop.set()
        await keeping

    asyncio.run(asyncio.wait_for(serve(), 120))
    handle = Handle()
    handle.cancel()
    put(workspace, name="another")
    assert searches_schedule.run_due(workspace, ["another"], handle=handle) == []
    assert len(searches_schedule.run_due(workspace, ["another"])) == 1
