"""Fields of enrichments in searches: `asset.criticality`, `device.asset.owner`, `user.department`."""

import json

import pyarrow as pa
import pytest
from lakes import START, batch, lake

from lemnis.contracts.errors import InputError
from lemnis.contracts.events import EventBatch
from lemnis.enrich import FIELDS
from lemnis.store.search import Limits, Search
from lemnis.store.searching import completing, known

NOW = START + 86_400_000


def said(kind, name, **data):
    return {"name": name, "value": "x", "type": kind, "data": json.dumps(data)}


ENRICHED = [
    [
        said("asset", "device.hostname", id="a1", owner="Blue", criticality="critical", services=["pay", "shop"]),
        said("asset", "dst_endpoint.ip", id="a2", owner="red", criticality="low"),
        said("vulnerability", "device.hostname", cves=["CVE-2026-1", "CVE-2026-2"], count=12, worst="high"),
    ],
    [
        said("identity", "actor.user.name", id="i1", department='R&D "x"', privileged=True),
        said("identity", "user.name", id="i2", department="sales", privileged=False),
        said("network", "src_endpoint.ip", cidr="10.0.0.0/8", zone="dmz", owner="net"),
    ],
    [
        {"name": "device.ip", "value": "x", "type": "asset", "data": "{no json"},
        {"name": "device.ip", "value": "x", "type": "asset", "data": '["critical"]'},
        {"name": "device.ip", "value": "x", "type": "geo", "data": json.dumps({"criticality": "critical"})},
        {"name": None, "value": None, "type": "asset", "data": None},
    ],
    None,
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = lake(tmp_path_factory.mktemp("known"))
    rows = [
        {
            "class_uid": 3002, "severity_id": 1, "time": START + n * 1000, "message": f"m {n}",
            "metadata": {"uid": f"e{n}", "log_name": "s"}, "enrichments": more,
        }
        for n, more in enumerate(ENRICHED)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows)
    store.append([EventBatch(3002, "s", "o", table.slice(0, 2)), batch(range(5))])
    store.flush()
    store.append([EventBatch(3002, "s", "o", table.slice(2))])
    return store


def found(store, text):
    search = Search(store, text, now=NOW, limits=Limits(100))
    return sorted(hit.uid for some in search.found() for hit in some)


def rows(store, text):
    return [row for table in Search(store, text, now=NOW).tables() for row in table.to_pylist()]


@pytest.mark.parametrize(("query", "events"), [
    ("asset.criticality:critical", ["e0"]), ("asset.criticality:CRIT*", ["e0"]), ("asset.owner:(blue OR white)", ["e0"]), ("asset.owner:/^r.d$/", ["e0"]),
    ("device.asset.owner:red", []), ("dst_endpoint.asset.owner:red", ["e0"]), ("asset.services:shop", ["e0"]), ("asset.owner:*", ["e0"]),
    ("vulnerability.count:>9", ["e0"]), ("vulnerability.count:>12", []), ("vulnerability.cve:CVE-2026-2", ["e0"]), ('network.zone:dmz network.cidr:"10.0.0.0/8"', ["e1"]),
    ("user.department:sales", ["e1"]), ("identity.department:*", ["e1"]), ("user.identity.department:r*", []), ("actor.user.identity.department:r*", ["e1"]), ('user.department:"R&D \\"x\\""', ["e1"]),
    ("user.privileged:true", ["e1"]), ("user.privileged:true user.privileged:false", ["e1"]), ("class:authentication NOT asset.owner:*", ["e1", "e2", "e3"]), ("asset.id:a1 asset.id:a2", ["e0"]),
])  # fmt: skip
def test_a_query_finds_by_what_is_known(store, query, events):
    assert found(store, query) == events


def test_stages_count_each_value_once_an_event(store):
    assert rows(store, "class:authentication | stats count by asset.owner") == [
        {"asset.owner": "Blue", "count": 1}, {"asset.owner": "red", "count": 1}, {"asset.owner": None, "count": 3},
    ]  # fmt: skip
    assert rows(
        store, "| where vulnerability.count > 3 | table uid, asset.services, vulnerability.count"
    ) == [{"uid": "e0", "asset.services": ["pay", "shop"], "vulnerability.count": [12]}]
    assert rows(store, "| stats dc(user.department) as n") == [{"n": 2}]


def test_a_field_of_the_event_itself_is_asked_too(tmp_path):
    store = lake(tmp_path)
    own = [
        {
            "class_uid": 3002,
            "time": START,
            "metadata": {"uid": "own"},
            "asset": {"owner": "red"},
            "enrichments": ENRICHED[0][:1],
        }
    ]
    store.append([EventBatch(3002, "s", "o", pa.Table.from_pylist(own))])
    assert found(store, "asset.owner:red") == found(store, "asset.owner:blue") == ["own"]


def test_what_no_class_can_know_is_an_unknown_field(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(3))])
    with pytest.raises(InputError, match=r"no event has a field asset\.owner"):
        Search(store, "asset.owner:x", now=NOW)


def test_misspelt_it_is_told(store):
    with pytest.raises(InputError, match=r"did you mean .*asset\.criticality"):
        Search(store, "asset.critcality:x", now=NOW)


def test_fields_and_values_are_completed(store):
    def texts(text):
        return {one.text: one.count for one in completing.complete(store, text, now=NOW)}

    assert texts("asset.cr") == {"asset.criticality": 2}
    assert texts("class:authentication device.asset.o") == {"device.asset.owner": 1}
    assert texts("user.dep") == {"user.department": 2}
    assert texts("asset.owner:b") == {"asset.owner:Blue": 1}
    assert texts("user.privileged:") == {"user.privileged:true": 1, "user.privileged:false": 1}


def test_rules_and_searches_have_the_same_names():
    assert set(known.FIELDS) >= FIELDS
