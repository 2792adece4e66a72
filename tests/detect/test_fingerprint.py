"""Fingerprints: what makes alerts the same, as the rule or the content says, whatever order they come in."""

import pytest

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import ContentError
from lemnis.detect import custom
from lemnis.detect.facts import EVERY, FactsOf
from lemnis.detect.fingerprint import BY_ENTITIES, Fingerprint
from lemnis.detect.rules import compile_files
from lemnis.detect.suppress import Suppression

ID = "11111111-1111-4111-8111-111111111111"
RULE = (
    f"title: A\nid: {ID}\nlogsource: {{category: c}}\ndetection: {{s: {{F: x}}, condition: s}}\nlevel: low\n"
)
USER, PROCESS = Entity(EntityKind.USER, "ann"), Entity(EntityKind.PROCESS, "17")


def facts(text="", settings=(), prints=()):
    loaded = compile_files([("r.yml", (RULE + text).encode())])
    assert not loaded.problems
    return FactsOf(loaded.rules, loaded.atoms, settings, prints)(0)


def test_alerts_about_the_same_are_the_same_whatever_process_it_was():
    one = BY_ENTITIES.of("r", (), [USER, PROCESS])
    assert one == BY_ENTITIES.of("r", (), [Entity(EntityKind.PROCESS, "18"), USER])
    assert one != BY_ENTITIES.of("other", (), [USER])
    assert one != BY_ENTITIES.of("r", (), [Entity(EntityKind.USER, "bob")])


def test_the_values_of_fields_count_where_they_are_named():
    by = Fingerprint(("User",))
    assert by.of("r", ("ann",), [PROCESS]) == by.of("r", ("ann",), [USER])
    assert by.of("r", ("ann",), []) != by.of("r", ("bob",), [])
    assert by.of("r", ("ann",), []) != Fingerprint(("Name",)).of("r", ("ann",), [])


def test_a_rule_says_it_itself_or_the_content_does():
    default = Fingerprint((), frozenset({EntityKind.HOST}))
    prints = [((ID,), Fingerprint(("Image",))), ((EVERY,), default)]
    assert facts().fingerprint == BY_ENTITIES
    assert facts("x-lemnis-fingerprint: [User, Image]\n", (), prints).fingerprint.by == ("User", "Image")
    assert facts("", (), prints).fingerprint.by == ("Image",)
    assert facts("", (), prints[1:]).fingerprint == default


def test_of_alerts_that_fold_only_what_is_the_same_in_all_counts():
    folds = [((EVERY,), Suppression(1000, ("User", "Image")))]
    assert facts("", folds).fingerprint.by == ("User", "Image")
    assert facts("x-lemnis-fingerprint: User\n", folds).fingerprint.by == ("User",)
    assert facts("x-lemnis-fingerprint: Path\n", folds).fingerprint.by == ("User", "Image")
    assert facts("x-lemnis-fingerprint: Path\n", [((EVERY,), Suppression(1000))]).fingerprint == BY_ENTITIES


@pytest.mark.parametrize("value", [{"by": ["x"]}, [], [1], "", 7])
def test_what_is_no_list_of_fields_is_told(value):
    with pytest.raises(ContentError):
        custom.written({custom.FINGERPRINT: value})
