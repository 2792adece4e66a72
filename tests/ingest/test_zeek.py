"""Zeek's logs: both formats give the same fields and events, whatever cuts them into pieces."""

import re
from collections import Counter
from datetime import datetime

import orjson
import pytest
from shared_sets import unpacked

from lemnis.content.library import Library
from lemnis.contracts.events import RawBatch
from lemnis.ingest import reading
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.parsers import Start
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream

HEADER = (
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
    "#fields\tts\tid.orig_h\tservice\tlocal_orig\ttags\tweight\n"
    "#types\ttime\taddr\tstring\tbool\tset[string]\tdouble\n"
)
ROW = "1.500000\t192.0.2.1\tdns\tT\ta,b\t2.000000\n"


@pytest.fixture(scope="module")
def sources():
    return Sources.load(Library.open())


def events(sources, path, *, most=10**9):
    """Map a file as Zeek's; its events in order of their numbers, and how many were not taken."""
    found, rejected, mapper = [], 0, Mapper(sources.get("zeek"))
    for _, parsed in reading.read(Stream(path), sources, sources.get("zeek")):
        rejected += len(parsed.rejects)
        batch = RawBatch("zeek", path.name, parsed.records, parsed.fields, parsed.positions)
        mapped = mapper.map(batch, origin_key=path.name)
        rejected += len(mapped.rejects)
        place = {record: n for n, record in enumerate(parsed.records.to_pylist(), len(found))}
        rows = [row for one in mapped.batches for row in one.table.to_pylist()]
        found += sorted(rows, key=lambda row: place[row["raw_data"]])
        if len(found) >= most:
            break
    return found[:most], rejected


def alike(value):
    """Write times and numbers one way, to the microsecond that the text format has."""
    if isinstance(value, dict):
        return {k: same for k, v in value.items() if (same := alike(v)) is not None}
    if isinstance(value, list):
        return [one for one in map(alike, value) if one != ""] or None  # (empty) is both [] and [""]
    if isinstance(value, str) and re.match(r"^-?\d+(\.\d+)?(e[-+]?\d+)?$", value):
        return round(float(value), 6)
    if isinstance(value, str) and re.match(r"^\d{4}-\d\d-\d\dT.*Z$", value):
        return round(datetime.fromisoformat(value).timestamp(), 6)
    return value


def comparable(event):
    """Return an event without what tells the format: the raw text, its uid, when it was written."""
    plain = dict(event)
    del plain["raw_data"]
    plain["metadata"] = {**event["metadata"], "uid": None}
    unmapped = orjson.loads(plain.pop("unmapped", None) or "{}")
    plain["left"] = {k: v for k, v in unmapped.items() if k not in {"_write_ts", "_open"}}
    return alike(plain)


@pytest.mark.parametrize("log", [pytest.param("conn", marks=pytest.mark.slow), "dns", "http"])
def test_both_formats_give_the_same_events(sources, log):
    folder = sources.get("zeek").folder / "samples"
    tabbed, refused = events(sources, folder / f"{log}.log")
    spoken, _ = events(sources, folder / f"{log}.json")
    assert tabbed
    assert refused == 0
    assert [comparable(one) for one in tabbed] == [comparable(one) for one in spoken]


def test_both_formats_of_the_same_traffic_give_the_same_events(sources, shared, tmp_path, capsys):
    files = unpacked(shared / "network/zed-sample-zeek/zed-sample-zeek.tar.zst")
    score = Counter()
    for name, data in files.items():
        log = name.rpartition("/")[2].removesuffix(".log")
        other = files.get(f"zeek-json/{log}.json")
        if other is None or log == "loaded_scripts":  # whose rows have no time of their own
            continue
        one, two = tmp_path / f"{log}.log", tmp_path / f"{log}.json"
        one.write_bytes(b"".join(data.splitlines(keepends=True)[:1_200]))
        two.write_bytes(b"".join(other.splitlines(keepends=True)[:1_200]))
        tabbed, refused = events(sources, one, most=1_000)
        spoken, _ = events(sources, two, most=1_000)
        assert refused == 0, log
        pairs = zip(map(comparable, tabbed), map(comparable, spoken), strict=True)
        wrong = next(((a, b) for a, b in pairs if a != b), None)
        assert wrong is None, log
        score[log] += len(tabbed)
    with capsys.disabled():
        print(f" Zeek, both formats alike: {score.total():,} events of {len(score)} logs")  # noqa: T201
    assert len(score) >= 15


