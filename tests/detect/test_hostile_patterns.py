"""Patterns that bring backtracking engines to a halt cannot stall a batch; what could is refused by name."""

import time

import pytest
from sigmaframes import HEAD, compiled, frame

from lemnis.contracts.errors import UnsupportedError
from lemnis.detect import Matcher
from lemnis.detect.rules import compile_files

LONG = ["a" * 20_000, "ab" * 10_000, "aaaa/" * 4_000 + "!"]
SECONDS = 20
"""Far more than needed, far less than a backtracking engine takes, which is for ever."""


@pytest.mark.parametrize(
    "item",
    [
        "f|re: '^(a+)+$b'",
        "f|re: '(a|aa)+$!'",
        "f|re: '^(([a-z])+.)+[A-Z]([a-z])+$'",
        "f|re|i: '(x+x+)+y|(a*)*q$|(a|a?)+!!'",
        "f|re: '(.*a){12}q'",
        "f|re|contains: '(.*)*(.*)*(.*)*z'",
        "f: '*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*z'",
        "f|contains: 'a?a?a?a?*a?a?a?a?*a?a?a?a?*z'",
        "f|cased|startswith: 'a*a*a*a*a*a*a*a*a*a*z*q'",
        "f|contains|all: ['a*a*a*z', '?a?a?a*y']",
    ],
)
@pytest.mark.parametrize("values", [LONG, [f"{text}{n}" for n in range(20) for text in LONG]])
def test_a_batch_goes_on(item, values):
    found = compiled(f"{HEAD}detection:\n  s: {{{item}}}\n  condition: s\n")
    matcher = Matcher(found.rules, found.atoms)
    began = time.process_time()
    assert [match.rows for match in matcher.match(frame([{"f": value} for value in values]))] == []
    assert time.process_time() - began < SECONDS


def test_a_record_goes_on_too():
    found = compiled(
        f"{HEAD}detection:\n  s: ['a*a*a*a*a*a*a*a*z', 'a?*a?*a?*a?*z']\n  t: {{'|re': '(a+)+$b'}}\n  condition: s or t\n"
    )
    began = time.process_time()
    assert Matcher(found.rules, found.atoms).match(frame([{}] * 3, LONG)) == []
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize(
    "pattern", [r"(?=a)b", r"(a)\1", r"(?<!x)y", "(?>a+)b", "((a{1,900}){1,900}){1,900}", "a{5000}"]
)
def test_what_has_no_linear_form_is_refused_with_the_rule_named(pattern):
    text = f"{HEAD}detection:\n  s:\n    f|re: '{pattern}'\n  condition: s\n"
    found = compile_files([("packs/bad.yml", text.encode())])
    assert not found.rules
    (problem,) = found.problems
    assert isinstance(problem, UnsupportedError)
    assert (problem.at.file, problem.at.line) == ("packs/bad.yml", 6)
    assert "linear" in problem.what


def test_conditions_nested_deep_are_read_or_refused_in_time():
    began = time.process_time()
    for condition in (
        "(" * 60 + "a" + ")" * 60, " and ".join(["(a or b)"] * 300), "not " * 500 + "a", "(not " * 80 + "a" + ")" * 80,
        "(" * 5_000 + "a" + ")" * 5_000,
    ):  # fmt: skip
        text = f"{HEAD}detection:\n  a: {{f: x}}\n  b: {{f: y}}\n  condition: {condition}\n"
        found = compile_files([("deep.yml", text.encode())])
        assert len(found.rules) + len(found.problems) == 1
    assert time.process_time() - began < SECONDS
