"""The batch matcher against a row-at-a-time reading of the same rules; what it skips; what it keeps on disk."""

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sigmaframes import HEAD, compiled, frame

from lemnis.contracts.detection import Offers
from lemnis.contracts.errors import ContentError
from lemnis.detect import Matcher
from lemnis.detect.explain import explain
from lemnis.detect.rules import compile_files

TEXT = st.text(alphabet="abAB*?\\./ İß", max_size=6)
FIELDS = ("f", "g", "h")
MODIFIERS = ("", "|contains", "|startswith", "|endswith", "|cased", "|contains|all", "|contains|cased")
ROWS = st.lists(
    st.dictionaries(st.sampled_from(FIELDS), TEXT | st.lists(TEXT, max_size=3), max_size=3),
    min_size=1,
    max_size=12,
)
ITEM = st.tuples(
    st.sampled_from(FIELDS), st.sampled_from(MODIFIERS), TEXT | st.lists(TEXT, min_size=1, max_size=3)
)
SELECTION = st.lists(ITEM, min_size=1, max_size=3)
CONDITIONS = (
    "a", "not a", "a and b", "a or b", "a and not b", "not (a or b)", "1 of them", "all of them", "a or not b",
)  # fmt: skip


def pattern(text, modifier):
    """Read a Sigma string plainly: a list of one-character texts and wildcards, then a regular expression."""
    parts, index = [], 0
    while index < len(text):
        character = text[index]
        if character == "\\" and index + 1 < len(text) and text[index + 1] in "\\*?":
            parts.append(re.escape(text[index + 1]))
            index += 2
            continue
        parts.append({"*": ".*", "?": "."}.get(character, re.escape(character)))
        index += 1
    body = "".join(parts)
    before = ".*" if "contains" in modifier or "endswith" in modifier else ""
    after = ".*" if "contains" in modifier or "startswith" in modifier else ""
    return before + body + after


def plainly(values, text, modifier):
    wanted = text if "cased" in modifier else text.lower()
    found = [value if "cased" in modifier else value.lower() for value in values]
    return any(re.fullmatch(pattern(wanted, modifier), value, re.DOTALL) for value in found)


def selected(row, items):
    """Say whether a row meets every item of a selection."""
    for field, modifier, given_values in items:
        texts = given_values if isinstance(given_values, list) else [given_values]
        value = row.get(field)
        values = [] if value is None else value if isinstance(value, list) else [value]
        join = all if "all" in modifier else any
        if not join(plainly(values, text, modifier) for text in texts):
            return False
    return True


def decided(condition, a, b):
    return {
        "a": a, "not a": not a, "a and b": a and b, "a or b": a or b, "a and not b": a and not b,
        "not (a or b)": not (a or b), "1 of them": a or b, "all of them": a and b, "a or not b": a or not b,
    }[condition]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(ROWS, SELECTION, SELECTION, st.sampled_from(CONDITIONS))
def test_the_batch_says_what_a_row_at_a_time_says(rows, a, b, condition):
    # one item a field and modifier, as a mapping has it
    a, b = ({(field, modifier): value for field, modifier, value in items} for items in (a, b))
    detection = {
        "a": {field + modifier: value for (field, modifier), value in a.items()},
        "b": {field + modifier: value for (field, modifier), value in b.items()},
        "condition": condition,
    }
    rule = yaml.safe_dump({"detection": detection}, allow_unicode=True)
    found = compiled(HEAD + rule)
    matches = Matcher(found.rules, found.atoms).match(frame(rows))
    got = [row for match in matches for row in match.rows]
    a, b = ([(field, modifier, value) for (field, modifier), value in items.items()] for items in (a, b))
    want = [i for i, row in enumerate(rows) if decided(condition, selected(row, a), selected(row, b))]
    assert got == want
    for i, row in enumerate(rows):
        assert explain(found.rules[0], found.atoms, row).holds is (i in want)


def test_a_rule_sees_only_its_log_source():
    text = "title: t\nlogsource: {product: p, category: c}\ndetection: {s: {f: x}, condition: s}\n"
    found = compiled(text)
    matcher = Matcher(found.rules, found.atoms)
    serving = Offers(frozenset({"p", "q"}), frozenset({"c"}), frozenset({"s"}))
    assert matcher.match(frame([{"f": "x"}], offers=serving))
    for other in (Offers(), Offers(frozenset({"p"})), Offers(frozenset({"q"}), frozenset({"c"}))):
        assert not matcher.match(frame([{"f": "x"}], offers=other))


def test_rows_are_named_by_their_place_in_the_batch():
    found = compiled(HEAD + "detection: {s: {f: x}, condition: s}\n")
    whole = frame([{"f": "x"}, {"f": "y"}, {"f": "x"}])
    moved = type(whole)("s", "o", whole.offers, whole.columns, whole.records, whole.rows + 7)
    (match,) = Matcher(found.rules, found.atoms).match(moved)
    assert list(match.rows) == [7, 9]


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("title: [unclosed\n", ContentError, 2),
        ("- a\n- b\n", ContentError, 1),
        (HEAD + "detection:\n  a: {Image|frobnicate: x}\n  condition: a\n", ContentError, 5),
        (HEAD + "detection:\n  a: {f: x}\n  condition: a and\n", ContentError, None),
        (HEAD + "title: again\n", ContentError, 4),
        ("title: c\ncorrelation: {type: event_count, rules: [a], timespan: 1h, condition: {gte: 2}}\n", ContentError, 2),
    ],
)  # fmt: skip
def test_a_bad_rule_is_a_problem_with_its_place_and_the_others_go_on(text, kind, line):
    good = HEAD + "detection: {s: {f: x}, condition: s}\n"
    found = compile_files([("bad.yml", text.encode()), ("good.yml", good.encode())])
    assert [rule.path for rule in found.rules] == ["good.yml"]
    assert found.problems
    assert all(isinstance(problem, kind) and problem.at.file == "bad.yml" for problem in found.problems)
    if line:
        assert found.problems[0].at.line == line


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_file_makes_loading_fail(data):
    found = compile_files([("any.yml", data)])
    assert len(found.rules) + len(found.problems) >= 0
