"""Limits hold between processes: two real ones on one database, and one that is killed while it holds a place."""

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from lemnis import app
from lemnis.app.respond_services import limits
from lemnis.contracts.clock import ManualClock, SystemClock
from lemnis.contracts.errors import ServiceError
from lemnis.respond.client import CallError
from lemnis.respond.leasing import LONGEST_WAIT_S, Keeper
from lemnis.respond.limits import Limit, Limited, Limits
from lemnis.respond.template import Rendered
from lemnis.store.database import open_engine
from lemnis.store.leases import SqlLeases
from lemnis.testing import cluster

LEASE = 2.0


@pytest.fixture
def workspace(tmp_path):
    made = app.init(tmp_path / "ws")
    return app.Workspace(made.root, SystemClock())


@pytest.fixture
def postgres(monkeypatch):
    if reason := cluster.missing_postgres():
        pytest.skip(reason)
    with cluster.postgres() as server:
        monkeypatch.setenv("LEMNIS_DATABASE_URL", server.url)
        yield server


def settings(workspace, more):
    text = f'name: ws\nconnections: {{vendor: {{url: "http://127.0.0.1:1", {more}}}}}\n'
    (workspace.root / app.SETTINGS).write_text(text)


def begin(workspace, *, threads=3, times=4, takes=0.05, target="-"):
    words = [LEASE, threads, times, takes, target]
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("leased.py")), str(workspace.root), *map(str, words)],
        stderr=subprocess.PIPE,
    )


def ended(*children):
    for child in children:
        _, said = child.communicate(timeout=120)
        assert child.returncode == 0, said


def lines(workspace):
    return (workspace.root / "calls").read_text().split() if (workspace.root / "calls").exists() else []


def at_once(workspace):
    """The most calls that were under way at one moment, of both processes, and how many there were."""
    most = now = 0
    for line in lines(workspace):
        now += 1 if line == "begin" else -1
        most = max(most, now)
    return most, lines(workspace).count("end")


def both(workspace):
    """Return the most calls at one moment and their number: of a connection with two places, of one target."""
    settings(workspace, "concurrency: 2")
    app.engine(workspace).dispose()
    ended(begin(workspace), begin(workspace))
    connection = at_once(workspace)
    (workspace.root / "calls").unlink()
    settings(workspace, "concurrency: 0")
    children = [begin(workspace, times=2, target="vendor thing") for _ in range(2)]
    ended(*children)
    return connection, at_once(workspace)


@pytest.mark.slow
def test_two_processes_keep_to_a_connections_places_and_one_call_at_a_time_a_target(workspace):
    assert both(workspace) == ((2, 24), (1, 12))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_same_on_postgresql_and_a_killed_holder(workspace, postgres):
    assert both(workspace) == ((2, 24), (1, 12))
    assert killed(workspace) == ["begin"]


def killed(workspace):
    """Kill who holds a target, after it has renewed for a while; return its calls when the place is taken."""
    settings(workspace, "concurrency: 1")
    (workspace.root / "calls").unlink(missing_ok=True)
    child = begin(workspace, threads=1, times=1, takes=600, target="vendor thing")
    while "begin" not in lines(workspace):
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    with limits(workspace, seconds=LEASE) as mine:
        leases = mine.keeper.leases
        until = time.monotonic() + 1.5 * LEASE
        while time.monotonic() < until:  # it is alive, and renews
            assert leases.take("target vendor thing", 1, "run-me") is None
            time.sleep(0.1)
        child.kill()
        child.communicate()
        began = time.monotonic()
        with mine.target("vendor thing", "run-me"), mine.call("vendor", "run-me"):
            assert time.monotonic() - began < 10 * LEASE
        return lines(workspace)


def test_a_killed_holders_places_come_free_and_a_living_ones_do_not(workspace):
    assert killed(workspace) == ["begin"]


def test_the_same_run_goes_on_at_once(workspace):
    settings(workspace, "concurrency: 1")
    with limits(workspace) as before, ExitStack() as stack:
        stack.enter_context(before.target("vendor thing", "run-1"))
        stack.enter_context(before.call("vendor", "run-1"))
        stack.pop_all()  # killed: nothing is given back
        before.keeper.close()
        with limits(workspace) as after:
            after.forget("run-1")
            with after.target("vendor thing", "run-1"), after.call("vendor", "run-1"):
                assert after.keeper.leases.take("target vendor thing", 1, "run-2") is None
            assert after.keeper.leases.take("target vendor thing", 1, "run-2") is not None


class Opened:
    """Two processes with clocks of their own, on one database."""

    def __init__(self, path):
        self.clock = ManualClock(1_000_000)
        self.leases = [SqlLeases(open_engine(path), self.clock.now, seconds=30) for _ in range(2)]
        self.keepers = [Keeper(one, lambda: self.clock.now() / 1000, time.sleep) for one in self.leases]

    def close(self):
        for one in self.keepers:
            one.close()
        for one in self.leases:
            one.close()


@pytest.fixture
def two(tmp_path):
    made = Opened(tmp_path / "journal.db")
    yield made
    made.close()


def test_a_process_that_was_stopped_takes_its_place_anew_before_it_calls(two):
    mine, other = two.keepers[0], two.leases[1]
    with mine.place("target x", 1, "run-1") as hold:
        two.clock.advance(31_000)  # it stood still, and its lease is over
        taken, waits = other.take("target x", 1, "run-2"), []

        def wait(seconds):
            waits.append(seconds)
            if len(waits) == 4:
                other.give(taken)

        mine.sleep = wait
        hold()
        assert len(waits) == 4
        assert other.take("target x", 1, "run-3") is None
    assert other.take("target x", 1, "run-3") is not None


def test_nobody_waits_for_ever(two):
    two.leases[1].seconds = 10 * LONGEST_WAIT_S
    two.leases[1].take("target y", 1, "run-2")
    two.keepers[0].sleep = lambda _seconds: two.clock.advance(60_000)
    with (
        pytest.raises(ServiceError, match="others have held target y for 15 minutes"),
        two.keepers[0].place("target y", 1, "run-1"),
    ):
        raise AssertionError


class Gone:
    """A database that fails."""

    seconds = 30.0

    def take(self, *_given):
        raise ServiceError("the database is away")


def test_a_call_without_its_place_was_surely_not_sent():
    class Caller:
        url = "http://v"

        def send(self, *_given, **_more):
            raise AssertionError("it was sent")

    known = {"v": Limit(concurrency=1)}
    caller = Limited(
        Caller(), "v", Limits(known, lambda: 0.0, lambda _: None, Keeper(Gone(), lambda: 0.0, None))
    )
    with pytest.raises(CallError, match="was not sent: the database is away") as error:
        caller.send(Rendered("GET", "/"), timeout=1)
    assert error.value.unsent
