"""Every modifier of Sigma 2.1 that pySigma knows, with what it takes and what it leaves."""

import base64

import pytest
from sigmaframes import HEAD, fires

from lemnis.contracts.errors import UnsupportedError
from lemnis.detect.rules import compile_files


def one(item, value, **fields):
    """Say whether a single item matches a row with the field ``f``."""
    row = {name: text for name, text in {"f": value, **fields}.items() if text is not None}
    return fires(f"detection: {{s: {{{item}}}, condition: s}}\n", [row]) == [0]


@pytest.mark.parametrize(
    ("item", "takes", "leaves"),
    [
        ("f: Abc", ["abc", "ABC"], ["abcd", "xabc", "", None]),
        ("f: 'a*c'", ["ac", "abc", "AxxC"], ["abcd", "bac"]),
        ("f: 'a?c'", ["abc", "a\nc"], ["ac", "abbc"]),
        (r"f: 'a\*c'", ["a*c"], ["abc"]),
        (r"f: 'c:\dir\x'", [r"C:\Dir\X"], [r"c:dirx"]),
        (r"f: 'c:\\*'", ["c:\\", r"c:\x"], ["d:\\x"]),
        ("f: '*'", ["x", ""], [None]),
        ("f: ''", [""], ["x", None]),
        ("f: null", [None], ["", "x"]),
        ("f: 12", ["12", "0xc", "12.0"], ["112", "x", None]),
        ("f: true", ["True", "true"], ["false"]),
        ("f|contains: bc", ["abcd", "BC"], ["bd"]),
        ("f|contains: ['bc', 'xy']", ["abcd", "axyz"], ["q"]),
        ("f|contains|all: ['bc', 'xy']", ["bcxy", "xybc"], ["bc", "xy"]),
        ("f|startswith: ab", ["abc"], ["cab"]),
        ("f|endswith: bc", ["abc"], ["bca"]),
        ("f|cased: Abc", ["Abc"], ["abc"]),
        ("f|contains|cased: Bc", ["aBcd"], ["abcd"]),
        ("f|re: '^a[0-9]+$'", ["a12"], ["A12", "a", "xa12"]),
        ("f|re|i: '^a[0-9]+$'", ["A12"], ["b1"]),
        ("f|re|s: 'a.b'", ["a\nb"], ["ab"]),
        ("f|re|m: '^b$'", ["a\nb"], ["ab"]),
        ("f|cidr: 10.1.0.0/16", ["10.1.2.3", "::ffff:10.1.2.3"], ["10.2.0.1", "x", "10.1.2"]),
        ("f|cidr: 2001:db8::/32", ["2001:db8::1"], ["2001:db9::1"]),
        ("f|gt: 5", ["6", "5.5"], ["5", "x", None]),
        ("f|gte: 5", ["5"], ["4"]),
        ("f|lt: 5", ["-1"], ["5"]),
        ("f|lte: 5", ["5"], ["6"]),
        ("f|exists: true", ["x", ""], [None]),
        ("f|exists: false", [None], ["", "x"]),
        ("f|windash|contains: ' -x'", ["a -x", "a /x", "a \u2013x"], ["a x"]),
        ("f|hour: 7", ["2026-03-02T07:14:05Z"], ["2026-03-02T08:14:05Z", "x"]),
        ("f|week: 10", ["2026-03-02T07:14:05Z"], ["2026-03-12T07:14:05Z"]),
    ],
)
def test_a_modifier_takes_and_leaves(item, takes, leaves):
    for value in takes:
        assert one(item, value), value
    for value in leaves:
        assert not one(item, value), value


def test_base64_is_found_at_each_offset():
    for before in ("", "x", "xy", "xyz"):
        value = base64.b64encode(f"{before}secret word".encode()).decode()
        assert one("f|base64offset|contains: secret word", value)
    assert not one("f|base64offset|contains: secret word", base64.b64encode(b"another").decode())


def test_wide_text_in_base64():
    value = base64.b64encode("Invoke-Thing".encode("utf-16-le")).decode()
    assert one("f|wide|base64offset|contains: Invoke", value)


@pytest.mark.parametrize(
    ("item", "value", "other", "matches"),
    [
        ("f|fieldref: g", "Same", "same", True),
        ("f|fieldref: g", "a", "b", False),
        ("f|fieldref|startswith: g", "abc", "ab", True),
        ("f|fieldref|endswith: g", "abc", "bc", True),
        ("f|fieldref|endswith: g", "abc", "ab", False),
        ("f|fieldref: g", "a", None, False),
    ],
)
def test_fields_are_compared_with_each_other(item, value, other, matches):
    assert one(item, value, g=other) is matches


def test_a_list_of_values_matches_if_one_does():
    assert fires("detection: {s: {f|startswith: b}, condition: s}\n", [{"f": ["a", "bc"]}, {"f": ["a"]}]) == [
        0
    ]


def test_keywords_look_into_the_whole_record_also_as_json_writes_it():
    rows, texts = [{}, {}, {}], ["say EVIL now", "nothing", r'{"path": "C:\\Temp\\evil.exe"}']
    assert fires("detection: {k: [evil], condition: k}\n", rows, texts) == [0, 2]
    assert fires("detection: {k: ['C:\\Temp\\evil'], condition: k}\n", rows, texts) == [2]


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("a and b", [2]),
        ("a or b", [0, 1, 2]),
        ("a and not b", [0]),
        ("not a and not b", [3]),
        ("not 1 of them", [3]),
        ("all of them", [2]),
        ("1 of a*", [0, 2]),
        ("a or b and not a", [0, 1, 2]),
        ("(a or b) and not a", [1]),
    ],
)
def test_conditions_and_their_precedence(condition, rows):
    text = f"detection:\n  a: {{f: x}}\n  b: {{g: y}}\n  _c: {{f: nothing}}\n  condition: {condition}\n"
    assert fires(text, [{"f": "x"}, {"g": "y"}, {"f": "x", "g": "y"}, {}]) == rows


def test_several_conditions_are_alternatives():
    text = "detection:\n  a: {f: x}\n  b: {g: y}\n  condition: [a, b]\n"
    assert fires(text, [{"f": "x"}, {"g": "y"}, {}]) == [0, 1]


@pytest.mark.parametrize(
    ("detection", "said"),
    [
        ("detection: {s: {f|expand: '%admins%'}, condition: s}\n", "admins"),
        ("detection: {s: {f|re: '(?=a)b'}, condition: s}\n", "linear"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_its_line(detection, said):
    found = compile_files([("rule.yml", (HEAD + detection).encode())])
    assert not found.rules
    (problem,) = found.problems
    assert isinstance(problem, UnsupportedError)
    assert said in problem.what
    assert problem.at.file == "rule.yml"
    assert problem.at.line == 4
