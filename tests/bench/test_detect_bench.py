"""`lemnis bench detect`: its parts find the same, measure what they say, and tell what they leave out."""

import random
import sys
from itertools import islice

import orjson
import pytest

from lemnis.app import bench, hunt

RULE = """
title: {name}
id: 00000000-0000-4000-8000-{number:012}
logsource: {{product: windows, category: process_creation}}
detection:
  selection:
    {field}|{how}: '{value}'
  condition: selection
"""
ASKED = (
    ("CommandLine", "contains", "vssadmin"),
    ("CommandLine", "contains", "save*sam"),
    ("Image", "endswith", "\\net.exe"),
    ("CommandLine", "re", "transfer [0-9a-f]+ "),
    ("ParentImage", "startswith", "c:\\windows\\"),
)


@pytest.fixture
def parts():
    return bench.load


@pytest.fixture
def pack(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    for number, (field, how, value) in enumerate(ASKED):
        text = RULE.format(name=f"rule {number}", number=number, field=field, how=how, value=value)
        (folder / f"{number}.yml").write_text(text)
    return folder


@pytest.fixture
def attacks(parts, tmp_path):
    events = parts("_events")
    return events.write(tmp_path / "attacks.jsonl", events.attacks, 500)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def found_by_lemnis(file, pack):
    hits = (item for item in hunt.hunt([file], hunt.rules([pack])) if isinstance(item, hunt.Hit))
    counted = {}
    for hit in hits:
        counted[hit.rule.id] = counted.get(hit.rule.id, 0) + 1
    return counted


def test_the_yardstick_finds_what_lemnis_finds(parts, pack, attacks):
    said = parts("_yardstick").main({"events": attacks, "rules": [pack]})
    assert said["fired"] == found_by_lemnis(attacks, pack)
    assert len(said["fired"]) == len(ASKED)
    assert said["events"] == 500
    assert said["detection"] > 0


@pytest.mark.parametrize("arranged", [True, False])
def test_the_sql_way_finds_what_lemnis_finds(parts, pack, attacks, arranged):
    pytest.importorskip("sigma.backends.sqlite", reason="pysigma-backend-sqlite is not installed")
    said = parts("_sqlway").main({"events": attacks, "rules": [pack], "arranged": arranged})
    assert said["fired"] == found_by_lemnis(attacks, pack)
    assert said["refused"] == 0


def test_detection_alone_counts_the_same_alerts(parts, pack, attacks):
    said = parts("_lemnis").main({"events": attacks, "rules": [pack]})
    assert said["alerts"] == sum(found_by_lemnis(attacks, pack).values())
    assert said["events"] == 500


def test_made_events_repeat_and_have_the_cardinality_they_claim(parts):
    events = parts("_events")

    def made():
        return list(islice(events.sysmon(random.Random(1)), 5_000))  # noqa: S311 - no secret

    first = made()
    assert first == made()
    lines = [event["CommandLine"] for event in map(orjson.loads, first) if "CommandLine" in event]
    assert len(set(lines)) / len(lines) == pytest.approx(events.DISTINCT, abs=0.05)


def test_a_childs_time_memory_and_lines_are_its_own(parts):
    measure = parts("_measure")
    code = "x = bytearray(200 << 20)\nx[::4096] = b'1' * len(x[::4096])\nprint('a'); print('b')"
    used = measure.child([sys.executable, "-c", code], keep=True)
    assert (used.lines, used.output) == (2, b"a\nb\n")
    assert used.peak_mb > 200
    assert 0 < used.first <= used.wall


def test_a_child_that_fails_is_told_with_what_it_said(parts):
    measure = parts("_measure")
    with pytest.raises(measure.ChildError, match="ended with 3: no such thing"):
        measure.child(
            [sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"]
        )


def test_lanes_without_their_data_say_so(parts, tmp_path, monkeypatch):
    monkeypatch.setenv("LEMNIS_BENCH_DATA", str(tmp_path))
    figures = parts("detect").run(["evtx", "real"])
    assert [figure.name.split(":")[:2] for figure in figures] == [
        ["evtx", " left out"],
        ["real", " left out"],
    ]
    assert all("LEMNIS_BENCH_DATA" in figure.name and figure.met for figure in figures)


def test_a_peer_is_found_by_its_checkout_or_its_binary(parts, tmp_path, monkeypatch):
    rsigma = parts("_rsigma")
    binary = tmp_path / "checkout" / "target" / "release" / "rsigma"
    binary.parent.mkdir(parents=True)
    binary.touch(mode=0o755)
    for named in (tmp_path / "checkout", binary):
        monkeypatch.setenv("LEMNIS_PEERS", f"/nowhere:{named}")
        assert rsigma.binary() == binary
    monkeypatch.setenv("LEMNIS_PEERS", "/nowhere")
    assert rsigma.binary() is None


def test_an_agreements_cause_is_what_makes_the_peer_agree(parts, tmp_path):
    pytest.importorskip("sigma.backends.sqlite", reason="pysigma-backend-sqlite is not installed")
    file = tmp_path / "rule.yml"
    file.write_text(
        "title: cleared\nid: 00000000-0000-4000-8000-000000000104\nlogsource: {product: windows, service: system}\n"
        "detection: {selection: {EventID: 104}, condition: selection}\n"
    )
    (rule,) = hunt.rules([file]).rules
    queries = [query for _, query in parts("_sqlway").queries([file]).sql]
    record = {
        "Event": {"System": {"EventID": 104, "Channel": "System"}, "UserData": {"Channel": "Application"}}
    }
    agreement = parts("_agreement")
    row = (orjson.dumps(record).decode(), agreement._evtx.flat(record))
    assert row[1]["Channel"] == "Application"
    assert agreement._cause(rule, queries, row, wanted=True).startswith("flattening")
    assert agreement._cause(rule, [queries[0].replace("104", "7")], row, wanted=True).startswith(
        "unexplained"
    )
