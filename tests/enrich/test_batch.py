"""What is added to events, and what rules see of it."""

import numpy as np
import orjson
import pyarrow as pa
import pytest

from lemnis.contracts.detection import Frame, Offers
from lemnis.contracts.events import EventBatch
from lemnis.contracts.reference import ALWAYS, FOREVER, RECORDS
from lemnis.enrich import FIELDS, Tables, enrich, seen
from lemnis.enrich import batch as module
from lemnis.ocsf.validation import misfits, problems

TABLES = {
    "assets": [
        {"id": "db", "hostnames": ["DB1.corp.example."], "addresses": ["2001:db8::7"], "macs": ["00-00-5E-00-53-01"],
         "owner": "data", "criticality": "critical", "services": ["postgresql", "ssh"]},
        {"id": "a", "hostnames": ["mail.one.example"]}, {"id": "b", "hostnames": ["mail.two.example"]},
        {"id": "i-0abc", "owner": "cloud"},
    ],
    "identities": [
        {"id": "anna", "uids": ["S-1-5-21-7-1001"], "name": "anna", "email": "Anna@example.com", "department": "finance",
         "privileged": True},
        {"id": "svc", "names": ["CORP\\backup"], "service_account": True},
    ],
    "networks": [
        {"id": "10.0.0.0/8", "cidr": "10.0.0.0/8", "zone": "office"},
        {"id": "dmz", "cidr": "10.9.0.0/16", "zone": "dmz", "site": "Berlin"},
    ],
    "vulnerabilities": [
        {"id": "1", "asset": "db", "cve": "CVE-2025-1", "severity": "low", "from": 0},
        {"id": "2", "asset": "db", "cve": "CVE-2025-2", "severity": "critical", "from": 50, "until": 90},
    ],
}  # fmt: skip


def tables(known=None):
    rows = [
        {"table": table, "id": one["id"], "from": one.get("from", ALWAYS), "until": one.get("until", FOREVER),
         "origin": f"{table}.csv", "recorded": 5, "revision": 3,
         "record": orjson.dumps({n: v for n, v in one.items() if n not in {"from", "until"}}).decode()}
        for table, some in (known or TABLES).items() for one in some
    ]  # fmt: skip
    return Tables(pa.Table.from_pylist(rows, schema=RECORDS))


def batch(*events):
    names = dict.fromkeys(("time", *(name for event in events for name in event)))
    rows = [dict.fromkeys(names) | {"time": 60} | event for event in events]
    return EventBatch(3002, "test", "test", pa.Table.from_pylist(rows))


def added(*events, known=None):
    column = enrich(batch(*events), tables(known)).table.to_pylist()
    return [
        [(one["name"], one["type"], orjson.loads(one["data"])) for one in row.get("enrichments") or ()]
        for row in column
    ]


def found(event):
    return [
        (name, kind, data.get("id") or data.get("cidr") or data.get("cves"))
        for name, kind, data in added(event)[0]
    ]


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ({"device": {"hostname": "db1.CORP.example"}}, ("device.hostname", "asset", "db")),
        ({"device": {"hostname": "DB1"}}, ("device.hostname", "asset", "db")),
        ({"device": {"uid": "i-0abc"}}, ("device.uid", "asset", "i-0abc")),
        ({"device": {"uid": "i-0abc", "hostname": "DB1"}}, ("device.uid", "asset", "i-0abc")),
        ({"dst_endpoint": {"ip": "2001:DB8:0::7"}}, ("dst_endpoint.ip", "asset", "db")),
        ({"src_endpoint": {"mac": "00:00:5e:00:53:01"}}, ("src_endpoint.mac", "asset", "db")),
        ({"user": {"uid": "s-1-5-21-7-1001"}}, ("user.uid", "identity", "anna")),
        ({"actor": {"user": {"name": "ANNA", "domain": "CORP"}}}, ("actor.user.name", "identity", "anna")),
        ({"user": {"name": "backup", "domain": "corp"}}, ("user.name", "identity", "svc")),
        ({"user": {"email_addr": "anna@EXAMPLE.com"}}, ("user.email_addr", "identity", "anna")),
        ({"src_endpoint": {"ip": "10.9.1.1"}}, ("src_endpoint.ip", "network", "10.9.0.0/16")),
        ({"src_endpoint": {"ip": "10.8.1.1"}}, ("src_endpoint.ip", "network", "10.0.0.0/8")),
    ],
)  # fmt: skip
def test_a_thing_is_found_by_what_the_event_calls_it(event, wanted):
    assert [one for one in found(event) if one[1] != "vulnerability"] == [wanted]


def test_what_could_be_two_is_neither_and_what_is_unknown_gets_nothing():
    for event in (
        {"device": {"hostname": "mail"}}, {"device": {"hostname": "web.db1"}}, {"user": {"name": "backup"}},
        {"user": {"name": "backup", "domain": "other"}}, {"src_endpoint": {"ip": "192.0.2.1"}},
        {"src_endpoint": {"ip": "no address"}}, {"device": {"hostname": None}}, {},
    ):  # fmt: skip
        assert "enrichments" not in enrich(batch(event), tables()).table.column_names


