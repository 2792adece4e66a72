"""Names are learnt from DNS and DHCP events, and hold for addresses as of event time."""

import orjson
import pytest
from enriched import NOW, assets

from lemnis import app
from lemnis.app import enriching, ingest
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock, from_iso
from lemnis.contracts.events import RawBatch
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.reading import open_path
from lemnis.ingest.sources import Sources

DAY = 86_400
BEGIN = from_iso("2026-05-01") // 1000


@pytest.fixture
def workspace(tmp_path):
    made = app.init(tmp_path / "w", clock=ManualClock(NOW))
    settings = made.root / app.SETTINGS
    settings.write_text(settings.read_text() + "enrichment: {names: true}\n")
    return made


def conn(at, source="10.0.0.5", target="203.0.113.7"):
    return {"_path": "conn", "ts": BEGIN + at, "uid": f"C{at}", "id.orig_h": source, "id.orig_p": 5, "id.resp_h": target,
            "id.resp_p": 443, "proto": "tcp"}  # fmt: skip


def dns(at, name, *addresses):
    return {"_path": "dns", "ts": BEGIN + at, "uid": f"D{at}", "id.orig_h": "10.0.0.5", "id.orig_p": 5, "id.resp_h": "10.0.0.1",
            "id.resp_p": 53, "proto": "udp", "query": name, "qtype_name": "A", "rcode": 0, "rcode_name": "NOERROR",
            "answers": list(addresses), "TTLs": [60.0] * len(addresses)}  # fmt: skip


def dhcp(at, address, host, lease=3600):
    return {"_path": "dhcp", "ts": BEGIN + at, "uids": [f"L{at}"], "mac": "00:00:5e:00:53:01", "host_name": host,
            "assigned_addr": address, "lease_time": float(lease), "msg_types": ["REQUEST", "ACK"]}  # fmt: skip


def take(workspace, tmp_path, *records, name="zeek.ndjson"):
    path = tmp_path / name
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    totals = ingest.Ingest(workspace, "zeek").run([path])
    assert totals.rejected == 0, totals.examples


def known(workspace):
    """What each connection was enriched with: place, type, and what it says."""
    rows = app.lake(workspace).query("SELECT * FROM network_activity ORDER BY time").to_pylist()
    return [
        [
            (one["name"], one["type"], data.get("hostname") or data.get("id"))
            for one in row.get("enrichments") or ()
            for data in (orjson.loads(one["data"]),)
        ]
        for row in rows
    ]


def test_an_address_has_the_name_that_was_asked_for_before(workspace, tmp_path):
    take(
        workspace, tmp_path, conn(0), dns(10, "Evil.example", "203.0.113.7", "2001:db8::1"), conn(20),
        dns(100, "other.example", "203.0.113.7"), conn(110), conn(3 * DAY),
    )  # fmt: skip
    found = [("dst_endpoint.ip", "dns", "evil.example")]
    assert known(workspace) == [[], found, [("dst_endpoint.ip", "dns", "other.example")], []]
    names = enriching.reference(workspace).records(table="dns").column("id").to_pylist()
    assert sorted(names) == [
        "2001:db8::1 evil.example",
        "203.0.113.7 evil.example",
        "203.0.113.7 other.example",
    ]
    take(workspace, tmp_path, conn(30), name="later.ndjson")
    assert known(workspace)[1:3] == [found, found]


def test_what_is_written_down_says_the_same_as_what_was_just_learnt(workspace, tmp_path):
    records = [dns(10, "a.example", "203.0.113.7"), dns(DAY // 2, "b.example", "203.0.113.7"),
               dns(DAY - 20, "a.example", "203.0.113.7"), conn(DAY), conn(DAY + 1800)]  # fmt: skip
    take(workspace, tmp_path, *records)
    at_once = known(workspace)
    other = app.init(tmp_path / "other", clock=ManualClock(NOW))
    (other.root / app.SETTINGS).write_text((workspace.root / app.SETTINGS).read_text())
    for number, record in enumerate(records):
        take(other, tmp_path, record, name=f"{number}.ndjson")
    assert known(other) == at_once == [[("dst_endpoint.ip", "dns", "b.example")]] * 2


def test_a_leased_address_is_the_machine_that_had_it_at_the_time(workspace, tmp_path):
    assets(workspace, "- {id: m1, hostnames: [laptop1.corp.example]}\n- {id: m2, hostnames: [laptop2]}\n")
    take(
        workspace, tmp_path, dhcp(0, "10.0.0.5", "laptop1"), conn(10), dhcp(4000, "10.0.0.5", "laptop2"), conn(4010),
        conn(9000),
    )  # fmt: skip
    assert known(workspace) == [
        [("src_endpoint.ip", "asset", "m1"), ("src_endpoint.ip", "dns", "laptop1")],
        [("src_endpoint.ip", "asset", "m2"), ("src_endpoint.ip", "dns", "laptop2")],
        [],
    ]


def test_nothing_is_learnt_unless_it_is_asked_for(workspace, tmp_path):
    settings = workspace.root / app.SETTINGS
    settings.write_text(settings.read_text().replace("true", "false"))
    take(workspace, tmp_path, dns(10, "evil.example", "203.0.113.7"), conn(20))
    assert known(workspace) == [[]]
    assert enriching.reference(workspace).head()[0] == 0


def test_what_others_learnt_meanwhile_is_learnt_beside(workspace, tmp_path):
    now = 0.0
    mine, theirs = (enriching.Enriching(workspace, clock=lambda: now, every_s=1) for _ in range(2))
    sources = Sources.load(Library.open())

    def batches(*records):
        path = tmp_path / "some.ndjson"
        path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
        return [
            made
            for read in open_path(path, sources, source="zeek")
            if isinstance(read, RawBatch)
            for made in Mapper(sources.get("zeek")).map(read, origin_key="x", now=NOW).batches
        ]

    def names(run):
        (events,) = run(batches(conn(40)))
        return [orjson.loads(one["data"])["hostname"] for one in events.table["enrichments"].to_pylist()[0]]

    mine(batches(dns(0, "first.example", "203.0.113.9")))  # written down at once
    mine(batches(dns(10, "mine.example", "203.0.113.7")))  # waits
    theirs(batches(dns(20, "theirs.example", "203.0.113.7")))
    now = 2.0
    assert names(mine) == names(theirs) == ["theirs.example"]
    now = 70.0
    assert names(mine) == ["theirs.example"]
    now = 72.0
    found = enriching.reference(workspace).records(table="dns").column("id").to_pylist()
    assert sorted(found) == [
        "203.0.113.7 mine.example",
        "203.0.113.7 theirs.example",
        "203.0.113.9 first.example",
    ]
