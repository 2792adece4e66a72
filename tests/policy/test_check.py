import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.errors import ContentError, UnsupportedError
from lemnis.lessons.gate import Scope, rego
from lemnis.policy.check import builtins, check_policy
from lemnis.policy.decide import Policy, checked
from lemnis.policy.parser import parse
from lemnis.policy.tokens import Source

HEAD = "package lemnis.x\nimport rego.v1\n"


def look(body, stages=("build",), head=HEAD):
    source = Source("x.rego", head + body)
    check_policy(parse(source), source, "x", stages)


@pytest.mark.parametrize(
    "body",
    [
        "deny contains f.title if { some f in input.findings; f.new; f.severity_id >= 3 }",
        'deny contains "a" if count([f | some f in input.findings; f.severity in {"high", "critical"}]) > 0',
        'deny contains "a" if {\n  every h in input.health { h.state == "ok" }\n  not input.change.base\n}',
        "limit := 3\nbad(f) if f.severity_id > limit\ndeny contains f.path if { some f in input.findings; bad(f) }",
        'deny contains x if {\n  some i, f in input.findings\n  x := sprintf(\n    "%d: %s", [i, f.path],\n  )\n}',
        'level := "a" if { input.stage == "build" } else := "b"\ndeny contains level',
        "deny contains y if { [x, y] := [1, {2: 3}]; x == 1 }",
        'deny contains {"message": m} if { m := input.findings[0].title }',
        'deny contains "r" if glob.match("src/**", ["/"], input.change.subject)',
    ],
)
def test_what_is_meant_well_passes(body):
    look(body)
    with pytest.raises(ContentError):  # and what passed is looked at: the same with one unknown name does not
        look(body + "\ndeny contains never_declared")


def test_what_lessons_write_passes():
    text = rego("lemnis.x", Scope("s", (78,), ("bandit:B602",)), lesson="l", message='a "b" %d', fix="c\nd")
    assert checked(Policy("x", text, "x.rego", ("build",)))


@pytest.mark.parametrize(
    ("body", "line", "column", "word"),
    [
        ('deny contains r if { r := http.send({"url": "http://x"}) }', 3, 27, "http.send"),
        ('deny contains "a" if net.cidr_expand("10.0.0.0/8")[0]', 3, 22, "net.cidr_expand"),
        ("deny contains r if { r := opa.runtime().env }", 3, 27, "opa.runtime"),
        ('deny contains "a" if json.match_schema({}, {})[0]', 3, 22, "json.match_schema"),
        ("deny contains r if { r := time.now_ns() }", 3, 27, "time.now_ns"),
        ('deny contains "a" if {\n  frobnicate(1)\n}', 4, 3, "frobnicate"),
        ('deny contains r if { r := sprintf("%q", ["a"]) }', 3, 35, "%q"),
        ('deny contains "a" if count(deny) == 0 with input as {}', 3, 39, "with"),
        ('deny contains "a" if { some i; input.findings[i].new }', 3, 24, "some"),
        ('deny["a"] if true', 3, 1, "head"),
        ('p := "a"\ndeny contains 1 if glob.match(p, [], "a")', 4, 20, "computed pattern"),
        ('deny contains 1 if glob.match("a[b]", [], "ab")', 3, 20, "glob"),
        ('deny contains 1 if regex.match(input.stage, "a")', 3, 20, "computed pattern"),
        ('deny contains 1 if crypto.md5("a") == input.stage', 3, 20, "broken"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_its_place(body, line, column, word):
    with pytest.raises(UnsupportedError, match=word) as caught:
        look(body)
    assert (caught.value.at.file, caught.value.at.line, caught.value.at.column) == ("x.rego", line, column)


@pytest.mark.parametrize(
    ("body", "line", "column", "word"),
    [
        ("deny contains f if { some f in input.findngs }", 3, 32, "findngs"),
        ("deny contains f if {\n  some f in input.findings\n  f.nwe\n}", 5, 3, "nwe"),
        ("deny contains f if { some f in input.findings; f.severity_id > limt }\nlimit := 3", 3, 64, "limt"),
        ('deny contains f if { some f in input.findings; f.severity == "hihg" }', 3, 62, "hihg"),
        ('deny contains f if { some f in input.findings; f.severity in {"hihg"} }', 3, 63, "hihg"),
        ('deny contains f if { some f in input.findings; f.severity >= "high" }', 3, 59, "alphabet"),
        ("deny contains input.attestation.builder", 3, 15, "attestation"),
        ("deny contains input.findings.title", 3, 15, "list"),
        ("deny contains data.lemnis.y.deny", 3, 15, "no such rule"),
        ("deny := true", 3, 1, "deny"),
        ("denny contains 1", 1, 9, "deny"),
        ('deny contains "a" if { x := [1,\n}', 4, 1, "expected a value"),
        ('deny contains "a" if {\n  1 == 1\n  + 1 == 2\n}', 5, 3, "expected a value"),
        ('deny contains "a', 3, 15, "unexpected"),
        ('deny contains sprintf("%s %s", ["a"])', 3, 15, "2 verbs and 1 value"),
        ("import data.lemnis.y\ndeny contains 1", 1, 9, "own package"),
    ],
)
def test_mistakes_that_would_be_silently_undefined_have_a_place(body, line, column, word):
    with pytest.raises(ContentError, match=word) as caught:
        look(body)
    assert (caught.value.at.line, caught.value.at.column) == (line, column)


def test_a_policy_of_two_stages_sees_only_what_both_have():
    look("deny contains input.image.digest", ("deploy",))
    with pytest.raises(ContentError, match="stage build"):
        look("deny contains input.image.digest", ("deploy", "build"))


def test_the_package_is_the_folder():
    with pytest.raises(ContentError, match=r"lemnis\.y") as caught:
        look("deny contains 1", head="package lemnis.y\n")
    assert caught.value.at.line == 1


def test_a_pattern_that_is_none_is_refused_with_its_place():
    with pytest.raises(ContentError, match="regular expression") as caught:
        look('deny contains 1 if regex.match("a(", input.stage)')
    assert (caught.value.at.line, caught.value.at.column) == (3, 32)


@given(st.text(max_size=200) | st.text('{}[]()|:=.,;\n "`#abif%not some in deny contains'))
def test_any_text_is_read_or_refused_with_a_place(text):
    source = Source("x.rego", HEAD + text)
    problem = None
    try:
        check_policy(parse(source), source, "x", ("build",))
    except ContentError as error:
        problem = error
    assert problem is None or (problem.at is not None and problem.at.line is not None)


@pytest.mark.parametrize("text", ["(" * 500, "[" * 500, "{" * 500, "a" * 300_000])
def test_deep_and_long_texts_are_refused(text):
    with pytest.raises(ContentError):
        look(f"deny contains {text}")


def test_no_builtin_is_both():
    known = builtins()
    assert not set(known["evaluated"]) & set(known["refused"])
