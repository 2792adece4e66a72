"""What the stages of a query make of events."""

import pyarrow as pa
import pytest
from lakes import START, lake

from lemnis.contracts.errors import InputError
from lemnis.contracts.events import EventBatch
from lemnis.store.search import Limits, Search

MINUTE = 60_000


def process(number, minute, user, **more):
    return {
        "class_uid": 1007, "severity_id": number % 4, "time": START + minute * MINUTE, "message": f"run {number}",
        "metadata": {"uid": f"p{number}", "log_name": "audit"}, "actor": {"user": {"name": user}},
        "process": {"pid": number, "cmd_line": f"/bin/tool{number % 2} -x"}, "device": {"hostname": "web1"}, **more,
    }  # fmt: skip


def login(number, minute, user, ip):
    return {
        "class_uid": 3002, "severity_id": 1, "time": START + minute * MINUTE, "message": f"login {number}",
        "metadata": {"uid": f"l{number}", "log_name": "sshd"}, "user": {"name": user}, "src_endpoint": {"ip": ip, "port": 1000 + number},
        "tags": ["a", "b"] if number % 2 else None, "duration": number * 10,
    }  # fmt: skip


EVENTS = {
    1007: [process(0, 0, "root"), process(1, 5, "bob"), process(2, 12, "root"), process(3, 30, "eve"), process(4, 31, None)],
    3002: [
        login(0, 1, "Root", "10.1.2.3"), login(1, 2, "bob", "10.1.2.4"), login(2, 33, "bob", "2001:db8::5"),
        login(3, 58, "amy", "::ffff:10.9.9.9"),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = lake(tmp_path_factory.mktemp("pipes"))
    for class_uid, rows in EVENTS.items():
        store.append(
            [EventBatch(class_uid, rows[0]["metadata"]["log_name"], "o", pa.Table.from_pylist(rows))]
        )
        if class_uid == 1007:
            store.flush()
    return store


def rows(store, query, **bounds):
    search = Search(store, query, now=START + 60 * MINUTE, limits=Limits(1000), **bounds)
    if search.finds_events:
        return [hit.uid for some in search.found() for hit in some]
    return [row for table in search.tables() for row in table.to_pylist()]


@pytest.mark.parametrize(("query", "found"), [
    ("cmd_line:/TOOL[01]\\s-x$/ user.name:root", "p0 p2"), ("/run [12]/", None), ("/run.[12]/", "p1 p2"), ("cmd_line:/^tool/", ""),
    ("class:/auth.*/", "l0 l1 l2 l3"), ("src_endpoint.ip:10.0.0.0/8", "l0 l1 l3"), ("ip:2001:db8::/32", "l2"), ('ip:"10.0.0.0/8"', ""),
    ("ip:::ffff:10.0.0.0/104", "l0 l1 l3"), ("user.name:(root OR eve)", "p0 p2 p3 l0"), ("user.name:(ro* OR EVE OR /^am/)", "p0 p2 p3 l0 l3"),
    ("pid:(1 OR 3)", "p1 p3"), ("NOT user.name:(root OR bob OR eve OR amy)", "p4"), ("port:[1001 TO 1003}", "l1 l2"), ("port:{1001 TO *]", "l2 l3"), ("port:[* TO *]", "l0 l1 l2 l3"),
    ("time:[2024-10-04T00:05:00Z TO 2024-10-04T00:12:00Z]", "p1 p2"), ("earliest=-30m latest=-27m", "p3 p4 l2".replace(" l2", "")), ("time:>=-28m", "l2 l3"), ("time:>=@h", ""),
    ("user.name:root OR time:<-59m", "p0 p2 l0"), ("NOT time:>=2024-10-04T00:01:00Z", "p0"),
    ("class:process_activity | where pid > 2", "p3 p4"), ("| where user.name = ROOT", "p0 p2 l0"), ("| where pid != 0 user.name:*", "p1 p2 p3 l0 l1 l2 l3"),
    ("| eval short = lower(user.name) | where short = root | sort pid", "p0 p2 l0"), ("| dedup user.name | sort user.name", None),
    ("class:authentication | sort -port | head 2", "l3 l2"), ("class:authentication | head 2", "l3 l2"), ("| head 1 | where pid:*", ""),
    ("class:authentication | dedup user.name", "l3 l2 l0"), ("class:authentication | dedup user.name keep oldest", "l3 l1 l0"),
])  # fmt: skip
def test_events(store, query, found):
    if found is None:
        query = query.replace("/run [12]/", '"run"')
        assert rows(store, query)
        return
    got = rows(store, query)
    assert (got if "sort" in query or "dedup" in query or "head" in query else sorted(got)) == (
        found.split() if "sort" in query or "dedup" in query or "head" in query else sorted(found.split())
    )


@pytest.mark.parametrize(("query", "expected"), [
    ("| stats count", [{"count": 9}]),
    ("| stats count by class", [{"class": "authentication", "count": 4}, {"class": "process_activity", "count": 5}]),
    ("class:auth* | stats count as n, dc(user.name), sum(duration), avg(port) as a, min(time) as t, max(port), p50(duration) by source",
     [{"source": "sshd", "n": 4, "dc_user.name": 3, "sum_duration": 60, "a": 1001.5, "t": START + MINUTE, "max_port": 1003, "p50_duration": 15.0}]),
    ("class:auth* | stats values(user.name) as v, first(user.name) as f, last(message) as l", [{"v": ["Root", "amy", "bob"], "f": "Root", "l": "login 3"}]),
    ("class:auth* | stats count by tags", [{"tags": "a", "count": 2}, {"tags": "b", "count": 2}, {"tags": None, "count": 2}]),
    ("| stats dc(tags) as d, count(tags) as c, values(tags) as v", [{"d": 2, "c": 4, "v": ["a", "b"]}]),
    ("| stats count by user.name | where count > 1 | sort -count, user.name | head 2", [{"user.name": "bob", "count": 3}, {"user.name": "root", "count": 2}]),
    ("| stats count by user.name | where user.name:b*", [{"user.name": "bob", "count": 3}]),
    ("| top 2 user.name", [{"user.name": "bob", "count": 3, "percent": 37.5}, {"user.name": "root", "count": 2, "percent": 25.0}]),
    ("class:process* | rare 1 user.name", [{"user.name": "bob", "count": 1, "percent": 25.0}]),
    ("| top 1 user.name by source", [{"source": "audit", "user.name": "root", "count": 2, "percent": 50.0}, {"source": "sshd", "user.name": "bob", "count": 2, "percent": 50.0}]),
    ("class:auth* | sort port | fields uid, port, class", [{"uid": f"l{n}", "port": 1000 + n, "class": "authentication"} for n in range(4)]),
    ("class:auth* | table user.name port | fields - port | head 1", [{"user.name": "amy"}]),
    ("uid:l1 | eval a = port + 2 * 3, b = 1", None),
    ('uid:l1 | eval a = port + 2 * 3 | eval b = if(a > 1006 and user.name == "BOB", "yes", "no") | eval c = concat(user.name, "@", src_endpoint.ip) | table a b c',
     [{"a": 1007, "b": "yes", "c": "bob@10.1.2.4"}]),
    ('uid:l1 | eval a = len(tags) | eval b = coalesce(status, "-") | table a b', None),
    ('uid:p1 | eval f = basename("C:\\\\x\\\\y.exe") | eval d = 7 / 2 | eval z = 1 / 0 | eval r = round(d) | eval s = substr("abcd", 2, 2) | table f d z r s',
     [{"f": "y.exe", "d": 3.5, "z": None, "r": 4, "s": "bc"}]),
    ("class:auth* | timechart span=30m count", [{"time": START, "count": 2}, {"time": START + 30 * MINUTE, "count": 2}]),
    ("class:proc* earliest=2024-10-04 latest=2024-10-04T01:00:00Z | timechart span=20m count, max(pid) as m",
     [{"time": START, "count": 3, "m": 2}, {"time": START + 20 * MINUTE, "count": 2, "m": 4}, {"time": START + 40 * MINUTE, "count": 0, "m": None}]),
    ("| timechart span=1h limit=1 count by user.name", [{"time": START, "bob": 3, "OTHER": 6}]),
    ("| timechart span=30m count by source | where sshd > 1 | stats sum(audit) as n", [{"n": 5}]),
    ("nothing_at_all_here | stats count", [{"count": 0}]),
    ("nothing_at_all_here | stats count by class", []),
])  # fmt: skip
def test_rows(store, query, expected):
    if expected is None:
        with pytest.raises(InputError):
            rows(store, query)
    else:
        assert rows(store, query) == expected


def test_join_finds_the_nearest_about_the_same(store):
    query = "class:process_activity | fields uid | join user [ class:authentication | fields src_endpoint.ip ] within 10m"
    assert [tuple(row.values()) for row in rows(store, query)] == [
        ("p1", "bob", START + 2 * MINUTE, "authentication", "l1", "10.1.2.4"),
        ("p0", "root", START + MINUTE, "authentication", "l0", "10.1.2.3"),
    ]
    assert list(rows(store, query)[0]) == [
        "uid",
        "join.key",
        "join.time",
        "join.class",
        "join.uid",
        "join.src_endpoint.ip",
    ]
    assert rows(store, query.replace("10m", "1m").replace("| fields uid", "| where uid:p1")) == []
    counted = query.replace("10m", "5h") + " | stats count by join.key"
    assert rows(store, counted) == [{"join.key": "bob", "count": 1}, {"join.key": "root", "count": 2}]


@pytest.mark.parametrize(("query", "column", "what"), [
    ("a | stat count", 5, "did you mean stats"), ("a |", 4, "a stage is missing"), ("| stats", 3, "aggregate is missing"),
    ("| stats cuont", 9, "did you mean count"), ("| stats dc", 9, "needs a field"), ("| stats count(", 15, "needs a field"), ("| stats dc(user.nme)", 12, "did you mean user.name"),
    ("| stats count by usr.name", 18, "user.name"), ("| stats count | where cuont > 1", 23, "did you mean count"), ("| stats count | fields user.name", 24, "there is no column"),
    ("| timechart span=0m count", 13, "no span"), ("| timechart span=1ms count", 3, "buckets"), ("| timechart count, dc(uid) by source", 3, "one aggregate"),
    ("| join usr [ a ] within 1m", 8, "did you mean user"), ("| join user [ a within 1m", 13, "never closed"), ("| join user a", 13, "brackets"), ("| join user [ a | stats count ]", 13, "where, eval and fields only"),
    ("| join user [ a ] within soon", 19, "no span"), ("| stats count | join user [ a ]", 17, "needs events"), ("| eval x lower(a)", 10, "= is missing"), ("| eval x = lowr(message)", 12, "did you mean lower"),
    ("| eval x = (1", 12, "never closed"), ("| eval x = if(1, 2, 3)", 12, "true or false"), ("| sort", 3, "names columns"), ("| head 0", 8, "not between"), ("| where", 8, "needs a test"),
    ("cmd_line:/(a/", 1, "cannot be used"), ("cmd_line:/(?=a)/", 1, "look-around"), ("cmd_line:/(a{1000}){1000}/", 1, "cannot be used"), ("ip:10.0.0.0/40", 1, "no network"),
    ("time:>soon", 1, "no time"), ("earliest=-5x", 1, "no time"), ("a ] b", 3, "no such"), ("| stats sum(tags)", 13, "several values"), ("| dedup", 8, "a field is missing"),
    ("| stats count as n, dc(uid) as n", 3, "the same name"), ("a|b", 3, "no stage b"), (" ".join(f"w{n}" for n in range(251)), 1141, "more than 250"), ("pid:(" + " OR ".join(map(str, range(2001))) + ")", 14888, "more than 2000"), ("a" + "| head 1" * 21, 162, "more than 20"),
])  # fmt: skip
def test_errors_point_to_the_column(store, query, column, what):
    if what == "no such":
        assert rows(store, query) == []
        return
    with pytest.raises(InputError, match=what) as caught:
        rows(store, query)
    assert caught.value.at.column == column
