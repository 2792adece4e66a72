"""Many values at once say what one value at a time says; keywords; what packs tune and repeat."""

import json
import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sigmaframes import HEAD, fires, frame

from lemnis.contracts.detection import Joined, Lines
from lemnis.contracts.errors import UnsupportedError
from lemnis.detect import Matcher
from lemnis.detect.atoms import MANY, ONE, Atom, fold
from lemnis.detect.compiler import regex
from lemnis.detect.field import FEW, Values
from lemnis.detect.records import Records
from lemnis.detect.required import letters, required
from lemnis.detect.rules import compile_files

LETTERS = "abAB. -İßΣ\u03c3Ké\\1"
PLAIN = "abAB. -\\1"
VALUES = st.lists(st.text(alphabet=LETTERS, max_size=8), min_size=FEW + 1, max_size=30, unique=True)
PARTS = st.lists(st.sampled_from([MANY, ONE]) | st.text(alphabet=LETTERS, min_size=1, max_size=3), max_size=4)
NUMBERS = st.sampled_from(["1", "-1", "01", "0x1", "1.0", ".1", "1e2", "1_0", "nan", "inf", "", "1 "])
LONG = st.lists(
    st.sampled_from([MANY, ONE]) | st.text(alphabet=PLAIN, min_size=1, max_size=9), max_size=4
)  # fmt: skip
SEARCHES = ["a", "A.?b", "^a", "b$", "[aB]-", "é", "\u03c3", "(ab|ba)+", "[aA][bB].a", "a{2}", "(a|b-|)1"]


def patterns(parts, *, cased):
    joined = []
    for part in parts:
        if not (part == MANY and joined and joined[-1] == MANY):
            joined.append(part if isinstance(part, int) or cased else fold(part))
    return tuple(joined)


@st.composite
def atoms(draw, parts=PARTS):
    found = []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["text", "text", "text", "re", "number", "compare", "cidr"]))
        cased = draw(st.booleans())
        value = {
            "text": lambda c=cased: patterns(draw(parts), cased=c),
            "re": lambda: (draw(st.sampled_from(SEARCHES)), draw(st.sampled_from(["", "i"]))),
            "number": lambda: draw(st.sampled_from([1, -1, 100, 0.1])),
            "compare": lambda: (draw(st.sampled_from(["<", ">=", "!="])), 1),
            "cidr": lambda: "10.0.0.0/8",
        }[kind]()
        found.append((number, Atom("f", kind, value, cased)))
    return found


@settings(max_examples=300, deadline=None)
@given(atoms(), VALUES | st.lists(NUMBERS, min_size=FEW + 1, max_size=FEW + 4, unique=True))
def test_many_values_are_matched_as_one_is(asked, values):
    alone = [set(Values(asked).once([value])[0]) for value in values]
    together = Values(asked)
    assert [set(found) for found in together.of_all(values)] == alone
    # and again, some remembered
    more = [*values[::2], "ab", "Ab\\"]
    assert [set(found) for found in together.of_all(more)] == [set(Values(asked).once([v])[0]) for v in more]


def end_to_end(values):
    """Lay texts end to end."""
    pieces = [value.encode() for value in values]
    return Joined(
        np.frombuffer(b"".join(pieces) + bytes(8), np.uint8),
        np.cumsum([len(piece) for piece in pieces], dtype=np.int64),
    )


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_values_that_lie_end_to_end_are_matched_as_one_is(data):
    asked = data.draw(atoms(st.one_of(PARTS, LONG)))
    several = st.text(alphabet=PLAIN, max_size=20) | st.text(alphabet=LETTERS, max_size=9) | NUMBERS
    together = Values(asked)
    for _ in range(2):  # what was seen before does not count
        values = data.draw(st.lists(several, min_size=1, max_size=20, unique=True))
        alone = [set(Values(asked).once([value])[0]) for value in values]
        found = [[] for _ in values]
        for place, number in zip(
            *(some.tolist() for some in together.joined(end_to_end(values))), strict=True
        ):
            found[place].append(number)
        assert [set(numbers) for numbers in found] == alone
        assert all(len(set(numbers)) == len(numbers) for numbers in found)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_search_finds_something_only_where_there_is_what_it_requires(data):
    piece = st.sampled_from(
        [
            "a",
            "B",
            "ab",
            "[aA]",
            "[ab]",
            "a?",
            "b*",
            "(ab|B)",
            "(a|)",
            "(?:ba){2}",
            ".",
            r"\.",
            "-+?",
            "^",
            "$",
        ]
    )
    pattern = "".join(data.draw(st.lists(piece, min_size=1, max_size=6)))
    flags, text = data.draw(st.sampled_from(["", "i", "s"])), data.draw(st.text(alphabet=PLAIN, max_size=12))
    needs = required(pattern, flags)
    if regex(pattern, flags).search(text):
        assert not needs or any(need.decode() in text.lower() for need in needs)
        assert set(letters(pattern, flags)) <= set(text.lower())


