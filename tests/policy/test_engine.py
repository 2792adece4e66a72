import importlib.metadata
import json
import os

import pytest

from lemnis.contracts.errors import ContentError
from lemnis.policy.check import builtins
from lemnis.policy.engine import UNDEFINED, Engine

HEAD = "package p\nimport rego.v1\n"


@pytest.fixture(scope="module")
def engine():
    with Engine(seconds=20, memory=1 << 28) as made:
        yield made


def ask(engine, body, document=None, query="data.p.x"):
    return engine.evaluate([HEAD + body], query, document or {})


def test_every_builtin_that_is_allowed_gives_what_it_should(engine):
    wrong = {}
    for name, (expression, expected) in builtins()["evaluated"].items():
        got = ask(engine, f"x := {expression}")
        if json.dumps(got, sort_keys=True) != json.dumps(expected, sort_keys=True):
            wrong[name] = got
    assert wrong == {}


def test_the_record_is_of_the_engine_that_is_pinned():
    assert builtins()["engine"] == f"regopy {importlib.metadata.version('regopy')}"


def test_values_come_back_as_they_are(engine):
    assert ask(engine, 'x := {"a": [1, null, true], "b": {1, 2}}') == {"a": [1, None, True], "b": [1, 2]}
    assert ask(engine, "x := 1 if input.y") is UNDEFINED
    assert ask(engine, "x := input.y", {"y": "ü\n"}) == "ü\n"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (
            "x := count([1 | some i in numbers.range(1, 9000); some j in numbers.range(1, 9000); i < j])",
            "2 s",
        ),
        ("x := numbers.range(1, 100000000)", "ended with|refused"),
        ('x := to_number("a")', "refused its argument"),
        ("x := 1 / 0", "refused its argument"),
        ("x := 1 if true\nx := 2 if true", "two values"),
        ("x := frob(1)", "Function not found: frob"),
        ("x := [1", "unclosed"),
    ],
)
def test_what_cannot_be_evaluated_is_an_error_and_the_next_question_is_answered(body, word):
    with Engine(seconds=2, memory=1 << 28) as engine:
        with pytest.raises(ContentError, match=word):
            ask(engine, body)
        assert ask(engine, "x := 7") == 7


def test_the_engine_sees_nothing_of_our_environment(engine, monkeypatch):
    monkeypatch.setenv("LEMNIS_SECRET", "hunter2")
    with Engine() as fresh:
        seen = json.dumps(ask(fresh, "x := opa.runtime()"))
    assert "hunter2" not in seen
    assert os.environ["PATH"] not in seen


def test_what_kills_the_engine_costs_only_itself(engine):
    """The engine dies on `with` over a policy that calls a builtin, or errs: why tests run without it."""
    policy = "package lemnis.x\nimport rego.v1\nw := {78}\ndeny contains 1 if { some f in input.a; f in w }"
    test = 'package t\nimport rego.v1\nok if count(data.lemnis.x.deny) == 1 with input as {"a": [78]}'
    with pytest.raises(ContentError, match="not evaluated"):
        engine.evaluate([policy, test], "data.t.ok", {})
    assert engine.evaluate([policy], "data.lemnis.x.deny", {"a": [78]}) == [1]


def test_large_documents_pass_through(engine):
    document = {"fs": [{"t": "a" * 50, "n": number} for number in range(5000)]}
    assert ask(engine, "x := count([f | some f in input.fs; f.n > 2500])", document) == 2499
