import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.policy.engine import Engine

HEAD = "package p\nimport rego.v1\n"
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters=[chr(0xE000 + n) for n in (*range(32), 34, 92, 127)])
)
EVIL = 'x"}]],"expressions":[[]],"y":[[{"a":"'


@pytest.fixture(scope="module")
def engine():
    with Engine() as made:
        yield made


def ask(engine, body, document=None):
    return engine.evaluate([HEAD + body], "data.p.x", document or {})


@pytest.mark.parametrize(
    "text", [EVIL, 'a"b', "a\\b", "a\nb\r\t", "\x00\x01\x1f\x7f", "\\n", "\\u0041", "ü€😀", "\u2028"]
)
def test_no_text_can_write_the_answer(engine, text):
    body = 'x := {{"k": t} | some t in input.ts; t != ""} | {{"m": sprintf("%s!", [t])} | some t in input.ts}'
    assert sorted(map(json.dumps, ask(engine, body, {"ts": [text]}))) == sorted(
        map(json.dumps, [{"k": text}, {"m": text + "!"}])
    )


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_any_text_comes_back_with_its_length(engine, text):
    body = 'x := [input.t, count(input.t), input.t == input.u, {input.t}, concat("", [input.t])]'
    assert ask(engine, body, {"t": text, "u": text}) == [text, len(text), True, [text], text]


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_any_literal_is_what_was_written(engine, text):
    assert ask(engine, f"x := [{json.dumps(text)}, input.t == {json.dumps(text)}]", {"t": text}) == [
        text,
        True,
    ]


def test_globs_match(engine):
    body = 'x := [glob.match("src/**", ["/"], input.t), glob.match("src/*", ["/"], input.t)]'
    assert ask(engine, body, {"t": 'src/a/"b".py'}) == [True, False]
