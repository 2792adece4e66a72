"""Hunting finds the same whether it reads what rules ask for, or everything."""

import gzip
import json
import random

import pytest

from lemnis.app import hunt, hunt_jobs
from lemnis.contracts.compiled import available
from lemnis.ingest import blocks, quick
from lemnis.ingest.streams import MAX_RECORD_BYTES

pytestmark = pytest.mark.skipif(not available(), reason="needs Numba: the `fast` extra")
RULES = """
title: words
id: 00000000-0000-0000-0000-000000000001
logsource: {product: windows, category: process_creation}
detection:
  a: {Image|endswith: ['\\cmd.exe', '\\sh.exe'], CommandLine|contains|all: [' /c', é]}
  b: {ParentImage: null}
  c: {IntegrityLevel: System}
  condition: (a and not b) or c
---
title: numbers
id: 00000000-0000-0000-0000-000000000002
logsource: {product: windows}
detection:
  a: {EventID: [1, 4688], ProcessId|gt: 90}
  b: {SourceIp|cidr: 10.0.0.0/8}
  c: {Keywords: '0x8000'}
  condition: 1 of *
---
title: keywords
id: 00000000-0000-0000-0000-000000000003
logsource: {product: windows, service: security}
detection:
  keywords: [needle, 'quo"te']
  condition: keywords
---
title: names
id: 00000000-0000-0000-0000-000000000004
logsource: {product: windows}
detection:
  a: {Provider_Name|contains: Sysmon, SourceName|exists: false}
  b: {Data|contains: two}
  c: {Computer|fieldref: TargetServer}
  d: {Message|re: 'n.*line'}
  condition: 1 of *
"""


def event(source):
    """Make an event as one of several shippers writes it, with what may be odd about it."""
    pick = source.choice
    fields = {
        "Image": pick(["C:\\cmd.exe", "/bin/sh.exe", "x"]),
        "CommandLine": pick(["a /c é", "b /C É", 'quo"te', "x" * 1100 + " /c é"]),
        "ParentImage": pick([None, "p", ""]),
        "ProcessId": pick([7, "91", 100, 91.5, "0x5b", True, 10**20]),
        "SourceIp": pick(["10.1.2.3", "::ffff:10.0.0.1", "11.0.0.1", "-", None]),
        "Data": pick([None, ["one", "two"], "two", [], {"x": 1}]),
        "MandatoryLabel": pick(["S-1-16-16384", "S-1-16-4096"]),
        "TargetServer": pick(["h1", "h2"]),
        "Message": pick(["needle", "new\nline", "nothing"]),
        "NewProcessName": pick(["C:\\cmd.exe", "y"]),
    }
    fields = {name: value for name, value in fields.items() if source.random() < 0.8}
    system = {
        "Channel": pick(["Security", "security", "Microsoft-Windows-Sysmon/Operational", "System"]),
        "EventID": pick([1, "1", 4688, 5, 3]),
        "Computer": pick(["h1", "H1", "h3"]),
        "Keywords": pick(["0x8000", -9223372036854775808]),
    }
    shape = source.randrange(5)
    if shape == 0:
        return {"winlog": {
            "channel": system["Channel"], "event_id": system["EventID"], "computer_name": system["Computer"],
            "provider_name": "Microsoft-Windows-Sysmon", "event_data": fields,
        }}  # fmt: skip
    if shape == 1:
        return {
            "Event": {
                "System": {**system, "Provider": {"#attributes": {"Name": "Sysmon"}}},
                "EventData": fields,
            }
        }
    if shape == 2:
        return {**system, "SourceName": "Sysmon", **fields, "@timestamp": "2026-01-01", "EventTime": "x"}
    if shape == 3:
        return {**system, "SourceName": "a", "Provider_Name": "Sysmon", **fields}
    return {**system, **fields, "nested": {"deep": [{"a": [1, 2.5, None]}]}}


def lines(source, count):
    """Make lines, some of which are no events, or hardly lines."""
    for _ in range(count):
        line = json.dumps(event(source), ensure_ascii=False).encode()
        kind = source.randrange(30)
        if kind == 0:
            line = line[: source.randrange(len(line))]
        elif kind == 1:
            line = b" \t" + line.replace(b":", b" :\t", 1) + b" "
        elif kind == 2:
            line = b""
        elif kind == 3:
            line = line.replace(b"1", b"\xff", 1)
        elif kind == 4:
            line = line[:-1] + b', "Image": "twice"}'
        elif kind == 5:
            line = line.replace(b"I", b"\\u0049")
        yield line + (b"\r\n" if source.random() < 0.3 else b"\n")


def hunted(file, rules):
    """Hunt; return what was found, in order."""
    found = []
    for one in hunt.hunt([file], rules, source="windows"):
        if isinstance(one, hunt.Hit):
            found.append(("hit", one.record, one.rule.id, one.time, one.event))
        elif not isinstance(one, hunt.Progress):
            found.append(("reject", one.at.record, one.reason, one.raw))
    return sorted(found, key=lambda one: (one[0], one[1] or 0, one[2]))


