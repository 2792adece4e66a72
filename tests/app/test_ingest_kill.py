"""SIGKILL at random moments of `lemnis ingest` over logs that grow: nothing lost, nothing twice, the same alerts."""

import io
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tarfile
import time

import orjson
import pytest
import zstandard

from lemnis import app
from lemnis.app import bench, incidents
from lemnis.contracts.clock import ManualClock

NOW = 1_762_200_000_000
KILLS = 22
PROGRAM = (
    "import lemnis.app.ingest, lemnis.app.watch, lemnis.detect.matcher, lemnis.ocsf.entities; "
    "import lemnis.ingest.lines as lines, lemnis.ingest.streams as streams; lines.MAX_BATCH_RECORDS = 40; "
    "streams.BLOCK = 4096; streams.Stream.blocks.__kwdefaults__['size'] = 4096; "
    "from lemnis.interfaces.cli import main; print('ready', flush=True); main()"
)


def start(workspace, folder):
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        "ingest",
        "auto",
        str(folder),
        "--json",
        "-w",
        str(workspace.root),
    ]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout.readline() == b"ready\n"
    return child


def run(workspace, folder):
    return orjson.loads(start(workspace, folder).communicate(timeout=120)[0])


def outcome(workspace):
    lake = app.lake(workspace)
    sql = "SELECT metadata.uid AS uid, raw_data FROM events WHERE class_uid NOT IN (2004, 2005)"
    events = lake.query(sql, limit=1_000_000).to_pylist()
    rejects = lake.query("SELECT metadata.uid AS uid, file, record FROM rejects", limit=1_000_000).to_pylist()
    alerts = [entry.subject for entry in app.journal(workspace).entries(kind="alert")]
    for uids in ([e["uid"] for e in events], [r["uid"] for r in rejects], alerts):
        assert len(uids) == len(set(uids))
    return (
        {e["uid"]: e["raw_data"] for e in events},
        {r["uid"]: (r["file"], r["record"]) for r in rejects},
        set(alerts),
        {frozenset(one.alert_ids) for one in incidents.incidents(workspace) if not one.merged_into},
    )


@pytest.mark.slow
def test_a_killed_ingest_ends_where_an_undisturbed_one_does(tmp_path):
    from ingesting import Logs  # noqa: PLC0415 - beside this file

    moments = random.Random(11)  # noqa: S311 - moments, not secrets
    logs = Logs(tmp_path / "logs")
    logs.grow(100)
    killed = app.init(tmp_path / "killed")
    child = start(killed, logs.folder)
    began = time.monotonic()
    child.communicate(timeout=120)
    usual = time.monotonic() - began
    kills = 0
    while kills < KILLS:
        logs.grow(30)
        child = start(killed, logs.folder)
        try:
            child.wait(moments.uniform(0, usual))
        except subprocess.TimeoutExpired:
            child.kill()
            kills += 1
        child.communicate()
    told = run(killed, logs.folder)
    assert told["read"] == told["accepted"] + told["rejected"] + told["duplicates"]

    calm = app.init(tmp_path / "calm")
    whole = run(calm, logs.folder)
    assert whole["duplicates"] == 0
    events, rejects, alerts, groups = outcome(calm)
    assert len(events) == whole["accepted"]
    assert len(rejects) == whole["rejected"] > 0
    assert alerts
    assert outcome(killed) == (events, rejects, alerts, groups)


FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["lemnis.app.ingest", "lemnis.ingest.parsers.windows", "deltalake", "duckdb"])
STEPS = (2, 3, 4)
"""Behind a read, before an append and behind it."""


def ingest_and_be_killed(root, folder, step):
    """Read event logs three at a time; end by SIGKILL at a step: before or behind a read, or an append."""
    from lemnis.app import ingest  # noqa: PLC0415 - in the process that is killed
    from lemnis.ingest import joining  # noqa: PLC0415 - the same
    from lemnis.store.lake import Lake  # noqa: PLC0415 - the same

    joining._FILES = 3
    left = [step]

    def count():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function):
        def whole(*given, **more):
            count()
            found = function(*given, **more)
            count()
            return found

        return whole

    joining.gather, Lake.append = counted(joining.gather), counted(Lake.append)
    ingest.Ingest(app.open_workspace(root, clock=ManualClock(NOW))).run([folder])


def kept(workspace):
    lake = app.lake(workspace)
    events = lake.query("SELECT metadata.uid AS uid, raw_data FROM events").to_pylist()
    rejects = lake.query("SELECT origin_key, record, reason FROM rejects").to_pylist()
    cursors = {(one.origin_key, one.position, one.offset, one.rejected) for one in lake.cursors("windows")}
    assert len({one["uid"] for one in events}) == len(events)
    return (
        {one["uid"]: one["raw_data"] for one in events},
        sorted((one["origin_key"], one["record"] or 0, one["reason"]) for one in rejects),
        cursors,
    )


def event_logs(packed, count):
    """Return the first few event logs of a ``.tar.zst``, by name."""
    with packed.open("rb") as file:
        data = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = sorted((one for one in archive if one.name.endswith(".evtx")), key=lambda one: one.name)
        return [archive.extractfile(one).read() for one in found[:count]]


@pytest.mark.slow
def test_small_event_logs_read_together_are_there_once_whatever_step_is_killed(tmp_path):
    packed = bench.load("_data").folder() / "windows" / "sigma-regression" / "sigma-regression.tar.zst"
    if not packed.is_file():
        pytest.skip("shared/data has no sigma-regression")
    found = event_logs(packed, 6)
    folder = tmp_path / "logs"
    folder.mkdir()
    for number, data in enumerate(found):
        (folder / f"{number}.evtx").write_bytes(data)
    (folder / "cut.evtx").write_bytes(found[0][: 4096 + 3000])
    calm, killed = (app.init(tmp_path / name, clock=ManualClock(NOW)) for name in ("calm", "killed"))
    ends = []
    for root, steps in ((calm.root, [0]), (killed.root, [*STEPS, *STEPS, 0])):
        for step in steps:
            child = FORKING.Process(target=ingest_and_be_killed, args=(root, folder, step))
            child.start()
            child.join(120)
            ends.append(child.exitcode)
    assert ends == [0, *[-signal.SIGKILL] * 2 * len(STEPS), 0]
    events, rejects, cursors = kept(calm)
    assert len(events) > 10
    assert len(rejects) > 0
    assert len(cursors) == 7
    assert kept(killed) == (events, rejects, cursors)
