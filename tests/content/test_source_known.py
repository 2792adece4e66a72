"""A source is read once as long as its files stay as they are."""

import shutil

import pytest

from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import ContentError


def test_a_source_is_read_anew_when_a_file_of_it_changed(tmp_path):
    folder = tmp_path / "okta"
    shutil.copytree(Library.open().get("sources", "okta").folder, folder)
    first = LoadedSource.read(folder)
    assert LoadedSource.read(folder) is first
    file = folder / "source.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("title: Okta System Log", "title: Another"), encoding="utf-8")
    assert LoadedSource.read(folder).file.title == "Another"
    mapping = folder / "mapping.yaml"
    mapping.write_text(mapping.read_text(encoding="utf-8") + "frobnicate: 1\n", encoding="utf-8")
    with pytest.raises(ContentError, match="frobnicate"):
        LoadedSource.read(folder)
