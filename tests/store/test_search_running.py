"""How a search runs: backwards, in windows, ended at any time, bounded, and with an index the same as without."""

import ipaddress
import itertools
import random
import threading
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import START, batch, lake, numbers

from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import InputError, UsageError
from lemnis.contracts.events import EventBatch
from lemnis.store import index, query, search
from lemnis.store.index import Index
from lemnis.store.query import Handle
from lemnis.store.search import Limits, Search
from lemnis.store.searching import addresses, instants, windows
from lemnis.store.searching.windows import Part

HOUR = 3_600_000
WORDS = ("mimikatz", "sekurlsa", "powershell", "\uff4dimi", "K", "100%_x")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = lake(tmp_path_factory.mktemp("running"))
    store.append([batch(range(3000), step=100_000)])
    store.flush()
    store.append([batch(range(3000, 4000), 3002, step=100_000)])
    store.flush()
    store.append([batch(range(4000, 4100), step=100_000)])
    return store


@pytest.fixture
def small(monkeypatch):
    backwards = windows.backwards
    monkeypatch.setattr(windows, "backwards", lambda *given: backwards(*given[:3], 500))


def asked(monkeypatch):
    """Count the queries, and the bounds of time that they have."""
    seen, run = [], query.run

    def counted(relations, sql, **more):
        seen.append((sql, sum(len(one.files) for one in relations.values())))
        return run(relations, sql, **more)

    monkeypatch.setattr(query, "run", counted)
    return seen


def test_the_newest_come_before_the_rest_was_looked_at(store, small, monkeypatch):
    seen = asked(monkeypatch)
    found = Search(store, "message", now=START, limits=Limits(10)).found()
    assert [hit.event["message"] for hit in next(found)] == [f"message {n}" for n in range(4099, 4089, -1)]
    assert len(seen) == 2  # one for what matches, one for the events; nothing of 4,000 others
    assert next(found, None) is None


def test_windows_give_what_one_query_gives(store, small):
    every = [
        hit.uid
        for some in Search(store, "message:*77", now=START, limits=Limits(1000)).found()
        for hit in some
    ]
    assert len(every) == 41
    one = Search(store, "message:*77 | sort -time | head 1000", now=START, limits=Limits(1000))
    assert [hit.uid for some in one.found() for hit in some] == every
    rows = Search(store, "message:*77 | table uid", now=START, limits=Limits(1000))
    assert [row["uid"] for table in rows.tables() for row in table.to_pylist()] == every


def test_the_limit_says_whether_there_may_be_more(store, small):
    for text, limit, more in (
        ("message:*77", 41, False),
        ("message:*77", 40, True),
        ("message:*77 | head 3", 10, False),
        ("| stats count by message", 10, True),
    ):
        found = Search(store, text, now=START, limits=Limits(limit))
        assert sum(map(len, found.found() if found.finds_events else found.tables())) == min(
            limit, 3 if "head" in text else limit
        )
        assert found.more == more, text


def test_bounds_of_the_query_and_of_the_caller_hold_together(store):
    found = Search(
        store,
        f"time:>={START + HOUR} time:<{START + 3 * HOUR}",
        now=START,
        start=START + 2 * HOUR,
        limits=Limits(10_000),
    )
    times = [hit.time for some in found.found() for hit in some]
    assert (min(times), max(times)) == (START + 2 * HOUR, START + 3 * HOUR - 100_000)


def test_a_search_sees_one_moment(tmp_path, small):
    store = lake(tmp_path)
    store.append([batch(range(2000))])
    found = Search(store, "message", now=START, limits=Limits(5000))
    first = found.found()
    size = len(next(first))
    store.append([batch(range(2000, 3000))])
    store.flush()
    assert size + sum(map(len, first)) == 2000


def test_it_is_ended_from_another_thread_and_gives_what_it_had(store, small):
    handle = Handle()
    found = Search(store, "message", now=START, limits=Limits(40_000), handle=handle)
    sizes = []
    for some in found.found():
        sizes.append(len(some))
        if len(sizes) == 2:
            threading.Thread(target=handle.cancel).start()
            time.sleep(0.1)
    assert found.cancelled
    assert 0 < sum(sizes) < 4100
    assert found.reached is not None


def test_what_runs_is_ended_at_once(store):
    handle = Handle()
    text = "message:/(x+x+)+y.{0,500}z/ | stats count by message | sort message"
    found = Search(store, text, now=START, handle=handle)
    timer = threading.Timer(0.01, handle.cancel)
    timer.start()
    begun = time.monotonic()
    list(found.tables())
    assert time.monotonic() - begun < 30
    timer.join()
    assert found.cancelled or time.monotonic() - begun < 1


def test_a_search_ends_at_its_time_with_what_it_had(store, small):
    found = Search(store, "message", now=START, limits=Limits(40_000))
    events = found.found()
    assert len(next(events)) > 0
    found._deadline = time.monotonic() + 0.01
    with pytest.raises(UsageError, match="longer than 60 s"):
        list(events)


