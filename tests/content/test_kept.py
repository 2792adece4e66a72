"""Values of content files are kept by the digest of their text, and never stand for another text."""

import orjson
import pytest

from lemnis.content import kept, yaml
from lemnis.content.kept import Values
from lemnis.content.library import Library
from lemnis.contracts.errors import ContentError
from lemnis.ingest.sources import Sources


@pytest.fixture
def parsed(monkeypatch):
    """Return the origins of the texts that were parsed."""
    origins, parse = [], yaml.parse
    monkeypatch.setattr(yaml, "parse", lambda text, file="": origins.append(file) or parse(text, file))
    return origins


def test_a_text_is_parsed_once(tmp_path, parsed):
    first = Values(tmp_path / "v.json")
    assert first.value("a: [1, two, null, 2.5]", "one") == {"a": [1, "two", None, 2.5]}
    first.keep()
    again = Values(tmp_path / "v.json")
    assert again.value("a: [1, two, null, 2.5]", "two") == {"a": [1, "two", None, 2.5]}
    assert again.value("a: [1, two, null, 2.6]", "three") == {"a": [1, "two", None, 2.6]}
    assert parsed == ["one", "three"]


@pytest.mark.parametrize("text", ["1.5: .inf", "a: .inf", "a: .nan", "a: !!binary aGk=", "a: !!set {b, c}"])
def test_what_json_would_change_is_parsed_each_time(tmp_path, parsed, text):
    for _ in range(2):
        values = Values(tmp_path / "v.json")
        values.value(text)
        values.keep()
    assert len(parsed) == 2


@pytest.mark.parametrize(
    "document", [b"", b"{", b"[]", b'{"version": "x"}', b'{"version": "x", "values": 1}']
)
def test_what_another_version_or_a_crash_left_is_not_read(tmp_path, parsed, document):
    (tmp_path / "v.json").write_bytes(document)
    assert Values(tmp_path / "v.json").value("a: 1") == {"a": 1}
    assert len(parsed) == 1


def test_values_of_other_code_are_not_taken(tmp_path, monkeypatch):
    values = Values(tmp_path / "v.json")
    values.value("a: 1")
    values.keep()
    document = orjson.loads((tmp_path / "v.json").read_bytes())
    (tmp_path / "v.json").write_bytes(
        orjson.dumps(document | {"values": {key: {"plain": "other"} for key in document["values"]}})
    )
    assert Values(tmp_path / "v.json").value("a: 1") == "other"
    monkeypatch.setattr(kept, "_made_by", lambda: "another")
    assert Values(tmp_path / "v.json").value("a: 1") == {"a": 1}


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    values = Values(tmp_path / "file" / "v.json")
    assert values.value("a: 1") == {"a": 1}
    values.keep()
    assert (tmp_path / "file").read_text(encoding="utf-8") == "x"


def test_wrong_yaml_is_told_each_time(tmp_path):
    for _ in range(2):
        values = Values(tmp_path / "v.json")
        with pytest.raises(ContentError, match=r"f\.yaml:2"):
            values.value("a: 1\na: 2", "f.yaml")
        values.keep()


def test_sources_are_the_same_from_kept_values(tmp_path, monkeypatch, parsed):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(yaml, "load", yaml.load.__wrapped__)  # what conftest puts in its place
    monkeypatch.setattr("lemnis.content.schemas.source._KNOWN", {})
    first = Sources.load(Library.open())
    read = len(parsed)
    assert read > len(first.by_name)
    monkeypatch.setattr("lemnis.content.schemas.source._KNOWN", {})
    again = Sources.load(Library.open())
    assert len(parsed) == read
    assert again == first
