"""Compiled rules are kept: the whole set, and each file, so that one changed rule is compiled alone."""

import os
import uuid

import pytest
from sigmaframes import HEAD

from lemnis.detect import load_rules, rules

RULE = (
    "title: t{n}\nid: {id}\nlogsource: {{product: test}}\n"
    "detection:\n  s: {{f|contains: ['x{n}', '*y?z', {word}], g|re: 'a{n}+'}}\n  condition: s\n"
)


def text(number, word="w"):
    return RULE.format(n=number, id=uuid.UUID(int=number), word=word)


@pytest.fixture
def pack(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.yml").write_text(text(number))
    (folder / "tuning.yml").write_text(
        "title: tuning\nlogsource: {product: test}\nfilter: {rules: any, known: {h: ok}, condition: not known}\n"
    )
    (folder / "bad.yml").write_text(HEAD + "detection:\n  s: {f|nothing: x}\n  condition: s\n")
    (folder / "broken.yml").write_text("title: [")
    return folder


@pytest.fixture
def compiled(monkeypatch):
    """Return what was compiled, file by file."""
    seen = []
    compile_file = rules.compile_file

    def counting(data):
        seen.append(data)
        return compile_file(data)

    monkeypatch.setattr(rules, "compile_file", counting)
    return seen


def same(one, other):
    """Say whether two sets are the same: rules, numbers of atoms, problems with their places, digest."""
    assert [str(problem) for problem in one.problems] == [str(problem) for problem in other.problems]
    assert [type(problem) for problem in one.problems] == [type(problem) for problem in other.problems]
    return (one.rules, one.atoms, one.digest) == (other.rules, other.atoms, other.digest)


def test_a_set_that_is_known_is_not_compiled(pack, tmp_path, compiled):
    fresh = load_rules([pack], cache=tmp_path / "cache")
    assert len(compiled) == 43
    assert same(load_rules([pack], cache=tmp_path / "cache"), fresh)
    assert len(compiled) == 43
    assert same(load_rules([pack]), fresh)


def test_one_changed_rule_is_compiled_alone(pack, tmp_path, compiled):
    load_rules([pack], cache=tmp_path / "cache")
    del compiled[:]
    (pack / "7.yml").write_text(text(7, "other"))
    changed = load_rules([pack], cache=tmp_path / "cache")
    assert compiled == [text(7, "other").encode()]
    # as if all had been compiled
    assert same(changed, load_rules([pack]))
    del compiled[:]
    (pack / "41.yml").write_text(text(41))
    (pack / "3.yml").unlink()
    assert same(load_rules([pack], cache=tmp_path / "cache"), load_rules([pack]))
    assert compiled[0] == text(41).encode()
    assert len(compiled) == 1 + 43


def test_a_file_that_moved_is_known_and_its_problems_move_with_it(pack, tmp_path, compiled):
    load_rules([pack], cache=tmp_path / "cache")
    del compiled[:]
    (pack / "bad.yml").rename(pack / "moved.yml")
    again = load_rules([pack], cache=tmp_path / "cache")
    assert not compiled
    (problem,) = [one for one in again.problems if "nothing" in one.what]
    assert (problem.at.file, problem.at.line) == (str(pack / "moved.yml"), 5)


def test_going_back_to_what_was_compiles_nothing(pack, tmp_path, compiled):
    before = load_rules([pack], cache=tmp_path / "cache")
    (pack / "7.yml").write_text(text(7, "other"))
    load_rules([pack], cache=tmp_path / "cache")
    del compiled[:]
    (pack / "7.yml").write_text(text(7))
    assert same(load_rules([pack], cache=tmp_path / "cache"), before)
    assert not compiled


@pytest.mark.parametrize(
    "spoilt", [b"{", b"[]", b'{"version": 1}', b'{"rules": [[1]], "files": {"a": 5}}', b""]
)
def test_a_spoilt_cache_is_made_anew(pack, tmp_path, spoilt):
    fresh = load_rules([pack], cache=tmp_path / "cache")
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(spoilt)
    assert same(load_rules([pack], cache=tmp_path / "cache"), fresh)
    assert same(load_rules([pack], cache=tmp_path / "cache"), fresh)


def test_of_old_sets_only_some_are_kept(pack, tmp_path):
    for number in range(12):
        (pack / "0.yml").write_text(text(0, f"w{number}"))
        load_rules([pack], cache=tmp_path / "cache")
        for file in (tmp_path / "cache").glob("rules-*.json"):
            os.utime(file, ns=(number * 10**9,) * 2) if file.stat().st_mtime > 100 else None
    assert len(list((tmp_path / "cache").glob("rules-*.json"))) == 8
    assert min(file.stat().st_mtime for file in (tmp_path / "cache").glob("rules-*.json")) == 4
