"""What is read off a policy holds for what it answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.app.access.permissions import ABOUT, Person, barred, concerning, looked_at
from lemnis.app.access.seeing import decided
from lemnis.policy.concerns import concerns, looks
from lemnis.policy.decide import Policy
from lemnis.policy.parser import parse
from lemnis.policy.tokens import Source

HEAD = "package lemnis.one\n\nimport rego.v1\n\n"
GUARDED = 'deny contains {"message": input.about.team} if {\n    input.permission == "incident.read"\n    not input.about.team in input.person.teams\n}\n'


def module(body):
    return parse(Source("one.rego", HEAD + body))


def policy(body):
    return Policy("one", HEAD + body, "one.rego", ("access",))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ('input.permission == "a.read"', {"a.read"}),
        ('"a.read" == input.permission', {"a.read"}),
        ('input.permission in {"a.read", "b.read"}', {"a.read", "b.read"}),
        ('input.permission in ["a.read"]', {"a.read"}),
        ('input.about.team == "x"\n    input.permission == "a.read"', {"a.read"}),
        ('not input.permission == "a.read"', None),
        ('input.permission != "a.read"', None),
        ('input.permission in {"a.read", input.about.team}', None),
        ('input.permission in {"a.read": "b.read"}', None),
        ("input.permission == input.about.team", None),
        ('startswith(input.permission, "a.")', None),
        ('input.permission == "a.read" with input.permission as "a.read"', None),
        ('some permission in ["a.read"]\n    input.permission == permission', None),
    ],
)
def test_what_a_rule_is_about(query, said):
    found = module(f'deny contains {{"message": "no"}} if {{\n    {query}\n}}\n')
    assert concerns(found, "permission") == (None if said is None else frozenset(said))


def test_all_rules_have_to_say_it():
    assert (
        concerns(module(GUARDED + 'deny contains {"message": "no"} if input.about.id == ""\n'), "permission")
        is None
    )
    assert concerns(module("helper if input.about.id\n"), "permission") == frozenset()


@pytest.mark.parametrize(
    ("body", "ways"),
    [
        (GUARDED, {("permission",), ("about", "team"), ("person", "teams")}),
        ('x := input.about["team"]\n', {("about", "team")}),
        ("x := input.about[input.person.name]\n", {("about",), ("person", "name")}),
        ("x := object.get(input, [1], 2)\n", {()}),
        ("x := [y | some y in input.person.roles]\n", {("person", "roles")}),
        (
            "x if every one in input.person.teams { one == input.about.owner }\n",
            {("person", "teams"), ("about", "owner")},
        ),
    ],
)
def test_what_a_module_looks_at(body, ways):
    assert looks(module(body)) == ways


RULES = (
    policy(GUARDED),
    policy(
        'deny contains {"message": "no"} if {\n    some way in ["team", "owner"]\n    input.about[way] == "b"\n}\n'
    ),
    policy(
        'deny contains {"message": input.person.name} if {\n    input.permission in {"alert.read"}\n    input.about.severity == "b"\n}\n'
    ),
)
TEXTS = st.sampled_from(["", "a", "b"])


@given(
    st.lists(st.sampled_from(RULES), max_size=3).map(tuple),
    st.sampled_from(["incident.read", "alert.read", "playbook.read"]),
    st.lists(TEXTS, max_size=2).map(tuple),
    st.fixed_dictionaries({}, optional=dict.fromkeys(ABOUT, TEXTS)),
)
def test_what_is_remembered_is_what_rules_decide(rules, permission, teams, about):
    person = Person("p-1", "ana", (), teams, permissions=frozenset({permission}), rules=rules)
    assert decided(person, permission, about) == barred(person, permission, about)
    assert bool(barred(person, permission, about)) <= bool(concerning(rules, permission))
    alike = {name: value for name, value in about.items() if name in looked_at(rules)}
    assert barred(person, permission, alike) == barred(person, permission, about)
