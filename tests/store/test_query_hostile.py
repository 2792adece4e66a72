"""What `lemnis sql` refuses or bounds: files outside the lake, the environment, and what needs too much."""

import os
import resource
import threading
import time

import pytest
from lakes import batch, lake

from lemnis.contracts.errors import UsageError
from lemnis.store import query

OUTSIDE = "outside the lake"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = lake(tmp_path_factory.mktemp("hostile") / "lake")
    store.append([batch(range(500))])
    store.flush()
    return store


@pytest.fixture
def secret(store):
    path = store.root.parent / "secret.csv"
    path.write_text(f"a\n{OUTSIDE}\n", encoding="utf-8")
    (store.root.parent / "secret.parquet").write_bytes(next(store.root.rglob("*.parquet")).read_bytes())
    return path


READS = [
    "SELECT * FROM read_csv('{path}')", "SELECT * FROM read_csv_auto('{path}')", "SELECT * FROM read_text('{path}')", "SELECT * FROM read_blob('{path}')",
    "SELECT * FROM read_json('{path}')", "SELECT * FROM read_json_objects('{path}')", "SELECT * FROM read_ndjson('{path}')", "SELECT * FROM sniff_csv('{path}')",
    "SELECT * FROM '{path}'", 'SELECT * FROM "{path}"', "SELECT * FROM read_parquet('{parquet}')", "SELECT * FROM parquet_scan('{parquet}')", "SELECT * FROM parquet_metadata('{parquet}')",
    "SELECT * FROM parquet_schema('{parquet}')", "SELECT * FROM parquet_file_metadata('{parquet}')", "SELECT * FROM parquet_kv_metadata('{parquet}')", "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_csv(['{path}', '{path}'])", "SELECT * FROM read_text('{folder}/lake/../secret.csv')", "SELECT * FROM read_text('file://{path}')", "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_text('/dev/stdin')", "SELECT * FROM read_csv('https://localhost/a.csv')", "SELECT * FROM read_parquet('s3://bucket/a')", "SELECT * FROM query('SELECT * FROM read_text(''{path}'')')",
    "SELECT * FROM query_table('{path}')", "SELECT (SELECT content FROM read_text('{path}'))", "WITH a AS (SELECT * FROM read_text('{path}')) SELECT * FROM a", "SELECT * FROM events, read_text('{path}')",
    "SELECT getenv('HOME')", "SELECT * FROM duckdb_secrets()", "SELECT * FROM which_secret('{path}', 's3')", "FROM read_text('{path}')", "SUMMARIZE SELECT * FROM read_text('{path}')",
    "SELECT * FROM iceberg_scan('{folder}')", "SELECT * FROM delta_scan('{folder}')", "SELECT * FROM sqlite_scan('{path}', 'a')", "SELECT * FROM st_read('{path}')", "SELECT * FROM read_xlsx('{path}')", "SELECT * FROM duckdb_logs()", "SELECT * FROM read_duckdb('{path}')",
]  # fmt: skip
CHANGES = [
    "COPY events TO '{path}.out'", "COPY (SELECT 1) TO '{path}'", "EXPORT DATABASE '{folder}/x'", "IMPORT DATABASE '{folder}/x'", "ATTACH '{path}.db' AS a", "ATTACH ':memory:' AS a", "DETACH memory", "USE memory",
    "INSTALL httpfs", "LOAD httpfs", "FORCE INSTALL json FROM '{folder}'", "PRAGMA enable_profiling", "PRAGMA database_list", "CALL pragma_version()", "CALL enable_logging()", "SET memory_limit = '1TB'", "SET GLOBAL enable_external_access = true",
    "RESET lock_configuration", "CREATE TABLE a AS SELECT 1", "CREATE MACRO a() AS 1", "CREATE SECRET a (TYPE s3)", "CREATE TEMP TABLE a (b INT)", "CREATE FUNCTION a(b) AS b", "DROP VIEW events", "INSERT INTO events SELECT * FROM events",
    "UPDATE events SET time = 0", "DELETE FROM events", "TRUNCATE events", "ALTER TABLE events ADD COLUMN a INT", "VACUUM", "CHECKPOINT", "BEGIN", "PREPARE a AS SELECT 1", "EXECUTE a", "SET VARIABLE a = 1", "EXPLAIN ANALYZE SELECT 1", "COMMENT ON VIEW events IS 'a'",
    "SELECT 1; DROP VIEW events", "SELECT 1; SELECT 2", "SELECT nextval('a')", "MERGE INTO events USING events AS o ON true WHEN MATCHED THEN DELETE",
]  # fmt: skip


