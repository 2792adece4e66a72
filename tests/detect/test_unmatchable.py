"""Conditions that never or always hold are told; nothing is told that is not so."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sigmaframes import HEAD, compiled, frame

from lemnis.detect import Matcher
from lemnis.detect.atoms import MANY, ONE, Atom
from lemnis.detect.relations import excludes, implies
from lemnis.detect.rules import Rule, compile_files
from lemnis.detect.unmatchable import duplicates, unreachable


def told(detection, several=()):
    found = compiled(HEAD + "detection:\n" + "".join(f"  {line}\n" for line in detection.splitlines()))
    return unreachable(found.rules[0], found.atoms, several=several)


@pytest.mark.parametrize(
    ("detection", "says"),
    [
        ("a: {f: x}\ncondition: a and not a", "f is like 'x' and not"),
        ("a: {f|contains|all: [x, y], f: ab}\ncondition: a", "exclude each other"),
        ("a: {f: x}\nb: {f: y}\ncondition: a and b", "'x' and f is like 'y'"),
        ("a: {f: x}\nb: {f: null}\ncondition: all of them", "not there"),
        ("a: {f|contains: x}\nb: {f|exists: false}\ncondition: a and b", "not there"),
        ("a: {f|startswith: ab}\nb: {f|startswith: ac}\ncondition: a and b", "'ab*' and f is like 'ac*'"),
        ("a: {f|endswith: .exe}\nb: {f|endswith: .dll}\ncondition: a and b", "exclude"),
        ("a: {f|endswith: a.exe}\nb: {f|endswith: .exe}\ncondition: a and not b", "exclude"),
        ("a: {f: abc}\nb: {f|contains: bc}\ncondition: a and not b", "exclude"),
        ("a: {f|cased: abc}\nb: {f: ABC}\ncondition: a and not b", "exclude"),
        ("a: {f|gt: 5}\nb: {f|lt: 3}\ncondition: a and b", "f > 5 and f < 3"),
        ("a: {f: 4}\nb: {f|gte: 5}\ncondition: a and b", "f is 4 and f >= 5"),
        ("a: {f|gt: 5}\nb: {f|gte: 5}\ncondition: a and not b", "exclude"),
        ("a: {f|hour: 25}\ncondition: a", "never so"),
        ("a: {f|cidr: 10.0.0.0/8}\nb: {f|cidr: 192.168.0.0/16}\ncondition: a and b", "exclude"),
        ("a: {f|cidr: 10.1.0.0/16}\nb: {f|cidr: 10.0.0.0/8}\ncondition: a and not b", "exclude"),
        ("a: {f: 10.1.1.1}\nb: {f|cidr: 192.168.0.0/16}\ncondition: a and b", "exclude"),
        ("a: {f|cased: abc}\nb: {f|re: '^x'}\ncondition: a and b", "exclude"),
        ("a: {f: [x, y], g: 1}\nb: {f: z}\nc: {f: w}\ncondition: a and (b or c)", "exclude"),
        ("a: {f: x}\ncondition: a or not a", "every record"),
        ("a: {f: '*'}\nb: {f: null}\ncondition: a or b", "every record"),
        ("a: {f|contains: a}\nb: {f|contains: abc}\ncondition: a or not b", "every record"),
    ],
)  # fmt: skip
def test_what_never_or_always_holds_is_told_with_the_questions_that_clash(detection, says):
    assert says in told(detection)


@pytest.mark.parametrize(
    "detection",
    [
        "a: {f: x}\nb: {f: y}\ncondition: a or b",
        "a: {f: x}\nb: {g: y}\ncondition: a and not b",
        "a: {f|contains: ab}\nb: {f|startswith: x}\ncondition: a and b and not (a and not b)",
        "a: {f: 'a*'}\nb: {f: '*a'}\ncondition: a and not b",
        "a: {f: 'a?'}\nb: {f: 'ab'}\ncondition: a and not b",
        "a: {f|cased: abc}\nb: {f: ABC}\ncondition: b and not a",
        "a: {f|gt: 5}\nb: {f|lt: 7}\ncondition: a and b",
        "a: {f|gte: 5}\nb: {f|gt: 5}\ncondition: a and not b",
        "a: {f: abc}\nb: {f|re: '^A'}\ncondition: a and b",
        "a: {f|fieldref: g}\ncondition: a",
        "a: [one, two]\nb: [one two]\ncondition: a and not b",
        "a: {f: x}\ncondition: not a",
    ],
)
def test_what_can_hold_and_can_fail_is_left_alone(detection):
    assert told(detection) is None


def test_a_field_with_several_values_may_be_this_and_that_but_not_absent():
    assert told("a: {f: x}\nb: {f: y}\ncondition: a and b", several={"f"}) is None
    assert told("a: {f: x}\nb: {f: null}\ncondition: a and b", several={"f"})
    assert told("a: {f: xy}\nb: {f: 'x*'}\ncondition: a and not b", several={"f"})


def test_a_search_that_takes_too_long_says_nothing():
    # ten birds in nine holes: impossible, but hard to see
    birds, holes = range(10), range(9)
    atoms = [Atom(f"f{bird}-{hole}", "text", ("x",)) for bird in birds for hole in holes]
    each = [["|", *(9 * bird + hole for hole in holes)] for bird in birds]
    alone = [
        ["!", ["&", 9 * bird + hole, 9 * other + hole]]
        for hole in holes
        for bird in birds
        for other in range(bird)
    ]
    assert unreachable(Rule("", "", "", (), (None, None, None), "", ["&", *each, *alone]), atoms) is None


TEXT = st.text(alphabet="abAİ1.", max_size=3)
PART = st.lists(st.sampled_from([MANY, ONE]) | st.text(alphabet="abA1.İ", min_size=1, max_size=2), max_size=3)
VALUE = TEXT | st.sampled_from(["1", "2", "0x1", "10.0.0.1", "10.1.0.1", "2026-01-01T07:30:00Z"])


@st.composite
def questions(draw):
    kind = draw(
        st.sampled_from(["text", "text", "text", "re", "number", "compare", "cidr", "null", "exists", "part"])
    )
    cased = kind == "re" or (kind == "text" and draw(st.booleans()))
    sign = st.sampled_from(["<", "<=", ">", ">=", "!="])
    value = {
        "text": lambda: tuple(p.lower() if isinstance(p, str) and not cased else p for p in draw(PART)),
        "re": lambda: (draw(st.sampled_from(["a", "^a", "b$", "1"])), draw(st.sampled_from(["", "i"]))),
        "number": lambda: draw(st.sampled_from([1, 2])),
        "compare": lambda: (draw(sign), draw(st.sampled_from([1, 2]))),
        "cidr": lambda: draw(st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "::/0"])),
        "null": lambda: None,
        "exists": lambda: draw(st.booleans()),
        "part": lambda: ("hour", draw(sign), draw(st.sampled_from([7, 8]))),
    }[kind]()
    return Atom("f", kind, value, cased)


def tree(count):
    leaf = st.integers(0, count - 1)
    return st.recursive(
        leaf,
        lambda inner: (
            st.tuples(st.sampled_from("&|"), inner, inner).map(list)
            | st.tuples(st.just("!"), inner).map(list)
        ),
        max_leaves=8,
    )


@settings(max_examples=200, deadline=None)
@given(
    st.data(),
    st.lists(questions(), min_size=4, max_size=4),
    st.lists(st.none() | VALUE, min_size=8, max_size=20),
)
def test_no_record_says_otherwise(data, atoms, values):
    rules = [
        Rule("", "", "", (), (None, None, None), "", data.draw(tree(4)) if n >= 4 else n) for n in range(8)
    ]
    rows = {
        match.rule: set(match.rows)
        for match in Matcher(rules, atoms).match(frame([{"f": v} for v in values]))
    }
    for number, rule in enumerate(rules):
        said = unreachable(rule, atoms) or ""
        if said.startswith("no record"):
            assert number not in rows, (said, values, rows[number])
        if said.startswith("every record"):
            assert rows.get(number) == set(range(len(values))), said
    for one in range(4):
        for two in range(4):
            mine, other = rows.get(one, set()), rows.get(two, set())
            assert not implies(atoms[one], atoms[two]) or mine <= other
            assert not excludes(atoms[one], atoms[two]) or not mine & other


RULE = "title: {t}\nlogsource: {{product: {p}}}\ndetection:\n  a: {{f: x, g|contains: [y, z]}}\n  b: {{h: w}}\n  condition: {c}\n"


def test_rules_that_ask_the_same_are_told_however_they_are_written():
    texts = [
        RULE.format(t="first", p="test", c="a and not b"),
        RULE.format(t="again", p="test", c="not (b or not a)"),
        RULE.format(t="elsewhere", p="other", c="a and not b"),
        RULE.format(t="more", p="test", c="a or b"),
        "title: listed\nlogsource: {product: test}\ndetection:\n  n: {h: w}\n  s: {g: ['*z*', '*y*'], f: X}\n  condition: not n and s\n",
    ]  # fmt: skip
    found = compile_files([(f"{n}.yml", text.encode()) for n, text in enumerate(texts)])
    assert not found.problems
    pairs = [(one.title, two.title) for one, two in duplicates(found.rules, found.atoms)]
    assert pairs == [("first", "again"), ("first", "listed")]