@pytest.mark.parametrize(
    ("pattern", "needs"),
    [
        (r"(?i)\\Temp\\.+\.exe", {b"\\temp\\"}),
        (r"[Pp]ower(shell|cat)", {b"power"}),
        (r"(?:foo|barr)x?", {b"foo", b"barr"}),
        (r"a*|b", set()),
        (r"\Qa.b\E", set()),  # RE2's own
        (r"[[:alpha:]]abc", set()),  # Python reads it otherwise
        (r"caf\u00e9", set()),
        (r"x", set()),
    ],
)
def test_what_a_search_requires_is_read_off_it(pattern, needs):
    assert required(pattern, "") == needs


def test_letters_that_a_search_requires_are_read_off_it():
    assert letters(r"\{.*[Aa]?(x|y)(?:Z[Qq])+\}", "i") == "qz{}"
    assert letters("a|b", "") == ""
    assert letters("[[:alpha:]]a", "") == ""


def plainly(parts, text, *, cased):
    """Search as Sigma says: character by character, upper and lower case alike unless cased."""
    body = "".join({MANY: ".*", ONE: "."}[p] if isinstance(p, int) else re.escape(p) for p in parts)
    return re.search(body, text if cased else fold(text), re.DOTALL) is not None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.one_of(PARTS, LONG).filter(lambda parts: any(isinstance(p, str) for p in parts)), st.booleans()), min_size=1, max_size=5),
    st.lists(st.none() | st.text(alphabet=LETTERS, max_size=20), max_size=20) | st.lists(st.text(alphabet=PLAIN, max_size=20), max_size=20),
    st.integers(0, 3),
    st.booleans(),
)  # fmt: skip
def test_keywords_are_found_wherever_they_stand(asked, records, first, lie):
    made = [(patterns(parts, cased=cased), cased) for parts, cased in asked]
    atoms_ = [(n, Atom(None, "text", (MANY, *parts, MANY), cased)) for n, (parts, cased) in enumerate(made)]
    column = pa.array([*["ab"] * first, *records], pa.string()).slice(first)
    lines = _lines(records) if lie and None not in records else None
    hits = Records(atoms_).hits(Kept(column, lines))
    for number, (parts, cased) in enumerate(made):
        want = [i for i, r in enumerate(records) if r is not None and plainly(parts, r, cased=cased)]
        assert hits.get(number, []) == want


def _lines(records):
    """Lay texts among others."""
    pieces = [record.encode() for record in records]
    starts = np.cumsum([0, *(len(piece) + 2 for piece in pieces)], dtype=np.int64)[:-1]
    raw = b"\n\n".join(pieces) + bytes(8)
    return Lines(
        np.frombuffer(raw, np.uint8), starts, starts + np.array([len(piece) for piece in pieces], np.int64)
    )


class Kept(NamedTuple):
    """What keywords are looked for in."""

    records: object
    place: Lines | None = None

    def lines(self):
        return self.place


def test_keywords_are_found_in_lines_whatever_their_case_and_letters():
    words = ["mimikatz", "wiki", "sekurlsa::", "gentilkiwi"]
    records = [
        "x MimiKatz",
        "mimi katz",
        "é sekurLSA::x",
        "wiki wİkİ",
        "the \u212aIwI WI\u212aI",
        "aGENTILKIWIz",
        "",
        "wik",
    ]
    keywords = Records([(n, Atom(None, "text", (MANY, word, MANY))) for n, word in enumerate(words)])
    assert keywords.hits(Kept(None, _lines(records))) == {0: [0], 1: [3, 4], 2: [2], 3: [5]}


