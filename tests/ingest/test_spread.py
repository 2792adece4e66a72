"""Columns by the compiled pass are what the other reader says, of every record."""

import json

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsontexts import texts

from lemnis.contracts.compiled import available
from lemnis.ingest.flatten import MAX_FIELDS, TooWideError, flatten
from lemnis.ingest.spread import spread

pytestmark = pytest.mark.skipif(not available(), reason="needs Numba: the `fast` extra")


def said(flat, count):
    """Return what is said of each row; a list of one and its value may be the batch's doing."""
    for column in flat.columns.values():
        column.validate(full=True)
        assert len(column) == count
    return flat.bad, {name: list(map(written, column.to_pylist())) for name, column in flat.columns.items()}


def written(value):
    """Write the JSON text of a list anew: DuckDB's hexadecimal digits are capitals, orjson's are not."""
    if isinstance(value, list):
        return list(map(written, value))
    try:
        return (
            orjson.dumps(orjson.loads(value)).decode()
            if value is not None and value[:1] in {"[", "{"}
            else value
        )
    except orjson.JSONDecodeError:
        return value


@settings(max_examples=200, deadline=None)
@given(
    st.lists(texts(), min_size=1, max_size=12),
    st.integers(0, 2),
    st.sampled_from([frozenset(), frozenset({"a"}), frozenset({"a", "c", "never", 'k"'})]),
)
def test_columns_are_what_the_other_reader_says(some, first, keep):
    array = pa.array(["{}"] * first + some).slice(first)
    assert said(spread(array, keep=keep), len(some)) == said(flatten(array, keep=keep), len(some))


def test_a_name_with_a_dot_beside_an_object_of_that_name():
    some = pa.array(['{"a.b":1}', '{"a":{"b":2}}', '{"a.b":1,"a":{"b":2}}'])
    assert said(spread(some), 3) == said(flatten(some), 3)


def test_too_many_fields_are_refused_and_too_many_names_are_told():
    wide = json.dumps({f"k{n}": 1 for n in range(MAX_FIELDS + 1)})
    flat = spread(pa.array([wide, '{"a":1}']))
    assert list(flat.bad) == [0]
    assert flat.columns["a"].to_pylist() == [None, "1"]
    rows = [json.dumps({f"k{row % 3000}_{n}": 1 for n in range(3)}) for row in range(6000)]
    with pytest.raises(TooWideError):
        spread(pa.array(rows))


def test_of_objects_that_are_kept_there_is_the_text():
    some = pa.array(
        ['{"a":{"b": 1,"c":[ {"d":2} ]},"e":{"a":{"f":3}}}', '{"a":"x"}', '{"a":{}}', '{"a":[1]}']
    )
    columns = spread(some, keep=frozenset({"a", "none"})).columns
    assert columns["a"].to_pylist() == [['{"b":1,"c":[{"d":2}]}'], ["x"], ["{}"], ["1"]]
    assert columns["a.b"].to_pylist() == ["1", None, None, None]
    assert columns["e.a.f"].to_pylist() == ["3", None, None, None]
    assert "none" not in columns


def test_lists_are_of_scalars_or_texts():
    some = pa.array(['{"a":[1,"x",null,true]}', '{"a":"y"}', '{"b":[{"c": 1}]}', '{"b":[]}', "{}"])
    assert said(spread(some), 5)[1] == {
        "a": [["1", "x", "true"], ["y"], None, None, None],
        "b": [None, None, ['[{"c":1}]'], [], None],
    }