def test_a_search_ends_at_its_memory(store):
    found = Search(
        store,
        "| stats values(raw_data), dc(message), median(time) by uid",
        now=START,
        limits=Limits(10, memory="2MB"),
    )
    with pytest.raises(UsageError, match="memory"):
        list(found.tables())


HOSTILE = {
    "nested repeats": "message:/" + "(a?){20}" * 20 + "a{20}/", "backtracking": r"message:/^(\w+\s?)*$/ OR message:/(x+x+)+y/",
    "wildcards": "message:" + "*a" * 60 + "*", "a long list": "message:(" + " OR ".join(f"w{n}" for n in range(1900)) + ")",
    "words": " OR ".join(f"w{n}" for n in range(250)), "negations": " ".join(f"-pid{n}" for n in range(240)), "stages": "|" + "|".join(["stats count by message"] * 19),
    "a join of all with all": "| join host [ message ] within 9d | stats count", "a chart by everything": "| timechart span=1h limit=999 count by message",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_bounded(store, name):
    begun = time.process_time()
    found = Search(store, HOSTILE[name], now=START, limits=Limits(100, timeout=3))
    try:
        list(found.found() if found.finds_events else found.tables())
    except UsageError as error:
        assert "longer" in str(error) or "memory" in str(error)  # noqa: PT017 - both outcomes are right
    assert time.process_time() - begun < 20


@pytest.mark.parametrize("text", [
    " OR ".join(["a"] * 1_000_000), "(" * 50 + "a" + ")" * 50, "NOT " * 100 + "a", "message:/(a{1000}){1000}/", "message:/" + "a" * 2000 + "/",
    "| eval x = " + "(" * 50 + "1" + ")" * 50, "| eval x = " + "+".join(["1"] * 300), "|" + "| head 1" * 30, "| head 99999999", "| timechart span=1s count earliest=1970-01-01",
    "| stats " + ", ".join(f"count as c{n}" for n in range(60)), "| join host [ a | join user [ b ] ]",
])  # fmt: skip
def test_what_has_no_end_is_refused(store, text):
    begun = time.monotonic()
    with pytest.raises(InputError):
        Search(store, text, now=START)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    "text",
    [
        "x'; DROP VIEW events; -x",
        "\x00",
        "🙂" * 100,
        "read_csv('/etc/passwd')",
        "getenv(HOME)",
        '"); SELECT 1; --"',
        '| eval x = "\'; --" | stats count by x',
        '| stats count as "a\\"; DROP" by class',
    ],
)
def test_nothing_typed_is_sql(store, text):
    found = Search(store, text, now=START)
    list(found.found() if found.finds_events else found.tables())
    assert numbers(store) == list(range(4100))


# -- the index -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    store, pick = lake(tmp_path_factory.mktemp("indexed")), random.Random(7)  # noqa: S311 - no secret
    rows = [
        {
            "class_uid": 1007, "severity_id": 1, "time": START + n * 1000, "message": f"m {n}", "raw_data": None,
            "metadata": {"uid": f"e{n}", "log_name": "s"}, "process": {"cmd_line": f"run {n} {pick.choice(WORDS).title()} -x", "name": "p"},
        }
        for n in range(600)
    ]  # fmt: skip
    for start in range(0, 600, 300):
        store.append([EventBatch(1007, "s", "o", pa.Table.from_pylist(rows[start : start + 300]))])
        store.flush()
    rare = {
        **rows[0],
        "time": START + 90_000_000,
        "metadata": {"uid": "rare", "log_name": "s"},
        "process": {"cmd_line": "x Needle\\InHay 100%", "name": "q"},
    }
    store.append([EventBatch(1007, "s", "o", pa.Table.from_pylist([rare]))])
    store.flush()
    store.append(
        [
            EventBatch(
                1007,
                "s",
                "o",
                pa.Table.from_pylist([{**rows[1], "metadata": {"uid": "spooled", "log_name": "s"}}]),
            )
        ]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "WORTH_ROWS", 1)
        assert store.refresh_index() == 3
    return store


PARTS = st.sampled_from([
    "mimikatz", "cmd_line:*sekurlsa*", "cmd_line:*SEKUR*lsa*-x", "cmd_line:/mimi.atz/", "cmd_line:/katz\\s-x$/", "cmd_line:/mimi(katz|x)/", "needle", '"needle\\\\inhay"', "cmd_line:*100\\%*", "cmd_line:*Needle\\\\In*",
    'message:"m 17"', 'message:("m 17" OR "m 18")', "cmd_line:/\uff4dIMI/", "-powershell", "NOT cmd_line:*mimi*", "cmd_line:*k*", "name:p", "nothere", "name:*", "cmd_line:/po?wers*hell/", "uid:rare",
])  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(
    st.lists(PARTS, min_size=1, max_size=3),
    st.sampled_from([" ", " OR "]),
    st.sampled_from(["", "NOT ({})", "({}) needle", "{} | stats count"]),
)
def test_the_index_changes_nothing_in_what_is_found(indexed, parts, joint, around):
    text = joint.join(parts)
    text = around.format(text) if around else text
    answers = []
    for there in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Index, "exists", there)
            found = Search(indexed, text, now=START, limits=Limits(1000))
            answers.append(
                [one.uid for some in found.found() for one in some]
                if found.finds_events
                else [t.to_pylist() for t in found.tables()]
            )
    assert answers[0] == answers[1]