def test_records_that_are_bytes_are_read():
    keywords = Records([(0, Atom(None, "text", (MANY, "needle", MANY)))])
    column = pa.array([b"hay", b"\xff NEEDLE", None], pa.binary())
    assert keywords.hits(Kept(column)) == {0: [1]}
    assert Records([(0, Atom(None, "re", ("n[e]+dle", "i"), True))]).hits(Kept(column)) == {0: [1]}


@pytest.mark.parametrize("word", ["C:\\dir\\a.exe", 'say "hi"', "café", "tab\there"])
def test_a_keyword_is_found_as_json_writes_it(word):
    detection = f"detection: {{k: [{json.dumps(word)}], condition: k}}\n".replace("\\\\", "\\\\\\\\")
    records = [
        json.dumps({"a": f"x {word} y"}),
        json.dumps({"a": f"x {word} y"}, ensure_ascii=False),
        word,
        "other",
    ]
    assert fires(detection, [{}] * 4, records) == [0, 1, 2]


@pytest.mark.parametrize(
    ("detection", "rows", "want"),
    [
        ("{f|re|contains: 'a.c'}", ["xabcx", "zzz"], [0]),
        ("{f|re|startswith: 'a.c|b'}", ["abcx", "bzz", "zzz"], [0, 1]),
        ("{f: 1000}", ["1000", "1_000", "0x3e8", "1e3", "1000.0", "nan"], [0, 2, 3, 4]),
        ("{f|gte: 10}", ["0x10", "inf", "nan", "9.9", "11"], [0, 4]),
        ("{f|hour: 10}", ["2026-01-01 10:30:00", "1767263400", "1767263400000", "2026-01-01T10:30:00.1234567Z",
                          "1767263400.5", "1767259800", "9" * 20, "x"], [0, 1, 2, 3, 4]),
        ("{f|week|gte: 2}", ["2026-01-01", "2026-01-08"], [1]),
    ],
)  # fmt: skip
def test_values_are_read_as_logs_write_them(detection, rows, want):
    assert fires(f"detection: {{s: {detection}, condition: s}}\n", [{"f": row} for row in rows]) == want


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "detection: {s: {f|re|expand: 'a%tool%c'}, condition: s}\n", "tool"),
        (HEAD + "taxonomy: ecs\ndetection: {s: {f: a}, condition: s}\n", "ecs"),
        (HEAD + "detection: {s: ['*'], condition: s}\n", "keyword"),
    ],
)
def test_what_could_never_or_always_match_is_refused(text, says):
    found = compile_files([("r.yml", text.encode())])
    assert not found.rules
    (problem,) = found.problems
    assert isinstance(problem, UnsupportedError)
    assert says in problem.what


RULE = "title: {title}\nid: {id}\nlogsource: {{product: test, service: web}}\ndetection: {{s: {{f: x}}, condition: s}}\n"
ONE_ID, OTHER_ID = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


def tuned(rules, logsource="{product: test}"):
    text = f"title: tuning\nlogsource: {logsource}\nfilter: {{rules: {rules}, known: {{g: ok}}, condition: not known}}\n"
    files = [
        ("a.yml", RULE.format(title="a", id=ONE_ID)),
        ("b.yml", RULE.format(title="b", id=OTHER_ID)),
        ("z.yml", text),
    ]
    found = compile_files([(name, data.encode()) for name, data in files])
    assert not found.problems
    offers = type(frame([]).offers)(frozenset({"test"}), frozenset(), frozenset({"web"}))
    rows = frame([{"f": "x"}, {"f": "x", "g": "ok"}], offers=offers)
    return {
        found.rules[match.rule].title: match.rows for match in Matcher(found.rules, found.atoms).match(rows)
    }


def test_a_filter_narrows_the_rules_it_means():
    assert tuned("any") == {"a": [0], "b": [0]}
    assert tuned(f"[{ONE_ID}]") == {"a": [0], "b": [0, 1]}
    assert tuned("any", "{product: other}") == {"a": [0, 1], "b": [0, 1]}
    assert tuned("any", "{product: test, service: other}") == {"a": [0, 1], "b": [0, 1]}


def test_the_same_rule_in_two_folders_is_one():
    text = RULE.format(title="a", id=ONE_ID).encode()
    assert len(compile_files([("one/a.yml", text), ("two/a.yml", text)]).rules) == 1
    other = text.replace(b"f: x", b"f: y")
    assert len(compile_files([("one/a.yml", text), ("two/a.yml", other)]).rules) == 2
