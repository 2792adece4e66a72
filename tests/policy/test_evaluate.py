import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from other_rego import ERROR, Reference

from lemnis.contracts.errors import ContentError
from lemnis.policy.check import builtins
from lemnis.policy.evaluate import UNDEFINED, evaluate
from lemnis.policy.functions import FUNCTIONS

HEAD = "package p\nimport rego.v1\n"


def ask(body, document=None, *, rule="x", steps=1_000_000):
    return evaluate([HEAD + body], f"data.p.{rule}", document or {}, steps=steps)


@pytest.fixture(scope="module")
def reference():
    made = Reference()
    yield made
    made.close()


def test_every_builtin_gives_what_opa_gives():
    known = builtins()["evaluated"]
    assert set(known) == set(FUNCTIONS)
    wrong = {
        name: got
        for name, (expression, expected) in known.items()
        if json.dumps(got := ask(f"x := {expression}"), sort_keys=True)
        != json.dumps(expected, sort_keys=True)
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ('x := {"a": [1, null, true], "b": {2, 1}}', {"a": [1, None, True], "b": [1, 2]}),
        ("x := 1 if input.y", UNDEFINED),
        ("default x := 7\nx := 1 if input.y", 7),
        ("x := 1 if input.n == 2 else := 2 if input.n == 1 else := 3", 2),
        ("x := [i | some i, v in input.xs; v > 1]", [1, 2]),
        ("x := [1 | some v in input.xs; v > 1]", [1, 1]),
        ("x := {1 | some v in input.xs; v > 1}", [1]),
        ('x := {k: v | some k, v in input.o; v != "c"}', {"a": "b"}),
        ("x := [input.xs[_], input.xs[0]]", ERROR),
        ("x contains input.xs[_]", [1, 2, 3]),
        ("x if input.xs[_] == 3", True),
        ("x if { every v in input.xs { v > 0 } }", True),
        ("x if { every v in input.xs { v > 1 } }", UNDEFINED),
        ("x if { every v in [] { v > 1 } }", True),
        ("x if { every v in input.missing { v > 1 } }", UNDEFINED),
        ("x if not input.missing", True),
        ("x if { y > 2; y := input.xs[_] }", True),
        ("x := y if { [_, y] := [1, 2] }", 2),
        ("x if { some [a, 2] in [[1, 1], [1, 2]]; a == 1 }", True),
        ("f(a) := a * 2\nx := f(f(3))", 12),
        ("f(1) := 2\nf(2) := 3\nx := [f(1), f(2)]", [2, 3]),
        ("f(1) := 2\nx := f(5)", UNDEFINED),
        ("x := [true == 1, 1 == 1.0, null == false, [1, {2}] == [1, {2}]]", [False, True, False, True]),
        ('x := [1 < 2, null < false, true < 0, 9 < "a", "a" < [], [] < {}]', [True] * 6),
        ('x := [1 in [1, 2], true in [1], "b" in {"a": "b"}, {1} in {{1}}]', [True, False, True, True]),
        ("x := [7 / 2, 6 / 2, -7 % 3, 2 - 5]", [3.5, 3, -1, -3]),
        ("x := [{1, 2} - {1}, {1} | {2}, {1, 2} & {2, 3}]", [[2], [1, 2], [2]]),
        ("x := input.s", 'say "hü"\\\n\x00'),
        ("s := {1, 2}\nx := [s[1], 5]", [1, 5]),
        ("s := {1, 2}\nx := s[5]", UNDEFINED),
        ("x := input.xs[1.0]", 2),
        ("x := input.xs[-1]", UNDEFINED),
    ],
)  # fmt: skip
def test_a_module_means_what_rego_says(body, value):
    document = {"n": 1, "xs": [1, 2, 3], "o": {"a": "b", "b": "c"}, "s": 'say "hü"\\\n\x00'}
    try:
        got = ask(body, document)
    except ContentError:
        got = ERROR
    assert got == value


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("x := count([1 | some i in numbers.range(1, 9000); some j in numbers.range(1, 9000); i < j])", "steps"),
        ("x := numbers.range(1, 100000000)", "100,000 numbers"),
        ('x := to_number("a")', "refused its argument"),
        ("x := 1 / 0", "refused its argument"),
        ('x := 1 + "a"', "number"),
        ("x := count(5)", "argument 1: number"),
        ("x := 1 if true\nx := 2 if true", "two values"),
        ("x := v if { some v in [1, 2] }", "two values"),
        ("x := {input.a: 1}", "key is number"),
        ("x := y\ny := x", "needs itself"),
        ("f(a) := f(a)\nx := f(1)", "needs itself"),
        ("x if { a := b; b := a }", "need each other"),
        ("x := frob(1)", "no such function"),
        ("\n".join(["a0 := [0, 0]", *(f"a{n} := [a{n - 1}, a{n - 1}]" for n in range(1, 60)), "x := a59"]), "steps"),
        ("\n".join(["a0 := [0]", *(f"a{n} := [a{n - 1}, a{n - 1}]" for n in range(1, 60)), "x := {a59}"]), "steps"),
        (
            "\n".join(
                ['a0 := "abcdefgh"', *(f'a{n} := concat("", [a{n - 1}, a{n - 1}])' for n in range(1, 60)), "x := a59"]
            ),
            "1,000,000 characters",
        ),
        ("\n".join(["a0 := 7", *(f"a{n} := a{n - 1} * a{n - 1}" for n in range(1, 60)), "x := a59"]), "beyond"),
        ('x := regex.match("(a+)+$", concat("", [s | some i in numbers.range(1, 90000); s := "aaaaaaaaaaaaaaaaa"]))',
         "1,000,000 characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_an_error_in_little_time(body, word):
    with pytest.raises(ContentError, match=word):
        ask(body, {"a": 1}, steps=200_000)


def test_a_deep_document_is_no_crash():
    document = value = []
    for _ in range(100_000):
        inner = []
        value.append(inner)
        value = inner
    with pytest.raises(ContentError, match="nested too deeply"):
        evaluate([HEAD + "x := {input.d}"], "data.p.x", {"d": document})


SCALARS = st.sampled_from([0, 1, 2, 3, True, False, None, "a", "b", "ab"])
DOCUMENTS = st.fixed_dictionaries(
    {
        "xs": st.lists(SCALARS, max_size=4),
        "fs": st.lists(
            st.fixed_dictionaries(
                {"t": st.sampled_from("abc"), "n": st.integers(0, 4), "new": st.booleans()}
            ),
            max_size=5,
        ),
        "o": st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), max_size=3),
        "s": st.sampled_from(["", "a", "abc"]),
    }
)
NUMBERS = ["f.n", "count(input.xs)", "2", "object.get(input.o, f.t, 1)", "count(input.o)", "input.o.a"]
CONDITIONS = st.one_of(
    st.builds("{} {} {}".format, st.sampled_from(NUMBERS), st.sampled_from(["==", "!=", "<", ">="]), st.sampled_from(NUMBERS)),
    st.sampled_from(
        [
            "f.new", "not f.new", "f.t in input.xs", "not f.t in input.xs", "input.o[f.t] > 0", "not input.o[f.t]",
            "some k, v in input.o; v == f.n", "every v in input.xs { v != f.t }", "g := input.fs[_]; g.n > f.n",
            "startswith(input.s, f.t)", "count([1 | some h in input.fs; h.t == f.t]) > 1", "big(f.n)", "limit > f.n",
            "{f.t} == {h.t | some h in input.fs}", "input.s == f.t", "f.missing", "not f.missing", "input.xs[f.n]",
        ]
    ),
)  # fmt: skip
HEADS = st.sampled_from(
    ["f.t", "f", "[f.n, f.t]", '{"m": sprintf("%s:%d", [f.t, f.n])}', "count(input.fs)", "f.n + 1"]
)
HELPERS = "\nbig(n) if n > 2\ndefault limit := 2\nlimit := input.o.c\n"
RULES = st.builds(
    lambda head, conditions: f"x contains {head} if {{ some f in input.fs; {'; '.join(conditions)} }}",
    HEADS, st.lists(CONDITIONS, min_size=1, max_size=3),
)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(RULES, min_size=1, max_size=2), DOCUMENTS)
def test_another_evaluator_agrees(reference, rules, document):
    module = HEAD + "\n".join(rules) + HELPERS
    theirs = reference.ask(module, "data.p.x", document)
    ours = evaluate([module], "data.p.x", document)
    if theirs == ERROR:
        return
    assert sorted(map(canonical, ours)) == sorted(map(canonical, theirs))


def canonical(value):
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize(
    "whole", [[1], [True], [1.0], ["1"], [], list(range(20)), [0, None], {"a": 1}, "1", None, 1]
)
@pytest.mark.parametrize("item", ["1", "0", '"1"', "true", "null", "1.0"])
def test_a_constant_is_in_what_the_same_value_is_in(item, whole):
    text = f"package lemnis.p\nimport rego.v1\nwritten if {item} in input.whole\ngiven if {{\n    some one in input.one\n    one in input.whole\n}}\n"
    document = {"whole": whole, "one": [json.loads(item)]}
    written, given = (evaluate([text], f"data.lemnis.p.{name}", document) for name in ("written", "given"))
    assert written == given


@pytest.mark.parametrize("value", [True, False, None, 0, "", [], {}])
def test_a_field_as_a_condition_holds_unless_false_or_absent(value):
    text = "package lemnis.p\nimport rego.v1\nfound contains n if {\n    some n, one in input.ones\n    one.a\n}\n"
    said = evaluate([text], "data.lemnis.p.found", {"ones": [{"a": value}, {}, 1, ["a"]]})
    assert said == ([] if value is False else [0])
