"""Captures by tshark: messages of protocols and flows; its limits and what it says when it fails."""

import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from socket import inet_aton
from subprocess import PIPE

import pytest
from packets import AAAA, ACK, CNAME, RST, SYN, TXT, A, Connection, client_hello, dns, name, pcap, pcapng, udp
from shared_sets import unpacked

from lemnis.content.library import Library
from lemnis.contracts.events import RawBatch
from lemnis.ingest import parsers, reading
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.parsers import Start, _tshark
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream

HOST, SERVER, RESOLVER = "192.0.2.10", "198.51.100.20", "192.0.2.53"
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


@pytest.fixture(scope="module")
def sources():
    return Sources.load(Library.open())


def traffic():
    web = Connection((HOST, 49712), (SERVER, 80)).open()
    web.go(b"GET /a?b=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: odd\tagent\r\n\r\n")
    web.back(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").close()
    ftp = Connection((HOST, 49720), (SERVER, 21)).open().go(b"PASS hunter2-not-real\r\n")
    answers = [("shop.example", CNAME, 300, name("cdn.example")), ("cdn.example", A, 60, inet_aton(SERVER))]
    return [
        udp(HOST, 53001, RESOLVER, 53, dns(7, "shop.example", A)),
        udp(RESOLVER, 53, HOST, 53001, dns(7, "shop.example", A, answers)),
        udp(RESOLVER, 53, HOST, 53002, dns(8, "no.example", AAAA, [], rcode=3)),
        udp(RESOLVER, 53, HOST, 53003, dns(9, "t.example", TXT, [("t.example", TXT, 5, b"\3a\tb")])),
        *web.packets,
        *Connection((HOST, 49713), (SERVER, 443)).open().go(client_hello("tls.example")).packets,
        *Connection(("203.0.113.66", 41000), (HOST, 22)).go(flags=SYN).back(flags=RST | ACK).packets,
        *Connection(("203.0.113.66", 41001), (HOST, 23)).go(flags=SYN).packets,
        *ftp.packets,
    ]


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "traffic.pcap"
    path.write_bytes(pcap(traffic()))
    return path


def records(path, start=None, **limits):
    found = []
    for parsed in parsers.get("pcap").parse(Stream(path), {}, start or Start(), whole=True, **limits):
        assert len(parsed.records) == parsed.fields.num_rows == len(parsed.positions)
        found += [json.loads(record) for record in parsed.records.to_pylist()]
    return found


def events(sources, path):
    source, found, refused = sources.get("pcap"), [], []
    for _, parsed in reading.read(Stream(path), sources):
        refused += parsed.rejects
        if len(parsed.records):
            batch = RawBatch("pcap", path.name, parsed.records, parsed.fields, parsed.positions)
            mapped = Mapper(source).map(batch)
            refused += mapped.rejects
            found += [row for one in mapped.batches for row in one.table.to_pylist()]
    return found, refused


@needs_tshark
@pytest.mark.parametrize("form", [pcap, pcapng])
def test_messages_and_flows_of_a_capture(sources, tmp_path, form):
    path = tmp_path / "traffic.bin"  # the name says nothing
    path.write_bytes(form(traffic()))
    assert sources.recognise(Stream(path)).name == "pcap"
    found, refused = events(sources, path)
    assert not refused
    by_entry = {}
    for event in found:
        by_entry.setdefault(event["metadata"]["transformation_info_list"][0]["name"], []).append(event)
    (asked,), replies = by_entry["dns_query"], by_entry["dns_reply"]
    assert (asked["query"]["hostname"], asked["query"]["type"]) == ("shop.example", "A")
    assert asked["time"] == 1_795_521_600_000
    assert [reply["rcode_id"] for reply in replies] == [0, 3, 0]
    assert replies[0]["answers"][0]["rdata"] == SERVER
    assert replies[0]["src_endpoint"]["ip"] == HOST
    (request,), (response,) = by_entry["http_request"], by_entry["http_response"]
    assert request["http_request"]["url"]["url_string"] == "/a?b=1"
    assert (response["http_response"]["code"], response["dst_endpoint"]["ip"]) == (404, SERVER)
    assert by_entry["tls"][0]["tls"]["sni"] == "tls.example"
    states = {(event["dst_endpoint"]["port"], event["activity_name"]) for event in by_entry["flow"]}
    assert states >= {(80, "Close"), (443, "Traffic"), (22, "Refuse"), (23, "Fail")}
    web = next(event for event in by_entry["flow"] if event["dst_endpoint"]["port"] == 80)
    assert (web["traffic"]["packets_out"], web["traffic"]["packets_in"]) == (5, 3)
    assert web["duration"] == 875


@needs_tshark
def test_what_is_in_packets_does_not_break_lines_and_passwords_are_not_read(capture):
    found = records(capture)
    agents = [record["http.user_agent"] for record in found if "http.user_agent" in record]
    assert agents == ["odd\\tagent"]
    assert any(record.get("ftp.request.command") == "PASS" for record in found)
    assert "hunter2" not in json.dumps(found)


@needs_tshark
def test_a_packed_capture_and_records_of_one_give_the_same(capture, tmp_path):
    packed, spoken = tmp_path / "t.pcap.gz", tmp_path / "t.jsonl"
    packed.write_bytes(gzip.compress(capture.read_bytes()))
    found = records(capture)
    assert records(packed) == found
    spoken.write_text("".join(json.dumps(record) + "\n" for record in found))
    again = [row for parsed in parsers.get("pcap").parse(Stream(spoken), {}, Start(), whole=True)
             for row in parsed.fields.to_pylist()]  # fmt: skip
    assert [{k: v for k, v in row.items() if v is not None} for row in again] == found


@needs_tshark
def test_a_pipe_is_read_once(capture):
    code = (
        "from pathlib import Path\nfrom lemnis.ingest import parsers\nfrom lemnis.ingest.streams import Stream\n"
        "found = parsers.get('pcap').parse(Stream(Path('-')), {}, parsers.Start(), whole=True)\n"
        "print(sum(len(one.records) for one in found))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=capture.read_bytes(), stdout=PIPE, check=True)
    assert int(done.stdout) == len(records(capture))


@needs_tshark
def test_what_is_done_is_left_out(capture):
    whole = len(traffic())
    assert records(capture, Start(position=whole)) == []
    last = records(capture, Start(position=whole - 1))
    assert [record.get("ftp.request.command") for record in last if "frame.number" in record] == ["PASS"]
    assert [record["flow.dst_port"] for record in last if "flow.dst_port" in record] == ["21"]


@needs_tshark
def test_a_capture_that_is_cut_short_gives_what_it_has(sources, capture):
    capture.write_bytes(capture.read_bytes()[:-10])
    found, refused = events(sources, capture)
    assert len(found) > 10
    assert len(refused) == 1
    assert "cut short" in refused[0].reason


@needs_tshark
def test_fields_that_a_version_does_not_have_are_done_without(capture):
    fields = ("frame.number", "no.such.field", "dns.qry.name")
    known = {names for names, _ in _tshark.rows(Stream(capture), fields)}
    assert known == {("frame.number", "dns.qry.name")}


def test_without_tshark_the_reason_is_told(sources, capture, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found, refused = events(sources, capture)
    assert not found
    assert [reject.reason for reject in refused] == [_tshark.MISSING]


def impostor(folder, script):
    folder.mkdir()
    program = folder / "tshark"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'tshark: nothing doing' >&2; exit 4", "tshark: nothing doing"),
        ("exec /bin/sleep 600", "tshark has given nothing for"),
        ("kill -9 $$", "it was ended by signal 9"),
        ("exec tr '\\0' x < /dev/zero", "a line of more than"),
    ],
)
def test_a_tshark_that_fails_stalls_or_floods_is_ended(sources, capture, monkeypatch, script, why):
    monkeypatch.setenv("PATH", impostor(capture.parent / "bin", script))
    monkeypatch.setattr(_tshark, "_STALLED_S", 0.5)
    found, refused = events(sources, capture)
    assert not found
    assert why in refused[0].reason


@needs_tshark
def test_captures_of_others_are_mapped(sources, shared, tmp_path, capsys):
    total, entries = Counter(), Counter()
    files = unpacked(shared / "network/otrf-pcap/otrf-pcap.tar.zst")
    chosen = sorted(path for path in files if path.endswith(".cap"))[::6]
    for path in chosen:
        file = tmp_path / Path(path).name
        file.write_bytes(files[path])
        found, refused = events(sources, file)
        assert all("cut short" in reject.reason for reject in refused), path
        total += Counter(mapped=len(found), cut=len(refused))
        entries += Counter(event["metadata"]["transformation_info_list"][0]["name"] for event in found)
    with capsys.disabled():
        print(f" {len(chosen)} captures: {total['mapped']:,} events, {total['cut']} cut short")  # noqa: T201
    assert entries["flow"] > 0
    assert len(entries) > 2
