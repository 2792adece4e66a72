"""How often fields are filled: files say the same of it as a count of their rows does."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import START, lake

from lemnis.contracts.events import EventBatch
from lemnis.store import query
from lemnis.store.searching import completing
from lemnis.store.searching.fields import Classes

SCHEMA = pa.schema([
    ("class_uid", pa.int64()), ("time", pa.int64()), ("message", pa.string()),
    ("metadata", pa.struct([("uid", pa.string()), ("log_name", pa.string())])),
    ("user", pa.struct([("name", pa.string()), ("groups", pa.list_(pa.string()))])),
    ("answers", pa.list_(pa.struct([("rdata", pa.string()), ("ttl", pa.int64())]))),
])  # fmt: skip
PATHS = ("message", "metadata.uid", "user.name", "user.groups", "answers.rdata", "answers.ttl")
TEXT = st.none() | st.sampled_from(["", "a", "b"])
ROW = st.fixed_dictionaries({
    "message": TEXT,
    "user": st.none() | st.fixed_dictionaries({"name": TEXT, "groups": st.none() | st.lists(TEXT, max_size=3)}),
    "answers": st.none()
    | st.lists(
        st.none() | st.fixed_dictionaries({"rdata": TEXT, "ttl": st.none() | st.integers(0, 9)}), max_size=3
    ),
})  # fmt: skip


def has(row, path):
    """Say whether a row has a value at a path, or in a list on the way."""
    values = [row]
    for name in path.split("."):
        values = [one[name] for one in values if one is not None]
        values = [each for one in values for each in (one if isinstance(one, list) else [one])]
    return any(one is not None for one in values)


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, max_size=12), st.lists(ROW, max_size=6), st.lists(ROW, min_size=1, max_size=4))
def test_files_say_what_their_rows_do(tmp_path_factory, first, second, waiting):
    store, every = lake(tmp_path_factory.mktemp("fields")), []
    for rows in (first, second, waiting):
        full = [
            {
                "class_uid": 1007,
                "time": START + len(every) + n,
                "metadata": {"uid": f"u{len(every) + n}"},
                **row,
            }
            for n, row in enumerate(rows)
        ]
        every += full
        if full:
            store.append([EventBatch(1007, "s", "o", pa.Table.from_pylist(full, schema=SCHEMA))])
        if rows is not waiting:
            store.flush()
    told = {one.name: one for one in completing.fields(store)}
    for path in PATHS:
        count = sum(has(row, path) for row in every)
        found = told.get(path)
        assert (found is not None) == bool(count), path
        if found is not None:
            assert (found.sampled, round(found.filled * found.sampled)) == (len(every), count), path
    quick = completing.fields(store, examples=False)
    assert [(one.name, one.filled) for one in quick] == [(one.name, told[one.name].filled) for one in quick]
    assert all(one.examples == () for one in quick)


def test_a_list_of_which_the_files_do_not_say_it_is_counted(tmp_path, monkeypatch):
    store = lake(tmp_path)
    rows = [
        {
            "class_uid": 1007,
            "time": START + n,
            "metadata": {"uid": f"u{n}"},
            "user": {"groups": ["a", None][:n]},
        }
        for n in range(3)
    ]
    store.append([EventBatch(1007, "s", "o", pa.Table.from_pylist(rows, schema=SCHEMA))])
    store.flush()
    asked = []
    real = query.run
    monkeypatch.setattr(query, "run", lambda *given, **more: asked.append(given[1]) or real(*given, **more))
    found = {one.name: one for one in completing.fields(store, examples=False)}
    assert round(found["user.groups"].filled * 3) == 2
    assert len(asked) == 1
    assert "groups" in asked[0]
    assert "metadata" not in asked[0]


def test_fields_are_offered_without_reading_an_event(tmp_path, monkeypatch):
    store = lake(tmp_path)
    rows = [{"class_uid": 1007, "time": START, "metadata": {"uid": "u"}, "user": {"name": "a"}}]
    store.append([EventBatch(1007, "s", "o", pa.Table.from_pylist(rows, schema=SCHEMA))])
    store.flush()
    monkeypatch.setattr(query, "run", None)
    assert [one.text for one in completing.complete(store, "user.", now=START)] == [
        "user.name",
        "user.groups",
    ]


def test_a_file_that_is_gone_is_told(tmp_path):
    store = lake(tmp_path)
    store.append([EventBatch(1007, "s", "o", pa.Table.from_pylist(
        [{"class_uid": 1007, "time": START, "metadata": {"uid": "u"}}], schema=SCHEMA))])  # fmt: skip
    store.flush()
    classes = Classes(store.schemas())
    assert classes.leaves("process_activity")
    for file in (tmp_path / "tables").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(query.GoneError):
        completing.fields(store)
