"""A search's database: what it reaches, and that it is kept for the next search of the same lake."""

import subprocess
import sys
import threading

import duckdb
import pytest
from lakes import batch, lake

from lemnis.store import databases
from lemnis.store.databases import Database
from lemnis.store.search import Search

NOW = 2_000_000_000_000


@pytest.fixture(autouse=True)
def connections(monkeypatch):
    monkeypatch.setattr(databases, "_IDLE", [])
    real, made = duckdb.connect, []

    def connect(*about, **more):
        made.append(1)
        return real(*about, **more)

    monkeypatch.setattr(duckdb, "connect", connect)
    return made


def test_what_is_beside_its_folder_is_out_of_its_reach(tmp_path):
    (tmp_path / "tables").mkdir()
    for name in ("tables/a.csv", "b.csv", "tables-c.csv"):
        (tmp_path / name).write_text("n\n1\n", encoding="utf-8")
    base = Database(tmp_path / "tables", "100MB")
    assert base.cursor().sql(f"SELECT * FROM '{tmp_path}/tables/a.csv'").fetchall() == [(1,)]
    for name in ("b.csv", "tables-c.csv", "tables/../b.csv", "tables/./../b.csv", "*.csv"):
        with pytest.raises(duckdb.Error):
            base.cursor().sql(f"SELECT * FROM '{tmp_path}/{name}'").fetchall()
    for setting in ("SET enable_external_access = true", "SET allowed_directories = ['/']", "LOAD httpfs"):
        with pytest.raises(duckdb.Error):
            base.cursor().execute(setting)
    base.close()


def test_it_is_kept_for_who_asks_the_same_next(tmp_path, connections):
    one, other = Database(tmp_path, "100MB"), Database(tmp_path, "100MB")
    one.cursor().execute("CREATE TEMP VIEW a AS SELECT 1 AS n")
    one.close()
    with pytest.raises(duckdb.CatalogException):
        other.cursor().execute("SELECT * FROM a")
    assert len(connections) == 1
    Database(tmp_path, "200MB").cursor()
    Database(tmp_path / "b", "100MB").cursor()
    one.cursor()
    assert len(connections) == 4, "the other one is used still"


def test_one_that_broke_is_not_used_again(tmp_path, connections):
    one = Database(tmp_path, "100MB")
    one.cursor()
    one.close()
    databases._IDLE[0][1].close()
    assert one.cursor().sql("SELECT 1").fetchall() == [(1,)]
    assert len(connections) == 2


def test_few_are_idle_and_none_of_another_process(tmp_path, connections, monkeypatch):
    some = [Database(tmp_path / str(n), "100MB") for n in range(5)]
    for one in some:
        one.cursor()
    for one in some:
        one.close()
    assert len(databases._IDLE) == 2
    monkeypatch.setattr("os.getpid", lambda: 1)
    some[4].cursor()
    assert len(connections) == 6


def test_files_of_a_bucket_are_no_folder_and_nothing_is_kept(tmp_path):
    one = Database([tmp_path / "a.parquet"], "100MB")
    one.cursor()
    one.close()
    assert databases._IDLE == []


def test_searches_of_a_lake_open_one_database_after_the_other_and_one_each_at_once(tmp_path, connections):
    store = lake(tmp_path)
    store.append([batch(range(50))])
    store.flush()

    def asked():
        found = Search(store, "message", now=NOW)
        return sum(len(some) for some in found.found())

    assert [asked() for _ in range(3)] == [50] * 3
    store.append([batch(range(50, 60))])
    store.flush()
    assert asked() == 60, "of files that came later"
    assert len(connections) == 1
    counts = []
    threads = [threading.Thread(target=lambda: counts.append(asked())) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert counts == [60] * 3


def test_a_process_without_a_script_draws_no_progress():
    """Such a one is taken for somebody's session: those that `lemnis serve` spawns, too."""
    asked = "SELECT value FROM duckdb_settings() WHERE name = 'enable_progress_bar'"
    opened = "databases.connect(databases.SETTINGS)"
    program = f'from lemnis.store import databases; print({opened}.sql("{asked}").fetchall()[0][0])'
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "false\n"
