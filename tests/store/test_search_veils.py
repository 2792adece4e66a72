"""Words do not confirm what is hidden, and events that are not seen are neither found nor counted."""

import json

import pyarrow as pa
import pytest
from lakes import START, lake

from lemnis.contracts.errors import InputError
from lemnis.contracts.events import EventBatch
from lemnis.store.search import Limits, Search
from lemnis.store.searching import completing
from lemnis.store.searching.tree import Group, Not, Term
from lemnis.store.searching.veils import Veil

NOW = START + 86_400_000
PEOPLE = Veil(
    frozenset({"user.name", "user.email_addr"}),
    {"s": frozenset({"login", "deep.login"}), "other": frozenset({"z"})},
)


def event(n, name, message, raw, unmapped=None, *, host="web-1", asset="a1"):
    data = json.dumps({"id": asset})
    return {
        "class_uid": 3002, "time": START + n * 1000, "message": message, "raw_data": raw,
        "unmapped": None if unmapped is None else json.dumps(unmapped), "device": {"hostname": host},
        "actor": {"user": {"name": name, "email_addr": f"{name}@shop.example" if name else None}},
        "metadata": {"uid": f"e{n}", "log_name": "s"},
        "enrichments": [{"name": "device.hostname", "value": host, "type": "asset", "data": data}] if asset else [],
    }  # fmt: skip


ROWS = [
    event(0, "maria.k", "maria.k came in", '{"u": "CORP\\\\maria.k"}'),
    event(1, "lee", "lee let in by maria.k", "lee let in by maria.k"),
    event(2, "CORP\\Otto", "a door", "Otto@shop.example at the door", {"login": "annabel", "x": "blue"}),
    event(3, None, "the door of maria", "door", {"deep": {"login": "bruno"}}, host="db-1", asset="a2"),
    event(4, "x", "x marks it", "boxes", "no object", host="db-2", asset=""),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = lake(tmp_path_factory.mktemp("veils"))
    store.append([EventBatch(3002, "s", "o", pa.Table.from_pylist(ROWS))])
    store.flush()
    return store


def found(store, text, veil):
    search = Search(store, text, now=NOW, limits=Limits(100), veil=veil)
    return sorted(hit.uid for some in search.found() for hit in some)


@pytest.mark.parametrize(("query", "bare", "veiled"), [
    ("maria.k", ["e0", "e1"], ["e1"]), ("maria*", ["e0", "e1", "e3"], ["e1", "e3"]), ('"maria.k came"', ["e0"], []),
    ("*RIA.K", ["e0", "e1"], ["e1"]), ("/mar.a/", ["e0", "e1", "e3"], ["e1", "e3"]), ("otto", ["e2"], []),
    ("shop.example", ["e2"], []), ("annabel", ["e2"], []), ("blue", ["e2"], ["e2"]), ("bruno", ["e3"], []),
    ("came", ["e0"], ["e0"]), ("x", ["e2", "e4"], ["e2", "e4"]), ("NOT maria.k", ["e2", "e3", "e4"], ["e0", "e2", "e3", "e4"]),
    ("came OR bruno", ["e0", "e3"], ["e0"]), ("device.hostname:web-1 maria", ["e0", "e1"], ["e1"]),
])  # fmt: skip
def test_words_are_not_found_in_what_an_event_names_as_personal(store, query, bare, veiled):
    assert found(store, query, None) == bare
    assert found(store, query, PEOPLE) == veiled
    rows = Search(store, f"{query} | stats count", now=NOW, veil=PEOPLE).tables()
    assert sum(row["count"] for table in rows for row in table.to_pylist()) == len(veiled)


def test_words_after_a_stage_are_refused_where_people_are_hidden(store):
    with pytest.raises(InputError, match="people's names") as told:
        Search(store, "door | dedup uid | where maria", now=NOW, veil=PEOPLE)
    assert told.value.at.column == 26
    assert found(store, "door | dedup uid | where maria", None) == ["e3"]
    assert found(store, "| where maria.k", PEOPLE) == ["e1"]


def test_events_that_are_not_seen_are_neither_found_nor_counted_nor_joined_nor_offered(store):
    of_a1 = Term("device.asset.id", ":", "a1", None, 0, quoted=True)
    veil = Veil(only=Not(of_a1))
    assert found(store, "", veil) == ["e3", "e4"]
    assert found(store, "NOT device.hostname:nowhere", veil) == ["e3", "e4"]
    assert found(store, "maria.k OR door", veil) == ["e3"]
    assert found(store, "device.hostname:web-1", veil) == []
    assert found(store, "", Veil(only=Group("AND", (of_a1, Not(Term("time", ":", "*", "%", 0)))))) == []
    (table,) = Search(store, "| stats count", now=NOW, veil=veil).tables()
    assert table.to_pylist() == [{"count": 2}]
    joined = "device.hostname:db-1 | join host [ device.hostname:* ] within 1h"
    assert found(store, joined, veil) == ["e3"]
    assert found(store, "device.hostname:db-1 | join host [ device.hostname:web-1 ] within 1h", veil) == []
    offered = completing.complete(store, "device.hostname:", now=NOW, veil=veil)
    assert {one.text for one in offered} == {"device.hostname:db-1", "device.hostname:db-2"}
