"""The quick way to read says what the complete way says: of every record, of odd ones too."""

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsontexts import texts

from lemnis.content.library import Library
from lemnis.contracts.compiled import available
from lemnis.ingest import coded, quick
from lemnis.ingest.coded import Coder
from lemnis.ingest.flatten import few
from lemnis.ingest.frames import coded_frames
from lemnis.ingest.quick import Quick
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream

pytestmark = pytest.mark.skipif(not available(), reason="needs Numba: the `fast` extra")
WANTED = ("a", "b", "a.b", "b.a", "c", "é", "n")


@settings(max_examples=400)
@given(st.lists(texts(), min_size=1, max_size=12))
def test_codes_are_what_the_complete_reader_says(some):
    array = pa.array(some, pa.string())
    coder = Coder(WANTED, lambda path: path)
    for _ in range(2):  # the second time all paths and values are known
        found_codes = coder.code(array)
        whole = few(array)
        for row in range(len(some)):
            if found_codes.odd[row]:
                continue
            assert row not in whole.bad
            for name in WANTED:
                column = whole.columns.get(name)
                expected = None if column is None else column[row].as_py()
                if isinstance(expected, list) and pa.types.is_list(column.type):
                    expected = expected[0]  # another row has several values
                codes = found_codes.columns.get(name)
                found = None
                if codes is not None and codes.codes[row] >= 0:
                    (found,) = codes.dictionary.texts(codes.codes[row : row + 1].astype(np.int64))
                assert found == expected, (some[row], name)


def test_plain_records_are_not_odd():
    rows = [
        orjson.dumps({"a": "x\ty", "b": {"a": -5}, "n": None, "c": True, "l": [1, {"z": 2.5}]}).decode()
    ] * 3
    given_ = Coder(WANTED, lambda path: path).code(pa.array(rows))
    assert not given_.odd.any()
    assert {name: column.texts().to_pylist() for name, column in given_.columns.items()} == {
        "a": ["x\ty"] * 3, "b.a": ["-5"] * 3, "c": ["true"] * 3,
    }  # fmt: skip


def test_memory_begins_anew_and_codes_stay_right(monkeypatch):
    monkeypatch.setattr(coded, "_VALUES", 64)
    coder = Coder(["a"], lambda path: path)
    dictionaries = set()
    for first in range(0, 400, 10):
        texts_ = [f'{{"a":"{number}"}}' for number in range(first, first + 10)]
        column = coder.code(pa.array(texts_)).columns["a"]
        dictionaries.add(id(column.dictionary))
        assert column.texts().to_pylist() == [str(number) for number in range(first, first + 10)]
    assert len(dictionaries) > 1


def test_a_table_that_is_full_makes_rows_odd_not_wrong(monkeypatch):
    monkeypatch.setattr(coded, "_VALUES", 8)
    coder = Coder(["a"], lambda path: path)
    found = coder.code(pa.array([f'{{"a":"{number}"}}' for number in range(50)]))
    assert found.odd.sum() == 42
    assert found.columns["a"].texts().to_pylist()[:8] == [str(number) for number in range(8)]


def test_a_field_of_several_names_is_had_as_codes_where_it_has_one(tmp_path, monkeypatch):
    monkeypatch.setattr(quick, "SMALL", 0)
    file = tmp_path / "a.jsonl"
    record = {"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "CommandLine": "whoami /all"}
    record |= {"SystemTime": "2026-01-02 03:04:05.000", "Computer": "ws1", "Image": "C:\\whoami.exe"}
    file.write_bytes(orjson.dumps(record) + b"\n")
    sources = Sources.load(Library.open())
    windows = sources.get("windows")
    assert len(windows.file.sigma.fields["CommandLine"].line.source) > 1
    (batch,) = Quick(sources, lambda _: ["CommandLine"]).open(Stream(file), windows)
    (frame,) = coded_frames(batch, windows)
    assert frame.coded("CommandLine").texts().to_pylist() == ["whoami /all"]
