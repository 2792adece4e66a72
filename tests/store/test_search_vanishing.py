"""Files go while they are asked: by retention, and by compaction whose history is over. No query breaks."""

import threading
import time

import pytest
from lakes import DAY, START, batch, lake, numbers

from lemnis.contracts.errors import LemnisError
from lemnis.store import deltalog, query, search, sweeping
from lemnis.store.compaction import compact
from lemnis.store.query import CancelledError, GoneError, Handle
from lemnis.store.retention import Policy, Purpose, Retention
from lemnis.store.search import Limits, Search
from lemnis.store.searching import windows

STEP = DAY // 100
NOW = START + 20 * DAY


@pytest.fixture
def store(tmp_path, monkeypatch):
    backwards = windows.backwards
    monkeypatch.setattr(windows, "backwards", lambda *given: backwards(*given[:3], 150))
    store = lake(tmp_path)
    for first in range(4):
        store.append([batch(range(first, 1000, 4), step=STEP)])
        store.flush()
    return store


def rewrite(store):
    """Compact, and sweep what was replaced at once."""
    assert compact(store.tables, min_files=2)
    assert sweeping.sweep(store.tables, before=deltalog.now() + 1).files


def let_go(store, days):
    """Let go all but the last days."""
    now = START + 10 * DAY
    assert Retention(store.tables, Policy(default=Purpose("p", days)), now=now).run("r").dropped


def meanwhile(monkeypatch, happens, before=1):
    """Let something happen after the tables were looked up and before the query runs."""
    real, calls = query.run, []

    def run(*about, **more):
        calls.append(1)
        if len(calls) == before:
            happens()
        return real(*about, **more)

    monkeypatch.setattr(query, "run", run)
    return calls


def test_a_query_is_asked_again_of_what_took_their_place(store, monkeypatch):
    calls = meanwhile(monkeypatch, lambda: rewrite(store))
    assert numbers(store) == list(range(1000))
    assert len(calls) == 2


def test_a_query_does_not_find_what_retention_took_meanwhile(store, monkeypatch):
    meanwhile(monkeypatch, lambda: let_go(store, 4))
    assert numbers(store) == list(range(600, 1000))


@pytest.mark.parametrize("before", [1, 2, 5])
def test_a_search_goes_on_and_gives_each_event_once(store, monkeypatch, before):
    meanwhile(monkeypatch, lambda: rewrite(store), before)
    found = Search(store, "message", now=NOW, limits=Limits(5000))
    uids = [hit.event["message"] for some in found.found() for hit in some]
    assert uids == [f"message {n}" for n in range(999, -1, -1)]


@pytest.mark.parametrize("before", [1, 2, 5])
def test_a_search_does_not_find_what_retention_took_meanwhile(store, monkeypatch, before):
    meanwhile(monkeypatch, lambda: let_go(store, 4), before)
    found = Search(store, "message", now=NOW, limits=Limits(5000))
    messages = [hit.event["message"] for some in found.found() for hit in some]
    assert messages[:400] == [f"message {n}" for n in range(999, 599, -1)]
    assert len(set(messages)) == len(messages)


def test_rows_that_are_counted_are_counted_once(store, monkeypatch):
    meanwhile(monkeypatch, lambda: rewrite(store))
    (table,) = Search(store, "| stats count", now=NOW).tables()
    assert table.to_pylist() == [{"count": 1000}]


def scanned(store, happens, after=1):
    """Scan, and let something happen after some batches."""
    messages = []
    for number, batch_of in enumerate(store.scan()):
        if number == after:
            happens()
        messages += batch_of.table.column("message").to_pylist()
    return messages


def test_a_scan_goes_on_in_its_order_with_what_took_the_place_of_files(store):
    assert scanned(store, lambda: rewrite(store)) == [f"message {n}" for n in range(1000)]


def test_a_scan_does_not_yield_what_retention_took_meanwhile(store):
    found = scanned(store, lambda: let_go(store, 4))
    assert found == [f"message {n}" for n in [*range(200), *range(600, 1000)]]


def test_a_scan_names_a_file_that_is_lost(store):
    file = max(store.root.rglob("day=*/*.parquet"))
    file.unlink()
    with pytest.raises(GoneError) as told:
        scanned(store, lambda: None)
    assert told.value.at.file == str(file)


def test_a_file_that_is_missing_for_good_is_an_error_that_names_it(store):
    file = next(store.root.rglob("*.parquet"))
    file.unlink()
    with pytest.raises(GoneError, match="went while it was read") as told:
        store.query("SELECT sum(length(message)) FROM events")
    assert told.value.at.file == str(file)
    assert "lake check" in told.value.fix
    with pytest.raises(GoneError):
        list(Search(store, "message", now=NOW, limits=Limits(5000)).found())


def test_a_query_through_the_lake_is_cancelled_at_once(store):
    handle = Handle()
    timer = threading.Timer(0.3, handle.cancel)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(CancelledError):
        store.query("SELECT count(*) FROM range(1000000000000) a, events", handle=handle)
    assert time.monotonic() - begun < 10
    timer.join()
    with pytest.raises(CancelledError):
        store.query("SELECT 1", handle=handle)
    assert store.query("SELECT 1 AS n").to_pylist() == [{"n": 1}], "another query is not"


def test_a_search_that_is_cancelled_between_its_events_gives_what_it_had(store, monkeypatch):
    monkeypatch.setattr(search, "_AT_ONCE", 0)
    handle = Handle()
    found = Search(store, "message", now=NOW, limits=Limits(5000), handle=handle)
    sizes = []
    for some in found.found():
        sizes.append(len(some))
        handle.cancel()
    assert found.cancelled
    assert sizes == [100]


def test_searches_beside_a_lake_that_is_rewritten_all_the_time(tmp_path):
    store = lake(tmp_path)
    over, problems = threading.Event(), []

    def keep():
        first = 0
        while not over.is_set():
            store.append([batch(range(first, first + 50), step=1)])
            store.flush()
            first += 50
            if first % 150 == 0:
                compact(store.tables, min_files=2)
                sweeping.sweep(store.tables, before=deltalog.now() + 1)

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        while not store.schemas():
            time.sleep(0.01)
        reader, counts = lake(tmp_path), []
        for _ in range(8):
            try:
                counts.append(
                    reader.query(
                        "SELECT count(*) AS n, count(DISTINCT message) AS d FROM events"
                    ).to_pylist()[0]
                )
                found = Search(reader, "message", now=NOW, limits=Limits(100_000))
                uids = [hit.uid for some in found.found() for hit in some]
                assert len(set(uids)) == len(uids) >= counts[-1]["n"]
            except LemnisError as error:
                problems.append(str(error))
    finally:
        over.set()
        keeper.join()
    assert problems == []
    assert all(one["n"] == one["d"] and one["n"] % 50 == 0 for one in counts)
