import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.content import yaml
from lemnis.content.schemas import Model
from lemnis.content.schemas.settings import Admin
from lemnis.contracts.errors import ContentError


class Step(Model):
    do: str
    times: int = 1


class Plan(Model):
    name: str
    steps: tuple[Step, ...] = ()


def place(text, model=Plan):
    with pytest.raises(ContentError) as caught:
        yaml.load(text, model, file="plan.yaml")
    at = caught.value.at
    return at.line, at.column, caught.value.what


def test_reads_what_fits():
    plan = yaml.load("name: a\nsteps:\n  - do: x\n", Plan)
    assert plan == Plan(name="a", steps=(Step(do="x"),))


@pytest.mark.parametrize(
    ("text", "line", "column", "word"),
    [
        ("name: a\nsteps:\n  - do: x\n    times: many\n", 4, 12, "times"),
        ("name: a\nsteps:\n  - do: x\n    frobnicate: 1\n", 4, 17, "frobnicate"),
        ("name: a\nname: b\n", 2, 1, "twice"),
        ("title: [unclosed\n", 2, 1, "not YAML"),
        ("steps: []\n", 1, 1, "name"),
        ("- a\n- b\n", 1, 1, "document"),
        ("name: !!python/object:os.system x\n", 1, 7, "not allowed"),
    ],
)
def test_errors_have_a_place(text, line, column, word):
    found = place(text)
    assert found[:2] == (line, column)
    assert word in found[2]


@pytest.mark.parametrize("key", ["on", "'on'", '"on"'])
def test_keys_are_names_whatever_yaml_takes_them_for(key):
    assert yaml.load(f"{key}: false\n", Admin).on is False
    assert yaml.parse(f"a: {{{key}: on, yes: no, true: 1}}") == {"a": {"on": True, "yes": False, "true": 1}}


def test_a_name_that_yaml_takes_for_a_truth_is_told_as_it_stands_there():
    assert place("host: localhost\non: perhaps\n", Admin)[:2] == (2, 5)
    with pytest.raises(ContentError, match="twice"):
        yaml.load("on: false\non: true\n", Admin)


def test_alias_bombs_are_refused():
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(ord(c) + 1)}: &{chr(ord(c) + 1)} [{','.join(f'*{c}' for _ in range(9))}]\n" for c in "abcdefgh"
    )
    with pytest.raises(ContentError, match="aliases"):
        yaml.parse(bomb)


def test_deep_nesting_is_refused():
    with pytest.raises(ContentError):
        yaml.parse("[" * 5000 + "]" * 5000)


def test_dates_stay_text():
    assert yaml.parse("date: 2026-11-24") == {"date": "2026-11-24"}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text):
    refused = None
    try:
        yaml.parse(text, "f.yaml")
    except ContentError as error:
        refused = error
    assert refused is None or refused.at.file == "f.yaml"
