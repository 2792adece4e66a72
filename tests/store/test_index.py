import json
import re

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakes import START, lake, uid

from lemnis import app
from lemnis.contracts.events import EventBatch
from lemnis.interfaces.cli import run
from lemnis.store import compaction, grams, index, layout, query
from lemnis.store.index import Needle

SCHEMA = pa.schema([
    ("time", pa.int64()),
    ("class_uid", pa.int64()),
    ("metadata", pa.struct([("uid", pa.string())])),
    ("raw_data", pa.string()),
    ("process", pa.struct([("cmd_line", pa.string()), ("pid", pa.int64())])),
    ("tags", pa.list_(pa.struct([("path", pa.string())]))),
])  # fmt: skip
DATABASE = duckdb.connect()
LINES = [f"/usr/bin/tool --number {n} --token {n * 2_654_435_761 % 2**32:08x} Größe" for n in range(600)]
COLUMN = "process.cmd_line"


def events(lines):
    rows = [
        {
            "time": START + n, "class_uid": 1007, "metadata": {"uid": uid(n)}, "raw_data": f'{{"line":"{n} {line}"}}',
            "process": {"cmd_line": line, "pid": n}, "tags": [{"path": str(line)}],
        }
        for n, line in enumerate(lines)
    ]  # fmt: skip
    return EventBatch(1007, "linux", "o", pa.Table.from_pylist(rows, schema=SCHEMA))


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "WORTH_ROWS", 1)
    monkeypatch.setattr(compaction, "_WINDOW_ROWS", 50)
    store = lake(tmp_path)
    for first in (0, 300):
        store.append([EventBatch(1007, "linux", "o", events(LINES).table.slice(first, 300))])
        store.flush()
    store.append([events([*LINES, "unflushed needle"])])
    store.compact(min_files=2)
    return store


def pieces(store, *clauses):
    ((name, table),) = store.tables.open()
    return store.index.pieces(name, table, table.files(), clauses)


def count(store, text, column=COLUMN, *, needles=True):
    sql = f"SELECT count(*) AS n FROM process_activity WHERE contains(lower({column}), ?)"
    clauses = {"process_activity": [(Needle(column, text),)]} if needles else None
    return store.query(sql, parameters=[text], needles=clauses).to_pylist()[0]["n"]


def test_a_needle_is_looked_for_only_where_it_may_be(store):
    assert not store.index.exists
    assert all(not isinstance(one, query.Piece) for one in pieces(store, (Needle(COLUMN, "absent text"),)))
    assert store.refresh_index() == len(pieces(store))
    assert store.index.exists
    assert store.index.bytes > 0
    token = re.search(r"[0-9a-f]{8}", LINES[333].partition("token ")[2])[0]
    (piece,) = pieces(store, (Needle(COLUMN, token),))
    ((first, last),) = piece.ranges
    assert last - first <= 50
    assert pieces(store, (Needle(COLUMN, "absent text"),)) == []
    assert count(store, token) == count(store, token, needles=False) == 1
    assert count(store, "absent text") == 0
    assert count(store, "unflushed needle") == 1, "what is in the spool is not indexed, and found"


def test_every_clause_must_be_met_by_one_of_its_needles(store):
    store.refresh_index()
    both = (Needle(COLUMN, "absent text"), Needle("raw_data", "/usr/bin"))
    assert pieces(store, both) == pieces(store)
    assert pieces(store, both, (Needle(COLUMN, "absent text"),)) == []
    for unknown in ("process.pid", "no.such", "tags.path"):
        assert pieces(store, (Needle(unknown, "absent text"),)) == pieces(store)
    assert pieces(store, (Needle(COLUMN, "xyz"),)) == pieces(store), "a text without a gram says nothing"
    assert pieces(store, (Needle(COLUMN, "xyz"), Needle(COLUMN, "absent text"))) == pieces(store)


def test_what_is_gone_is_forgotten_and_what_is_new_indexed(store):
    store.refresh_index()
    before = set(store.index.root.rglob(f"*{index._SUFFIX}"))
    assert store.refresh_index() == 0
    store.flush()
    store.compact(min_files=2)
    told = []
    assert store.refresh_index(lambda *about: told.append(about)) == len(told) > 0
    assert told[-1][1] == told[-1][2]
    after = set(store.index.root.rglob(f"*{index._SUFFIX}"))
    assert after
    assert not after & before
    assert count(store, "unflushed needle") == 1


def test_small_files_are_not_worth_an_index(tmp_path):
    store = lake(tmp_path)
    store.append([events(LINES)])
    store.flush()
    assert store.refresh_index() == 0
    assert count(store, "absent text") == 0