@pytest.mark.parametrize("name", ["zed-sample-zeek", "otrf-zeek", "rita-zeek"])
def test_logs_of_others_are_recognised_and_mapped(sources, shared, tmp_path, capsys, name):
    total = Counter()
    for path, data in unpacked(shared / f"network/{name}/{name}.tar.zst").items():
        if not path.endswith((".log", ".json")) or "/host/" in path:
            continue
        file = tmp_path / path.rpartition("/")[2]
        file.write_bytes(b"".join(data.splitlines(keepends=True)[:1_000]))
        source = sources.recognise(Stream(file))
        assert source is not None, path
        assert source.name == "zeek", path
        found, refused = events(sources, file)
        total += Counter(mapped=len(found), rejected=refused)
    with capsys.disabled():
        print(f" {name}: {total['mapped']:,} records mapped, {total['rejected']} rejected")  # noqa: T201
    assert total["rejected"] <= 1  # rita has one row that lacks a value


def test_types_unset_values_and_empty_ones(parse):
    rows = "1.250000\t192.0.2.1\t(empty)\tF\t(empty)\t-\n1.000000\t192.0.2.2\t-\t-\t-\t4.294967296e+09\n"
    records, rejects = parse("zeek", HEADER + rows, name="conn.log")
    assert not rejects
    assert records == [
        {"ts": "1.25", "id.orig_h": "192.0.2.1", "service": "", "local_orig": "false", "tags": [],
         "_path": "conn"},
        {"ts": "1.0", "id.orig_h": "192.0.2.2", "weight": "4294967296.0", "_path": "conn"},
    ]  # fmt: skip


def test_escapes_are_undone_as_json_has_them(parse):
    row = "1.0\t192.0.2.1\t\\x2d\\\\a\\x09\\xc3\\xa4\\x00\\xff\tT\ta\\x2cb,\\x28empty)\t-\n"
    (record,), _ = parse("zeek", HEADER + row, name="conn.log")
    assert record["service"] == "-\\a\tä\\x00\\xff"
    assert record["tags"] == ["a,b", "(empty)"]


def test_a_row_that_does_not_fit_costs_only_itself(parse):
    records, rejects = parse("zeek", HEADER + "1.0\tx\n" + ROW + ROW.replace("\n", "\t\n"), name="conn.log")
    assert [record["id.orig_h"] for record in records] == ["192.0.2.1", "192.0.2.1"]
    assert [reject.reason for reject in rejects] == ["2 values where the header has 6"]
    assert rejects[0].at.record == HEADER.count("\n") + 1
    records, rejects = parse("zeek", "#close\tnow\n" + ROW, name="conn.log")
    assert not records
    assert [reject.reason for reject in rejects] == ["no #fields header comes before it"]


def test_a_new_header_holds_from_where_it_stands_and_after_a_restart(parse):
    second = "#path\tweird\n#fields\tts\tname\n#types\ttime\tstring\n2.0\todd\n"
    text = HEADER + ROW + second + "3.0\todder\n"
    records, _ = parse("zeek", text)
    assert [record["_path"] for record in records] == ["conn", "weird", "weird"]
    assert records[1] == {"ts": "2.0", "name": "odd", "_path": "weird"}
    done = Start(text.count("\n") - 1, len(text.encode()) - len("3.0\todder\n"))
    assert parse("zeek", text, start=done)[0] == records[2:]


def test_a_record_says_its_log_by_its_own_word_its_file_or_its_fields(parse):
    line = '{"ts":1.0,"uid":"CAbc","id_orig_h":"192.0.2.1","trans_id":1,"query":"a.example"}\n'
    assert parse("zeek", line, name="x.json")[0][0]["_path"] == "dns"
    assert parse("zeek", line, name="weird.2026-11-24-12.log.json")[0][0]["_path"] == "weird"
    named = line.replace("{", '{"@stream":"ssl",', 1)
    (record,), _ = parse("zeek", named, name="weird.json")
    assert record["_path"] == "ssl"
    assert record["id.orig_h"] == "192.0.2.1"
    assert "_path" not in parse("zeek", '{"ts":1.0,"a":"b"}\n', name="x.json")[0][0]
