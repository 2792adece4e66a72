import shutil
import stat
import tempfile
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lakes import DAY, PROCESS, START, batch, lake, numbers

from lemnis.contracts.errors import InputError, Location, ServiceError
from lemnis.contracts.events import Appended, Cursor, EventBatch, Reject
from lemnis.store import delta
from lemnis.store.lake import Lake


def delta_rows(folder, name="process_activity"):
    return DeltaTable(folder / "tables" / name).to_pyarrow_table()


def test_what_is_appended_is_there_before_and_after_the_flush(tmp_path):
    store = lake(tmp_path)
    assert store.append([batch(range(10))]) == Appended(10, 0, 0)
    assert numbers(store) == list(range(10))
    assert store.append([batch(range(5, 15)), batch([14, 14])]) == Appended(5, 7, 0)
    assert store.flush() == 15
    assert store.flush() == 0
    assert numbers(lake(tmp_path)) == list(range(15))
    assert lake(tmp_path).append([batch(range(20))]) == Appended(5, 15, 0)
    assert numbers(store) == list(range(20))
    assert delta_rows(tmp_path).num_rows == 15


def test_tables_are_by_class_partitioned_by_day_sorted_and_readable_by_others(tmp_path):
    store = lake(tmp_path)
    store.append([batch([2880, 5, 1500, 3]), batch([7], class_uid=3002)])
    store.flush()
    rows = delta_rows(tmp_path)
    assert sorted(map(str, rows.column("day").unique().to_pylist())) == [
        "2024-10-04",
        "2024-10-05",
        "2024-10-06",
    ]
    day = next((tmp_path / "tables" / "process_activity").glob("day=2024-10-04/*"))
    table = pa.parquet.read_table(day, partitioning=None)
    assert table.column("time").to_pylist() == [START + 3 * 60_000, START + 5 * 60_000]
    meta = pa.parquet.read_metadata(day)
    assert meta.row_group(0).column(0).compression == "SNAPPY"
    assert delta_rows(tmp_path, "authentication").num_rows == 1
    assert {s.name: s.rows for s in store.status()} == {"authentication": 1, "process_activity": 4}


def test_nothing_is_readable_by_others_on_the_machine(tmp_path):
    store = lake(tmp_path / "lake")
    store.append([batch(range(3))])
    store.flush()
    paths = [p for p in (tmp_path / "lake").rglob("*") if "_delta_log" not in p.parts]
    assert {stat.S_IMODE(p.stat().st_mode) for p in paths if p.is_file() and "parquet" in p.name} == {0o600}
    assert stat.S_IMODE((tmp_path / "lake").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "lake" / "spool.db").stat().st_mode) == 0o600


def test_new_columns_are_added_nested_ones_too(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(3))])
    store.flush()
    rows = batch(range(3, 6)).table.to_pylist()
    for row in rows:
        row["extra"] = [{"a": 1}]
        row["metadata"]["version"] = "1.7.0"
        row["actor"] = {"process": {"name": "x", "pid": 7}, "user": "root"}
    store.append([EventBatch(1007, "linux", "o", pa.Table.from_pylist(rows))])
    query = "SELECT message, extra, metadata.version AS v, actor.process.pid AS pid FROM process_activity ORDER BY time"
    before = store.query(query).to_pylist()
    assert [row["v"] for row in before] == [None] * 3 + ["1.7.0"] * 3
    store.flush()
    assert store.query(query).to_pylist() == before
    store.append([batch(range(6, 9))])
    store.flush()
    store.compact(min_files=2)
    assert store.query(query).to_pylist()[:6] == before
    assert [table.num_rows for table in (b.table for b in store.scan())] == [9]


def test_a_column_of_another_type_is_refused_and_stores_nothing(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(3))])
    changed = PROCESS.set(3, pa.field("message", pa.list_(pa.string())))
    table = batch(range(3, 6)).table.drop(["message"]).append_column("message", pa.array([["x"]] * 3))
    with pytest.raises(InputError, match="column message is list"):
        store.append([batch([9]), EventBatch(1007, "s", "o", table.select(changed.names))])
    assert numbers(store) == [0, 1, 2]


def test_strings_of_every_kind_empty_columns_and_narrow_integers_fit(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(3))])
    table = batch(range(3, 6)).table
    message = table.column("message").cast(pa.large_string())
    table = table.set_column(3, "message", message).set_column(
        1, "severity_id", pa.array([1, 2, None], pa.int16())
    )
    table = table.append_column("nothing", pa.nulls(3)).append_column("raw2", message.dictionary_encode())
    store.append([EventBatch(1007, "linux", "o", table)])
    store.flush()
    assert numbers(store) == list(range(6))
    assert "nothing" not in store.schemas()["process_activity"].names


