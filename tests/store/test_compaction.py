"""Compaction changes how rows lie and nothing else, whatever happens meanwhile, and wherever it is killed."""

import multiprocessing
import os
import random
import sys
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable
from lakes import DAY, batch, lake, numbers

from lemnis.contracts.errors import IntegrityError
from lemnis.store import compaction, integrity
from lemnis.store.compaction import compact, due
from lemnis.store.retention import Policy, Purpose, Retention

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["lemnis.store.lake"])
NAME = "process_activity"


def filled(folder, files=6, rows=40):
    store = lake(folder)
    for number in range(files):
        store.append([batch(range(number, files * rows, files), step=DAY // 60)])
        store.flush()
    return store


def killed(folder, steps, acknowledged):
    """Compact in a child that kills itself at a sync or a rename."""
    sys.path.insert(0, str(Path(__file__).parent))
    from lakes import lake as open_lake  # noqa: PLC0415 - in the child

    store = open_lake(folder)
    left = [steps]

    def dying(real):
        def call(*about, **more):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), 9)
            return real(*about, **more)

        return call

    os.fsync, Path.replace, Path.unlink = dying(os.fsync), dying(Path.replace), dying(Path.unlink)
    compact(store.tables, min_files=2, rows=100)
    acknowledged.touch()


def test_killed_at_any_step_it_loses_nothing_and_doubles_nothing(tmp_path):
    folder = tmp_path / "lake"
    filled(folder)
    wanted = list(range(240))
    ended = []
    moments = random.Random(5)  # noqa: S311 - moments, not secrets
    for number in range(7):
        child = SPAWN.Process(
            target=killed, args=(folder, moments.randrange(number * 4, number * 4 + 4), tmp_path / "done")
        )
        child.start()
        child.join()
        ended.append(child.exitcode)
        store = lake(folder)
        assert numbers(store) == wanted
        assert integrity.check(store.tables, deep=True).whole
        store.append([batch([1000 + number], step=1)])
        store.flush()
        wanted.append(1000 + number)
    assert -9 in ended
    compact(lake(folder).tables, min_files=2, rows=100)
    rows = DeltaTable(folder / "tables" / NAME).to_pyarrow_table().column("message").to_pylist()
    assert sorted(int(text.split()[1]) for text in rows) == wanted
    assert integrity.check(lake(folder).tables, deep=True).whole
    assert not list((folder / "rewriting" / NAME).iterdir())


def test_a_flush_in_the_middle_goes_on_and_is_kept(tmp_path, monkeypatch):
    store = filled(tmp_path)
    real, seen = compaction.arrange, []

    def arrange(table):
        if not seen:
            seen.append(store.append([batch(range(500, 510), step=1)]))
            assert store.flush() == 10  # does not wait for the compaction, which holds another lock
        return real(table)

    monkeypatch.setattr(compaction, "arrange", arrange)
    done = compact(store.tables, min_files=2)
    assert sum(one.rows for one in done) == 240
    assert numbers(store) == [*range(240), *range(500, 510)]
    assert integrity.check(store.tables, deep=True).findings == []


def test_readers_of_the_version_before_are_not_disturbed(tmp_path):
    store = filled(tmp_path)
    before = DeltaTable(tmp_path / "tables" / NAME)
    paths = before.file_uris()
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT message FROM read_parquet(?)", [paths])
        first = rows.fetchmany(1)
        compact(store.tables, min_files=2)
        assert len(first + rows.fetchall()) == 240
    assert before.to_pyarrow_table().num_rows == 240
    now = DeltaTable(tmp_path / "tables" / NAME)
    assert set(now.file_uris()).isdisjoint(paths)
    assert now.to_pyarrow_table().num_rows == 240


def test_what_is_gone_meanwhile_is_left_alone(tmp_path):
    store = filled(tmp_path)
    (day, *_) = due(store.tables, min_files=2)
    table = next(store.tables.open())[1]
    rewriting = compaction.Rewriting(store.tables, NAME, "compact")
    rewriting.stage(day.day, compaction.merged(table, day.files))
    Retention(store.tables, Policy(default=Purpose("p", 1)), now=table.files()[0].first + 9 * DAY).run("r")
    assert rewriting.commit(day.files) is None
    assert numbers(store) == []


def test_a_file_that_lost_rows_is_not_compacted_away(tmp_path, monkeypatch):
    store = filled(tmp_path)
    real = compaction.merged
    monkeypatch.setattr(compaction, "merged", lambda table, files: list(real(table, files))[:-1])
    with pytest.raises(IntegrityError, match="by the log"):
        compact(store.tables, min_files=2)
    monkeypatch.undo()
    assert numbers(store) == list(range(240))


def test_only_what_is_due_and_wanted_is_done(tmp_path):
    store = filled(tmp_path)
    days = due(store.tables, min_files=6)
    assert [day.day for day in days] == sorted(day.day for day in days)
    assert due(store.tables, min_files=7) == []
    assert compact(store.tables, min_files=2, names=["dns_activity"]) == []
    assert len(compact(store.tables, min_files=2, most=1)) == 1
    assert compact(store.tables, min_files=2, stop=lambda: True) == []
    assert len(due(store.tables, min_files=2)) == len(days) - 1


def test_two_at_once_take_turns(tmp_path):
    filled(tmp_path / "lake")
    children = [
        SPAWN.Process(target=killed, args=(tmp_path / "lake", 10**9, tmp_path / f"done{n}")) for n in range(2)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    store = lake(tmp_path / "lake")
    assert numbers(store) == list(range(240))
    assert integrity.check(store.tables, deep=True).findings == []
