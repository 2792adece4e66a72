from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st
from lakes import START, batch, lake, numbers, uid

from lemnis.contracts.events import EventBatch
from lemnis.store import compaction, delta, layout
from lemnis.store.columns import sort_events

SCHEMA = pa.schema([
    ("time", pa.int64()),
    ("metadata", pa.struct([("uid", pa.string()), ("log_name", pa.string())])),
    ("raw_data", pa.string()),
    ("device", pa.struct([("hostname", pa.string())])),
    ("process", pa.struct([("created_time", pa.int64()), ("args", pa.list_(pa.struct([("name", pa.string())])))])),
])  # fmt: skip
texts = st.one_of(st.none(), st.text(max_size=8))
rows = st.lists(
    st.tuples(st.integers(-(2**40), 2**40), texts, texts, st.lists(texts, max_size=2)), max_size=40
)


def made(some):
    return pa.Table.from_pylist([
        {
            "time": START + time, "metadata": {"uid": uid(n), "log_name": host}, "raw_data": text,
            "device": {"hostname": host} if n % 3 else None,
            "process": {"created_time": time, "args": [{"name": one} for one in args]} if n % 4 else None,
        }
        for n, (time, host, text, args) in enumerate(some)
    ], schema=SCHEMA)  # fmt: skip


@given(rows)
def test_whatever_is_written_is_read_as_it_was(some):
    table = layout.arrange(made(some))
    for final in (False, True):
        sink = pa.BufferOutputStream()
        assert delta.write_rows(sink, [table, table.slice(0, 1)], final=final) == len(some) + bool(some)
        back = pq.read_table(pa.BufferReader(sink.getvalue()))
        assert back.equals(pa.concat_tables([table, table.slice(0, 1)]))
    assert sort_events(table).equals(sort_events(made(some)))


def test_what_is_alike_lies_together():
    events = [(n, f"h{n % 3}", None, []) for n in range(1, 60)]
    hosts = layout.arrange(made(events)).column("metadata").combine_chunks().field("log_name").to_pylist()
    assert hosts == sorted(hosts)


def test_zstd_is_not_set_up_for_a_few_rows_that_are_soon_rewritten():
    def codec(count, *, final):
        sink = pa.BufferOutputStream()
        delta.write_rows(sink, [made([(n, "h", "r", ["a"]) for n in range(count)])], final=final)
        group = pq.read_metadata(pa.BufferReader(sink.getvalue())).row_group(0)
        (one,) = {group.column(n).compression for n in range(group.num_columns)}
        return one

    assert [codec(64, final=False), codec(65, final=False), codec(1, final=True)] == [
        "SNAPPY",
        "ZSTD",
        "ZSTD",
    ]


def test_columns_are_encoded_by_what_is_in_them():
    sink = pa.BufferOutputStream()
    delta.write_rows(sink, [made([(n, "h", f"record {n}", ["a"]) for n in range(100)])], final=True)
    meta = pq.read_metadata(pa.BufferReader(sink.getvalue()))
    group = meta.row_group(0)
    columns = {
        group.column(n).path_in_schema: set(group.column(n).encodings) for n in range(group.num_columns)
    }
    assert "DELTA_BINARY_PACKED" in columns["time"] & columns["process.created_time"]
    assert "DELTA_LENGTH_BYTE_ARRAY" in columns["raw_data"] & columns["metadata.uid"]
    assert "RLE_DICTIONARY" in columns["device.hostname"] & columns["process.args.list.element.name"]
    assert {group.column(n).compression for n in range(group.num_columns)} == {"ZSTD"}


def test_texts_that_turn_out_to_occur_once_have_no_dictionary(monkeypatch):
    monkeypatch.setattr(layout, "_SAMPLE", 100)
    table = made([(n, f"h{n}" if n % 10 else "h", None, []) for n in range(200)])
    encodings = layout.options(table, final=True)["column_encoding"]
    assert encodings["device.hostname"] == "DELTA_LENGTH_BYTE_ARRAY"
    assert "process.args.list.element.name" not in encodings
    assert "device.hostname" not in layout.options(table, final=False)["column_encoding"]
    assert "device.hostname" not in layout.options(table.slice(0, 40), final=True)["column_encoding"], (
        "too few"
    )
    few = made([(n, f"h{n % 50}", None, []) for n in range(200)])
    assert "device.hostname" not in layout.options(few, final=True)["column_encoding"]


@given(st.integers(1, 10**6))
def test_row_groups_of_a_table_are_even(rows):
    size = layout.row_group_size(rows)
    groups = -(-rows // size)
    assert size <= 1.5 * layout.ROW_GROUP
    assert rows - size * (groups - 1) > size - groups


def test_row_groups_follow_each_other_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "_WINDOW_ROWS", 100)
    store = lake(tmp_path)
    for first in range(4):  # each flush spans all of the day
        store.append([batch(range(first, 1000, 4))])
        store.flush()
    store.compact(min_files=2)
    (file,) = (path for path in tmp_path.rglob("day=*/*.parquet") if path.name.startswith("compact"))
    meta = pq.read_metadata(file)
    times = [meta.row_group(n).column(0).statistics for n in range(meta.num_row_groups)]
    assert len(times) == 10
    assert all(one.max < following.min for one, following in pairwise(times))
    assert numbers(store) == list(range(1000))


def test_a_compacted_file_is_much_smaller_than_its_records(tmp_path):
    rows = [
        {
            "time": START + n * 997, "metadata": {"uid": uid(n), "log_name": "windows"},
            "raw_data": f'{{"Computer":"ws{n % 40}.corp.example.com","Channel":"Security","EventID":4688,'
            f'"ProcessId":{n * 7919 % 30_000},"CommandLine":"C:\\\\Windows\\\\System32\\\\svchost.exe -k {n % 70}"}}',
        }
        for n in range(20_000)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows)
    store = lake(tmp_path)
    for half in (table.slice(0, 10_000), table.slice(10_000)):
        store.append([EventBatch(1007, "windows", "o", half)])
        store.flush()
    store.compact(min_files=2)
    (status,) = store.status()
    assert status.bytes < 0.15 * sum(len(row["raw_data"]) for row in rows)
