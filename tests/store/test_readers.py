"""Other engines read the very lake without Lemnis, by the very pieces that docs/lake.md shows."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from lakes import DAY, START, batch, lake

from lemnis.contracts.events import EventBatch
from lemnis.store.retention import Policy, Purpose, Retention

PAGE = Path(__file__).parents[2] / "docs" / "lake.md"
PIECES = dict(
    re.findall(r"```python\n# reader: (\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
)
NEEDS = {"duckdb": "duckdb", "pandas": "pandas", "polars": "polars", "chdb": "chdb"}

ENDING = "terminate called without an active exception\n"


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """Return a lake that had all that a lake can have: flushes, new and wider columns, compaction, retention."""
    folder = tmp_path_factory.mktemp("lived") / "lake"
    store = lake(folder)
    for start in range(0, 300, 100):
        store.append([batch(range(start, start + 100), step=DAY // 80)])
        store.flush()
    store.compact(min_files=2)
    rows = batch(range(300, 350), step=DAY // 80).table.to_pylist()
    for number, row in enumerate(rows):
        row["metadata"]["version"] = "1.8.0"
        row["severity_id"] = 2**40 + number
        row["enrichments"] = [{"name": "asset", "value": str(number)}]
    store.append([EventBatch(1007, "linux", "o", pa.Table.from_pylist(rows))])
    store.flush()
    store.append([batch(range(350, 360), step=DAY // 80)])
    store.flush()
    Retention(store.tables, Policy(default=Purpose("p", 2, raw_days=1)), now=START + 4 * DAY).run("r")
    return folder


def test_every_reader_has_its_piece():
    assert set(PIECES) == set(NEEDS)


@pytest.mark.parametrize("reader", sorted(NEEDS))
def test_a_piece_of_the_page_reads_what_lemnis_reads(lived, reader):
    if importlib.util.find_spec(NEEDS[reader]) is None:
        pytest.skip(f"{NEEDS[reader]} is not installed; `pip install {NEEDS[reader]}` for this test")
    code = PIECES[reader]
    assert "lemnis" not in code
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=lived, capture_output=True, text=True, check=False, timeout=120
    )
    if done.stderr != ENDING:  # of others' threads when the interpreter ends, after all was said
        assert done.returncode == 0, done.stderr
    sql = "SELECT count(*) AS n, count(DISTINCT metadata.uid) AS u, max(time) AS t, count(actor.process.name) AS p FROM process_activity"
    (row,) = lake(lived).query(sql).to_pylist()
    assert [int(number) for number in re.findall(r"\d+", done.stdout)] == list(row.values())
    assert row["n"] == 360 - 160  # two days of eighty went


def test_what_retention_blanked_and_evolution_widened_is_seen_by_others(lived):
    duckdb, deltalake = pytest.importorskip("duckdb"), pytest.importorskip("deltalake")
    table = deltalake.DeltaTable(lived / "tables" / "process_activity")
    sql = (
        "SELECT count(raw_data), max(severity_id), count(enrichments[1].value), count(metadata.version), min(day) "
        "FROM read_parquet(?, union_by_name = true, hive_partitioning = true)"
    )
    (found,) = duckdb.sql(sql, params=[table.file_uris()]).fetchall()
    assert [str(value) for value in found] == ["120", str(2**40 + 49), "50", "50", "2024-10-06"]
    assert table.protocol().min_reader_version == 1
    assert table.protocol().min_writer_version == 2
