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
site_of = pytest.fixture(lambda: bench.load("_crash_site"))


@pytest.mark.slow
def test_a_short_campaign_loses_nothing_and_has_nothing_twice():
    command = [sys.executable, "-m", "bench.crash", "--kills", "5", "--seed", "7", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr.decode()
    told = orjson.loads(done.stdout)
    assert sum(told["kills"]["target"].values()) >= 5
    assert told["differs"] == {}
    assert told["figures"]["records"] > 100
    assert told["alerts"] > 0
    assert told["incidents"] == 5
    assert (told["figures"]["lost"], told["figures"]["doubled"], told["figures"]["unforeseen"]) == (0, 0, 0)


@pytest.fixture
def site(tmp_path, site_of):
    made = site_of.Site.make(tmp_path)
    (tmp_path / "workspace" / ".lemnis").mkdir()
    return made


def test_what_was_acknowledged_and_is_not_there_is_lost(site, site_of):
    assert site_of.account(site).lost == ()
    (site.root / "acknowledged").write_bytes(b"0\n")
    assert site_of.account(site).lost == ("n 1", "n 2", "n 3")


def test_one_record_under_two_uids_is_doubled(site, site_of):
    raw = site_of.record("f", 1).decode()
    rows = [
        {"time": 1, "metadata": {"uid": uid, "log_name": "crash"}, "message": "", "raw_data": raw}
        for uid in ("a", "b")
    ]
    app.lake(site.workspace).append([EventBatch(4002, "crash", "o", pa.Table.from_pylist(rows))])
    assert site_of.account(site).doubled == ("f 1",)


def test_a_kill_is_told_by_what_it_hit_and_a_process_may_be_told_to_end_itself(tmp_path, monkeypatch):
    crash = bench.load("_crash")
    (tmp_path / "run").mkdir()
    ended = []
    monkeypatch.setattr(crash.os, "kill", lambda pid, number: ended.append((pid, number)))

    class Store:
        def write(self):
            return self.sync()

        def sync(self):
            return 7

    place = crash.Place(tmp_path, "worker-0")
    place.aim("sync", 3)
    place.begin()
    for name in ("write", "sync"):
        place.watch(Store, name, name)
    crash.Board(tmp_path).fault = "disk full"
    assert Store().write() == 7
    assert ended == []  # it was entered and left: two steps
    assert place.label == crash.BEGIN
    Store().write()
    assert ended == [(place.pid, crash.signal.SIGKILL)]
    told = orjson.loads((tmp_path / "run" / "kills").read_bytes())
    assert told == ["worker-0", "sync", "disk full", "itself"]


def test_parts_of_a_campaign_are_summed_up_and_one_that_was_cut_off_does_not_count(tmp_path):
    ledger, path = bench.load("_crash_ledger"), tmp_path / "ledger"
    whole = {
        "kills": [["keeper", "compaction", "no fault", "itself"], ["settler", "flush", "disk full", "the campaign"]],
        "rounds": 3, "unforeseen": 0, "records": 900, "alerts": 80, "incidents": 5, "faults": {"disk full": 1},
        "lost": [], "doubled": [], "differs": {},
    }  # fmt: skip
    for seed, found in ((1, whole), (2, None), (3, whole | {"lost": ["n 7"], "differs": {"alerts": []}})):
        ledger.note(path, ledger.BEGUN, seed, {})
        if found is not None:
            ledger.note(path, ledger.ENDED, seed, found)
    told = {one.name: one for one in ledger.figures(path)}
    counts = {name: one.value for name, one in told.items()}
    assert (counts["parts"], counts["parts cut off"], counts["kills"]) == (2, 1, 4)
    assert (counts["kills of keeper"], counts["kills in compaction"], counts["kills under disk full"]) == (
        2,
        2,
        2,
    )
    assert (counts["records"], counts["disk full"], counts["rounds"]) == (1800, 2, 6)
    assert {name for name, one in told.items() if not one.met} == {"lost", "differing"}
