"""Lines of values apart by blanks: named by a header or by the source, also from the middle on."""

import pytest

from lemnis.contracts.errors import ContentError
from lemnis.ingest.parsers import Start, spaced
from lemnis.ingest.streams import Stream

BEGIN = Start()
OPTIONS = {"columns": ["version", "from", "to"], "header": "(^| )from( |$)"}


def read(folder, text, options=OPTIONS, start=BEGIN):
    path = folder / "log"
    path.write_text(text, encoding="utf-8")
    rows, rejects = [], []
    for parsed in spaced.parse(Stream(path), options, start, whole=True):
        rows += zip(parsed.positions.to_pylist(), parsed.fields.to_pylist(), strict=True)
        rejects += [(one.at.record, one.reason) for one in parsed.rejects]
    return rows, rejects


def test_names_are_those_of_the_header(tmp_path):
    rows, rejects = read(tmp_path, "to from\nb a\n")
    assert rows == [(2, {"to": "b", "from": "a"})]
    assert rejects == []


def test_without_a_header_names_are_the_sources(tmp_path):
    rows, _ = read(tmp_path, "2 a -\n2  c\td \n")
    assert rows == [
        (1, {"version": "2", "from": "a", "to": None}),
        (2, {"version": "2", "from": "c", "to": "d"}),
    ]


def test_the_first_line_is_the_header_where_nothing_is_said(tmp_path):
    assert read(tmp_path, "x y\n1 2\n", {}) == ([(2, {"x": "1", "y": "2"})], [])


def test_a_header_that_comes_again_is_no_record(tmp_path):
    rows, rejects = read(tmp_path, "to from\nb a\nto from\nd c\n")
    assert [position for position, _ in rows] == [2, 4]
    assert rejects == []


def test_a_line_of_another_length_costs_only_itself(tmp_path):
    rows, rejects = read(tmp_path, "2 a b\n2 a\n2 a b c\n2 e f\n")
    assert [position for position, _ in rows] == [1, 4]
    assert rejects == [(2, "2 values where 3 are named"), (3, "4 values where 3 are named")]


def test_reading_begins_again_with_the_same_names(tmp_path):
    rows, _ = read(tmp_path, "to from\nb a\nd c\n", start=Start(2, len("to from\nb a\n")))
    assert rows == [(3, {"to": "d", "from": "c"})]


def test_lines_without_names_are_an_error(tmp_path):
    with pytest.raises(ContentError, match="no names"):
        read(tmp_path, "2 a b\n", {"header": "srcaddr"})


def test_nothing_gives_nothing(tmp_path):
    assert read(tmp_path, "", {}) == ([], [])
