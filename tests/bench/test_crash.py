"""The crash campaign: a short one holds, and its account sees what is lost and what is there twice."""

import subprocess
import sys
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from lemnis import app
from lemnis.app import bench
from lemnis.contracts.events import EventBatch

ROOT = Path(__file__).parents[2]
crash = pytest.fixture(lambda: bench.load("_crash"))


@pytest.mark.slow
def test_a_short_campaign_loses_nothing_and_has_nothing_twice():
    command = [sys.executable, "-m", "bench.crash", "--kills", "12", "--seed", "7", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr.decode()
    told = orjson.loads(done.stdout)
    assert sum(told["kills"].values()) >= 12
    assert told["differs"] == []
    assert told["figures"]["records"] > 100
    assert told["alerts"] > 0
    assert (told["figures"]["lost"], told["figures"]["doubled"], told["figures"]["unforeseen"]) == (0, 0, 0)


@pytest.fixture
def site(tmp_path, crash):
    made = crash.Site.make(tmp_path, crash.Place())
    app.init(tmp_path / "workspace")
    return made


def test_what_was_acknowledged_and_is_not_there_is_lost(site, crash):
    assert crash.account(site).lost == ()
    (site.root / "acknowledged").write_bytes(b".")
    assert crash.account(site).lost == ("n 1", "n 2", "n 3")


def test_one_record_under_two_uids_is_doubled(site, crash):
    raw = crash.record("f", 1).decode()
    rows = [
        {"time": 1, "metadata": {"uid": uid, "log_name": "crash"}, "message": "", "raw_data": raw}
        for uid in ("a", "b")
    ]
    app.lake(site.workspace).append([EventBatch(4002, "crash", "o", pa.Table.from_pylist(rows))])
    assert crash.account(site).doubled == ("f 1",)
