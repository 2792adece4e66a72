"""A fault in one source, file or record: the others go on, and nothing is acknowledged that was not taken."""

import json
import shutil
import threading
import time
from contextlib import contextmanager

import pytest
from acme import MAPPING, SOURCE
from ingesting import access, audit, syslog

from lemnis import app
from lemnis.app import ingest, reloading
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import ServiceError
from lemnis.ingest import mapping
from lemnis.ingest.parsers import syslog as syslog_parser

NOW = 1_762_200_000_000


class PanicException(BaseException):
    pass


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "workspace", clock=ManualClock(NOW))


def counts(workspace):
    sql = "SELECT metadata.log_name AS name, count(*) AS n FROM events GROUP BY 1"
    return {row["name"]: row["n"] for row in app.lake(workspace).query(sql).to_pylist()}


def write(workspace, mapped=MAPPING, source=SOURCE):
    folder = workspace.content / "sources" / "acme"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "source.yaml").write_text(source)
    (folder / "mapping.yaml").write_text(mapped)


def said(*numbers):
    return "".join(json.dumps({"acme": 1, "t": NOW + n, "said": f"word {n}"}) + "\n" for n in numbers)


def test_a_record_on_which_the_mapping_fails_costs_only_itself(workspace, tmp_path, monkeypatch, caplog):
    whole = mapping.Mapper.map

    def fails(self, batch, **more):
        if any("page/7 " in text for text in batch.records.to_pylist()):
            raise ZeroDivisionError("nobody foresaw this")
        return whole(self, batch, **more)

    monkeypatch.setattr(mapping.Mapper, "map", fails)
    (tmp_path / "access.log").write_text(access(1, 40))
    totals = ingest.Ingest(workspace).run([tmp_path / "access.log"])
    assert (totals.accepted, totals.rejected) == (39, 1)
    (one,) = app.lake(workspace).dead_letters()
    assert one.reason == "a defect of the mapping: ZeroDivisionError: nobody foresaw this"
    assert b"page/7 " in one.raw
    assert one.at.record == 7
    assert "failed" in caplog.text
    monkeypatch.undo()
    other = app.init(tmp_path / "other", clock=ManualClock(NOW))
    ingest.Ingest(other).run([tmp_path / "access.log"])
    sql = "SELECT metadata.uid AS uid FROM events"
    uids = {row["uid"] for row in app.lake(workspace).query(sql).to_pylist()}
    assert uids < {row["uid"] for row in app.lake(other).query(sql).to_pylist()}


def test_a_mapping_that_always_fails_comes_to_an_end(workspace, tmp_path, monkeypatch):
    calls = []

    def fails(self, batch, **more):
        calls.append(len(batch))
        raise ZeroDivisionError

    monkeypatch.setattr(mapping.Mapper, "map", fails)
    (tmp_path / "access.log").write_text(access(1, 1000).replace("not a request", "gone"))
    totals = ingest.Ingest(workspace).run([tmp_path / "access.log"])
    assert totals.accepted == 0
    assert totals.rejected == totals.read > 1000
    assert len(calls) < 150


@pytest.mark.parametrize("kind", [ZeroDivisionError, PanicException])
def test_a_parser_that_fails_costs_the_rest_of_its_file(workspace, tmp_path, monkeypatch, kind):
    def fails(stream, options, start, *, whole):
        raise kind("nobody foresaw this")
        yield

    monkeypatch.setattr(syslog_parser, "parse", fails)
    (tmp_path / "a.log").write_text(syslog(1, 5))
    (tmp_path / "b.log").write_text(access(1, 5))
    with monkeypatch.context() as patch:
        patch.setattr("lemnis.ingest.sources.Sources.recognise", recognise_by_name)
        totals = ingest.Ingest(workspace).run([tmp_path / "a.log", tmp_path / "b.log"])
    assert counts(workspace) == {"web_combined": 5}
    (reject,) = totals.examples
    assert "a defect of the parser syslog" in reject.reason
    assert [cursor.position for cursor in app.lake(workspace).cursors("linux_syslog")] == [0]
    monkeypatch.undo()
    ingest.Ingest(workspace).run([tmp_path / "a.log"])
    assert counts(workspace) == {"web_combined": 5, "linux_syslog": 5}


def recognise_by_name(self, stream):
    return self.by_name["linux_syslog" if stream.name.endswith("a.log") else "web_combined"]


