import multiprocessing
import sqlite3
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import batch, lake, numbers, uid

from lemnis.contracts.errors import ServiceError
from lemnis.contracts.events import Appended
from lemnis.store import known
from lemnis.store.columns import uid_keys
from lemnis.store.known import Known, Run

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def _folded_early(monkeypatch):
    monkeypatch.setattr(known, "FOLDED", 50)


def files(folder):
    return sorted(path.name for path in (folder / "uids").glob("*"))


def named(store):
    with store._spool.reading() as spool:
        return spool.runs()


def test_what_was_folded_is_known_to_this_process_and_to_others(tmp_path):
    store, other = lake(tmp_path), lake(tmp_path)
    for first in range(0, 360, 60):
        assert store.append([batch(range(first, first + 60))]) == Appended(60, 0, 0)
        store.flush()
        assert other.append([batch(range(first, first + 60))]) == Appended(0, 60, 0)
        assert store.append([batch(range(first + 60))]) == Appended(0, first + 60, 0)
    assert numbers(store) == list(range(360))


def test_runs_of_like_size_become_one_and_what_is_folded_leaves_the_spool(tmp_path):
    store = lake(tmp_path)
    for first in range(0, 1000, 50):
        store.append([batch(range(first, first + 50))])
        store.flush()
    assert sum(run.count for run in named(store)) == 1000
    assert 1 <= len(named(store)) <= 4
    assert files(tmp_path) == sorted(run.file for run in named(store))
    with store._spool.reading() as spool:
        assert spool.waiting() == 0
    assert lake(tmp_path).append([batch(range(1100))]) == Appended(100, 1000, 0)


def test_few_are_left_in_the_spool_and_what_is_added_twice_in_one_call_is_known(tmp_path):
    store = lake(tmp_path)
    assert store.append([batch(range(20)), batch(range(10, 30)), batch([3], 3002)]) == Appended(30, 11, 0)
    store.flush()
    assert named(store) == []
    assert store.append([batch(range(30))]) == Appended(0, 30, 0)


def test_a_transaction_that_fails_makes_nothing_known(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(5))])
    keys = np.array([1, 5, 9], dtype=np.int64)

    def fail():
        with store._spool.writing() as spool:
            spool.add("process_activity", batch(range(3)).table, keys)
            assert spool.unknown(keys).tolist() == []
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store._spool.writing() as spool:
        assert spool.unknown(keys).tolist() == [1, 5, 9]


@pytest.mark.parametrize("damage", ["gone", "cut", "folder"])
def test_runs_that_are_gone_are_made_again_from_tables_and_segments(tmp_path, damage):
    store = lake(tmp_path)
    store.append([batch(range(60))])
    store.append([batch(range(60, 90), 3002)])
    store.flush()
    store.append([batch(range(90, 160))])
    with store.tables.writing():
        store._spool.fold()
    for path in (tmp_path / "uids").iterdir():
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:-8])
        else:
            path.unlink()
    if damage == "folder":
        (tmp_path / "uids").rmdir()
    with pytest.raises(ServiceError, match="known uids is gone"):
        lake_without_opening(store, tmp_path).append([batch([1])])
    again = lake(tmp_path)
    assert again.append([batch(range(170))]) == Appended(10, 160, 0)
    again.flush()
    assert numbers(again) == list(range(170))
    assert files(tmp_path) == sorted(run.file for run in named(again))


def lake_without_opening(store, folder):
    """Let a lake that is open forget what it read, as another process that runs has not read it yet."""
    store._spool._known = Known(folder / "uids")
    return store


def test_what_a_flush_that_was_killed_left_is_swept(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(60))])
    store.flush()
    (tmp_path / "uids" / ".new-half").write_bytes(b"1")
    (tmp_path / "uids" / ("0" * 64)).write_bytes(b"12345678")
    store.append([batch(range(60, 120))])
    store.flush()
    assert files(tmp_path) == sorted(run.file for run in named(store))


def test_a_workspace_of_before_takes_its_uids_with_it(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(10))])
    store.flush()
    store.append([batch(range(10, 15))])
    keys = [int(key) for key in uid_keys(pa_uids(range(15)))]
    with sqlite3.connect(tmp_path / "spool.db") as db:
        db.execute("DELETE FROM uid_blocks")
        db.execute("CREATE TABLE fresh (uid INTEGER PRIMARY KEY, segment INTEGER NOT NULL)")
        db.execute("CREATE TABLE seen (uid INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO seen VALUES (?)", [(key,) for key in keys[:10]])
        db.executemany("INSERT INTO fresh VALUES (?, 2)", [(key,) for key in keys[10:]])
    db.close()
    again = lake(tmp_path)
    assert again.append([batch(range(17))]) == Appended(2, 15, 0)
    with again._spool.reading() as spool:
        assert (
            spool._db.execute("SELECT name FROM sqlite_schema WHERE name IN ('fresh', 'seen')").fetchall()
            == []
        )
    again.flush()
    assert numbers(again) == list(range(17))


def pa_uids(some):
    return pa.array([uid(number) for number in some])


def append_all(folder, first):
    sys.path.insert(0, str(Path(__file__).parent))
    from lakes import batch, lake  # noqa: PLC0415 - beside this file

    from lemnis.store import known  # noqa: PLC0415 - in the child

    known.FOLDED = 50
    store = lake(folder)
    for start in range(first, 600, 60):
        store.append([batch(range(start, min(600, start + 80)))])
        if start % 120 == 0:
            store.flush()


def test_processes_and_threads_that_append_the_same_store_each_event_once(tmp_path):
    children = [SPAWN.Process(target=append_all, args=(tmp_path, first)) for first in (0, 0, 20)]
    for child in children:
        child.start()
    threads = [threading.Thread(target=append_all, args=(tmp_path, first)) for first in (0, 10)]
    for thread in threads:
        thread.start()
    for one in [*children, *threads]:
        one.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    store = lake(tmp_path)
    assert numbers(store) == list(range(600))
    assert store.append([batch(range(600))]) == Appended(0, 600, 0)


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(
        st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30, unique=True), min_size=1, max_size=5
    ),
    asked=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20),
    step=st.integers(1, 8),
)
def test_a_run_holds_all_numbers_in_order_whatever_the_pieces(tmp_path_factory, parts, asked, step):
    arrays = [np.array(sorted(part), dtype=np.int64) for part in parts]
    there = {number for part in parts for number in part}
    store = Known(tmp_path_factory.mktemp("runs"))
    before, known._AT_ONCE = known._AT_ONCE, step
    try:
        run = store.write(arrays)
    finally:
        known._AT_ONCE = before
    (kept,) = store.read([run]) if run.count else [np.empty(0, dtype=np.int64)]
    assert kept.tolist() == sorted(number for part in parts for number in part)
    keys = np.unique(np.array([*asked, *list(there)[:5]], dtype=np.int64))
    assert known.found(kept, keys).tolist() == [number in there for number in keys.tolist()]


@given(st.lists(st.integers(1, 10**9), max_size=12), st.integers(1, 10**9))
def test_what_is_left_after_a_merge_is_more_than_twice_as_large(counts, count):
    there = [Run(str(number), size) for number, size in enumerate(sorted(counts))]
    chosen = known.alike(there, count)
    rest = there[len(chosen) :]
    whole = count + sum(run.count for run in chosen)
    assert chosen == there[: len(chosen)]
    assert all(run.count > 2 * whole for run in rest[:1])
