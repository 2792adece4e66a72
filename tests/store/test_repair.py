"""What a check found is put right without a loss: every event is there once, and the next check finds nothing."""

import json
import random
import shutil
import sqlite3

import pytest
from deltalake import DeltaTable
from lakes import DAY, batch, lake, numbers

from lemnis import app
from lemnis.app import lake_repair
from lemnis.interfaces.cli import run
from lemnis.store import delta, deltalog, integrity, repair

NAME = "process_activity"
EVERY = [*range(205), *range(1000, 1010)]


def filled(folder):
    """Fill a lake: compacted days, flushed files, a checkpoint, and rows in the spool."""
    store = lake(folder)
    for number in range(4):
        store.append([batch(range(number * 40, number * 40 + 40), step=DAY // 100)])
        store.flush()
    store.compact(min_files=3)
    store.append([batch(range(160, 200), step=DAY // 100), batch(range(1000, 1010), class_uid=3002)])
    store.flush()
    store.append([batch(range(200, 205))])
    return store


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "lake"
    filled(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "lake")


def repaired(folder, **how):
    """Repair a lake; return the kinds of steps."""
    tables = lake(folder).tables
    planned = repair.plan(integrity.check(tables, deep=True), **how)
    return [one.step.kind for one in repair.apply(tables, planned)]


def log(folder):
    return sorted((folder / "tables" / NAME / deltalog.FOLDER).glob("*.json"))


def as_others_read_it(folder):
    rows = DeltaTable(folder / "tables" / NAME).to_pyarrow_table().column("message").to_pylist()
    return sorted(int(text.split()[1]) for text in rows)


def sound(folder):
    """Look whether all is there once, goes on, and is whole."""
    store = lake(folder)
    assert numbers(store) == EVERY
    assert as_others_read_it(folder) == [one for one in EVERY if one < 200]
    assert store.append([batch(range(205))]).duplicates == 205
    assert integrity.check(store.tables, deep=True).findings == []
    store.append([batch(range(300, 310))])
    store.flush()
    store.compact(min_files=2)
    assert numbers(store) == sorted([*EVERY, *range(300, 310)])
    return integrity.check(store.tables, deep=True).findings == []


def test_a_whole_lake_needs_nothing(folder):
    assert repair.plan(integrity.check(lake(folder).tables)) == repair.Plan((), ())


@pytest.mark.parametrize("cut", [1, 3, 9])
def test_a_log_that_lost_its_end_loses_no_event(folder, cut):
    for path in log(folder)[-cut:]:
        path.unlink()
    assert repaired(folder) == ["log", "strays"]
    assert sound(folder)


@pytest.mark.parametrize("place", [0, 2, -1])
@pytest.mark.parametrize("how", ["torn", "gone", "empty"])
def test_a_damaged_entry_is_set_aside_with_those_that_follow(folder, place, how):
    path = log(folder)[place]
    data = path.read_bytes()
    path.unlink() if how == "gone" else path.write_bytes(data[:-30] if how == "torn" else b"")
    assert repaired(folder)[:2] == ["log", "strays"]
    assert list((folder / "aside").rglob("*"))
    assert sound(folder)


def test_checkpoints_that_differ_from_the_entries_are_set_aside(folder):
    table = dict(lake(folder).tables.open())[NAME]
    table.checkpoint()
    last = log(folder)[-1]
    kept = last.read_text()
    last.write_text(kept.replace('\\"numRecords\\":', '\\"numRecords\\":1'))
    assert repaired(folder)[0] == "state"
    assert [one.kind for one in integrity.check(lake(folder).tables).findings] == ["file-rows"]
    assert repaired(folder) == ["lies"]
    assert sound(folder)


@pytest.mark.parametrize("lie", ["minValues", "numRecords", "size"])
def test_a_log_that_lies_about_a_file_is_put_right_by_the_file(folder, lie):
    path = log(folder)[-1]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for one in lines:
        if add := one.get("add"):
            stats = json.loads(add["stats"])
            if lie == "size":
                add["size"] += 7
            elif lie == "numRecords":
                stats["numRecords"] += 7
            else:
                stats["minValues"]["time"] += 9 * 3_600_000
            add["stats"] = json.dumps(stats)
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert set(repaired(folder)) == {"lies"}
    assert sound(folder)


def test_rows_of_another_day_come_to_theirs(folder):
    store = lake(folder)
    table = dict(store.tables.open())[NAME]
    extra = batch([777, 778], step=1).table
    target = table.folder / "day=2030-01-01"
    target.mkdir()
    path = delta.write_file(target, "foreign", [extra])
    table.replace([], [path], done="foreign")
    store.tables.settled(NAME, table.version)
    assert "lies" in repaired(folder)
    found = lake(folder).query("SELECT DISTINCT day FROM process_activity WHERE message LIKE 'message 77_'")
    assert [str(row["day"]) for row in found.to_pylist() if str(row["day"]) != "2024-10-05"] == ["2024-10-04"]
    assert integrity.check(lake(folder).tables, deep=True).findings == []


def test_what_a_killed_writer_left_is_set_aside_and_nothing_of_it_is_there_twice(folder):
    table = dict(lake(folder).tables.open())[NAME]
    file = table.absolute(table.files()[0])
    shutil.copy(file, file.with_name(f"left-{file.name}"))
    (file.parent / "junk.parquet").write_bytes(b"PAR1")
    assert repaired(folder) == ["strays"]
    assert not (file.parent / "junk.parquet").exists()
    assert sound(folder)


def test_uids_that_are_not_known_are_learnt(folder):
    with sqlite3.connect(folder / "spool.db") as db:
        tables = [
            name
            for (name,) in db.execute(
                "SELECT name FROM sqlite_master WHERE name LIKE '%uid%' AND type = 'table'"
            )
        ]
        for name in tables:
            db.execute(f"DELETE FROM {name}")
    db.close()
    assert "uid-unknown" in [one.kind for one in integrity.check(lake(folder).tables).findings]
    assert repaired(folder) == ["uids"]
    assert integrity.check(lake(folder).tables).findings == []


def test_a_file_that_is_gone_is_only_given_up_if_that_is_asked_for(folder):
    table = dict(lake(folder).tables.open())[NAME]
    file = table.files()[-1]
    table.absolute(file).unlink()
    report = integrity.check(lake(folder).tables)
    assert [one.kind for one in repair.plan(report).left] == ["file-missing"]
    assert repair.plan(report).steps == ()
    assert repaired(folder, give_up=True) == ["missing"]
    assert len(numbers(lake(folder))) == len(EVERY) - file.rows
    assert integrity.check(lake(folder).tables).findings == []


def test_a_file_that_was_flipped_is_left_as_it_is(folder):
    table = dict(lake(folder).tables.open())[NAME]
    path = table.absolute(table.files()[0])
    data = bytearray(path.read_bytes())
    data[random.Random(3).randrange(len(data) // 2)] ^= 1  # noqa: S311 - a place, no secret
    path.write_bytes(data)
    planned = repair.plan(integrity.check(lake(folder).tables, deep=True))
    assert planned.steps == ()
    assert {one.at for one in planned.left} == {path.relative_to(folder).as_posix()}


def test_the_command_tells_first_and_writes_down_what_it_did(tmp_path, capsys):
    opened = app.init(tmp_path / "w")
    filled(app.lake(opened).root)
    log(app.lake(opened).root)[-1].unlink()
    at = ["--json", "--workspace", str(opened.root)]
    assert run(["lake", "repair", *at]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one.get("kind") for one in told] == ["log", "strays", None]
    assert told[-1] == {"steps": 2, "left": 0, "applied": False}
    assert len(log(app.lake(opened).root)) > 1
    assert run(["lake", "repair", "--apply", "--reason", "a test", *at]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["step"], one["rows"]) for one in told if "step" in one] == [("log", 0), ("strays", 40)]
    (entry,) = app.journal(opened).entries(kind=lake_repair.REPAIRED)
    assert entry.reason == "a test"
    assert [one["kind"] for one in entry.payload["steps"]] == ["log", "strays"]
    assert run(["lake", "check", *at]) == 0
    capsys.readouterr()
    assert run(["lake", "repair", "--apply", *at]) == 0
    assert json.loads(capsys.readouterr().out) == {"steps": 0, "left": 0, "applied": True}
