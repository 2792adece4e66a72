"""Errors of source.yaml and mapping.yaml have a file, a line and a column."""

import pytest

from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import ContentError

SOURCE = "name: acme\ntitle: Acme\nvendor: Acme\nproduct: Proxy\nparser: jsonl\n"
MAPPING = """common: {time: {from: ts}}
events:
  - name: one
    class: http_activity
    when: {kind: a}
    activity: 1
    set:
      http_request.http_method: method
"""


def read(folder, mapping=MAPPING, source=SOURCE):
    place = folder / "acme"
    place.mkdir()
    (place / "source.yaml").write_text(source)
    (place / "mapping.yaml").write_text(mapping)
    return LoadedSource.read(place)


def test_a_source_is_read(tmp_path):
    loaded = read(tmp_path)
    assert loaded.name == "acme"
    assert loaded.mapping.events[0].set["http_request.http_method"][0].source == ("method",)
    assert loaded.digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("http_activity", "http_activty", 4, "did you mean http_activity"),
        ("http_request.http_method", "http_request.http_methd", 8, "did you mean http_method"),
        ("http_request.http_method: method", "http_request: method", 8, "http_request is an object"),
        ("http_request.http_method: method", "x.y: method", 8, "no attribute x"),
        ("method\n", "{from: method, match: '(?=x)'}\n", 8, "not a pattern of RE2"),
        ("{kind: a}", "{kind: {matches: '('}}", 5, "not a pattern of RE2"),
        ("{kind: a}", "{kind: {is: a}}", 5, "Extra inputs"),
        ("method\n", "{map: {a: 1}}\n", 8, "give either `from` or `value`"),
        ("common: {time: {from: ts}}", "common: {}", 3, "one has no time"),
        ("{from: ts}", "{from: ts, format: stardate}", 1, "or a strptime format"),
    ],
)
def test_what_is_wrong_in_a_mapping_has_its_line(tmp_path, old, new, line, said):
    with pytest.raises(ContentError) as caught:
        read(tmp_path, MAPPING.replace(old, new))
    assert said in str(caught.value)
    assert caught.value.at.file.endswith("mapping.yaml")
    assert caught.value.at.line == line
    assert caught.value.at.column


def test_names_must_be_the_folders_and_differ(tmp_path):
    with pytest.raises(ContentError, match="its folder 'acme'"):
        read(tmp_path, source=SOURCE.replace("name: acme", "name: other"))


def test_a_source_may_share_the_mapping_of_one_beside_it(tmp_path):
    first = read(tmp_path)
    place = tmp_path / "other"
    place.mkdir()
    shared = SOURCE.replace("name: acme", "name: other") + "mapping: acme\n"
    (place / "source.yaml").write_text(shared)
    second = LoadedSource.read(place)
    assert second.mapping == first.mapping
    assert second.mapping_file == tmp_path / "acme/mapping.yaml"
    assert second.digest != first.digest
    (place / "source.yaml").write_text(shared.replace("mapping: acme", "mapping: acne"))
    with pytest.raises(ContentError, match="no source 'acne' beside it") as caught:
        LoadedSource.read(place)
    assert caught.value.at.line == 6


def test_a_sigma_field_must_be_mapped(tmp_path):
    extra = "sigma:\n  fields:\n    cs-method: http_request.url.path\n"
    with pytest.raises(ContentError, match="no entry of the mapping sets") as caught:
        read(tmp_path, source=SOURCE + extra)
    assert (caught.value.at.line, caught.value.at.column) == (8, 16)


def test_every_built_in_source_is_right():
    for item in Library.open().items("sources").values():
        assert LoadedSource.load(item).mapping.events
