"""From received to queryable: the same records whatever way they are cut into deliveries; what a fault costs."""

import asyncio
import json
import threading
import time

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingesting import access, syslog, trail

from lemnis import app
from lemnis.app import receiving
from lemnis.app.intake import Intake
from lemnis.app.watch import Watch
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import BusyError, ServiceError
from lemnis.contracts.receiving import Delivery, Mark
from lemnis.ingest import received
from lemnis.ingest.mapping import Mapper
from lemnis.interfaces.cli import run as lemnis
from lemnis.store.inbox import Inbox, Letter
from lemnis.store.lake import Lake

NOW = 1_762_200_000_000


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "workspace", clock=ManualClock(NOW))


@pytest.fixture
def inbox(workspace):
    made = receiving.inbox(workspace)
    yield made
    made.close()


def put(inbox, *deliveries):
    assert inbox.append([Letter([one]) for one in deliveries]) == [None] * len(deliveries)


def work(workspace, inbox, watch=None):
    told = []
    worker = receiving.Worker(workspace, inbox, watch, told=told.append)
    while worker.step():
        pass
    return told


def rows(workspace, columns="raw_data"):
    return app.lake(workspace).query(f"SELECT {columns} FROM events ORDER BY ALL", limit=100_000).to_pylist()


def uids(workspace):
    return [row["uid"] for row in rows(workspace, "metadata.uid AS uid")]


def account(told):
    return tuple(
        sum(getattr(one, name) for one in told) for name in ("accepted", "duplicates", "rejected", "dead")
    )


def lines(text):
    return text.encode().splitlines(keepends=True)


def test_what_is_received_is_queryable_and_leaves_the_inbox(workspace, inbox):
    put(
        inbox,
        Delivery("web_combined", "192.0.2.1", access(1, 5).encode()),
        Delivery("linux_syslog", "192.0.2.2", syslog(0, 3).encode()),
        Delivery("aws_cloudtrail", "s3://logs/1", trail(0, 4).encode()),
        Delivery("auto", "192.0.2.3", access(100, 5).encode()),
    )
    told = work(workspace, inbox)
    assert account(told) == (5 + 3 + 4 + 5, 0, 0, 0)
    assert {one.source for one in told} == {"web_combined", "linux_syslog", "aws_cloudtrail", "auto"}
    assert len(rows(workspace)) == 17
    assert inbox.waiting() == []


def test_the_same_delivery_again_is_known_and_a_repeated_line_is_not(workspace, inbox):
    (line,) = lines(syslog(1, 1))
    again = Delivery("linux_syslog", "192.0.2.2", line * 2)
    put(inbox, again, Delivery("linux_syslog", "192.0.2.2", line, key="datagram 1"))
    assert account(work(workspace, inbox)) == (3, 0, 0, 0)
    put(
        inbox,
        again,
        Delivery("linux_syslog", "192.0.2.2", line, key="datagram 2"),
        Delivery("linux_syslog", "192.0.2.9", line * 2),
    )
    assert account(work(workspace, inbox)) == (3, 2, 0, 0)


def test_uids_do_not_depend_on_what_was_worked_on_together(tmp_path):
    deliveries = [
        Delivery("linux_syslog", f"192.0.2.{n % 3}", syslog(n, 1 + n % 4).encode() + b"\n" * (n % 2))
        for n in range(9)
    ]
    found = []
    for name, parts in (("one", [deliveries]), ("each", [[d] for d in deliveries])):
        workspace = app.init(tmp_path / name, clock=ManualClock(NOW))
        inbox = receiving.inbox(workspace)
        for some in parts:
            put(inbox, *some)
            work(workspace, inbox)
        found.append(uids(workspace))
        inbox.close()
    assert found[0] == found[1]
    assert len(set(found[0])) == sum(1 + n % 4 for n in range(9))