def test_rows_without_uid_or_time_become_rejects_and_the_good_ones_stay(tmp_path):
    store = lake(tmp_path)
    rows = batch(range(4)).table.to_pylist()
    rows[0]["metadata"]["uid"] = None
    rows[1]["time"] = None
    rows[2]["time"] = 2**60
    bad = EventBatch(1007, "linux", "log.txt", pa.Table.from_pylist(rows, schema=PROCESS))
    assert store.append(
        [bad], rejects=[Reject(Location("log.txt", record=9), "no JSON", b"\xff{")]
    ) == Appended(1, 0, 4)
    assert numbers(store) == [3]
    store.flush()
    found = store.query(
        "SELECT file, record, reason, raw, metadata.log_name AS source FROM rejects ORDER BY reason"
    ).to_pylist()
    assert [row["reason"][:20] for row in found] == [
        "no JSON",
        "the event has no met",
        "the event's time is ",
        "the event's time is ",
    ]
    assert found[0] == {
        "file": "log.txt",
        "record": 9,
        "reason": "no JSON",
        "raw": b"\xff{",
        "source": "linux",
    }
    with pytest.raises(InputError, match=r"lack metadata\.uid"):
        store.append([EventBatch(1007, "s", "o", pa.table({"time": [1]}))])


def test_the_same_reject_of_a_renamed_file_is_stored_once(tmp_path):
    store = lake(tmp_path)
    for name in ("a.log", "b.log"):
        cursor = Cursor("linux", "head", name, 1)
        assert (
            store.append([], rejects=[Reject(Location(name, record=1), "bad", b"x")], cursor=cursor).rejected
            == 1
        )
    assert store.query("SELECT file FROM rejects").to_pylist() == [{"file": "a.log"}]


def test_the_cursor_moves_with_the_rows_or_not_at_all(tmp_path):
    store = lake(tmp_path)
    assert store.cursor("linux", "head") is None
    cursor = Cursor("linux", "head", "a.log", 3, 120, "sha256:x", 1, START)
    store.append([batch(range(3))], cursor=cursor)
    assert lake(tmp_path).cursor("linux", "head") == cursor
    with pytest.raises(InputError):
        store.append(
            [EventBatch(1007, "s", "o", pa.table({"x": [1]}))], cursor=Cursor("linux", "head", "a.log", 9)
        )
    assert store.cursors() == [cursor]


def test_uids_of_any_form_identify(tmp_path):
    store = lake(tmp_path)
    names = [
        "ev-0123456789abcdef",
        "ev-0123456789ABCDEF",
        "ev-fedcba987654321x",
        "x",
        "",
        "ev-" + "é" * 8,
        "ev-8000000000000000",
    ]
    rows = [
        {"time": START, "message": "m 0", "class_uid": 1007, "metadata": {"uid": n, "log_name": "s"}}
        for n in names
    ]
    table = pa.Table.from_pylist(rows)
    assert store.append([EventBatch(1007, "s", "o", table)]) == Appended(7, 0, 0)
    assert store.append([EventBatch(1007, "s", "o", table.slice(2, 3))]) == Appended(0, 3, 0)


