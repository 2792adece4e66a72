import threading
import time

import pytest
from watched import DETECTION, batch

from lemnis import app
from lemnis.app import settling
from lemnis.app.settling import Settling
from lemnis.app.watch import Watch
from lemnis.contracts.errors import ServiceError
from lemnis.incidents.view import views

ROWS = [(1, 0, "low", "1.1.1.1"), (2, 1, "high", "1.1.1.1"), (3, 2, "nothing", None)]


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "workspace")


def put(workspace, *some):
    """Detect on events and store them, as a worker does."""
    lake = app.lake(workspace)
    signals = Watch(workspace, detecting=DETECTION).watch([batch(*some)])
    lake.append([batch(*some)], signals=signals)
    return lake


def made(workspace):
    return Settling(workspace, Watch(workspace, detecting=DETECTION))


def running(one, stop):
    thread = threading.Thread(target=one.run, args=(stop.is_set, lambda: None))
    thread.start()
    return thread


def wait(until, seconds=30.0):
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        time.sleep(0.02)
    assert until()


def test_a_step_makes_incidents_and_flushes_when_much_or_old_rows_wait(workspace, monkeypatch):
    lake, one = put(workspace, *ROWS), made(workspace)
    one.step()
    assert len(views(app.journal(workspace))) == 1
    assert lake.backlog().rows >= 3
    monkeypatch.setattr(settling, "FLUSH_ROWS", 3)
    one.step()
    assert lake.backlog().rows == 0
    put(workspace, (4, 3, "nothing", None))
    one.step()
    assert lake.backlog().rows == 1
    monkeypatch.setattr(settling, "FLUSH_S", 0.0)
    one.step()
    assert lake.backlog().rows == 0
    assert {"flush", "correlate"} <= set(one.stages.take())


def test_nothing_is_done_again_before_it_is_due(workspace, monkeypatch):
    one = made(workspace)
    one.step()
    put(workspace, *ROWS)
    one.step()
    assert views(app.journal(workspace)) == {}
    for turn in one._turns:
        turn.due = 0.0
    one.step()
    assert len(views(app.journal(workspace))) == 1


def test_it_runs_until_it_is_stopped_and_leaves_nothing(workspace):
    stop = threading.Event()
    thread = running(made(workspace), stop)
    lake = put(workspace, *ROWS)
    wait(lambda: len(views(app.journal(workspace))) == 1)
    put(workspace, (4, 3, "nothing", None))
    stop.set()
    thread.join()
    assert lake.backlog().rows == 0
    assert sum(one.rows for one in lake.status()) >= 4


def test_what_fails_is_told_and_tried_again(workspace, monkeypatch, caplog):
    monkeypatch.setattr(settling, "_WAIT_S", (0.01, 0.02))
    monkeypatch.setattr(settling, "FLUSH_ROWS", 1)
    lake, one, stop = put(workspace, *ROWS), made(workspace), threading.Event()
    real, faults = type(lake).flush, [ServiceError("the disk is full"), ZeroDivisionError()]

    def flush(self):
        if faults:
            raise faults.pop(0)
        return real(self)

    monkeypatch.setattr(type(lake), "flush", flush)
    thread = running(one, stop)
    wait(lambda: lake.backlog().rows == 0)
    stop.set()
    thread.join()
    assert not faults
    told = [record for record in caplog.records if "cannot be settled" in record.getMessage()]
    assert [bool(record.exc_info) for record in told] == [False, True]


def test_only_one_settles_at_a_time(workspace):
    stops = [threading.Event(), threading.Event()]
    first = running(made(workspace), stops[0])
    wait((workspace.state / "settling.lock").exists)
    time.sleep(0.2)
    second = running(made(workspace), stops[1])
    stops[1].set()
    second.join(0.5)
    assert second.is_alive()
    stops[0].set()
    first.join()
    second.join(30)
    assert not second.is_alive()
