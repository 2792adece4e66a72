"""Checks are read once; what is kept of them is what reading them gives, and nothing else is believed."""

import shutil
from pathlib import Path

import orjson
import pytest

from lemnis.app import checks, checks_kept
from lemnis.content.library import Library
from lemnis.contracts.errors import ContentError

LIBRARY = Library.open()
SOME = ("kubernetes_privileged", "iam_everything_allowed", "github_permissions", "aws_s3_bucket_public_acl")


@pytest.fixture
def overlay(tmp_path):
    folder = tmp_path / "content" / "checks"
    folder.mkdir(parents=True)
    known = LIBRARY.items("checks")
    for name in [one for one in known if one in SOME] + list(known)[:12]:
        shutil.copytree(known[name].folder, folder / name, dirs_exist_ok=True)
    return Library.open(builtin=tmp_path / "content"), folder


@pytest.fixture
def read(monkeypatch):
    """The names of the checks that were read from their files."""
    names = []
    load = checks.load_one

    def counted(item):
        names.append(item.name)
        return load(item)

    monkeypatch.setattr(checks, "load_one", counted)
    return names


def test_what_is_kept_is_what_all_the_content_says(tmp_path, read):
    plain = checks.load(LIBRARY)
    assert checks.load(LIBRARY, cache=tmp_path) == plain
    read.clear()
    assert checks.load(LIBRARY, cache=tmp_path) == plain
    assert read == []


def test_only_what_changed_is_read_again(tmp_path, overlay, read):
    library, folder = overlay
    first = checks.load(library, cache=tmp_path)
    assert len(read) == len(first) > 10
    read.clear()
    manifest = folder / first[0].name / "check.yaml"
    manifest.write_text(manifest.read_text().replace("title: ", "title: Surely "))
    again = checks.load(library, cache=tmp_path)
    assert read == [first[0].name]
    assert again[0].title == f"Surely {first[0].title}"
    assert again[1:] == first[1:]


def test_a_check_that_became_wrong_is_refused_although_it_was_kept(tmp_path, overlay):
    library, folder = overlay
    name = checks.load(library, cache=tmp_path)[0].name
    (folder / name / "check.yaml").write_text("title: [")
    with pytest.raises(ContentError, match="not YAML"):
        checks.load(library, cache=tmp_path)
    shutil.rmtree(folder / name)
    shutil.copytree(LIBRARY.get("checks", name).folder, folder / name)
    (folder / name / "check.rego").write_text(f"package lemnis.{name}\n")
    (folder / name / "check.yaml").write_text(
        (folder / name / "check.yaml").read_text().partition("fails:")[0]
    )
    with pytest.raises(ContentError, match="fail contains"):
        checks.load(library, cache=tmp_path)


def damaged(document):
    """Yield what is no more what was kept."""
    whole = orjson.dumps(document)
    yield whole[: len(whole) // 2]
    yield b"[]"
    yield orjson.dumps({**document, "version": "another"})
    key, entry = next(iter(document["checks"].items()))
    for place in range(len(entry)):
        changed = [*entry]
        changed[place] = {"a": 1.5}
        yield orjson.dumps({**document, "checks": {**document["checks"], key: changed}})
    deep = b'[false,[["a",' * 2000 + b"[]" + b"]]]" * 2000
    yield orjson.dumps({**document, "checks": {key: [*entry[:7], "deep", *entry[8:]]}}).replace(
        b'"deep"', deep
    )
    yield orjson.dumps({**document, "checks": {key: [*entry[:7], [1, []], *entry[8:]]}})
    yield orjson.dumps({**document, "checks": {key: [*entry[:3], True, *entry[4:]]}})


def test_what_is_damaged_is_read_again(tmp_path, overlay):
    library, _ = overlay
    right = checks.load(library, cache=tmp_path)
    file = tmp_path / "checks.json"
    for data in damaged(orjson.loads(file.read_bytes())):
        file.write_bytes(data)
        assert checks.load(library, cache=tmp_path) == right


def test_what_other_code_read_is_not_believed(tmp_path, overlay, read, monkeypatch):
    library, _ = overlay
    checks.load(library, cache=tmp_path)
    read.clear()
    monkeypatch.setattr(checks_kept, "_made_by", lambda: "a later version")
    assert len(checks.load(library, cache=tmp_path)) == len(read)


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path, overlay):
    library, _ = overlay
    (tmp_path / "file").write_text("")
    assert checks.load(library, cache=Path(tmp_path / "file" / "below")) == checks.load(library)