def test_vulnerabilities_are_those_that_were_open_the_worst_first():
    at = [{"time": time, "device": {"hostname": "db1"}} for time in (-1, 10, 60, 90)]
    open_ = [
        [(one["cves"], one["count"], one["worst"]) for _, kind, one in row if kind == "vulnerability"]
        for row in added(*at)
    ]
    low = (["CVE-2025-1"], 1, "low")
    assert open_ == [[], [low], [(["CVE-2025-2", "CVE-2025-1"], 2, "critical")], [low]]


def test_enrichments_are_ocsf_and_say_where_they_are_from_and_what_the_event_brought_stays_before():
    brought = {"name": "src_endpoint.ip", "value": "x", "type": "location", "data": '{"country":"DE"}'}
    rows = [
        {"device": {"hostname": "db1"}, "enrichments": [brought]}, {"device": {"hostname": "none"}, "enrichments": [brought]},
        {"device": {"hostname": "db1"}, "enrichments": None}, {"device": {"hostname": "none"}, "enrichments": None},
    ]  # fmt: skip
    made = enrich(batch(*rows), tables({"assets": TABLES["assets"]}))
    assert [name for name in misfits(made.table, 3002) if name.startswith("enrich")] == []
    assert not any("enrichments" in why for why in problems(made.table, 3002).values())
    ours = {
        "name": "device.hostname", "value": "db1", "type": "asset", "provider": "assets.csv", "created_time": 5,
        "data": '{"id":"db","owner":"data","criticality":"critical","services":["postgresql","ssh"],"revision":3}',
    }  # fmt: skip
    nothing = {"provider": None, "created_time": None}
    assert made.table.column("enrichments").to_pylist() == [
        [brought | nothing, ours], [brought | nothing], [ours], None,
    ]  # fmt: skip
    assert made.table.drop_columns(["enrichments"]).equals(batch(*rows).table.drop_columns(["enrichments"]))


def columns(made, **own):
    count = len(made)
    texts = {name: pa.array(values) for name, values in own.items()}
    frame = Frame("test", "test", Offers(), texts, pa.nulls(count, pa.string()), np.arange(count))
    (one,) = seen(made, [frame])
    return one.columns


def test_rules_see_what_is_known_of_any_place_or_of_one():
    made = enrich(
        batch({"device": {"hostname": "db1"}, "src_endpoint": {"uid": "i-0abc", "ip": "10.9.0.1"}}, {"user": {"name": "anna"}}),
        tables(),
    )  # fmt: skip
    known = columns(made)
    read = {name: known[name].to_pylist() for name in FIELDS if name in known}
    assert read["asset.owner"] == [["data", "cloud"], None]
    assert read["device.asset.owner"] == [["data"], None]
    assert read["src_endpoint.asset.owner"] == [["cloud"], None]
    assert read["asset.services"] == [["postgresql", "ssh"], None]
    assert read["identity.privileged"] == [None, ["true"]]
    assert read["user.identity.department"] == [None, ["finance"]]
    assert read["network.zone"] == [["dmz"], None]
    assert read["vulnerability.cve"] == [["CVE-2025-2", "CVE-2025-1"], None]
    assert read["device.vulnerability.worst"] == [["critical"], None]
    assert "dst_endpoint.asset.owner" not in known
    assert "actor.user.identity.department" not in known
    assert set(known) == set(read)


def test_what_the_event_says_itself_is_what_rules_see():
    events = [{"device": {"hostname": "db1"}}] * 3
    known = columns(
        enrich(batch(*events), tables()), **{"asset.owner": [None, "me", None], "x": ["1", "2", "3"]}
    )
    assert known["asset.owner"].to_pylist() == [["data"], ["me"], ["data"]]
    assert known["x"].to_pylist() == ["1", "2", "3"]
    several = columns(enrich(batch(*events), tables()), **{"asset.owner": [["a", "b"], None, []]})
    assert several["asset.owner"].to_pylist() == [["a", "b"], ["data"], []]


def test_what_is_too_large_is_cut_to_its_id_and_batches_of_any_size_are_the_same(monkeypatch):
    known = {
        "assets": [{"id": "x" * 200, "hostnames": ["h"], "services": ["s" * 200] * 50}, *TABLES["assets"]]
    }
    assert added({"device": {"hostname": "h"}}, known=known)[0][0][2] == {"id": "x" * 200, "revision": 3}
    events = [{"device": {"hostname": name}} for name in ("h", "db1", "none", "h", "db1")] * 7
    whole = added(*events, known=known)
    monkeypatch.setattr(module, "_BYTES", 1000)
    assert added(*events, known=known) == whole


def test_many_overlapping_intervals_of_one_key_are_laid_out():
    known = {
        "assets": [
            {"id": f"a{n}", "hostnames": ["h"], "from": n, "until": 200_000 - n} for n in range(20_000)
        ]
    }
    assert [row[0][2]["id"] for row in added(*({"time": t, "device": {"hostname": "h"}} for t in (5, 30_000, 199_990)), known=known)] == [
        "a5", "a19999", "a9"]  # fmt: skip


def test_dictionary_encoded_columns_and_those_that_are_no_text():
    made = pa.table({
        "time": [60, 60], "user": pa.array([{"name": 5}, {"name": 6}]),
        "device": pa.StructArray.from_arrays([pa.array(["db1", None]).dictionary_encode()], ["hostname"]),
    })  # fmt: skip
    rows = enrich(EventBatch(3002, "t", "t", made), tables()).table.column("enrichments").to_pylist()
    assert [None if row is None else len(row) for row in rows] == [2, None]
