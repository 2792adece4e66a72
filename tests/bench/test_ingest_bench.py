"""`lemnis bench ingest`: both sides see all of the same records; what is left out is said."""

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
