"""JSON to columns: the same columns as a plain reading of every record."""

import json

import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lemnis.ingest import flatten as flattening
from lemnis.ingest.flatten import MAX_DEPTH, few, flatten

NAMES = st.text(st.sampled_from("ab/~'\"$.é\\ "), min_size=1, max_size=3)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0.5, -1.25, 3.0, 1234.5])
    | st.text(max_size=6)
    | st.sampled_from(["{x", "[1]", '{"a":1}', "null", "[", "\x00"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)


@pytest.fixture(autouse=True, params=[0, 48], ids=["native", "few"])
def way(request, monkeypatch):
    monkeypatch.setattr(flattening, "_FEW", request.param)


def text(value):
    if isinstance(value, str):
        return value
    if isinstance(value, int) and abs(value) > 2**63:
        return str(value)
    return orjson.dumps(value).decode() if not isinstance(value, list) else json.dumps(value)


def plain(record, prefix=""):
    """The record's fields as the reader is meant to name them; the first of two of one name holds."""
    found = {}
    for name, value in record.items():
        if value is None:
            continue
        if isinstance(value, dict):
            for key, some in plain(value, f"{prefix}{name}.").items():
                found.setdefault(key, some)
        elif isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
            found[f"{prefix}{name}"] = [text(item) for item in value if item is not None]
        else:
            found[f"{prefix}{name}"] = text(value)
    return found


def rows(columns, count):
    return [
        {name: v for name, c in columns.items() if (v := c[row].as_py()) is not None} for row in range(count)
    ]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OBJECTS, min_size=1, max_size=6))
def test_columns_are_what_the_records_say(records):
    flat = flatten(pa.array([json.dumps(r) for r in records]))
    assert flat.bad == {}
    lists = {name for name, column in flat.columns.items() if pa.types.is_list(column.type)}
    found = rows(flat.columns, len(records))
    for got, record in zip(found, records, strict=True):
        want = plain(record)
        assert got.keys() == want.keys()
        for name, value in want.items():
            if isinstance(value, list):  # several values, whatever the rows beside it have
                assert got[name] == value
                continue
            (one,) = got[name] if name in lists else (got[name],)
            # a list with objects in it is kept as its JSON text, however that is spaced
            assert one == value or (value.startswith("[") and json.loads(one) == json.loads(value))


def test_bad_rows_say_why_and_leave_the_others():
    deep = "[" * 3000 + "]" * 3000
    texts = [
        '{"a":1}',
        "{",
        "[1]",
        f'{{"a":{deep}}}',
        '{"a":"x","a":"y","A":2}',
        '{"b":"\\ud800"}',
        '{"c":{"d":[1,2]}}',
    ]
    flat = flatten(pa.array(texts))
    assert set(flat.bad) == {1, 2, 3, 5}
    assert flat.bad[2] == "JSON, but not an object"
    assert flat.bad[3] == f"nested deeper than {MAX_DEPTH} levels"
    good = rows(flat.columns, len(texts))
    assert good[0] == {"a": "1"}
    assert good[4] == {"a": "y", "A": "2"}
    assert good[6] == {"c.d": ["1", "2"]}


def test_text_that_looks_like_json_stays_text():
    flat = flatten(pa.array([orjson.dumps({"agent": '{"x":1}', "path": "[1]", "real": {"x": 1}}).decode()]))
    assert rows(flat.columns, 1) == [{"agent": '{"x":1}', "path": "[1]", "real.x": "1"}]


def test_of_two_values_of_one_name_both_ways_take_the_same():
    texts = pa.array(
        [
            '{"a.b":"flat","a":{"b":"nested"}}',
            '{"a":{"b":"nested"},"a.b":"flat"}',
            '{"a":1,"a":2}',
            '{"a":{"b":1},"a":{"b":2}}',
        ]
    )
    flat = flatten(texts)
    assert rows(flat.columns, 4) == rows(few(texts).columns, 4)


@pytest.mark.parametrize("number", ["1e16", "1E-9", "0.00000001", "123456789012345678901234567890", "1.50"])
def test_a_number_is_written_alike_in_few_and_many_records(number, monkeypatch):
    text = f'{{"a":{number},"b":[{number}]}}'
    one = rows(flatten(pa.array([text])).columns, 1)
    many = rows(flatten(pa.array([text] * 60)).columns, 60)
    assert many == one * 60


@pytest.mark.parametrize(
    "record",
    [
        {"a": {"b": []}, "a.b": []},
        {"a": {"b": ["x"]}, "a.b": ["y"]},
        {"a": {"b": ["x"]}, "a.b": {"c": 1}},
        {"a.b": {"c": 1}, "a": {"b": ["x"]}},
        {"a": {"b": ["x"]}, "a.b": [{"c": 1}]},
    ],
)
def test_a_name_with_a_dot_beside_an_object_of_that_name_breaks_nothing(record):
    flat = flatten(pa.array([json.dumps(record), json.dumps({"other": "1"})]))
    assert flat.bad == {}
    assert len(rows(flat.columns, 2)) == 2
    assert flat.columns["other"][1].as_py() == "1"


def test_a_few_records_with_odd_numbers_read_as_many_do():
    odd = [
        '{"a":1e5,"b":0.10}',
        '{"a":12345678901234567890,"b":1.0000}',
        '{"a":"0000000000000000","b":[1.50]}',
    ]
    some = rows(flatten(pa.array(odd)).columns, len(odd))
    many = rows(flatten(pa.array(odd * 200)).columns, 3 * 200)
    assert some == many[:3]
