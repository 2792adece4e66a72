import pytest

from lemnis.contracts.errors import InputError, NotFoundError
from lemnis.store.git import Repository

AUTHOR = "Ada <ada@example.org>"


@pytest.fixture
def repository(tmp_path):
    made = Repository.create(tmp_path / "r")
    (made.path / "a.txt").write_text("one\ntwo\n")
    made.commit_all("first", author=AUTHOR, at=1_000_000)
    (made.path / "a.txt").write_text("one\nTWO\n")
    (made.path / "sub dir").mkdir()
    (made.path / "sub dir" / "ü.txt").write_text("x")
    made.commit_all("second", author=AUTHOR, at=2_000_000)
    return made


def test_reads_history(repository):
    first, second = repository.commits()
    assert (first.subject, first.at, first.author, first.email) == (
        "first",
        1_000_000,
        "Ada",
        "ada@example.org",
    )
    assert second.parents == (first.id,)
    assert repository.changed(first.id) == [("A", "a.txt")]
    assert sorted(repository.changed("HEAD")) == [("A", "sub dir/ü.txt"), ("M", "a.txt")]
    assert repository.read(first.id, "a.txt") == b"one\ntwo\n"
    assert dict(repository.tree("HEAD")) == {"a.txt": b"one\nTWO\n", "sub dir/ü.txt": b"x"}
    assert dict(repository.tree("HEAD", "sub dir")) == {"sub dir/ü.txt": b"x"}
    assert set(repository.files("HEAD")) == {"a.txt", "sub dir/ü.txt"}


def test_blames_the_commit_that_wrote_the_line(repository):
    first, second = repository.commits()
    assert repository.blame("HEAD", "a.txt", 1).commit == first.id
    assert repository.blame("HEAD", "a.txt", 2).commit == second.id


def test_a_branch_is_written_beside_the_work_tree(repository):
    head = repository.resolve("HEAD")
    (repository.path / "a.txt").write_text("uncommitted")
    arguments = {"author": AUTHOR, "at": 3_000_000}
    commit = repository.write_branch("lesson/x", "HEAD", {"b/c.txt": b"new"}, "lesson", **arguments)
    assert repository.resolve("HEAD") == head
    assert (repository.path / "a.txt").read_text() == "uncommitted"
    assert repository.read("lesson/x", "b/c.txt") == b"new"
    assert repository.write_branch("lesson/x", "HEAD", {"b/c.txt": b"new"}, "lesson", **arguments) == commit
    with pytest.raises(InputError, match="lesson/x"):
        repository.write_branch("lesson/x", "HEAD", {"b/c.txt": b"other"}, "lesson", **arguments)


def test_merge_moves_the_branch(repository):
    repository.write_branch("topic", "HEAD", {"n.txt": b"n"}, "topic", author=AUTHOR, at=3_000_000)
    repository.merge("topic", author=AUTHOR, at=4_000_000)
    assert (repository.path / "n.txt").read_bytes() == b"n"


@pytest.mark.parametrize("revision", ["nope", "--output=/tmp/x", "HEAD:a.txt", ""])
def test_what_is_no_commit_is_not_found(repository, revision):
    with pytest.raises(NotFoundError):
        repository.resolve(revision)


def test_a_folder_that_is_no_repository_is_named(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        Repository(tmp_path).commits()


def test_a_commit_cannot_hide_its_own_files(tmp_path):
    repository = Repository.create(tmp_path / "r")
    (repository.path / "evil.py").write_bytes(b"$Format:%H$\r\n")
    (repository.path / "empty").write_bytes(b"")
    (repository.path / ".gitattributes").write_text("evil.py export-ignore export-subst\n")
    (repository.path / "link").symlink_to("evil.py")
    (repository.path / "sub").mkdir()
    (repository.path / "sub" / "a b\nc").write_bytes(b"x\n\n")
    repository.commit_all("c", author="A <a@example.org>", at=1000)
    files = dict(repository.tree("HEAD"))
    assert files.keys() == {".gitattributes", "evil.py", "empty", "sub/a b\nc"}
    assert (files["evil.py"], files["empty"], files["sub/a b\nc"]) == (b"$Format:%H$\r\n", b"", b"x\n\n")
    assert dict(repository.tree("HEAD", "sub")) == {"sub/a b\nc": b"x\n\n"}
    assert dict(repository.tree("HEAD", "su")) == {}
