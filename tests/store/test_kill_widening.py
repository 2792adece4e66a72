"""Killed while a column is widened, which writes every file anew, and while that is compacted: nothing is lost."""

import multiprocessing
import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from lakes import DAY, PROCESS, batch, lake, numbers

from lemnis.store import integrity

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["lemnis.store.lake"])
NAME = "process_activity"
WIDE = pa.schema([field.with_type(pa.int64()) if field.name == "severity_id" else field for field in PROCESS])


def killed(folder, steps, acknowledged):
    """Bring a wider number, flush and compact in a child that kills itself at a sync, rename or removal."""
    sys.path.insert(0, str(Path(__file__).parent))
    from lakes import batch as made  # noqa: PLC0415 - in the child
    from lakes import lake as open_lake  # noqa: PLC0415 - in the child

    from lemnis.store.compaction import compact  # noqa: PLC0415 - in the child

    store = open_lake(folder)
    store.append([made(range(240, 260), schema=WIDE, step=DAY // 60)])
    acknowledged.touch()
    left = [steps]

    def dying(real):
        def call(*about, **more):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), 9)
            return real(*about, **more)

        return call

    os.fsync, Path.replace, Path.unlink = dying(os.fsync), dying(Path.replace), dying(Path.unlink)
    store.flush()
    compact(store.tables, min_files=2, rows=100)


@pytest.mark.slow
def test_killed_at_any_step_it_is_as_before_or_as_after(tmp_path):
    folder, done = tmp_path / "lake", tmp_path / "done"
    store = lake(folder)
    for number in range(4):
        store.append([batch(range(number, 240, 4), step=DAY // 60)])
        store.flush()
    ended, versions = [], []
    for steps in (2, 9, 17, 26, 33, 39, 50, 10_000):
        child = SPAWN.Process(target=killed, args=(folder, steps, done))
        child.start()
        child.join()
        ended.append(child.exitcode)
        store = lake(folder)
        assert done.exists()
        assert numbers(store) == list(range(260))
        wide = store.query(f"SELECT typeof(severity_id) AS t FROM {NAME} LIMIT 1").column("t")[0].as_py()
        assert wide == "BIGINT", "what was acknowledged is wide, flushed or not"
        assert integrity.check(store.tables, deep=True).whole
        versions.append(DeltaTable(folder / "tables" / NAME).version())
    assert ended[0] == -9
    assert ended[-1] == 0
    assert ended.count(-9) >= 3
    assert versions == sorted(versions)
    rows = DeltaTable(folder / "tables" / NAME).to_pyarrow_table()
    assert rows.schema.field("severity_id").type == pa.int64()
    assert sorted(int(text.split()[1]) for text in rows.column("message").to_pylist()) == list(range(260))
    files = DeltaTable(folder / "tables" / NAME).file_uris()
    assert {pa.parquet.read_schema(path).field("severity_id").type for path in files} == {pa.int64()}
