"""Checks over resources: three verdicts, never a pass where it could not look."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.content.schemas.check import Fail
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import ContentError
from lemnis.contracts.findings import Place
from lemnis.contracts.resources import UNKNOWN, Resource, Verdict
from lemnis.policy.checks import Check, judge, looked_at, without_each_fail
from lemnis.policy.conditions import rego
from lemnis.policy.engine import Engine


def check(*fails, name="a_check", kinds=("thing",)):
    text = rego(name, "title", [Fail.model_validate(one) for one in fails])
    return made(text, name, kinds)


def made(text, name="a_check", kinds=("thing",)):
    return Check(
        name=name, title="title", kinds=kinds, severity=Severity.LOW, why="why", fix="fix", text=text,
        looks=looked_at(text, name, "check.rego"),
    )  # fmt: skip


def thing(data, *unknown, name="one"):
    return Resource("thing", name, Place("file", 1, 1), data, unknown)


def verdicts(checks, *resources):
    with Engine() as engine:
        return [(one.verdict.value, one.steps) for one in judge(checks, resources, engine)]


@pytest.mark.parametrize(
    ("test", "bad", "good"),
    [
        ({"is": True}, {"a": True}, {"a": False}),
        ({"is_not": True}, {}, {"a": True}),
        ({"one_of": [1, "x"]}, {"a": "x"}, {"a": 2}),
        ({"not_one_of": [1]}, {"a": 2}, {"a": 1}),
        ({"absent": True}, {"b": 1}, {"a": False}),
        ({"present": True}, {"a": False}, {"b": 1}),
        ({"below": 7}, {"a": 6}, {"a": 7}),
        ({"starts_with": "ab"}, {"a": "abc"}, {"a": 5}),
        ({"ends_with": "bc"}, {"a": "abc"}, {"a": ["bc"]}),
    ],
)
def test_each_condition_fails_passes_and_says_when_it_cannot_look(test, bad, good):
    one = check({"path": "a", **test})
    assert verdicts([one], thing(bad)) == [("fail", ("a",))]
    assert verdicts([one], thing(good)) == [("pass", ())]
    assert verdicts([one], thing({"a": UNKNOWN}, ("a",))) == [("unknown", ("a",))]


def test_what_a_check_does_not_look_at_may_be_unknown():
    one = check({"path": "a.b", "is": True})
    assert verdicts([one], thing({"a": {"b": False, "c": UNKNOWN}}, ("a", "c"))) == [("pass", ())]
    assert verdicts([one], thing({"a": UNKNOWN}, ("a",))) == [("unknown", ("a",))]


def test_a_fail_elsewhere_stands_beside_what_is_unknown():
    one = check({"path": "list.*.open", "is": True})
    found = thing({"list": [{"open": True}, {"open": UNKNOWN}]}, ("list", 1, "open"))
    assert verdicts([one], found) == [("fail", ("list", 0, "open"))]


def test_a_further_condition_that_is_not_known_does_not_hold():
    one = check({"path": "a", "is": 1, "when": [{"path": "b.c", "absent": True}]})
    assert verdicts([one], thing({"a": 1})) == [("fail", ("a",))]
    assert verdicts([one], thing({"a": 1, "b": UNKNOWN}, ("b",))) == [("unknown", ("b",))]


def test_a_document_that_cannot_be_evaluated_is_unknown_and_the_others_are_not():
    text = """package lemnis.a_check
import rego.v1
fail contains {"resource": i, "path": ["a"], "message": "bad"} if {
    some i, one in input.resources
    startswith(one.a, "x")
}
"""
    found = verdicts([made(text)], thing({"a": "xy"}), thing({"a": 5}), thing({"a": "y"}))
    assert [verdict for verdict, _ in found] == ["fail", "unknown", "pass"]


def test_what_is_no_fail_makes_the_answer_unknown():
    text = """package lemnis.a_check
