"""Mutation scores: what changes are made of a rule, and which of them tests notice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sigma.rule import SigmaDetections

from lemnis.app.rules_conditions import read
from lemnis.app.rules_mutants import canonical, compiled, mutants
from lemnis.app.rules_mutation import mutate_rules
from lemnis.content.library import Library
from lemnis.contracts.errors import ContentError
from lemnis.detect.compiler import compile_searches
from lemnis.interfaces.cli import run

RULE = """\
title: Somebody lets himself in
id: 6d1f4a6e-3c1b-4f55-9d0f-0d3b8f1f2a11
status: experimental
logsource: {product: github, service: audit}
detection:
"""


def made(**detection):
    return {one.words: one for one in mutants(read(detection), {})}


def test_every_part_is_changed():
    found = made(
        a={"one|startswith": ["x", "y"], "two": "z"},
        b_1={"three|contains|all": ["p", "q"]},
        b_2={"four|gt": 3},
        condition="a and not 1 of b_*",
    )
    assert set(found) == {
        "condition: `(a and not (b_1 or b_2))`: and made or",
        "condition: a negated",
        "condition: a deleted",
        "condition: `not` before (b_1 or b_2) deleted",
        "condition: 1 of b_*: or made and",
        "condition: b_1 negated",
        "condition: b_1 deleted",
        "condition: b_2 negated",
        "condition: b_2 deleted",
        "selection a: `(one|startswith and two)`: and made or",
        "selection a: one|startswith deleted",
        "selection a: two deleted",
        "selection a: one|startswith: value 'x' deleted",
        "selection a: one|startswith: value 'y' deleted",
        "selection a: one|startswith: all values needed at once",
        "selection a: one|startswith: widened to one|contains",
        "selection b_1: three|contains|all: value 'p' deleted",
        "selection b_1: three|contains|all: value 'q' deleted",
        "selection b_1: three|contains|all: one value is enough",
        "selection b_2: four|gt: widened to four|gte",
    }


def test_what_a_survivor_wants_follows_from_where_the_part_stands():
    found = made(a={"x": ["1", "2"]}, b={"y|endswith": ["3", "4"]}, condition="a and not b")
    must, must_not = "must fire and now would not", "must not fire and now would"
    assert must in found["selection a: x: value '1' deleted"].wants
    assert must_not in found["selection b: y|endswith: value '3' deleted"].wants
    assert must in found["selection b: y|endswith: widened to y|contains"].wants
    assert must_not in found["condition: b deleted"].wants


def test_a_list_of_alternatives_and_wildcards_are_changed():
    found = made(
        a=[{"x": "/bin/*"}, {"x": r"C:\\*", "y|cased": "Z"}], k=["word", "other"], condition="a or k"
    )
    assert "selection a: x: widened to * at both ends" in found
    assert "selection a: `(x or (x and y|cased))`: or made and" in found
    assert "selection a: y|cased: widened to y" in found
    assert "selection k: keywords: value 'word' deleted" in found
    assert "selection k: keywords: all values needed at once" in found


def test_mutants_that_say_the_same_are_left_out():
    # negating the one selection of a double negation is what deleting a `not` does
    found = made(a={"x": "1"}, condition="not not a")
    assert len(found) == 1
    # x or (x and y) is x: only what changes that is a mutant
    assert not any(
        "y deleted" in words for words in made(a={"x": "1"}, b={"x": "1", "y": "2"}, condition="a or b")
    )
    forms = [
        canonical(one.expression)
        for one in made(a={"x": ["1", "1"]}, b={"y": "2"}, condition="a or b").values()
    ]
    assert len(forms) == len(set(forms))


@pytest.mark.parametrize(
    "condition",
    [
        "a and b or c",
        "a or b and not c",
        "not (a or b) and c",
        "all of them",
        "1 of x_* or a",
        "not any of x_* and c",
    ],
)
def test_a_condition_is_read_as_it_is_compiled(condition):
    detection = {
        **{name: {"f": name} for name in "abc"}, "x_1": {"f": "1", "g": ["2", "3"]}, "x_2": [{"f": "4"}, {"g": "5"}],
        "_no": {"f": "6"}, "condition": condition,
    }  # fmt: skip
    numbers = {}
    expected = compile_searches(
        SigmaDetections.from_dict(detection), lambda atom: numbers.setdefault(atom, len(numbers))
    )
    assert canonical(compiled(read(detection), numbers)) == canonical(expected)


@pytest.mark.parametrize("condition", ["a and", "(a", "a b", "nobody", "1 of y_*", "", "a)"])
def test_a_condition_that_is_none_is_refused(condition):
    with pytest.raises(ContentError, match="cannot be read"):
        read({"a": {"f": "1"}, "condition": condition})


@pytest.fixture
def own(tmp_path):
    """Write a detection and its cases into a library of its own."""

    def write(detection: str, *cases: str) -> Library:
        folder = tmp_path / "content/detections/mine"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rule.yml").write_text(RULE + detection)
        (folder / "tests.yml").write_text("".join(cases))
        return Library.open(tmp_path / "content")

    return write


DETECTION = "  a: {action|startswith: [org.add, org.invite]}\n  condition: a\n"
CASE = "- {name: %s, source: github_audit, fires: %s, matches: %s, records: [%s]}\n"
RECORD = '{action: %s, actor: eve, created_at: 1764000000000, _document_id: "%s"}'


def test_a_case_that_notices_kills_and_another_survives(own):
    one = CASE % ("one", "true", "1", RECORD % ("org.add_member", "1"))
    (weak,) = mutate_rules(own(DETECTION, one), ["mine"])
    assert weak.tested.passed
    assert (weak.made, weak.killed) == (5, 3)  # negated; all at once; without what it fires by
    assert [said.split(";")[0] for said in weak.survivors] == [
        "selection a: action|startswith: value 'org.invite' deleted",
        "selection a: action|startswith: widened to action|contains",
    ]
    both = ", ".join((RECORD % ("org.add_member", "1"), RECORD % ("org.invite_member", "2")))
    silent = "- {name: silent, source: github_audit, fires: false, records: [%s]}\n" % (
        RECORD % ("team.org.add", "3")
    )
    (strong,) = mutate_rules(own(DETECTION, CASE % ("both", "true", "all", both), silent), ["mine"])
    assert strong.tested.passed, strong.tested
    assert strong.survivors == ()
    assert strong.score == 1


def test_a_detection_that_fails_has_no_score(own):
    silent = "- {name: silent, source: github_audit, fires: true, records: [%s]}\n" % (
        RECORD % ("team.create", "3")
    )
    (one,) = mutate_rules(own(DETECTION, silent), ["mine"])
    assert not one.tested.passed
    assert one.score == 0


def test_the_command_says_what_survived(own, tmp_path, capsys):
    assert run(["init", str(tmp_path), "--json"]) == 0
    own(DETECTION, CASE % ("one", "true", "1", RECORD % ("org.add_member", "1")))
    capsys.readouterr()
    assert run(["rules", "test", "mine", "--mutate", "-w", str(tmp_path)]) == 1
    assert (
        "mine: selection a: action|startswith: value 'org.invite' deleted; add a case"
        in capsys.readouterr().out
    )
    assert run(["rules", "test", "mine", "--mutate", "--minimum", "0.2", "-w", str(tmp_path)]) == 0


NAMES = st.sampled_from(["a", "b", "x_1", "x_2", "_own"])
SELECTORS = st.builds(
    "{} of {}".format, st.sampled_from(["1", "any", "all"]), st.sampled_from(["x_*", "them", "_*", "a"])
)
CONDITIONS = st.recursive(
    NAMES | SELECTORS,
    lambda inner: (
        st.builds("not {}".format, inner)
        | st.builds("({})".format, inner)
        | st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner)
    ),
    max_leaves=8,
)
ITEMS = st.dictionaries(
    st.sampled_from(["f", "g|contains", "h|startswith", "i|endswith|all", "f|cased", "n|gt"]),
    st.lists(st.sampled_from(["1", "22", "333"]), min_size=1, max_size=3, unique=True),
    min_size=1,
    max_size=3,
).map(
    lambda items: {
        key: [int(v) for v in values[:1]] if "gt" in key else values for key, values in items.items()
    }
)
SELECTIONS = (
    ITEMS
    | st.lists(ITEMS, min_size=1, max_size=3)
    | st.lists(st.sampled_from(["word", "two words"]), min_size=1)
)


@given(
    condition=CONDITIONS,
    selections=st.fixed_dictionaries(dict.fromkeys(["a", "b", "x_1", "x_2", "_own"], SELECTIONS)),
)
@settings(max_examples=80)
def test_any_logic_is_read_as_it_is_compiled_and_no_mutant_says_the_same(condition, selections):
    detection = {**selections, "condition": condition}
    numbers = {}
    expected = compile_searches(
        SigmaDetections.from_dict(detection), lambda atom: numbers.setdefault(atom, len(numbers))
    )
    own = canonical(compiled(read(detection), numbers))
    assert own == canonical(expected)
    forms = [canonical(one.expression) for one in mutants(read(detection), numbers)]
    assert own not in forms
    assert len(forms) == len(set(forms))
