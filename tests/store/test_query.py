import time

import pyarrow as pa
import pytest
from lakes import DAY, START, batch, lake

from lemnis.contracts.errors import UsageError
from lemnis.contracts.events import EventBatch
from lemnis.store import query


@pytest.fixture
def store(tmp_path):
    store = lake(tmp_path / "a=1 b'c")  # a path that must be quoted, and that looks like a partition
    store.append([batch(range(20)), batch(range(20, 30), 3002)])
    store.flush()
    store.append([batch(range(30, 35))])
    return store


def test_a_view_a_class_events_and_days(store):
    rows = store.query(
        "SELECT class_uid, count(*) AS n, min(day)::VARCHAR AS day FROM events GROUP BY 1 ORDER BY 1"
    )
    assert rows.to_pylist() == [
        {"class_uid": 1007, "n": 25, "day": "2024-10-04"},
        {"class_uid": 3002, "n": 10, "day": "2024-10-04"},
    ]
    assert store.query('SELECT count(*) AS n FROM "Authentication"').to_pylist() == [{"n": 10}]
    nested = store.query(
        "SELECT actor.process.name AS name FROM process_activity WHERE actor.process.args[2] = '31'"
    )
    assert nested.to_pylist() == [{"name": "p3"}]


def test_there_are_no_rejects_before_the_first(store):
    assert store.query("SELECT count(*) AS n FROM rejects").to_pylist() == [{"n": 0}]
    assert store.query("SELECT reason, day FROM rejects").to_pylist() == []


def test_events_of_classes_with_different_metadata_come_together(store):
    row = {"class_uid": 6003, "time": START, "metadata": {"uid": "x", "log_name": "s", "labels": ["l"]}}
    store.append([EventBatch(6003, "s", "o", pa.Table.from_pylist([row]))])
    sql = "SELECT metadata.uid AS uid, message FROM events WHERE class_uid = 6003"
    assert store.query(sql).to_pylist() == [{"uid": "x", "message": None}]


def test_an_empty_lake_has_events_and_none(tmp_path):
    assert lake(tmp_path).query("SELECT message, metadata.uid FROM events").num_rows == 0


def test_parameters_are_values_and_limits_hold(store):
    found = store.query(
        "SELECT message FROM events WHERE message = ? OR message = ?", parameters=["message 3", "'; --"]
    )
    assert found.to_pylist() == [{"message": "message 3"}]
    assert store.query("SELECT * FROM events", limit=7).num_rows == 7
    assert store.query("SELECT * FROM events WHERE time > ?", parameters=[0], limit=7).num_rows == 7
    assert store.query("SELECT 1 AS one -- a comment", limit=1).num_rows == 1


@pytest.mark.parametrize("sql", [
    "DELETE FROM events", "DROP VIEW events", "CREATE TABLE x (y INT)", "COPY (SELECT 1) TO '/tmp/lemnis-x.csv'",
    "SELECT 1; SELECT 2", "", "ATTACH '/tmp/lemnis-x.db'", "INSTALL httpfs", "LOAD httpfs", "SET threads = 1",
    "PRAGMA database_list; SELECT 1", "EXPORT DATABASE '/tmp/lemnis-x'", "SELEKT 1", "SELECT nothing FROM events",
    "SELECT * FROM nothing", "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM glob('/*')", "SELECT * FROM read_parquet('s3://a/b')",
    "CALL pragma_version()", "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/lemnis-x.csv'", "SELECT getenv('HOME')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''/tmp/lemnis-x.csv''')", "SELECT * FROM sql", "SELECT * FROM relations",
    "SELECT 1/0::DECIMAL + CAST('x' AS INT)",
])  # fmt: skip
def test_nothing_but_one_select_over_the_lake_runs(store, sql):
    with pytest.raises(UsageError):
        store.query(sql)


def test_the_lakes_own_files_can_not_be_written(store, tmp_path):
    (file,) = tmp_path.rglob("process_activity/**/*.parquet")
    before = file.read_bytes()
    for sql in (f"COPY (SELECT 1) TO '{str(file).replace(chr(39), chr(39) * 2)}'", "SELECT 1"):
        try:
            store.query(sql)
        except UsageError:
            assert sql != "SELECT 1"
    assert file.read_bytes() == before


def test_a_query_ends_at_its_time_and_its_memory(store):
    begun = time.monotonic()
    with pytest.raises(UsageError, match=r"longer than 0\.3 s"):
        store.query(
            "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 3", timeout=0.3
        )
    assert time.monotonic() - begun < 10
    with pytest.raises(UsageError, match="memory"):
        query.run({}, "SELECT list(range) FROM range(20000000)", limit=1, timeout=60, memory="32MB")


def test_files_of_other_days_are_not_opened(tmp_path):
    store = lake(tmp_path)
    store.append([batch(range(2), step=DAY)])
    store.flush()
    first, second = sorted(tmp_path.rglob("day=*/*.parquet"))
    first.write_bytes(b"no Parquet")
    for table in ("events", "process_activity"):
        sql = f"SELECT message FROM {table} WHERE day = DATE '2024-10-05'"
        assert store.query(sql).to_pylist() == [{"message": "message 1"}]
    with pytest.raises(UsageError):
        store.query("SELECT message FROM events")
    second.unlink()
    assert store.query("SELECT count(*) AS n FROM rejects").to_pylist() == [{"n": 0}]


def test_a_column_that_an_older_file_lacks_is_null(store):
    row = {
        "class_uid": 1007,
        "time": START,
        "metadata": {"uid": "x", "log_name": "s"},
        "extra": {"a": {"b": 7}},
    }
    store.append([EventBatch(1007, "s", "o", pa.Table.from_pylist([row]))])
    for _ in range(2):
        found = store.query(
            "SELECT extra.a.b AS b, count(*) AS n FROM process_activity GROUP BY 1 ORDER BY 2"
        )
        assert found.to_pylist() == [{"b": 7, "n": 1}, {"b": None, "n": 25}]
        store.flush()


def relations(store, files=None):
    return {
        name: query.Relation(
            one.schema,
            [one.table.absolute(file) for file in one.table.files()] if files is None else files,
            one.spooled,
        )
        for name, one in store.snapshots().items()
        if name == "process_activity"
    }


def test_of_a_piece_only_its_rows_are_seen(store):
    ((path,),) = (list(one.files) for one in relations(store).values())
    some = relations(store, [query.Piece(path, ((0, 2), (5, 6)))])
    for table in ("events", "process_activity"):
        sql = f"SELECT message FROM {table} WHERE time < {START + 20 * 60_000} ORDER BY time"
        found = query.run(some, sql, limit=100, timeout=60).column("message").to_pylist()
        assert found == ["message 0", "message 1", "message 5"]
    assert query.run(relations(store, []), "SELECT * FROM events", limit=100, timeout=60).num_rows == 5


def test_a_query_sees_what_another_process_committed(tmp_path):
    store, other = lake(tmp_path), lake(tmp_path)
    for number in range(3):
        other.append([batch([number])])
        other.flush()
        assert store.query("SELECT count(*) AS n FROM process_activity").to_pylist() == [{"n": number + 1}]
    other.compact(min_files=2)
    assert store.query("SELECT count(*) AS n FROM events").to_pylist() == [{"n": 3}]
