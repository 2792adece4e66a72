"""A class grows with OCSF: rows of its older and newer schemas lie in one table, for Lemnis and for others."""

import shutil

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lakes import START, batch, lake, uid

from lemnis.contracts.errors import InputError
from lemnis.contracts.events import EventBatch
from lemnis.store import history, integrity
from lemnis.store.columns import merge_schemas

NAME = "process_activity"
BASE = [("time", pa.int64()), ("metadata", pa.struct([("uid", pa.string()), ("log_name", pa.string())]))]
NARROW = [pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.bool_()]
WIDER = {pa.int32(): pa.int64(), pa.float32(): pa.float64()}
NAMES = st.sampled_from(["a", "b", "c", "d"])


def types(depth):
    plain = st.sampled_from(NARROW)
    if not depth:
        return plain
    inner = types(depth - 1)
    structs = st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(lambda d: pa.struct(list(d.items())))
    return plain | structs | inner.map(pa.list_)


@st.composite
def grown(draw, kind):
    """Return a type that holds what this one holds, and perhaps more."""
    if pa.types.is_struct(kind):
        fields = {field.name: draw(grown(field.type)) for field in kind}
        more = draw(st.dictionaries(NAMES, types(0), max_size=2))
        return pa.struct(
            [*fields.items(), *((name, one) for name, one in more.items() if name not in fields)]
        )
    if pa.types.is_list(kind):
        return pa.list_(draw(grown(kind.value_type)))
    return draw(st.sampled_from([kind, WIDER.get(kind, kind)]))


@st.composite
def schemas(draw):
    """Return a schema, and one that it has grown into."""
    first = draw(st.dictionaries(NAMES, types(2), min_size=1, max_size=3))
    second = {name: draw(grown(kind)) for name, kind in first.items()}
    second |= {
        name: kind
        for name, kind in draw(st.dictionaries(NAMES, types(1), max_size=2)).items()
        if name not in second
    }
    return first, second


def value(kind, number):
    """Return a value of a type, which tells its row; every third leaf is null."""
    if pa.types.is_struct(kind):
        return {field.name: value(field.type, number) for field in kind} if number % 4 else None
    if pa.types.is_list(kind):
        return [value(kind.value_type, number + n) for n in range(number % 3)]
    if number % 3 == 0:
        return None
    if pa.types.is_integer(kind):
        return number + (2**40 if kind == pa.int64() else 0)
    if pa.types.is_floating(kind):
        return number + 0.5
    return bool(number % 2) if pa.types.is_boolean(kind) else f"v{number}"


def rows(columns, numbers):
    schema = pa.schema([*BASE, *columns.items()])
    table = pa.Table.from_pylist(
        [
            {"time": START + n, "metadata": {"uid": uid(n), "log_name": "x"}, **{name: value(kind, n) for name, kind in columns.items()}}
            for n in numbers
        ],
        schema=schema,
    )  # fmt: skip
    return EventBatch(1007, "x", "o", table)


def without(value):
    """Return a value without what is null, so that rows of an older schema can be compared."""
    if isinstance(value, dict):
        return {key: without(one) for key, one in value.items() if without(one) is not None} or None
    return [without(one) for one in value] if isinstance(value, list) else value


def seen(table):
    found = [without({k: v for k, v in row.items() if k != "day"}) for row in table.to_pylist()]
    return sorted(found, key=lambda row: row["time"])


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an example is a lake: to shrink takes minutes
)
@given(pair=schemas(), flushed=st.booleans())
def test_whatever_a_schema_grows_into_old_and_new_rows_are_read_together(tmp_path_factory, pair, flushed):
    folder = tmp_path_factory.mktemp("lake")
    first, second = pair
    store = lake(folder)
    old, new, again = rows(first, range(5)), rows(second, range(5, 11)), rows(first, range(11, 15))
    store.append([old])
    if flushed:
        store.flush()
    store.append([new])
    wanted = seen(old.table) + seen(new.table)
    assert seen(store.query(f"SELECT * EXCLUDE day FROM {NAME}")) == wanted
    store.flush()
    store.append([again])  # a source that is still mapped by the older schema
    store.flush()
    wanted += seen(again.table)
    assert seen(store.query(f"SELECT * EXCLUDE day FROM {NAME}")) == wanted
    assert seen(pa.concat_tables([one.table for one in store.scan()])) == wanted
    table = DeltaTable(folder / "tables" / NAME)
    assert seen(table.to_pyarrow_table()) == wanted
    with duckdb.connect() as connection:
        sql = "SELECT * FROM read_parquet(?, union_by_name = true, hive_partitioning = false)"
        files = connection.sql(sql, params=[table.file_uris()])
        assert seen(files.to_arrow_table()) == wanted
    assert store.schemas()[NAME].field("time").type == pa.int64()
    store.compact(min_files=2)
    assert seen(DeltaTable(folder / "tables" / NAME).to_pyarrow_table()) == wanted
    assert integrity.check(store.tables, deep=True).findings == []
    shutil.rmtree(folder)