def test_the_index_spares_files(indexed, monkeypatch):
    seen = asked(monkeypatch)
    hits = search.run(indexed, "cmd_line:*needle*")
    assert [hit.uid for hit in hits] == ["rare"]
    assert all(files <= 1 for _, files in seen)


# -- parts -----------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-50, 10**6), st.integers(0, 10**5), st.integers(1, 10**6)), max_size=8),
    st.none() | st.integers(0, 10**6), st.none() | st.integers(0, 10**6),
)  # fmt: skip
def test_windows_go_back_over_everything_once(some, start, end):
    parts = [Part("a", first, first + length, rows) for first, length, rows in some]
    found = list(windows.backwards(parts, start, end, 1000))
    assert all(low < high for low, high in found)
    assert all(later[0] >= earlier[1] for later, earlier in itertools.pairwise(found))
    for part in parts:
        for moment in (part.first, part.last, (part.first + part.last) // 2):
            inside = (start is None or moment >= start) and (end is None or moment < end)
            assert sum(low <= moment < high for low, high in found) == inside


ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str), st.ip_addresses(v=6).map(lambda a: a.exploded.upper()),
    st.ip_addresses(v=4, network="10.0.0.0/14").map(lambda a: f"::ffff:{a}"), st.ip_addresses(v=4, network="10.0.0.0/14").map(lambda a: str(ipaddress.ip_address(f"::ffff:{a}"))),
    st.ip_addresses(v=6, network="2001:db8::/48").map(str), st.text(alphabet="0123456789abcdef:.%g", max_size=20),
)  # fmt: skip


def address(text):
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if found.version == 6 else found


@settings(max_examples=12, deadline=None)
@given(
    st.lists(ADDRESSES, min_size=1, max_size=30, unique=True),
    st.one_of(st.tuples(st.ip_addresses(v=4, network="10.0.0.0/14"), st.integers(0, 32)), st.tuples(st.ip_addresses(v=6, network="2001:db8::/44"), st.integers(0, 128))),
)  # fmt: skip
def test_networks_are_those_of_the_standard_library(texts, network):
    inside = ipaddress.ip_network(f"{network[0]}/{network[1]}", strict=False)
    table = pa.table({"time": range(len(texts)), "ip": texts})
    test, values = addresses.within("ip", inside)
    relations = {"t": query.Relation(table.schema, [], table)}
    rows = (
        query.run(relations, f"SELECT ip FROM t WHERE {test}", parameters=values, limit=100, timeout=20)
        .column("ip")
        .to_pylist()
    )
    expected = {
        text
        for text in texts
        if (a := address(text)) is not None
        and "%" not in text
        and a.version == inside.version
        and a in inside
    }
    assert {row for row in rows if "%" not in row} == expected


NOW = START + 3 * 24 * HOUR + 5 * HOUR + 123_456  # Monday, 7 October 2024, 05:02:03.456


@pytest.mark.parametrize(("text", "iso"), [
    ("now", "2024-10-07T05:02:03.456Z"), ("-24h", "2024-10-06T05:02:03.456Z"), ("24h", "2024-10-06T05:02:03.456Z"), ("+1h", "2024-10-07T06:02:03.456Z"),
    ("@d", "2024-10-07T00:00:00.000Z"), ("-1d@d", "2024-10-06T00:00:00.000Z"), ("-1d@d+8h", "2024-10-06T08:00:00.000Z"), ("@w", "2024-10-07T00:00:00.000Z"),
    ("-1w@w", "2024-09-30T00:00:00.000Z"), ("@mon", "2024-10-01T00:00:00.000Z"), ("-8mon", "2024-02-07T05:02:03.456Z"), ("@y", "2024-01-01T00:00:00.000Z"), ("-1y@mon", "2023-10-01T00:00:00.000Z"),
    ("2024-10-04", "2024-10-04T00:00:00.000Z"), (str(START), "2024-10-04T00:00:00.000Z"),
])  # fmt: skip
def test_times(text, iso):
    assert to_iso(instants.instant(text, NOW)) == iso


def test_a_month_has_as_many_days_as_it_has():
    assert instants.instant("-1mon", instants.instant("2024-03-31", 0)) == instants.instant("2024-02-29", 0)
    for wrong in ("", "soon", "-5x", "9999999999y", "@", "-999999999d", "99999-01-01"):
        with pytest.raises(InputError, match="no time"):
            instants.instant(wrong, NOW)