def test_what_stays_is_worth_it_before_what_is_rewritten_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "WORTH_STAYING", len(LINES))
    store = lake(tmp_path)
    for first in (0, 300):
        store.append([EventBatch(1007, "linux", "o", events(LINES).table.slice(first, 300))])
        store.flush()
    assert store.refresh_index() == 0
    store.compact(min_files=2)
    assert store.refresh_index() == 1
    assert count(store, "absent text") == 0


def test_a_bitmap_is_as_large_as_its_text_needs():
    text = np.frombuffer("".join(LINES).encode(), dtype=np.uint8)
    few, many = grams.bitmap([text[:200]], 4), grams.bitmap([text], 6)
    assert len(few[1]) * 8 == 1 << few[0]
    assert grams.FEWEST <= few[0] < many[0] < grams.BITS
    assert grams.bitmap([], 4)[0] == grams.FEWEST


@pytest.mark.parametrize("length", [4, 6])
def test_every_run_of_a_text_is_in_its_bitmap_also_where_blocks_meet(length, monkeypatch):
    text = np.frombuffer("".join(LINES).lower().encode(), dtype=np.uint8)
    monkeypatch.setattr(grams, "_BLOCK", 37)
    bits, blob = grams.bitmap([text[:1000], text[1000:3000]], length)
    data = np.frombuffer(blob, dtype=np.uint8)
    for first in (*range(1000 - 12), *range(1000, 2988)):
        needle = text[first : first + 12].tobytes().decode("utf-8", "ignore")
        asked = dict(grams.of_needle(needle))[length]
        assert grams.there(data, 0, bits, asked), needle


def test_a_record_is_indexed_whole(store):
    store.refresh_index()
    token = re.search(r"[0-9a-f]{8}", LINES[333].partition("token ")[2])[0]
    (piece,) = pieces(store, (Needle("raw_data", token),))
    assert sum(last - first for first, last in piece.ranges) <= 50
    assert pieces(store, (Needle("raw_data", "absent text"),)) == []
    assert count(store, token, "raw_data") == count(store, token, "raw_data", needles=False) == 1


def test_an_index_of_another_version_is_made_anew(store):
    old = store.index.root / "process_activity" / "x.grams"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"of another time")
    assert store.refresh_index() > 0
    assert not old.exists()


SPECIAL = (
    "\u00e9\u00c9\u00df\u0130\u0131\u212a\u212b\u017f\u03a9\U0001f600\0"  # those whose lower case is odd, too
)
letters = st.sampled_from([*"aAbBzZ09 _-/%", *SPECIAL])
words = st.text(letters, max_size=24)
values = st.lists(st.one_of(st.none(), words), min_size=1, max_size=12)


@given(values, st.data())
def test_no_row_that_matches_is_ever_passed_over(tmp_path_factory, rows, data):
    folder = tmp_path_factory.mktemp("index")
    table = pa.table({"cmd_line": pa.array(rows, pa.string()), "raw_data": pa.array(rows, pa.string())})
    pq.write_table(table, folder / "x.parquet", row_group_size=3, **layout.options(table, final=True))
    index.build(folder / "x.parquet", folder / "x.grams")
    lowered = DATABASE.execute(
        "SELECT lower(cmd_line) FROM read_parquet(?)", [str(folder / "x.parquet")]
    ).fetchall()
    there = [text for (text,) in lowered if text]
    cut = st.sampled_from(there).flatmap(
        lambda t: st.tuples(st.just(t), st.integers(0, len(t)), st.integers(0, 12))
    )
    text = data.draw(st.one_of(words, cut.map(lambda c: c[0][c[1] : c[1] + c[2]])) if there else words)
    for column in table.column_names:
        asked = index._asked((Needle(column, text),))
        kept = list(index._ranges(folder / "x.grams", [asked])) if asked else [(0, len(rows))]
        holding = [n for n, (low,) in enumerate(lowered) if low is not None and text in low]
        assert all(any(first <= n < last for first, last in kept) for n in holding)


def test_the_command_indexes_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(index, "WORTH_ROWS", 1)
    opened = app.init(tmp_path / "ws")
    there = app.lake(opened)
    there.append([events(LINES)])
    there.flush()
    told = []
    for _ in range(2):
        assert run(["lake", "index", "--json", "--workspace", str(opened.root)]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert [one["files"] for one in told] == [1, 0]
    assert told[0]["bytes"] == told[1]["bytes"] == there.index.bytes > 0
    assert run(["lake", "index", "--workspace", str(opened.root)]) == 0
    assert "0 files indexed" in capsys.readouterr().out
