"""Opened tables that are shared by who reads them: always as the log is now."""

import shutil

import pytest
from lakes import START, batch, lake, numbers

from lemnis.store import delta, opened


@pytest.fixture
def store(tmp_path):
    store = lake(tmp_path / "lake")
    store.append([batch(range(20))])
    store.flush()
    return store


def test_a_table_is_opened_once_for_each_version_whoever_asks(store, monkeypatch):
    real, asked = delta.open_table, []

    def counted(folder, version=None):
        asked.append(folder)
        return real(folder, version)

    monkeypatch.setattr(delta, "open_table", counted)
    folder = store.tables.folder("process_activity")
    first = opened.table(folder)
    assert opened.table(folder) is first
    assert len(asked) == 1
    again = lake(store.root)
    asked.clear()
    assert again.snapshots()["process_activity"].table is first
    assert asked == []


def test_what_is_flushed_compacted_and_evolved_is_seen(store):
    folder = store.tables.folder("process_activity")
    for first in (20, 40, 60):
        before = opened.table(folder)
        store.append([batch(range(first, first + 20))])
        store.flush()
        assert opened.table(folder).version > before.version
        assert numbers(store) == list(range(first + 20))
    many = len(opened.table(folder).files())
    store.compact(min_files=2)
    assert (many, len(opened.table(folder).files())) == (4, 1)
    assert numbers(store) == list(range(80))


def test_files_are_those_of_the_version_and_of_the_time(store):
    folder = store.tables.folder("process_activity")
    mine = delta.open_table(folder)
    assert len(mine.files()) == 1
    store.append([batch(range(2000, 2020))])
    store.flush()
    assert len(mine.files()) == 1, "it is a snapshot"
    now = opened.table(folder)
    assert [file.rows for file in now.files()] == [20, 20]
    assert [file.first for file in now.files(start=START + 100 * 60_000)] == [START + 2000 * 60_000]
    assert [file.first for file in now.files(end=START + 1)] == [START]
    assert now.moved > mine.moved


def test_a_table_that_another_took_the_place_of_is_that(store, tmp_path):
    folder = store.tables.folder("process_activity")
    other = lake(tmp_path / "other")
    other.append([batch(range(500, 505))])
    other.flush()
    there = other.tables.folder("process_activity")
    assert opened.table(folder).version == opened.table(there).version
    shutil.rmtree(folder)
    assert opened.table(folder) is None
    shutil.copytree(there, folder)
    assert sum(file.rows for file in opened.table(folder).files()) == 5


def test_a_table_without_an_entry_is_none(tmp_path):
    assert opened.table(tmp_path) is None
    (tmp_path / "_delta_log").mkdir()
    assert opened.table(tmp_path) is None
