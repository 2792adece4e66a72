"""Events are made of columns as they would be of rows: whatever is null or nested in them."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lemnis.store.searching import nested

PART = pa.struct([("a", pa.string()), ("n", pa.int64())])
SCHEMA = pa.schema([
    ("uid", pa.string()), ("flag", pa.bool_()), ("part", PART), ("tags", pa.list_(pa.string())),
    ("deep", pa.struct([("part", PART), ("parts", pa.list_(PART)), ("lists", pa.list_(pa.list_(PART)))])),
])  # fmt: skip
texts = st.one_of(st.none(), st.text(max_size=3))
parts = st.one_of(
    st.none(), st.fixed_dictionaries({"a": texts, "n": st.one_of(st.none(), st.integers(0, 9))})
)
lists = st.one_of(st.none(), st.lists(parts, max_size=3))
deep = st.fixed_dictionaries(
    {"part": parts, "parts": lists, "lists": st.one_of(st.none(), st.lists(lists, max_size=2))}
)
rows = st.lists(
    st.fixed_dictionaries({
        "uid": texts, "flag": st.one_of(st.none(), st.booleans()), "part": parts,
        "tags": st.one_of(st.none(), st.lists(texts, max_size=2)), "deep": st.one_of(st.none(), deep),
    }),
    max_size=6,
)  # fmt: skip


def without_empty(value):
    if isinstance(value, dict):
        kept = {key: without_empty(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in kept.items() if item != {}}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


@given(rows, st.integers(0, 3), st.integers(0, 6))
def test_columns_become_what_rows_would(some, first, count):
    table = pa.Table.from_pylist(some, schema=SCHEMA)
    assert nested.events(table) == [without_empty(row) for row in table.to_pylist()]
    part = table.slice(first, count)
    assert nested.events(part) == [without_empty(row) for row in part.to_pylist()]
    assert nested.events(pa.concat_tables([table, part])) == nested.events(table) + nested.events(part)
