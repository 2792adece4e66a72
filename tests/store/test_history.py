import time
from itertools import pairwise

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from lakes import DAY, batch, lake

from lemnis.contracts.errors import InputError, NotFoundError, UsageError
from lemnis.store import compaction, deltalog, history, sweeping
from lemnis.store.history import AsOf, ask, versions
from lemnis.store.retention import Policy, Purpose, Retention

COUNT = "SELECT count(*) AS n FROM process_activity"


def count(store, as_of, sql=COUNT, **more):
    return ask(store.tables, sql, as_of, **more).table.column("n")[0].as_py()


def grown(folder):
    """Make a lake of five flushes of ten rows over three days, and then compacted; return it and the times."""
    store, times = lake(folder), []
    for number in range(5):
        store.append([batch(range(number * 10, number * 10 + 10), step=DAY // 20)])
        store.flush()
        times.append(deltalog.now())
        time.sleep(0.003)
    return store, times


def test_every_version_can_be_asked_and_every_time(tmp_path):
    store, times = grown(tmp_path)
    assert store.compact(min_files=2) == 2
    assert [count(store, AsOf(version=number)) for number in range(1, 6)] == [10, 20, 30, 40, 50]
    assert [count(store, AsOf(at=at)) for at in times] == [10, 20, 30, 40, 50]
    assert count(store, AsOf(at=times[1]), "SELECT count(*) AS n FROM events") == 20
    store.append([batch([900])])
    assert count(store, AsOf(at=deltalog.now())) == 50  # not what is only in the spool
    assert [
        DeltaTable(tmp_path / "tables" / "process_activity", version=n).to_pyarrow_table().num_rows
        for n in (2, 7)
    ] == [20, 50]


def test_history_tells_what_was_done(tmp_path):
    store, _ = grown(tmp_path)
    store.compact(min_files=2)
    found = versions(store.tables, "process_activity")
    assert [one.operation for one in found] == ["compact"] * 2 + ["flush"] * 5 + ["create"]
    assert [one.total for one in found] == [50, 50, 50, 40, 30, 20, 10, 0]
    assert (found[0].files_added, found[0].files_removed, found[0].rows_added, found[0].rows_removed) == (
        1,
        2,
        20,
        20,
    )
    assert versions(store.tables)[0] == found[0]
    with pytest.raises(NotFoundError, match="there are: process_activity"):
        versions(store.tables, "dns_activity")


def test_what_cannot_be_asked_is_said(tmp_path):
    store, times = grown(tmp_path)
    with pytest.raises(UsageError, match="nothing in the lake at"):
        count(store, AsOf(at=times[0] - 10**7))
    with pytest.raises(UsageError, match="there are 0 to 5"):
        count(store, AsOf(version=17))
    store.append([batch([1001], class_uid=3002)])
    store.flush()
    with pytest.raises(UsageError, match="of which table"):
        count(store, AsOf(version=1), "SELECT count(*) AS n FROM events")
    with pytest.raises(UsageError, match="rejects have no history"):
        count(store, AsOf(at=times[0]), "SELECT count(*) AS n FROM rejects")
    with pytest.raises(UsageError, match="only one SELECT"):
        count(store, AsOf(at=times[0]), "DROP TABLE process_activity")


def test_a_sweep_leaves_the_history_that_is_kept_and_takes_what_is_older(tmp_path):
    store, times = grown(tmp_path)
    store.compact(min_files=2)
    compacted = deltalog.now()
    before = set(sweeping.data_files(tmp_path / "tables" / "process_activity"))
    assert sweeping.sweep(store.tables, before=times[0]) == sweeping.Swept()
    assert set(sweeping.data_files(tmp_path / "tables" / "process_activity")) == before
    swept = sweeping.sweep(store.tables, before=compacted + 1)
    assert swept.files == 4  # one day has one file only, and was left as it is
    assert count(store, AsOf(at=deltalog.now())) == 50
    with pytest.raises(InputError, match="days are no longer on the disk"):
        count(store, AsOf(at=times[3]))
    answer = ask(store.tables, COUNT, AsOf(at=times[4]), partly=True)
    assert answer.table.column("n")[0].as_py() < 50
    assert answer.missing[0].startswith("process_activity 2024-10-0")


def test_a_file_that_no_log_names_is_swept_and_a_readers_is_not(tmp_path):
    store, _ = grown(tmp_path)
    stray = next(sweeping.data_files(tmp_path / "tables" / "process_activity")).with_name(
        "spool-9.zstd.parquet"
    )
    stray.write_bytes(b"PAR1")
    reader = pq.ParquetFile(next(sweeping.data_files(tmp_path / "tables" / "process_activity")))
    store.compact(min_files=2)
    assert not stray.exists()
    assert reader.read().num_rows  # the file that compaction replaced is still there for it


def test_the_log_is_cut_where_history_begins_and_the_table_still_opens(tmp_path, monkeypatch):
    monkeypatch.setattr(sweeping, "_ENTRIES", 3)
    store, times = grown(tmp_path)
    sweeping.sweep(store.tables, before=times[0])
    for number in range(5, 8):
        store.append([batch(range(number * 10, number * 10 + 10), step=DAY // 20)])
        store.flush()
    swept = sweeping.sweep(store.tables, before=deltalog.now() + 1)
    assert swept.entries > 0
    log = [version for version, _ in deltalog.versions(tmp_path / "tables" / "process_activity")]
    assert log == list(range(log[0], 9))
    assert log[0] > 0
    again = lake(tmp_path)
    assert again.query(COUNT).column("n")[0].as_py() == 80
    again.append([batch(range(80, 90))])
    again.flush()
    assert DeltaTable(tmp_path / "tables" / "process_activity").to_pyarrow_table().num_rows == 90
    found = versions(again.tables)
    assert (found[-1].version, found[0].total) == (log[0], 90)
    with pytest.raises(UsageError, match="the history of process_activity begins at"):
        count(again, AsOf(at=times[1]))


def test_what_retention_took_is_taken_from_the_past_too(tmp_path):
    store, times = grown(tmp_path)
    retention = Retention(store.tables, Policy(default=Purpose("p", 1)), now=20_000 * DAY + 3 * DAY)
    retention.run("r")
    with pytest.raises(InputError, match="retention took them"):
        count(store, AsOf(at=times[4]))
    rest = ask(store.tables, COUNT, AsOf(at=times[4]), partly=True)
    assert (rest.table.column("n")[0].as_py(), rest.missing) == (
        10,
        ("process_activity 2024-10-04", "process_activity 2024-10-05"),
    )
    assert history.versions(store.tables)[0].operation == "retain"
    assert {"lemnis.run": "r"}.items() <= history.versions(store.tables)[0].facts.items()


def test_compaction_needs_little_memory_and_makes_files_of_parted_times(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "_WINDOW_ROWS", 50)
    store = lake(tmp_path)
    for number in range(10):
        store.append([batch(range(number, 1000, 10), step=DAY // 1000)])
        store.flush()
    seen = []
    real = compaction.arrange
    monkeypatch.setattr(compaction, "arrange", lambda table: seen.append(table.num_rows) or real(table))
    (done,) = compaction.compact(store.tables, min_files=2, rows=300)
    assert (done.files, done.rows, done.new_files) == (10, 1000, 4)
    assert max(seen) <= 51
    files = next(store.tables.open())[1].files()
    assert [file.rows for file in files] == [300, 300, 300, 100]
    assert all(one.last < other.first for one, other in pairwise(files))
    assert compaction.compact(store.tables, min_files=2, rows=300) == []
    assert list((tmp_path / "rewriting" / "process_activity").iterdir()) == []
