"""Whatever is wrong with a lake is found, and named; a whole one has no findings."""

import random
import shutil
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import DAY, START, batch, lake

from lemnis.contracts.events import EventBatch
from lemnis.store import delta, integrity, layout
from lemnis.store.integrity import check

NAME = "process_activity"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of a lake with compacted days, flushed files, and rows in the spool."""
    folder = tmp_path_factory.mktemp("whole") / "lake"
    store = lake(folder)
    for number in range(4):
        store.append([batch(range(number * 40, number * 40 + 40), step=DAY // 100)])
        store.flush()
    store.compact(min_files=3)
    store.append([batch(range(160, 200), step=DAY // 100), batch(range(1000, 1010), class_uid=3002)])
    store.flush()
    store.append([batch(range(200, 205))])
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "lake")
    return tmp_path / "lake"


def kinds(folder, *, deep=True):
    return [one.kind for one in check(lake(folder).tables, deep=deep).findings if one.level == "error"]


def files(folder):
    return [table.absolute(file) for _, table in lake(folder).tables.open() for file in table.files()]


def entry(folder, version):
    return folder / "tables" / NAME / "_delta_log" / f"{version:020}.json"


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_lake_has_no_findings(folder, deep):
    told = []
    report = check(lake(folder).tables, deep=deep, progress=lambda done, whole: told.append((done, whole)))
    assert report.findings == []
    assert report.whole
    assert (report.tables, report.rows, report.spooled) == (2, 210, 5)
    assert told[-1] == (report.files, report.files)
    store = lake(folder)
    store.flush()
    assert kinds(folder) == []


@pytest.mark.parametrize("seed", range(4))
def test_one_flipped_byte_anywhere_in_a_file_is_found_and_named(folder, seed):
    chance = random.Random(seed)  # noqa: S311 - places, not secrets
    paths = files(folder)
    for _ in range(6):
        path = chance.choice(paths)
        before = path.read_bytes()
        place = chance.randrange(len(before))
        path.write_bytes(
            before[:place] + bytes([before[place] ^ (1 << chance.randrange(8))]) + before[place + 1 :]
        )
        found = [one for one in check(lake(folder).tables, deep=True).findings if one.level == "error"]
        assert found, place
        assert {one.at for one in found} == {path.relative_to(folder).as_posix()}
        path.write_bytes(before)
    assert kinds(folder) == []


def test_a_flipped_byte_in_a_page_is_named_by_row_group_and_column(folder):
    path = files(folder)[0]
    meta = pq.read_metadata(path)
    columns = {meta.schema.column(n).path: n for n in range(meta.num_columns)}
    chunk = meta.row_group(0).column(columns["message"])
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data = bytearray(path.read_bytes())
    data[start + chunk.total_compressed_size - 3] ^= 1
    path.write_bytes(data)
    (found,) = check(lake(folder).tables, deep=True).findings
    assert found.kind == "file-page"
    assert found.what.startswith("row group 0, column message: ")
    assert "copy" in found.fix
    assert kinds(folder, deep=False) == []  # what is not read is not judged


def test_files_that_are_gone_or_cut_or_exchanged(folder):
    paths = [path for path in files(folder) if NAME in path.parts]
    kept = {path: path.read_bytes() for path in paths}
    paths[0].unlink()
    assert kinds(folder, deep=False) == ["file-missing"]
    paths[0].write_bytes(kept[paths[0]][:-9])
    assert kinds(folder, deep=False) == ["file-size", "file-unreadable"]
    paths[0].write_bytes(kept[paths[1]])
    found = set(kinds(folder))
    assert {"file-size", "file-changed", "row-day", "uid-twice"} <= found


@pytest.mark.parametrize(("damage", "expected"), [
    (lambda path: path.unlink(), "log-unreadable"),
    (lambda path: path.write_bytes(path.read_bytes()[:-30]), "log-unreadable"),
    (lambda path: path.write_bytes(b""), "log-torn"),
])  # fmt: skip
def test_a_log_with_a_hole(folder, damage, expected):
    damage(entry(folder, 2))
    found = [(one.kind, one.table) for one in check(lake(folder).tables).findings]
    assert (expected, NAME) in found
    assert any(kind in {"log-gap", "log-torn"} for kind, _ in found)
    assert ("uid-unknown", "") not in found


def test_a_log_that_lost_its_end(folder):
    last = max((folder / "tables" / NAME / "_delta_log").glob("*.json"))
    last.unlink()
    assert "log-cut" in kinds(folder)


def test_a_log_that_lies(folder):
    (table,) = (table for name, table in lake(folder).tables.open() if name == NAME)
    table.checkpoint()
    last = max((folder / "tables" / NAME / "_delta_log").glob("*.json"))
    last.write_text(last.read_text().replace('\\"numRecords\\":', '\\"numRecords\\":1'))
    assert kinds(folder, deep=False) == ["log-state"]  # the checkpoint still says what was so
    for one in last.parent.glob("*checkpoint*"):
        one.unlink()
    assert set(kinds(folder, deep=False)) == {"file-rows"}


def test_rows_that_are_twice_or_unknown_or_of_another_day(folder):
    store = lake(folder)
    table = next(table for name, table in store.tables.open() if name == NAME)
    source = table.files()[0]
    rows = pq.read_table(table.absolute(source), partitioning=None)
    other = rows.set_column(
        rows.column_names.index("time"), "time", pa.array([START + 9 * DAY] * rows.num_rows, pa.int64())
    )
    extra = batch([77_777], step=1).table
    mixed = pa.concat_tables(
        [other.slice(0, 2), extra.select(rows.column_names)], promote_options="permissive"
    )
    path = table.folder / f"day={source.day}" / "foreign.parquet"
    with path.open("wb") as file:
        delta.write_rows(file, [layout.arrange(mixed)])
    table.replace([], [path], done="foreign")
    with store._spool.writing() as spool:
        spool.set_synced(NAME, table.version)
    report = check(store.tables)
    assert [one.kind for one in report.findings] == ["row-day", "uid-twice", "uid-twice", "uid-unknown"]
    assert "foreign.parquet" in report.findings[1].what
    assert report.findings[3].what.startswith("1 event ")


def test_strays_are_noted_and_harm_nothing(folder):
    stray = files(folder)[0].with_name("left.parquet")
    stray.write_bytes(b"PAR1")
    report = check(lake(folder).tables)
    assert [(one.kind, one.level) for one in report.findings] == [("file-stray", "note")]
    assert report.whole


def test_a_spool_that_is_damaged(folder):
    with sqlite3.connect(folder / "spool.db") as db:
        number, data = db.execute("SELECT id, data FROM segments").fetchone()
        db.execute("UPDATE segments SET data = ? WHERE id = ?", (data[: len(data) // 2], number))
    db.close()
    assert "spool-segment" in kinds(folder)


def test_a_list_of_known_uids_that_was_flipped(folder, monkeypatch):
    monkeypatch.setattr("lemnis.store.known.FOLDED", 1)
    store = lake(folder)
    store.append([batch(range(5000, 5010))])
    store.flush()
    (run,) = (folder / "uids").iterdir()
    data = bytearray(run.read_bytes())
    data[len(data) // 2] ^= 1
    run.write_bytes(data)
    assert set(kinds(folder)) == {"uid-list", "uid-unknown"}


def test_columns_that_the_table_has_not(folder):
    store = lake(folder)
    table = next(table for name, table in store.tables.open() if name == NAME)
    rows = batch([9000, 9001]).table.append_column("odd", pa.array(["a", "b"]))
    path = table.folder / "day=2024-10-04" / "odd.parquet"
    with path.open("wb") as file:
        delta.write_rows(file, [rows])
    table.replace([], [path], done="foreign")
    with store._spool.writing() as spool:
        spool.set_synced(NAME, table.version)
    assert integrity.check(store.tables).findings[0].kind == "file-columns"


def test_check_waits_for_nobody_and_ingest_not_for_it(folder):
    store = lake(folder)
    seen = []

    def more(done, whole):
        if done == 1:
            store.append([EventBatch(1007, "s", "o", batch(range(6000, 6005)).table)])
            seen.append(store.flush())

    assert check(store.tables, deep=True, progress=more).findings == []
    assert seen == [10]
    assert kinds(folder) == []
