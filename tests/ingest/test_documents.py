"""Records in JSON documents: cut out as they stand, also where the document breaks off."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.ingest.parsers._documents import is_document, records
from lemnis.ingest.streams import Stream

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=5)
KEYS = ("Records",)


def read(path, text):
    path.write_text(text, encoding="utf-8")
    found = list(records(Stream(path), KEYS))
    return [json.loads(item) for item in found if isinstance(item, str)], [
        str(item) for item in found if not isinstance(item, str)
    ]


@settings(max_examples=150, deadline=None)
@given(
    OBJECTS,
    st.sampled_from([None, 1, 2]),
    st.sampled_from(["array", "envelope", "late", "one after another"]),
)
def test_every_record_is_found(tmp_path_factory, objects, indent, form):
    texts = {
        "array": json.dumps(objects, indent=indent),
        "envelope": json.dumps({"Records": objects, "next": {"Records": []}, "more": "]}"}, indent=indent),
        "late": json.dumps({"kind": "List", "Records": objects}, indent=indent),
        "one after another": "\n".join(json.dumps(item, indent=indent) for item in objects),
    }
    found, bad = read(tmp_path_factory.mktemp("json") / "file.json", texts[form])
    assert bad == []
    expected = objects
    if form == "one after another":  # an object that holds records is an envelope itself
        expected = []
        for item in objects:
            inner = item.get("Records")
            expected += inner if isinstance(inner, list) else [item]
    assert found == expected


@settings(max_examples=100, deadline=None)
@given(OBJECTS.filter(lambda items: len(items) > 1), st.integers(1, 60))
def test_a_document_that_breaks_off_gives_what_came_before(tmp_path_factory, objects, cut):
    text = json.dumps({"Records": objects})
    kept = text[: max(13, len(text) - cut)]
    found, bad = read(tmp_path_factory.mktemp("json") / "file.json", kept)
    assert found == objects[: len(found)]
    assert bad or found == objects


@pytest.mark.parametrize(
    ("head", "expected"),
    [(b'{"a":1}\n{"a":2}\n', False), (b'[{"a":1}]', True), (b'{"Records":[{"a":1', True), (b'{\n  "a": 1\n}', True),
     (b"\xef\xbb\xbf [1]", True), (b"text", False), (b"", False), (b'{"a":1', False)],
)  # fmt: skip
def test_documents_are_told_from_lines(head, expected):
    assert is_document(head, KEYS) is expected


def test_a_document_nested_beyond_reason_is_rejected(tmp_path):
    found, bad = read(tmp_path / "deep.json", '[{"a":1},' + "[" * 100_000)
    assert found == [{"a": 1}]
    assert bad


LATE = '{"@odata.context": "https://x/$metadata#[a]", "n": 1.5, "more": {"of": "}"}, "some": ["]", 1], "ok": true, "Records": ['
NESTED = ("authlogs", "response.authlogs")


@pytest.mark.parametrize("more", ["]}", '], "next": {"Records": []}}', "]}\n", '], "a": "]}"}\n'])
def test_simple_members_may_come_before_the_list_also_on_one_line(tmp_path, more):
    text = f'{LATE}{{"id": 1}}, {{"id": "]"}}{more}'
    assert is_document(text.encode(), KEYS)
    assert read(tmp_path / "page.json", text) == ([{"id": 1}, {"id": "]"}], [])


def test_a_long_page_is_known_by_its_beginning(tmp_path):
    head = LATE + '{"id": 1}, {"id": 2'
    assert is_document(head.encode(), KEYS)
    found, bad = read(tmp_path / "page.json", head)
    assert found == [{"id": 1}]
    assert len(bad) == 2


@pytest.mark.parametrize(
    "more", ["]}}", '], "metadata": {"n": [1]}}, "stat": "OK"}', ']}, "stat": "OK"}', '], "m": 1}}']
)
def test_the_list_may_be_a_member_of_a_member(tmp_path, more):
    path = tmp_path / "page.json"
    path.write_text(
        f'{{"v": 2, "response": {{"k": 1, "authlogs": [{{"id": 1}}, {{"id": 2}}{more}', encoding="utf-8"
    )
    assert is_document(path.read_bytes(), NESTED)
    assert [json.loads(item) for item in records(Stream(path), NESTED)] == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize(
    "line",
    [
        '{"Records": 1}',
        '{"a": [{"b": []}], "Records": [2]}',
        '{"a": {"Records": [1]}}',
        '{"a": "Records\\": ["}',
        "{}",
    ],
)
def test_other_lines_are_no_document(line):
    assert not is_document(line.encode(), KEYS)
