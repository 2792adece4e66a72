"""Leaves: what is read of nested columns is nested as before, and is no more than was asked for."""

import duckdb
import pyarrow as pa
import pytest

from lemnis.store.leaves import selected

ROWS = [
    {"time": 1, "a": {"b": {"c": "x", "d": 1}, "e": [{"f": 1}], 'q"x': "q"}, "g": "left"},
    {"time": 2, "a": {"b": None, "e": None, 'q"x': None}, "g": None},
    {"time": 3, "a": None, "g": None},
]
TABLE = pa.Table.from_pylist(ROWS)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["time"], [{"time": 1}, {"time": 2}, {"time": 3}]),
        (["a.b.c", "time"], [{"time": n, "a": {"b": {"c": c}}} for n, c in ((1, "x"), (2, None), (3, None))]),
        (["a.b.c", "a.b"], [{"a": {"b": one}} for one in ({"c": "x", "d": 1}, None, None)]),
        (
            ['a.q"x', "a.e"],
            [{"a": {"e": e, 'q"x': q}} for e, q in (([{"f": 1}], "q"), (None, None), (None, None))],
        ),
        (["a.e.f", "g.h", "none.there", "g"], [{"g": "left"}, {"g": None}, {"g": None}]),
    ],
)
def test_leaves_keep_their_place(paths, expected):
    connection = duckdb.connect()
    connection.register("t", TABLE)
    found = connection.sql(f'SELECT {selected(TABLE.schema, paths)} FROM t ORDER BY "time"')
    assert found.to_arrow_table().to_pylist() == expected


def test_nothing_that_is_not_there_is_selected():
    assert selected(TABLE.schema, ["none", "a.e.f", "a.b.x"]) == ""