def test_compaction_keeps_every_row_and_sorts_the_day(tmp_path):
    store = lake(tmp_path)
    for start in range(0, 100, 10):
        store.append([batch(range(start, start + 10), step=DAY // 50)])
        store.flush()
    assert store.compact(min_files=3) == 2
    assert store.compact(min_files=3) == 0
    assert numbers(store) == list(range(100))
    (table,) = store.tables.open()
    files = table[1].files()
    assert [file.rows for file in files] == [50, 50]
    assert store.append([batch(range(100))]) == Appended(0, 100, 0)


def test_scan_has_one_order_whatever_happened_to_the_rows(tmp_path):
    def scanned(store, **limits):
        return [(b.class_uid, b.source, b.table.column("time").to_pylist()) for b in store.scan(**limits)]

    parts = [
        batch(range(0, 3000, 7)),
        batch(range(1, 3000, 7), 3002),
        batch(range(2, 3000, 7), source="other"),
    ]
    one, two = lake(tmp_path / "1"), lake(tmp_path / "2")
    one.append(parts)
    for part in reversed(parts):
        for first in range(0, 429, 100):
            two.append([EventBatch(part.class_uid, part.source, "o", part.table.slice(first, 100))])
            two.flush()
    two.compact(min_files=2)
    assert scanned(one) == scanned(two)
    assert [key[:2] for key in scanned(one)] == [(1007, "linux"), (1007, "other"), (3002, "linux")] * 3
    for limits in (
        {"start": START + 60_000 * 99, "end": START + 60_000 * 1800},
        {"source": "other"},
        {"class_uid": 3002},
    ):
        assert scanned(one, **limits) == scanned(two, **limits)
    times = [t for _, _, column in scanned(one, start=START + 600_000, end=START + 1_200_000) for t in column]
    assert sorted(times) == [START + n * 60_000 for n in range(10, 20) if n % 7 < 3]
    assert list(one.scan(class_uid=4001)) == []


def test_a_spool_that_was_lost_is_made_again_from_the_tables(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(50))])
    store.append([batch(range(50, 60))])
    store.flush()
    (tmp_path / "spool.db").unlink()
    for rest in tmp_path.glob("spool.db-*"):
        rest.unlink()
    again = lake(tmp_path)
    assert again.append([batch(range(70))]) == Appended(10, 60, 0)
    assert numbers(again) == list(range(70))
    again.flush()
    assert numbers(again) == list(range(70))


def test_a_spool_from_an_older_copy_loses_nothing(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(50))])
    store.flush()
    with store._spool._connection() as db:
        db.execute("VACUUM INTO ?", [str(tmp_path / "copy")])
    store.append([batch(range(50, 100))])
    store.flush()
    for rest in tmp_path.glob("spool.db-*"):
        rest.unlink()
    (tmp_path / "copy").replace(tmp_path / "spool.db")
    again = lake(tmp_path)
    assert again.append([batch(range(120))]) == Appended(20, 100, 0)
    assert numbers(again) == list(range(120))
    again.flush()
    assert numbers(again) == list(range(120))


def test_a_flush_that_died_before_it_emptied_the_spool_moves_nothing_twice(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(10))])
    shutil.copytree(tmp_path, tmp_path.with_name("before"), dirs_exist_ok=True)
    store.flush()
    before = tmp_path.with_name("before")
    shutil.copytree(tmp_path / "tables", before / "tables")  # the tables of after, the spool of before
    again = lake(before)
    assert numbers(again) == list(range(10))
    assert again.append([batch(range(12))]) == Appended(2, 10, 0)
    assert again.flush() == 2
    assert numbers(again) == list(range(12))
    assert delta_rows(before).num_rows == 12


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "checkpoint"])
def test_a_log_that_a_power_cut_tore_is_mended_from_the_spool(tmp_path, damage):
    store = lake(tmp_path / "a")
    for first in (0, 10):
        store.append([batch(range(first, first + 10))])
        store.flush()
    if damage == "checkpoint":
        next(store.tables.open())[1].checkpoint()
    store.append([batch(range(20, 30))])
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    store.flush()
    shutil.rmtree(tmp_path / "b" / "tables")
    shutil.copytree(tmp_path / "a" / "tables", tmp_path / "b" / "tables")
    log = tmp_path / "b" / "tables" / "process_activity" / "_delta_log"
    last = max(log.glob("*.json"))
    if damage == "cut":
        last.write_bytes(last.read_bytes()[:-40])
    elif damage == "empty":
        last.write_bytes(b"")
    elif damage == "gone":
        last.rename(last.with_name(f"{int(last.stem) + 1:020}.json"))
    else:
        max(log.glob("*.checkpoint.parquet")).write_bytes(b"PAR1")
    again = lake(tmp_path / "b")
    assert numbers(again) == list(range(30))
    again.append([batch(range(30, 35))])
    again.flush()
    assert numbers(again) == list(range(35))
    assert delta_rows(tmp_path / "b").num_rows == 35


def test_a_table_that_was_killed_before_its_first_entry_is_made_again(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(5))])
    (tmp_path / "tables" / "process_activity" / "_delta_log").mkdir(parents=True)
    again = lake(tmp_path)
    assert numbers(again) == list(range(5))
    assert again.flush() == 5
    assert delta_rows(tmp_path).num_rows == 5


