"""Which columns rows of files have any value in, as footers say it."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lemnis.store import footers

SCHEMA = pa.schema([
    ("time", pa.int64()), ("late", pa.string()), ("never", pa.string()), ("absent", pa.string()), ("tags", pa.list_(pa.string())),
    ("part", pa.struct([("a", pa.string()), ("b", pa.string()), ("c", pa.struct([("d", pa.int64())]))])),
])  # fmt: skip


@pytest.fixture
def path(tmp_path):
    rows = [
        {"time": n, "late": "x" if n > 25 else None, "never": None, "tags": [],
         "part": {"a": "1", "b": None, "c": None if n < 15 else {"d": n}}}
        for n in range(30)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=SCHEMA).drop_columns("absent")
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    return tmp_path / "a.parquet"


def named(schema, prefix=""):
    return [
        name
        for field in schema
        for name in (
            named(field.type, f"{prefix}{field.name}.")
            if pa.types.is_struct(field.type)
            else [f"{prefix}{field.name}"]
        )
    ]


@pytest.mark.parametrize(("ranges", "more"), [
    ([(0, 1)], []), ([(9, 10)], []), ([(9, 11)], ["part.c.d"]), ([(10, 20)], ["part.c.d"]),
    ([(0, 2), (29, 30)], ["late", "part.c.d"]), ([(20, 21)], ["late", "part.c.d"]),
])  # fmt: skip
def test_columns_without_a_value_in_the_row_groups_are_left_out(path, ranges, more):
    found = footers.filled(SCHEMA, [(path, ranges)])
    assert sorted(named(found)) == sorted(["time", "tags", "part.a", *more])
    assert found.names == [name for name in SCHEMA.names if name in found.names], "in their order"


def test_what_a_file_does_not_say_is_kept(tmp_path):
    table = pa.Table.from_pylist([{"time": 1}], schema=SCHEMA)
    pq.write_table(table, tmp_path / "a.parquet", write_statistics=False)
    assert footers.filled(SCHEMA, [(tmp_path / "a.parquet", [(0, 1)])]) == SCHEMA
    with pytest.raises(OSError, match="such file"):
        footers.filled(SCHEMA, [(tmp_path / "b.parquet", [(0, 1)])])