class Picky:
    """A watcher that fails on one source while it is told to."""

    def __init__(self, source):
        self.source = source
        self.wrong = True

    def watch(self, batches):
        if self.wrong and any(batch.source == self.source for batch in batches):
            raise ZeroDivisionError("nobody foresaw this")

    def finish(self):
        pass


def test_events_that_could_not_be_looked_at_wait_and_other_files_do_not(workspace, tmp_path):
    for name, text in {"a.log": syslog(1, 5), "b.log": access(1, 5), "c.log": audit(0, 5)}.items():
        (tmp_path / name).write_text(text)
    paths = sorted(tmp_path.glob("*.log"))
    watcher = Picky("linux_syslog")
    with pytest.raises(ServiceError, match=r"1 of the files could not be read on"):
        ingest.Ingest(workspace, watcher=watcher).run(paths)
    assert counts(workspace) == {"web_combined": 5, "linux_audit": 5}
    watcher.wrong = False
    ingest.Ingest(workspace, watcher=watcher).run(paths)
    assert counts(workspace) == {"web_combined": 5, "linux_audit": 5, "linux_syslog": 5}


@contextmanager
def following(run, *paths):
    stop = threading.Event()
    ended = []
    thread = threading.Thread(target=lambda: ended.append(run.follow(list(paths), stop.is_set)))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert ended


def until(holds):
    end = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(reloading, "EVERY_S", 0.05)
    monkeypatch.setattr(ingest, "_POLL_S", 0.05)
    monkeypatch.setattr(ingest, "_AGAIN_S", 0.2)


def test_following_goes_on_after_a_fault_and_tries_again(workspace, tmp_path, quick):
    (tmp_path / "a.log").write_text(syslog(1, 5))
    watcher = Picky("linux_syslog")
    run = ingest.Ingest(workspace, watcher=watcher)
    with following(run, tmp_path / "a.log", tmp_path / "b.log"):
        until(lambda: run.faults)
        (tmp_path / "b.log").write_text(access(1, 5))
        until(lambda: run.totals.accepted == 5)
        watcher.wrong = False
        until(lambda: run.totals.accepted == 10)
    assert counts(workspace) == {"web_combined": 5, "linux_syslog": 5}
    assert not run.faults


def test_following_waits_while_the_lake_cannot_be_written(workspace, tmp_path, quick, monkeypatch, caplog):
    monkeypatch.setattr(ingest, "_WAIT_S", (0.05, 0.2))
    run = ingest.Ingest(workspace)
    append, full = run._lake.append, [True]

    def appended(*given, **more):
        if full:
            raise ServiceError("the spool cannot be used: database or disk is full")
        return append(*given, **more)

    monkeypatch.setattr(run._lake, "append", appended)
    (tmp_path / "b.log").write_text(access(1, 5))
    with following(run, tmp_path / "b.log"):
        until(lambda: "disk is full" in caplog.text)
        assert run.totals.read == 0
        full.clear()
        until(lambda: run.totals.accepted == 5)
    assert counts(workspace) == {"web_combined": 5}


def test_following_takes_over_sources_that_change_and_keeps_the_last_sound_one(
    workspace, tmp_path, quick, caplog
):
    log = tmp_path / "acme.log"
    log.write_text(said(1, 2))
    other = tmp_path / "access.log"
    run = ingest.Ingest(workspace)
    with following(run, log, other):
        write(workspace)
        until(lambda: run.totals.accepted == 2)  # the source came after the file
        write(workspace, "events: [")
        until(lambda: "this source is not used as it is now" in caplog.text)
        with log.open("a") as file:
            file.write(said(3))
        other.write_text(access(1, 5))
        until(lambda: run.totals.accepted == 8)
        write(workspace, MAPPING.replace("message: said", "message: {from: said, map: {word 4: changed}}"))
        until(lambda: "word 4" in run._normalising.sources.by_name["acme"].mapping.model_dump_json())
        with log.open("a") as file:
            file.write(said(4))
        until(lambda: run.totals.accepted == 9)
        shutil.rmtree(workspace.content / "sources" / "acme")
        other.write_text(other.read_text() + access(6, 1))
        until(lambda: run.totals.accepted == 10)
    rows = (
        app.lake(workspace)
        .query("SELECT message FROM http_activity WHERE metadata.log_name = 'acme'")
        .to_pylist()
    )
    assert sorted(str(row["message"]) for row in rows) == ["changed", "word 1", "word 2", "word 3"]