def test_files_are_synced_before_the_log_names_them_and_the_log_before_the_spool_forgets(
    tmp_path, monkeypatch
):
    events = []
    real_sync, real_commit = delta.durable.sync, delta.Table._commit

    def sync(path):
        events.append(("sync", Path(path).name))
        real_sync(path)

    def commit(self, *about, **more):
        events.append(("commit", None))
        real_commit(self, *about, **more)

    monkeypatch.setattr("lemnis.store.durable.sync", sync)
    monkeypatch.setattr(delta.Table, "_commit", commit)
    store = lake(tmp_path)
    store.append([batch(range(3))])
    real_drop = store._spool.__class__.writing
    monkeypatch.setattr(
        type(store._spool), "writing", lambda self: events.append(("write", None)) or real_drop(self)
    )
    store.flush()
    commit_at = events.index(("commit", None))
    assert ("sync", "day=2024-10-04") in events[:commit_at]
    log = events.index(("sync", "00000000000000000001.json"))
    assert commit_at < log < len(events) - 1 - events[::-1].index(("write", None))


class Model(RuleBasedStateMachine):
    """Append, flush, compact, crash and reopen in any order: the lake is a set."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.store = lake(self.folder)
        self.events = set()

    @rule(chosen=st.lists(st.integers(0, 4000), max_size=20), other=st.booleans())
    def append(self, chosen, other):
        done = self.store.append([batch(chosen, 3002 if other and max(chosen, default=1) < 0 else 1007)])
        assert (done.accepted, done.duplicates) == (
            len(set(chosen) - self.events),
            len(chosen) - len(set(chosen) - self.events),
        )
        self.events |= set(chosen)

    @rule()
    def flush(self):
        self.store.flush()

    @rule()
    def compact(self):
        self.store.compact(min_files=2)

    @rule(step=st.sampled_from(["write", "commit", "drop"]))
    def crash_in_flush(self, step):
        class CrashError(Exception):
            pass

        def crash(*_args, **_kwargs):
            raise CrashError

        target = {
            "write": (delta.Table, "_commit"),
            "commit": (delta, "_sync_log"),
            "drop": (type(self.store._spool), "writing"),
        }[step]
        real = getattr(*target)
        setattr(*target, crash)
        try:
            self.store.flush()
        except CrashError:
            pass
        finally:
            setattr(*target, real)
        self.store = lake(self.folder)

    @rule()
    def reopen(self):
        self.store = lake(self.folder)

    @invariant()
    def holds(self):
        if hasattr(self, "store"):
            assert numbers(self.store) == sorted(self.events)

    def teardown(self):
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)


Model.TestCase.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
test_model = Model.TestCase


def test_a_file_that_is_no_spool_is_named(tmp_path):
    (tmp_path / "spool.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(ServiceError, match=r"spool\.db"):
        Lake(tmp_path, None)


def test_queries_and_writers_in_other_threads_do_not_disturb(tmp_path):
    store, wrong = lake(tmp_path), []

    def write():
        for first in range(0, 400, 20):
            store.append([batch(range(first, first + 20))])
            if first % 60 == 0:
                store.flush()

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        found = numbers(store)
        if found != list(range(len(found))) or len(found) % 20:
            wrong.append(found)
    writer.join()
    assert not wrong
    assert numbers(store) == list(range(400))


def test_sqlite_says_full_sync(tmp_path):
    store = lake(tmp_path)
    with store._spool._connection() as db:
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_scan_of_some_columns_is_the_scan_without_the_others(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(40))])
    store.flush()
    store.append([batch(range(40, 60), source="other", schema=PROCESS.remove(5))])
    store.flush()
    store.append([batch(range(60, 70))])
    span = {"start": START + 5 * 60_000, "end": START + 65 * 60_000}
    for given in ({}, span):
        whole = list(store.scan(1007, **given))
        some = list(store.scan(1007, **given, columns=("actor", "raw_data", "no_such")))
        kept = ["time", "metadata", "raw_data", "actor"]
        assert [one.table.select([n for n in one.table.column_names if n in kept]) for one in whole] == [
            one.table for one in some
        ]
        assert sum(map(len, some)) == (60 if given else 70)


def test_a_snapshot_says_where_there_may_be_rows(tmp_path):
    store = lake(tmp_path)
    store.append([batch([5])])
    store.flush()
    store.append([batch([2880])])
    now = store.snapshots()["process_activity"]
    flushed, waiting = START + 5 * 60_000, START + 2880 * 60_000
    assert now.reaches(flushed, flushed + 1)
    assert now.reaches(waiting, waiting + 1)
    assert not now.reaches(flushed + 1, waiting)
    assert not now.reaches(waiting + 1, waiting + 10**9)
    assert not now.reaches(0, flushed)
