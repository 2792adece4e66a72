"""What compiled passes make of columns of texts is what Arrow makes of them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts import compiled
from lemnis.ingest import flatten, mapping_columns, mapping_values
from lemnis.ingest.spread import spread

pytestmark = pytest.mark.skipif(not compiled.available(), reason="needs Numba, the extra `fast`")
TEXT = (
    st.text(max_size=9)
    | st.text("a/\\\n", max_size=9)
    | st.sampled_from(["-", "", "N/A", "C:\\Windows\\a.exe", "/usr/", "é" * 9])
)
VALUES = st.lists(TEXT | st.none(), min_size=2, max_size=20)


def column(values):
    """Return a column that begins within the bits and places that it lies in."""
    return pa.array([None, "before", *values], pa.string()).slice(2)


def both(patch, *modules):
    """Say twice which way is gone: by compiled passes, and without."""
    for used in (True, False):
        for module in modules:
            patch.setattr(module, "ready", lambda *_, used=used: used)
        yield used


@given(VALUES, st.data())
def test_rows_are_taken(values, data):
    some = column(values)
    rows = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), unique=True)), np.int64)
    with pytest.MonkeyPatch.context() as patch:
        found = [mapping_columns.take(some, rows) for _ in both(patch, mapping_columns)]
    assert found[0].equals(found[1])
    assert found[0].null_count == found[1].null_count
    found[0].validate(full=True)


@given(VALUES, st.data())
def test_the_first_of_two_that_is_there(values, data):
    one = column(values)
    other = column(data.draw(st.lists(TEXT | st.none(), min_size=len(one), max_size=len(one))))
    with pytest.MonkeyPatch.context() as patch:
        found = [mapping_columns.either(one, other) for _ in both(patch, mapping_columns)]
    assert found[0].equals(found[1])
    assert found[0].equals(pc.coalesce(one, other))
    found[0].validate(full=True)


@given(VALUES, st.frozensets(TEXT, min_size=1, max_size=4))
def test_what_stands_for_nothing_is_left_out(values, absent):
    some = column(values)
    expected = [None if value in absent else value for value in values]
    with pytest.MonkeyPatch.context() as patch:
        for _ in both(patch, mapping_columns):
            found = mapping_columns.without(some, absent)
            assert found.to_pylist() == expected
            assert found.null_count == expected.count(None)


@given(VALUES, st.sampled_from(["basename", "dirname"]))
def test_paths_are_parted_as_the_expressions_say(values, part):
    some = column(values)
    with pytest.MonkeyPatch.context() as patch:
        found = [mapping_values.convert(some, part) for _ in both(patch, mapping_values)]
    assert found[0].to_pylist() == found[1].to_pylist()


@given(VALUES)
def test_what_is_there(values):
    some = column(values)
    assert mapping_columns.there(some).tolist() == [value is not None for value in values]
    assert mapping_columns.there(pa.nulls(3)).tolist() == [False] * 3


@pytest.mark.parametrize("said", [
    '["a"]', "[]", '[ "a" , null,\t"b\\"c" ]', "[1,-2,0,true,false,null]", '["\\u00e9","\\ud83d\\ude00"]',
    "[123456789012345678]", "[1234567890123456789]", "[1.0]", "[-0]", "[[1]]", '[{"b":1}]', '["",""]',
])  # fmt: skip
@pytest.mark.parametrize("beside", ['{"n":1}', '{"a":"x"}', '{"a":["y","z"]}'])
def test_lists_are_those_of_the_other_reader(said, beside):
    texts = pa.array([beside, f'{{"a":{said}}}', beside])
    assert spread(texts).columns["a"].to_pylist() == flatten.few(texts).columns["a"].to_pylist()


@pytest.mark.parametrize("number", [
    "18446744073709551615", "18446744073709551616", "10000000000000000000", "19999999999999999999",
    "99999999999999999999", "-18446744073709551615",
])  # fmt: skip
def test_numbers_of_twenty_digits(number):
    texts = pa.array([f'{{"a":{number}}}', '{"a":1}'])
    assert spread(texts).columns["a"].to_pylist() == flatten.flatten(texts).columns["a"].to_pylist()
