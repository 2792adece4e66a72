from lsprotocol.types import Position, Range

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Edit, Finding
from lemnis.interfaces.lsp.ranges import of_edit, of_finding


def finding(**changes):
    return Finding("fp-1", "t", "r", "t", Severity.LOW, "a", **{"line": 1, "end_line": 1, **changes})


def test_columns_are_counted_in_utf_16():
    lines = ["😀 = bad  "]
    assert of_finding(finding(column=5, end_column=8), lines) == Range(Position(0, 5), Position(0, 8))
    assert of_edit(Edit("a", 1, 1, 1, 2, "x"), lines) == Range(Position(0, 0), Position(0, 2))


def test_without_columns_a_line_is_marked_without_its_spacing():
    assert of_finding(finding(), ["    bad  "]) == Range(Position(0, 4), Position(0, 7))


def test_places_beyond_the_text_are_its_end():
    assert of_finding(finding(line=9, end_line=12), ["a", "bc"]) == Range(Position(1, 0), Position(1, 2))
    assert of_finding(finding(line=0, end_line=0), []) == Range(Position(0, 0), Position(0, 0))