@pytest.mark.parametrize("sql", READS)
def test_nothing_outside_the_lake_is_read(store, secret, sql):
    text = sql.format(path=secret, folder=secret.parent, parquet=secret.with_suffix(".parquet"))
    try:
        rows = store.query(text).to_pylist()
    except UsageError:
        return
    assert OUTSIDE not in str(rows)
    assert os.environ["HOME"] not in str(rows)
    assert not rows, "it ran, and gave something"


@pytest.mark.parametrize("sql", CHANGES)
def test_nothing_is_changed_or_loaded(store, secret, sql):
    before = sorted(path for path in secret.parent.rglob("*"))
    with pytest.raises(UsageError):
        store.query(sql.format(path=secret, folder=secret.parent))
    assert sorted(path for path in secret.parent.rglob("*")) == before
    assert secret.read_text(encoding="utf-8") == f"a\n{OUTSIDE}\n"
    assert store.query("SELECT count(*) AS n FROM events").to_pylist() == [{"n": 500}]


BIG = {
    "a cross join": "SELECT count(*) FROM events a, events b, events c, events d WHERE a.time + b.time + c.time = d.time",
    "a cross join that is sorted": "SELECT a.message || b.message || c.message AS m FROM events a, events b, events c ORDER BY md5(m)",
    "recursion": "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT max(n) FROM a", "a huge list": "SELECT len(list(range)) FROM range(2000000000)",
    "a huge text": "SELECT length(repeat(message, 2000000000)) FROM events", "a huge range": "SELECT sum(range) FROM range(100000000000000)", "a huge text that is shown": "SELECT repeat('x', 1000000000) FROM range(100)", "huge texts": "SELECT " + ", ".join(f"'{n}'.REPEAT(1000 * 1000 * 1000)" for n in range(9)), "a list made huge": "SELECT list_resize([1], 1000000000, 2)", "a huge limit": "SELECT a.time FROM events a, events b, events c, events d ORDER BY a.message LIMIT 9000000000", "recursion that grows": "WITH RECURSIVE a(t) AS (SELECT 'x' UNION ALL SELECT t || t FROM a) SELECT count(t) FROM a", "a huge aggregate": "SELECT string_agg(repeat(a.message, 100000), '') FROM events a, events b",
    "backtracking": "SELECT count(*) FROM events a, events b, events c WHERE regexp_matches(repeat(a.message, 100), '(x+x+)+y|(.*){10}z')", "a huge pattern": "SELECT regexp_matches(message, '(a{1000}){1000}') FROM events",
    "many ORs": "SELECT 1 FROM events WHERE " + " OR ".join(f"time={n}" for n in range(5_000)), "parentheses": "SELECT " + "(" * 50_000 + "1" + ")" * 50_000, "a tower": "SELECT " + "-" * 1 + "(".join(["abs"] * 3000) + "(1" + ")" * 3000,
    "unnest": "SELECT count(*) FROM (SELECT unnest(range(1000000)) FROM events a, events b)", "a huge pivot": "PIVOT events ON message USING count(*)", "sleep": "SELECT count(*) FROM range(3000000000) a WHERE md5(a.range::VARCHAR) = 'x'",
}  # fmt: skip