def test_rejects_say_which_delivery_and_where_in_it(workspace, inbox):
    good, bad = access(1, 2).encode(), b"no request\n"
    put(
        inbox,
        Delivery("web_combined", "192.0.2.1", good),
        Delivery("web_combined", "192.0.2.2", good + bad),
        Delivery("web_combined", "192.0.2.3", b"cut", refused="longer than a message may be"),
        Delivery("web_combined", "192.0.2.2", good + bad + good),
    )
    assert account(work(workspace, inbox)) == (2 + 2 + 4, 0, 3, 0)
    found = app.lake(workspace).query(
        "SELECT file, record, reason, raw, metadata.log_name AS source FROM rejects ORDER BY ALL"
    )
    wrong = "not a line of an access log in common or combined format"
    assert found.to_pylist() == [
        {"file": "192.0.2.2", "record": 3, "reason": wrong, "raw": b"no request", "source": "web_combined"},
        {"file": "192.0.2.2", "record": 3, "reason": wrong, "raw": b"no request", "source": "web_combined"},
        {"file": "192.0.2.3", "record": None, "reason": "longer than a message may be", "raw": b"cut",
         "source": "web_combined"},
    ]  # fmt: skip


class PoisonError(Exception):
    pass


def poisoned(monkeypatch, *words):
    """Let the mapping raise for records that hold one of the words, as an error in it would."""
    whole = Mapper.map

    def mapping(self, batch, **options):
        texts = batch.records.to_pylist()
        if any(word in text for text in texts for word in words):
            raise PoisonError("the mapping has an error")
        return whole(self, batch, **options)

    monkeypatch.setattr(Mapper, "map", mapping)
    return whole


def test_a_record_that_nobody_foresaw_costs_only_itself(workspace, inbox, monkeypatch):
    poisoned(monkeypatch, "page/17 ", "page/203 ")
    put(
        inbox, *(Delivery("web_combined", f"192.0.2.{n}", access(n * 10 + 1, 10).encode()) for n in range(25))
    )
    put(inbox, Delivery("linux_syslog", "192.0.2.2", syslog(0, 3).encode()))
    told = work(workspace, inbox)
    unreadable = 250 // 41
    assert account(told) == (250 - 2 + 3, 0, unreadable + 2, 0)
    lost = app.lake(workspace).query(
        "SELECT file, record, raw FROM rejects WHERE reason = 'a defect: PoisonError: the mapping has an error' ORDER BY file"
    )
    (seventeen,), (later,) = lines(access(17, 1)), lines(access(203, 1))
    assert lost.to_pylist() == [
        {"file": "192.0.2.1", "record": 7, "raw": seventeen.rstrip()},
        {"file": "192.0.2.20", "record": 3, "raw": later.rstrip()},
    ]


def test_a_source_of_which_nothing_can_be_mapped_does_not_stall_others(workspace, inbox, monkeypatch):
    poisoned(monkeypatch, "GET")
    put(inbox, *(Delivery("web_combined", "192.0.2.1", access(n * 300, 300).encode()) for n in range(1, 20)))
    put(inbox, Delivery("linux_syslog", "192.0.2.2", syslog(0, 3).encode()))
    calls = []
    counted = Mapper.map
    monkeypatch.setattr(Mapper, "map", lambda self, b, **o: (calls.append(1), counted(self, b, **o))[1])
    accepted, _, _, dead = account(work(workspace, inbox))
    assert accepted == 3
    lost = app.lake(workspace).query(
        "SELECT 1 FROM rejects WHERE starts_with(reason, 'a defect: PoisonError')", limit=9000
    )
    assert sum(one.delivery.data.count(b"GET") for one in inbox.dead()) + len(lost) == 19 * 300
    assert dead < 80
    assert len(calls) < 60
    assert inbox.waiting() == []


def test_when_the_dead_letters_are_full_only_that_source_waits(workspace, monkeypatch):
    poisoned(monkeypatch, "GET")
    inbox = Inbox(workspace.state / "small.db", workspace.clock, max_bytes=60_000)
    worker = receiving.Worker(workspace, inbox)
    for n in range(1, 4):
        put(inbox, Delivery("web_combined", "192.0.2.1", access(n * 400, 400).encode()))
        worker.step()
    assert 60_000 < sum(len(one.delivery.data) for one in inbox.dead()) < 90_000
    put(inbox, Delivery("linux_syslog", "192.0.2.2", syslog(0, 3).encode()))
    worker.step()
    assert [one.source for one in inbox.waiting()] == ["web_combined"]
    assert len(rows(workspace)) == 3
    inbox.close()


SOURCE = """
name: no_such_source
title: Made for a test
vendor: Test
product: Test
parser: jsonl
"""
MAPPING = """
common:
  time: {from: at, format: iso}
events:
  - name: all
    class: base_event
    activity: 99
    set: {message: said}
"""


