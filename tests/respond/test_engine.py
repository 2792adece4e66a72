"""Runs are durable on SQLite and on PostgreSQL, silent, and leave nothing behind in the process."""

import functools
import gc
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from simulated import INCIDENT, PLAYBOOK

from lemnis.app import respond
from lemnis.app.respond_service import Responder
from lemnis.contracts.errors import ServiceError
from lemnis.respond import engine, records


def work(did, *, ends=None, dies=None, parts=5):
    def part(number):
        if dies == number:
            raise RuntimeError("a bug")
        did.append(number)
        return "ended" if number == ends else engine.GOES_ON

    return engine.Work(parts, part, lambda said: f"finished: {said}")


def test_parts_are_done_in_order_until_one_ends_it(tmp_path, capfd):
    url = f"sqlite:///{tmp_path / 'p.db'}"
    did = []
    assert engine.run("run-1", work(did), url) == "finished: goes on"
    assert did == [0, 1, 2, 3, 4]
    did.clear()
    assert engine.run("run-2", work(did, ends=2), url) == "finished: ended"
    assert did == [0, 1, 2]
    assert capfd.readouterr() == ("", "")
    assert [one for one in threading.enumerate() if "dbos" in one.name.lower()] == []


def test_a_run_that_broke_off_goes_on(tmp_path):
    url, did = f"sqlite:///{tmp_path / 'p.db'}", []
    with pytest.raises(ServiceError, match="a bug"):
        engine.run("run-1", work(did, dies=4), url)
    assert engine.run("run-1", work(did), url) == "finished: goes on"
    assert did == [0, 1, 2, 3, 0, 1, 2, 3, 4]


def test_runs_go_on_at_the_same_time_in_one_engine(tmp_path):
    meet = threading.Barrier(4, timeout=20)

    def part(_number):
        meet.wait()
        return engine.GOES_ON

    with engine.Engine(f"sqlite:///{tmp_path / 'p.db'}") as opened, ThreadPoolExecutor(4) as pool:
        names = [f"run-{number}" for number in range(4)]
        done = list(pool.map(lambda name: opened.run(name, engine.Work(2, part, str)), names))
    assert done == ["goes on"] * 4


def test_values_are_kept_as_text(tmp_path):
    path = tmp_path / "p.db"
    engine.run("run-1", work([]), f"sqlite:///{path}")
    kept = b"".join(one.read_bytes() for one in tmp_path.glob("p.db*"))
    assert b"lemnis_json" in kept
    assert b"py_pickle" not in kept


@pytest.fixture
def postgres(monkeypatch):
    if not shutil.which("initdb") or not shutil.which("pg_ctl"):
        pytest.skip("no PostgreSQL here")
    nobody = pwd.getpwnam("nobody")
    as_user = {"user": nobody.pw_uid} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="lemnis-pg-", dir="/tmp") as name:
        folder = Path(name)
        if as_user:
            os.chown(folder, nobody.pw_uid, -1)
        settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        run = functools.partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_user)
        data = str(folder / "data")
        run(["initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N"])
        run(["pg_ctl", "-D", data, "-o", settings, "-l", str(folder / "log"), "-w", "start"])
        url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
        monkeypatch.setenv("LEMNIS_DATABASE_URL", url)
        try:
            yield url
        finally:
            run(["pg_ctl", "-D", data, "-m", "immediate", "stop"])


# The journal's engines live as long as the process and are not disposed of; psycopg says so when they go.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_postgresql_by_one_setting(postgres, world):
    world.incident()
    planned = respond.plan(world.workspace, PLAYBOOK, INCIDENT)
    respond.approve(world.workspace, planned.plan.digest, actor="ana", reason="test")
    done = respond.run(world.workspace, planned.plan.digest)
    back = respond.plan_undo(world.workspace, done.id)
    respond.approve(world.workspace, back.plan.digest, actor="ana", reason="test")
    assert [done.outcome, respond.run(world.workspace, back.plan.digest).outcome] == ["done", "done"]
    assert len(world.cluster.changes) == len(world.cloud.changes) == 2
    again = respond.plan(world.workspace, PLAYBOOK, INCIDENT)
    waits = respond.request(world.workspace, again.plan.digest)
    respond.approve(world.workspace, again.plan.digest, actor="ana", reason="test")
    with Responder(world.workspace) as responder:
        while responder.waiting or responder.desk.plans or responder.busy:
            responder.step()
    assert records.find_run(world.journal(), waits.id).outcome == "done"
    assert len(world.cluster.changes) == len(world.cloud.changes) == 3
    assert not (world.workspace.state / "playbooks.db").exists()
    world.journal().verify()
    del responder  # its journal's connections go now, while this test takes what psycopg says of them
    gc.collect()


def test_an_interrupted_run_goes_on_in_the_same_process(tmp_path):
    url, did = f"sqlite:///{tmp_path / 'p.db'}", []

    def interrupted(number):
        if number == 4:
            raise KeyboardInterrupt
        return engine.GOES_ON

    with pytest.raises(KeyboardInterrupt):
        engine.run("run-1", engine.Work(5, interrupted, str), url)
    assert engine.run("run-1", work(did), url) == "finished: goes on"
    assert did == [0, 1, 2, 3, 4]


def test_nothing_is_called_over_the_network(tmp_path, monkeypatch):
    def connect(*where):
        raise AssertionError(f"connects to {where}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    assert engine.run("run-1", work([]), f"sqlite:///{tmp_path / 'p.db'}") == "finished: goes on"
