"""SIGKILL at random moments of `lemnis ingest` over logs that grow: nothing lost, nothing twice, the same alerts."""

import random
import subprocess
import sys
import time

import orjson
import pytest

from lemnis import app
from lemnis.app import incidents

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
