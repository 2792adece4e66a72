"""`lemnis bench ingest`: both sides see all of the same records; what is left out is said."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from lemnis.app import bench

parts = pytest.fixture(lambda: bench.load)


def test_lines_are_normalised_and_counted(parts, tmp_path):
    events, normalise = parts("_events"), parts("_normalise")
    file = events.write(tmp_path / "messages.log", events.messages, 300)
    said = normalise.main({"files": [file], "source": "linux_syslog", "passes": 1})
    assert (said["events"] + said["rejects"], said["bytes"]) == (300, file.stat().st_size)
    assert said["ours"] > 0
    assert said["read"] + said["map"] <= said["ours"] * 1.01
    assert "peer" not in said


def test_a_peer_parses_the_same_records(parts, tmp_path):
    events, normalise = parts("_events"), parts("_normalise")
    file = events.write(tmp_path / "trail.log", events.cloud, 300)
    said = normalise.main({"files": [file], "source": "aws_cloudtrail", "peer": "orjson", "passes": 1})
    assert said["events"] == said["records"] == 300
    assert said["peer"] > 0


def test_rejects_are_counted_as_records(parts, tmp_path):
    events, normalise = parts("_events"), parts("_normalise")
    file = events.write(tmp_path / "trail.log", events.cloud, 3)
    with file.open("ab") as more:
        more.write(orjson.dumps({"eventVersion": "1.08"}) + b"\n")
    said = normalise.main({"files": [file], "source": "aws_cloudtrail", "passes": 1})
    assert (said["events"], said["rejects"]) == (3, 1)


def test_lanes_without_their_data_say_so(parts, tmp_path, monkeypatch):
    monkeypatch.setenv("LEMNIS_BENCH_DATA", str(tmp_path))
    (figure,) = parts("ingest").run(["evtx"])
    assert figure.name.startswith("evtx: left out: no data set")
    assert figure.met


def test_requests_are_of_a_kilobyte_an_event_and_each_event_is_its_own(parts, monkeypatch):
    serving = parts("_serving")
    monkeypatch.setattr(serving, "BLOCKS", 2)
    monkeypatch.setattr(serving, "BLOCK", 50)
    made = serving.blocks()
    lines = [orjson.loads(line) for request in made for line in request.splitlines()]
    assert len(lines) == 100
    assert len({(one["Computer"], one["EventRecordID"]) for one in lines}) == 100
    assert all(len(line) == 999 for request in made for line in request.splitlines())
    assert (
        sum("203.0.113.7" in str(one) or "vssadmin" in str(one) or one["EventID"] == 1 for one in lines) >= 2
    )


def test_memory_that_stays_is_told_from_memory_that_grows(parts):
    serving = parts("_serving")
    flat = [(float(n), 100.0) for n in range(90)]
    rising = [(float(n), 100.0 + n) for n in range(90)]
    assert serving.growth(flat, 0, 90) == pytest.approx(1)
    assert serving.growth(rising, 0, 90) > 1.15


def test_memory_is_told_by_process(parts):
    serving = parts("_serving")
    rising = [(float(n), 100.0 + n) for n in range(90)]
    assert serving.thirds(rising, 0, 90) == (114.5, 144.5, 174.5)
    name = "import time; from lemnis.app import processes; processes.name('lemnis-worker-10'); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", name], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline()
        place = Path("/proc") / str(child.pid)
        assert serving._role(place, 0) == "worker"
        assert serving._role(place, child.pid) == "serve"
        child.kill()
    assert serving._role(place, 0) == "ended"


def test_with_more_attacks_a_request_has_as_many_events(parts, monkeypatch):
    serving = parts("_serving")
    monkeypatch.setattr(serving, "BLOCKS", 1)
    monkeypatch.setattr(serving, "BLOCK", 50)
    monkeypatch.setenv("LEMNIS_BENCH_ATTACKS", "40")
    (request,) = serving.blocks()
    lines = [orjson.loads(line) for line in request.splitlines()]
    assert len(lines) == 50
    assert sum(one["EventID"] == 1 for one in lines) >= 40
