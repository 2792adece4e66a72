"""The fields in which a rule matched, as alerts tell them."""

import numpy as np
import pyarrow as pa
import pytest

from lemnis.contracts.detection import Frame, Match, Offers
from lemnis.detect.matched import MAX_FIELDS, MAX_VALUE, Matching
from lemnis.detect.matcher import Matcher
from lemnis.detect.rules import compile_files

ROWS = [
    {"Image": "C:\\cmd.exe", "User": "ann", "CommandLine": "cmd /c whoami"},
    {"Image": "C:\\powershell.exe", "User": "bob", "CommandLine": "powershell -enc AAAA"},
    {"Image": "C:\\other.exe", "User": "ann", "CommandLine": "x" * 1000 + "whoami"},
    {"Image": "C:\\cmd.exe", "User": "SYSTEM", "CommandLine": "cmd /c whoami"},
]


def frame(rows=ROWS, places=None):
    names = sorted({name for row in rows for name in row})
    columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
    records = pa.array([str(row) for row in rows])
    places = np.arange(len(rows), dtype=np.int64) if places is None else np.array(places)
    return Frame("windows", "o", Offers(frozenset({"windows"})), columns, records, places)


def told(detection, seen=None):
    text = f"title: t\nlogsource: {{product: windows}}\ndetection:\n{detection}"
    loaded = compile_files([("r.yml", text.encode())])
    assert not loaded.problems
    seen = seen or frame()
    matches = Matcher(loaded.rules, loaded.atoms).match(seen)
    return {
        row: fields for (row, _), fields in Matching(loaded.rules, loaded.atoms).of(seen, matches).items()
    }


def test_each_row_tells_the_questions_that_held_with_its_own_values():
    found = told("  a: {Image|endswith: [cmd.exe, powershell.exe], User: [ann, bob]}\n  condition: a\n")
    assert set(found) == {0, 1}
    assert [(one.field, one.value) for one in found[0]] == [("Image", "C:\\cmd.exe"), ("User", "ann")]
    assert found[0][0].asks == "Image is like '*cmd.exe'"
    assert [(one.field, one.value) for one in found[1]] == [("Image", "C:\\powershell.exe"), ("User", "bob")]


def test_an_alternative_that_does_not_hold_and_what_is_denied_is_not_told():
    found = told(
        "  a: {Image|endswith: cmd.exe, User: ann}\n  b: {Image|endswith: cmd.exe, CommandLine|contains: -enc}\n"
        "  c: {User: system}\n  d: {CommandLine|contains: whoami}\n  condition: (a or b or d) and not c\n"
    )
    assert set(found) == {0, 2}
    assert [one.field for one in found[0]] == ["Image", "User", "CommandLine"]
    assert [one.field for one in found[2]] == ["CommandLine"]
    found = told("  a: {CommandLine|contains|all: [cmd, whoami, /c]}\n  condition: a\n")
    asks = "CommandLine is like '*cmd*' and CommandLine is like '*whoami*' and CommandLine is like '*/c*'"
    assert [one.asks for one in found[0]] == [asks]


def test_what_is_denied_twice_is_told():
    found = told("  a: {User: ann}\n  b: {Image|endswith: other.exe}\n  condition: not (not a or b)\n")
    assert {row: [(f.field, f.value) for f in fields] for row, fields in found.items()} == {
        0: [("User", "ann")]
    }


def test_rows_are_named_by_their_place_in_the_batch_in_any_order():
    found = told("  a: {User: bob}\n  condition: a\n", frame(places=[40, 7, 30, 20]))
    assert [one.value for one in found[7]] == ["bob"]
    assert set(found) == {7}


def test_what_is_told_is_bounded():
    found = told("  a: {CommandLine|endswith: whoami}\n  condition: a\n")
    assert found[2][0].value == "x" * MAX_VALUE + "… (1006 characters)"
    many = "".join(f"  s{n}: {{CommandLine|contains: '{'x' * (n + 1)}'}}\n" for n in range(30))
    (one,) = told(f"{many}  condition: all of s*\n")[2]
    assert one.asks.endswith("'*xxxx*' and 26 more")
    wide = {f"F{n:02}": "v" for n in range(30)}
    every = "".join(f", {name}: v" for name in wide)
    found = told(f"  a: {{{every[2:]}}}\n  condition: a\n", frame([wide]))
    assert [one.field for one in found[0]] == [f"F{n:02}" for n in range(MAX_FIELDS)]


@pytest.mark.parametrize(
    ("detection", "asks", "value"),
    [
        ("  a: [whoami]\n  condition: a\n", "the record is like '*whoami*'", ""),
        ("  a: {Gone: null}\n  condition: a\n", "Gone is not there", ""),
        ("  a: {Names: bob}\n  condition: a\n", "Names is like 'bob'", "ann, bob"),
    ],
)
def test_keywords_absence_and_lists(detection, asks, value):
    rows = [{"CommandLine": "whoami", "Names": ["ann", "bob"]}]
    found = told(detection, frame(rows))
    assert [(one.asks, one.value) for one in found[0]] == [(asks, value)]


def test_what_is_told_does_not_depend_on_which_other_rows_match():
    detection = "  a: {Image|endswith: [cmd.exe, other.exe]}\n  b: {User: ann}\n  condition: a and b\n"
    whole = told(detection)
    for row in whole:
        assert told(detection, frame([ROWS[row]], [row]))[row] == whole[row]


def test_no_match_tells_nothing():
    assert Matching([], []).of(frame(), []) == {}
    with pytest.raises(IndexError):
        Matching([], []).of(frame(), [Match(0, [0])])