def test_what_is_of_no_source_is_kept_until_there_is_one(workspace, inbox, capsys):
    put(
        inbox,
        Delivery("no_such_source", "192.0.2.1", b"{}\n"),
        Delivery("auto", "192.0.2.2", b"what is this?\n"),
    )
    assert account(work(workspace, inbox)) == (0, 0, 0, 2)
    reasons = {one.delivery.source: one.reason for one in inbox.dead()}
    assert "no source 'no_such_source'" in reasons["no_such_source"]
    assert "no source recognises it" in reasons["auto"]
    (mine,) = receiving.given_up(workspace, ["no_such_source"])
    at = ("-w", str(workspace.root))
    assert lemnis(["sources", "rejects", "--source", "no_such_source", "--json", *at]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["deliveries"]) == ("no_such_source", 1)
    folder = workspace.content / "sources" / "no_such_source"
    folder.mkdir(parents=True)
    (folder / "source.yaml").write_text(SOURCE)
    (folder / "mapping.yaml").write_text(MAPPING)
    assert lemnis(["sources", "replay", "no_such_source", "--no-detect", "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out)["deliveries"] == 1
    assert account(work(workspace, inbox)) == (0, 0, 1, 0)  # there is a source now, and a record without time
    assert mine.delivery.data == b"{}\n"
    assert [one.delivery.source for one in receiving.given_up(workspace)] == ["auto"]


def test_a_lake_that_cannot_be_written_loses_nothing(workspace, inbox, monkeypatch):
    put(inbox, Delivery("linux_syslog", "192.0.2.2", syslog(0, 3).encode()))
    worker = receiving.Worker(workspace, inbox)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "append", full)
        with pytest.raises(ServiceError, match="No space left"):
            worker.step()
    assert [one.deliveries for one in inbox.waiting()] == [1]
    assert worker.step()
    assert len(rows(workspace)) == 3


def test_what_was_stored_but_not_removed_is_there_once(workspace, inbox, monkeypatch):
    put(inbox, Delivery("linux_syslog", "192.0.2.2", syslog(0, 5).encode() + b"\x00\xff\n"))
    with monkeypatch.context() as patched:
        patched.setattr(Inbox, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            receiving.Worker(workspace, inbox).step()
    assert account(work(workspace, inbox)) == (0, 5, 1, 0)
    assert len(rows(workspace)) == 5
    assert len(app.lake(workspace).query("SELECT 1 FROM rejects")) == 1


def test_workers_share_what_waits(workspace, inbox):
    for n in range(20):
        put(inbox, Delivery("linux_syslog", "192.0.2.2", syslog(n * 10, 3).encode()))
    workers = [receiving.Worker(workspace, inbox, part=(number, 2)) for number in range(2)]
    assert workers[0].step()
    assert not workers[0].step()
    assert 0 < inbox.waiting()[0].deliveries < 20
    assert workers[1].step()
    assert inbox.waiting() == []
    assert len(rows(workspace)) == 60


def test_alerts_and_incidents_follow(workspace, inbox):
    watch = Watch(workspace)
    worker = receiving.Worker(workspace, inbox, watch)
    put(inbox, Delivery("aws_cloudtrail", "s3://logs/1", root_acts()))
    assert worker.step()
    assert watch.alerts > 0
    worker.settle(everything=True)
    assert watch.changes


def root_acts():
    record = {
        "eventVersion": "1.11", "eventTime": "2025-11-03T10:00:00Z", "eventSource": "cloudtrail.amazonaws.com",
        "eventName": "StopLogging", "awsRegion": "eu-central-1", "sourceIPAddress": "198.51.100.9",
        "userIdentity": {"type": "Root", "arn": "arn:aws:iam::1:root", "accountId": "1"}, "userAgent": "x",
        "eventID": "e1", "recipientAccountId": "1", "requestID": "1", "requestParameters": {"name": "trail"},
    }  # fmt: skip
    return orjson.dumps({"Records": [record]})


def test_the_worker_runs_until_it_is_stopped(workspace, inbox):
    told, stop = [], threading.Event()
    worker = receiving.Worker(workspace, inbox, told=told.append)
    thread = threading.Thread(target=worker.run, args=(stop.is_set,))
    thread.start()
    try:
        for n in range(5):
            put(inbox, Delivery("linux_syslog", "192.0.2.2", syslog(n * 10, 3).encode()))
        until = time.monotonic() + 60
        while account(told)[0] < 15 and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        stop.set()
        thread.join()
    assert account(told) == (15, 0, 0, 0)
    lake = app.lake(workspace)
    assert lake.backlog().rows == 0
    assert sum(one.rows for one in lake.status()) == 15


def test_settings_that_break_meanwhile_stop_nothing(workspace, inbox):
    told, stop = [], threading.Event()
    worker = receiving.Worker(workspace, inbox, Watch(workspace), told=told.append)
    path = workspace.root / app.SETTINGS
    sound = path.read_text()
    thread = threading.Thread(target=worker.run, args=(stop.is_set,))
    thread.start()
    try:
        path.write_text("name: [")
        for n in range(3):
            put(inbox, Delivery("linux_syslog", "192.0.2.2", syslog(n * 10, 3).encode()))
            until = time.monotonic() + 60
            while account(told)[0] < 3 * (n + 1) and time.monotonic() < until:
                time.sleep(0.01)
    finally:
        path.write_text(sound)
        stop.set()
        thread.join()
    assert account(told) == (9, 0, 0, 0)


@settings(max_examples=50)
@given(st.data())
def test_a_piece_in_halves_says_the_same_as_the_whole(data):
    text = data.draw(
        st.lists(st.sampled_from([b"", b"a", b"bb\r", b"\xef\xbb\xbfx"]), min_size=1, max_size=9)
    )
    whole = received.Piece.of(Delivery("s", "o", b"\n".join(text)), 1)
    pieces = [whole]
    while (apart := [n for n, one in enumerate(pieces) if one.lines > 1]) and data.draw(st.booleans()):
        n = data.draw(st.sampled_from(apart))
        pieces[n : n + 1] = pieces[n].halves()
    stream, joined = received.together(pieces)
    assert b"".join(stream.blocks()) == whole.data
    _, numbers = joined.of(np.arange(1, whole.lines + 1))
    assert numbers.tolist() == list(range(1, whole.lines + 1))


# -- the intake ----------------------------------------------------------------------------------------------


def test_many_calls_share_a_commit(inbox):
    async def run():
        intake = Intake(inbox)
        await asyncio.gather(*(intake.receive([Delivery("a", "o", b"%d" % n)]) for n in range(500)))
        await intake.receive([Delivery("b", "o", b"x")], Mark("t", "k", "7"))
        await intake.receive([])
        await intake.close()
        return intake.counts, intake.mark("t", "k")

    counts, mark = asyncio.run(run())
    assert (counts.deliveries, counts.gathered, mark) == (501, 0, "7")
    assert counts.commits <= 4
    assert sum(one.deliveries for one in inbox.waiting()) == 501


def test_a_full_inbox_and_a_broken_one_are_told_to_whoever_waits(tmp_path, monkeypatch):
    inbox = Inbox(tmp_path / "inbox.db", ManualClock(NOW), max_bytes=2000)

    async def run():
        intake = Intake(inbox)
        sizes = [1000, 5000, 100]
        said = await asyncio.gather(
            *(intake.receive([Delivery(str(n), "o", b"x" * n)]) for n in sizes), return_exceptions=True
        )
        assert [type(one) for one in said] == [type(None), BusyError, type(None)]
        with monkeypatch.context() as patched:
            patched.setattr(Inbox, "append", lambda *_: 1 / 0)
            with pytest.raises(ServiceError, match="ZeroDivisionError"):
                await intake.receive([Delivery("a", "o", b"x")])
        await intake.receive([Delivery("a", "o", b"x")])
        await intake.close()
        return intake.counts

    counts = asyncio.run(run())
    assert (counts.deliveries, counts.busy, counts.failed) == (3, 1, 1)
    inbox.close()


def test_a_caller_that_goes_away_takes_no_one_with_it(inbox):
    async def run():
        intake = Intake(inbox)
        first = asyncio.create_task(intake.receive([Delivery("a", "o", b"1")]))
        second = asyncio.create_task(intake.receive([Delivery("a", "o", b"2")]))
        await asyncio.sleep(0)
        first.cancel()
        await second
        await intake.close()

    asyncio.run(run())
    assert [one.deliveries for one in inbox.waiting()] == [2]