@pytest.fixture(autouse=True)
def small_files_too(monkeypatch):
    monkeypatch.setattr(quick, "SMALL", 0)


@pytest.fixture
def rules(tmp_path):
    (tmp_path / "rules.yml").write_text(RULES)
    loaded = hunt.rules([tmp_path / "rules.yml"])
    assert not loaded.problems
    return loaded


def both(monkeypatch, file, rules):
    """Hunt both ways."""
    mine = hunted(file, rules)
    with monkeypatch.context() as patched:
        patched.setattr(quick, "available", lambda: False)
        return mine, hunted(file, rules)


@pytest.mark.parametrize("seed", range(8))
def test_hunting_finds_the_same_both_ways(seed, tmp_path, rules, monkeypatch):
    source = random.Random(seed)  # noqa: S311 - made-up events
    data = (b"\xef\xbb\xbf" if seed % 2 else b"") + b"".join(lines(source, 600))
    file = tmp_path / "events.jsonl"
    file.write_bytes(data[:-1] if seed % 3 else data)
    mine, complete = both(monkeypatch, file, rules)
    assert mine == complete
    assert {one[0] for one in mine} == {"hit", "reject"}
    assert {one[2] for one in mine if one[0] == "hit"} == {rule.id for rule in rules.rules}
    packed = tmp_path / "events.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert hunted(packed, rules) == mine


def test_lines_across_blocks_and_lines_too_long(tmp_path, rules, monkeypatch):
    source = random.Random(5)  # noqa: S311 - made-up events
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 10_000)
    file = tmp_path / "events.jsonl"
    short = list(lines(source, 300))
    long = (
        json.dumps({"Channel": "Security", "EventID": 1, "pad": "x" * 20_000, "ProcessId": 95}).encode()
        + b"\n"
    )
    file.write_bytes(
        b"".join([*short[:150], long, *short[150:], b"x" * (MAX_RECORD_BYTES + 1), b"\n", *short[:9]])
    )
    mine, complete = both(monkeypatch, file, rules)
    assert mine == complete
    assert any("longer" in str(one[2]) for one in mine)


def test_a_cut_archive_ends_with_its_reason(tmp_path, rules, monkeypatch):
    source = random.Random(6)  # noqa: S311 - made-up events
    file = tmp_path / "events.jsonl.gz"
    packed = gzip.compress(b"".join(lines(source, 400)))
    file.write_bytes(packed[: len(packed) * 2 // 3])
    mine, complete = both(monkeypatch, file, rules)
    assert mine == complete
    assert any("ends too early" in str(one[2]) for one in mine)


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "piece"), [(2, 20_000), (3, 8_000), (2, 1_000)])
def test_what_is_found_does_not_depend_on_jobs_and_pieces(jobs, piece, tmp_path, rules, monkeypatch):
    source = random.Random(7)  # noqa: S311 - made-up events
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jsonl").write_bytes(b"".join(lines(source, 200)))
    with (folder / "1.jsonl").open("ab") as file:
        file.write(b"y" * 60_000 + b"\n" + b"".join(lines(source, 50)))
    (folder / "more.log").write_text("nothing that is known\n")
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 30_000)  # the line of y is too long for it
    expected = list(hunt.hunt([folder], rules, jobs=1))
    monkeypatch.setattr(hunt_jobs, "PIECE", piece)
    monkeypatch.setattr(hunt_jobs, "SMALL", piece)
    monkeypatch.setattr(hunt_jobs, "WORTH", 0)
    found = list(hunt.hunt([folder], rules, jobs=jobs))
    hits, others, last = zip(*map(parted, (expected, found)), strict=True)
    assert hits[0] == hits[1]  # in this order
    assert others[0] == others[1]
    assert last[0] == last[1]


def parted(found):
    """Part hits in their order, what could not be read, and how far the hunt came."""
    hits = [one for one in found if isinstance(one, hunt.Hit)]
    last = next(one for one in reversed(found) if isinstance(one, hunt.Progress))
    others = [one for one in found if not isinstance(one, hunt.Hit | hunt.Progress)]
    return hits, sorted(others, key=repr), (last.records, last.rules)


def test_a_small_file_is_read_completely(tmp_path, rules, monkeypatch):
    file = tmp_path / "small.jsonl"
    file.write_bytes(b"".join(lines(random.Random(1), 60)))  # noqa: S311 - made-up events
    mine = hunted(file, rules)
    monkeypatch.setattr(quick, "SMALL", 1 << 20)
    monkeypatch.setattr(quick, "Coder", None)  # nobody asks for one
    assert mine
    assert hunted(file, rules) == mine