@pytest.mark.parametrize("name", BIG)
def test_what_needs_too_much_ends_at_its_time_memory_and_without_the_disk(store, name, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    relations = {
        name: query.Relation(one.schema, [one.table.absolute(f) for f in one.table.files()], one.spooled)
        for name, one in store.snapshots().items()
    }
    try:
        query.run(relations, BIG[name], limit=10, timeout=1.5, memory="300MB")
    except UsageError as error:
        assert str(error)  # noqa: PT017 - what a query can do within its bounds it may
    assert time.monotonic() - begun < 25
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_500_000  # kB
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sql", [
    "SELECT range, repeat('x', 1000) FROM range(1000000000000)",
    "SELECT unnest(range(100000)) FROM range(100000)", "SELECT * FROM events a, events b, events c LIMIT 9223372036854775807",
])  # fmt: skip
def test_an_answer_has_its_bounds_whatever_its_limit(store, monkeypatch, sql):
    monkeypatch.setattr(query, "MAX_ANSWER", 100 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        UsageError, match=r"larger than 100 MB|needs more memory|maximum total string size|longer than"
    ):
        store.query(sql, limit=10**30, timeout=5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 3_000_000  # kB


def test_what_goes_wrong_after_the_first_rows_is_told_as_ever(store):
    late = "CASE WHEN range < 200000 THEN range::VARCHAR ELSE 'x' END"
    with pytest.raises(UsageError, match="Could not convert"):
        store.query(f"SELECT ({late})::BIGINT FROM range(300000)", limit=10**9)
    with pytest.raises(UsageError, match="longer than 1 s"):
        store.query(
            "SELECT range FROM range(100000000000) WHERE range < 9 OR md5(range::VARCHAR) = ''",
            limit=10**9, timeout=1,
        )  # fmt: skip
    handle = query.Handle()
    timer = threading.Timer(0.3, handle.cancel)
    timer.start()
    with pytest.raises(query.CancelledError):
        store.query(
            "SELECT range FROM range(100000000000) WHERE range % 5000000 = 0", limit=10**9, handle=handle
        )
    timer.join()


def test_a_large_answer_within_its_bounds_is_whole(store):
    table = store.query("SELECT range AS n FROM range(300000)", limit=10**9)
    assert (table.num_rows, sum(table.column("n").to_pylist())) == (300_000, 300_000 * 299_999 // 2)
    assert store.query("SELECT 1 AS n WHERE false").schema.names == ["n"]


def test_a_statement_that_could_not_be_ended_while_it_is_planned_is_refused(store):
    begun = time.monotonic()
    for sql in (
        "SELECT 1 FROM events WHERE " + " OR ".join(["time=1"] * 1_000_000),
        "SELECT " + "1," * 40_000 + "1",
    ):
        with pytest.raises(UsageError, match="longer than 65,536"):
            store.query(sql)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("sql", [
    "SELECT lpad('x', 1000000000, 'y')", "SELECT length(rpad(message, 2000000000, 'y')) FROM events", "SELECT 'x'.LPAD(1000000000, 'y')",
    "SELECT list_transform([2000000000], lambda w: rpad('x', w, 'y'))", "SELECT system.main.lpad('x', 1000000000, 'y')",
    'SELECT "system"."main".rpad(\'x\', 1000000000, \'y\')', "SELECT * FROM query('SELECT sys' || 'tem.main.l' || 'pad(1, 1000000000, 2)')",
    "SELECT * FROM \"query\" /* ( */ ('SELECT 1')", "SELECT 'é', E'\\'', System . main.lpad('x', 1000000000, 'y'), ''",
])  # fmt: skip
def test_a_value_as_large_as_the_machine_is_refused_before_it_is_made(store, sql):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError, match=r"more than 1,000,000 characters|cannot be called"):
        store.query(sql, timeout=1.5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_texts_are_padded_as_ever(store):
    sql = "SELECT lpad(message, 12, '.') AS l, rpad(message, 4, 'x') AS r, lpad(NULL, 3, 'y') AS n FROM events WHERE message = 'message 7'"
    assert store.query(sql).to_pylist() == [{"l": "...message 7", "r": "mess", "n": None}]
    assert store.query("SELECT 'query (a)' AS query -- system.main").to_pylist() == [{"query": "query (a)"}]