def test_a_wider_number_makes_the_column_wide_in_every_file_and_keeps_history(tmp_path):
    store = lake(tmp_path)
    for first in (0, 5):
        store.append([rows({"port": pa.int32()}, range(first, first + 5))])
        store.flush()
    before = store.tables
    store.append([rows({"port": pa.int64()}, range(10, 15))])
    assert store.query(f"SELECT max(port) AS m FROM {NAME}").column("m")[0].as_py() == 2**40 + 14
    store.flush()
    table = DeltaTable(tmp_path / "tables" / NAME)
    kinds = {pa.parquet.read_schema(path).field("port").type for path in table.file_uris()}
    assert kinds == {pa.int64()}
    assert table.to_pyarrow_table().num_rows == 15
    done = [one.operation for one in history.versions(before, NAME)]
    assert done == ["flush", "schema", "flush", "flush", "create"]
    old = history.ask(before, f"SELECT max(port) AS m FROM {NAME}", history.AsOf(version=2))
    assert old.table.column("m")[0].as_py() == 8
    assert table.metadata().configuration == {"delta.dataSkippingNumIndexedCols": "1"}
    assert store.append([rows({"port": pa.int64()}, range(15))]).duplicates == 15
    assert lake(tmp_path).flush() == 0
    assert integrity.check(store.tables, deep=True).findings == []


@pytest.mark.parametrize(("old", "new", "path"), [
    (pa.string(), pa.int64(), "column x is int64 here, but string in the lake"),
    (pa.int64(), pa.string(), "column x is string"),
    (pa.struct([("y", pa.int64())]), pa.struct([("y", pa.list_(pa.int64()))]), "column x.y is list"),
    (pa.list_(pa.string()), pa.list_(pa.bool_()), r"column x\[\] is bool"),
    (pa.int32(), pa.float64(), "column x is double"),
])  # fmt: skip
def test_what_cannot_hold_the_other_is_told_with_its_path_and_stores_nothing(tmp_path, old, new, path):
    store = lake(tmp_path)
    store.append([rows({"x": old}, range(5))])
    with pytest.raises(InputError, match=path) as told:
        store.append([rows({"x": new}, range(5, 9))])
    assert "map the value to that type, or to another column" in told.value.fix
    assert store.query(f"SELECT count(*) AS n FROM {NAME}").column("n")[0].as_py() == 5


@settings(max_examples=40, deadline=None)
@given(pair=schemas())
def test_merging_is_stable(pair):
    first, second = (pa.schema(list(one.items())) for one in pair)
    merged = merge_schemas(first, second)
    assert merge_schemas(merged, second).equals(merged)
    assert merge_schemas(merged, first).equals(merged)
    assert set(merged.names) == set(first.names) | set(second.names)


def test_a_table_of_an_older_lake_is_read_beside_new_rows(tmp_path):
    store = lake(tmp_path / "a")
    store.append([batch(range(10))])
    store.flush()
    shutil.copytree(tmp_path / "a" / "tables", tmp_path / "b" / "tables")  # without its spool
    newer = lake(tmp_path / "b")
    table = batch(range(10, 14)).table.append_column("newly", pa.array([[{"k": 1}]] * 4))
    assert newer.append([EventBatch(1007, "linux", "o", table), batch(range(5))]).accepted == 4
    newer.flush()
    found = newer.query("SELECT count(*) AS n, count(newly) AS new FROM process_activity").to_pylist()
    assert found == [{"n": 14, "new": 4}]
