"""Which detections' tests pass is worked out once for each state of the content and of the code."""

import pytest

from lemnis.app import coverage_now
from lemnis.content.library import Library

LIBRARY = Library.open()
RULE = """\
title: A shell
id: 6a5b1a2e-0000-4000-8000-000000000001
logsource: {category: process_creation, product: linux}
detection: {selection: {Image: /bin/sh}, condition: selection}
"""


@pytest.fixture
def ran(monkeypatch):
    """How often the tests of all rules were run."""
    runs = []

    def apart(_work, roots):
        runs.append(roots)
        return frozenset({f"rule {len(runs)}"})

    monkeypatch.setattr(coverage_now, "apart", apart)
    return runs


def test_the_same_content_is_tested_once(tmp_path, ran):
    assert coverage_now.passing(LIBRARY, tmp_path) == {"rule 1"}
    assert coverage_now.passing(Library.open(), tmp_path) == {"rule 1"}
    assert len(ran) == 1


def test_another_rule_or_other_code_is_tested_anew(tmp_path, ran, monkeypatch):
    coverage_now.passing(LIBRARY, tmp_path)
    folder = tmp_path / "content/detections/own_shell"
    folder.mkdir(parents=True)
    (folder / "rule.yml").write_text(RULE)
    own = Library.open(tmp_path / "content")
    assert coverage_now.passing(own, tmp_path) == {"rule 2"}
    assert coverage_now.passing(LIBRARY, tmp_path) == {"rule 1"}
    monkeypatch.setattr(coverage_now, "_made_by", lambda: "other code")
    assert coverage_now.passing(LIBRARY, tmp_path) == {"rule 3"}
    assert len(ran) == 3


@pytest.mark.parametrize("damage", [b"", b"[1]", b'{"a": 1}', b"\xff"])
def test_what_is_damaged_is_not_believed(tmp_path, ran, damage):
    (tmp_path / "tested.json").write_bytes(damage)
    assert coverage_now.passing(LIBRARY, tmp_path) == {"rule 1"}
    assert coverage_now.passing(LIBRARY, tmp_path) == {"rule 1"}
    assert len(ran) == 1


def test_where_nothing_can_be_kept_it_is_run_each_time(tmp_path, ran):
    (tmp_path / "file").write_text("")
    for number in (1, 2):
        assert coverage_now.passing(LIBRARY, tmp_path / "file") == {f"rule {number}"}
    assert len(ran) == 2


def test_the_tests_of_a_rule_are_run(tmp_path):
    """In a process of its own, as pages have it."""
    folder = tmp_path / "content/detections/own_shell"
    folder.mkdir(parents=True)
    (folder / "rule.yml").write_text(RULE)
    assert coverage_now.passing(Library((tmp_path / "content",)), tmp_path) == frozenset()