import rego.v1
fail contains {"path": [], "message": "bad"} if {
    some one in input.resources
    one.a == 1
}
"""
    assert verdicts([made(text)], thing({"a": 1})) == [("unknown", ())]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("package lemnis.other\nimport rego.v1\nfail contains 1 if input.resources\n", "package"),
        ("package lemnis.a_check\nimport rego.v1\ndeny contains 1 if input.resources\n", "no rule"),
        ("package lemnis.a_check\nimport rego.v1\nfail contains 1 if input.findings\n", "findings"),
        ("package lemnis.a_check\nimport rego.v1\nfail contains 1 if {\n    nothing.a\n}\n", "not declared"),
    ],
)
def test_a_check_is_read_before_it_is_believed(text, what):
    with pytest.raises(ContentError, match=what) as caught:
        looked_at(text, "a_check", "check.rego")
    assert caught.value.at.line


def test_reads_follow_names_functions_and_indices():
    text = """package lemnis.a_check
import rego.v1

bad(rule) if rule.port == 22

fail contains {"resource": i, "path": ["rules", n], "message": spec.title} if {
    some i, one in input.resources
    spec := one.spec
    some n, rule in spec.rules
    bad(rule)
    every other in one.others { other.on == true }
    one.list[0].x == 1
}
"""
    looks = looked_at(text, "a_check", "check.rego")
    for way in [
        ("spec", "title"),
        ("spec", "rules", 3, "port"),
        ("others", 1, "on"),
        ("list", 0, "x"),
        ("list",),
    ]:
        assert looks.touch(way), way
    for way in [("spec", "other"), ("others", 1, "off"), ("list", 1), ("else",)]:
        assert not looks.touch(way), way


def test_each_fail_rule_can_be_taken_out():
    text = check({"path": "a", "is": 1}, {"path": "b", "is": 1}).text
    less = [made(one) for _, one in without_each_fail(text)]
    found = thing({"a": 1, "b": 1})
    assert [verdicts([one], found) for one in less] == [[("fail", ("b",))], [("fail", ("a",))]]


def test_alike_resources_are_asked_once(monkeypatch):
    asked = []
    evaluate = Engine.evaluate
    monkeypatch.setattr(
        Engine, "evaluate", lambda self, m, q, d: asked.append(len(d["resources"])) or evaluate(self, m, q, d)
    )
    one = check({"path": "a", "is": 1})
    found = verdicts([one], *(thing({"a": n % 3, "name": n}) for n in range(300)))
    assert asked == [3]
    assert sum(verdict == "fail" for verdict, _ in found) == 100


VALUES = st.recursive(
    st.sampled_from([True, False, 0, 1, 7, "x", "abc", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3)
    ),
    max_leaves=8,
)
DATA = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES, max_size=3)
PATHS = st.sampled_from(["a", "b.c", "a.*", "a.*.b", "a.0.b", "c.a"])
CONDITIONS = st.builds(
    lambda path, test: {"path": path, **test}, PATHS,
    st.sampled_from([{"is": 1}, {"is_not": True}, {"one_of": ["x", 7]}, {"not_one_of": [1, "abc"]},
                     {"absent": True}, {"present": True}, {"below": 3}]),
)  # fmt: skip


def ways(value, way=()):
    if way:
        yield way
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from ways(item, (*way, key))


def put(value, way, new):
    if not way:
        return new
    if isinstance(value, list):
        return [put(item, way[1:], new) if n == way[0] else item for n, item in enumerate(value)]
    return {key: put(item, way[1:], new) if key == way[0] else item for key, item in value.items()}


@settings(max_examples=60, deadline=None)
@given(
    data=DATA,
    fail=CONDITIONS,
    when=st.lists(CONDITIONS, max_size=2),
    picked=st.randoms(use_true_random=False),
    real=VALUES,
)
def test_an_unknown_value_never_gives_a_verdict_that_a_real_one_could_overturn(
    data, fail, when, picked, real
):
    """Whatever the value turns out to be: pass stays pass, and a fail keeps at least one of its places."""
    one = check({**fail, "when": when})
    options = list(ways(data))
    if not options:
        return
    way = picked.choice(options)
    (hidden, *_), (known, *_) = (
        verdicts([one], thing(put(data, way, UNKNOWN), way)),
        verdicts([one], thing(put(data, way, real))),
    )
    if hidden[0] != Verdict.UNKNOWN:
        assert known[0] == hidden[0]


def test_a_text_from_outside_is_a_text():
    one = check({"path": "a", "is": 1}, {"path": "b", "is": 'x"}]; y'})
    assert verdicts([one], thing({"a": 1, "b": 'x"}]; y'})) == [("fail", ("a",)), ("fail", ("b",))]
    assert re.search(r'x\\"', one.text)
    assert replace(one, name="b").name == "b"
