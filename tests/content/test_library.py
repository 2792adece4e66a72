import os

import pytest

from lemnis.content.library import Library, builtin_root
from lemnis.content.yaml import read_text
from lemnis.contracts.errors import ContentError, NotFoundError


def put(root, path, text="x"):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def roots(tmp_path):
    built, own = tmp_path / "built", tmp_path / "own"
    put(built, "detections/one/rule.yml", "built one")
    put(built, "detections/two/rule.yml", "built two")
    put(built, "detections/two/samples/a.log")
    put(built, "actions/okta/clear.yaml")
    put(own, "detections/one/rule.yml", "own one")
    own.joinpath("detections/broken").mkdir()
    return built, own


def test_the_workspace_shadows_what_is_built_in(roots):
    built, own = roots
    library = Library.open(own, builtin=built)
    rules = library.items("detections")
    assert list(rules) == ["one", "two"]
    assert rules["one"].own
    assert rules["one"].manifest.read_text() == "own one"
    assert list(library.items("actions")) == ["okta.clear"]


def test_what_is_no_item_is_a_problem_and_the_others_work(roots):
    built, own = roots
    library = Library.open(own, builtin=built)
    assert "broken" in str(library.problems[0])
    assert "rule.yml" in str(library.problems[0])


def test_the_digest_follows_what_is_effective(roots):
    built, own = roots
    first = Library.open(None, builtin=built).digest
    assert Library.open(None, builtin=built).digest == first
    assert Library.open(own, builtin=built).digest != first
    put(own, "detections/one/rule.yml", "built one")
    assert Library.open(own, builtin=built).digest == first


def test_a_library_that_is_kept_stands_until_a_file_changes(roots):
    built, own = roots
    library = Library.open(own, builtin=built).stamped()
    assert library.stands
    put(own, "detections/one/rule.yml", "own 1!!")
    assert not library.stands
    assert library.stamped().stands
    put(own, "detections/new/rule.yml")
    assert not library.stands
    library.stamped()
    own.joinpath("detections/new/rule.yml").unlink()
    assert not library.stands


def test_links_are_not_followed(roots, tmp_path):
    built, _ = roots
    secret = tmp_path / "secret"
    secret.write_text("s")
    (built / "detections/two/link").symlink_to(secret)
    assert not [
        path
        for path in Library.open(None, builtin=built).get("detections", "two").files()
        if path.name == "link"
    ]


def test_unknown_names_say_what_there_is(roots):
    library = Library.open(None, builtin=roots[0])
    with pytest.raises(NotFoundError, match="one, two"):
        library.get("detections", "three")
    with pytest.raises(NotFoundError, match="detections"):
        library.items("frobs")


def test_the_built_in_content_is_there():
    assert builtin_root().is_dir()


@pytest.mark.parametrize(
    "where", ["detections/two/link", "detections/two/rule.yml", "actions/okta/clear.yaml"]
)
def test_content_that_is_a_link_has_no_digest_and_is_a_problem(roots, tmp_path, where):
    built, _ = roots
    secret = tmp_path / "secret"
    secret.write_text("s")
    (built / where).unlink(missing_ok=True)
    (built / where).symlink_to(secret)
    library = Library.open(None, builtin=built)
    with pytest.raises(ContentError, match="a link"):
        assert library.digest
    assert [str(built / where) in str(one) for one in library.problems] == [True]


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_not_read(tmp_path, kind):
    path = tmp_path / "rule.yml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(ContentError, match="cannot be read"):
        read_text(path)
