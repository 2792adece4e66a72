import pytest

from lemnis.contracts.errors import InputError, NotFoundError
from lemnis.store.git import Repository

AUTHOR = "Ada <ada@example.org>"
LAST = 253_402_300_799_000  # the last second of the year 9999
IDENTITY = {f"GIT_{role}_{key}": "x" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


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


def raw_commit(repository, *headers):
    """Store a commit that git itself would not write, on top of HEAD; return its id."""
    tree = repository.run("rev-parse", "HEAD^{tree}").decode().strip()
    lines = [f"tree {tree}", f"parent {repository.resolve('HEAD')}", *headers, "", "odd"]
    data = "\n".join(lines).encode()
    stored = repository.run("hash-object", "-t", "commit", "-w", "--stdin", "--literally", data=data)
    return stored.decode().strip()


@pytest.mark.parametrize(
    "subject",
    [
        "a\x1fb",
        "a\x1eb",
        "a\x1e" + "\x1f".join(["f" * 40, "e" * 40, "", "n", "m", "1", "forged"]),
        "ü\x1b[31m",
    ],
)
def test_what_a_commit_says_of_itself_cannot_make_or_hide_commits(repository, subject):
    head = repository.commit_all(subject, author="A\x1fB\x1e <a@example.org>", at=3_000_000)
    commits = repository.commits()
    assert len(commits) == 3
    assert (commits[-1].id, commits[-1].subject, commits[-1].at) == (head, subject, 3_000_000)
    assert commits[-1].tree == repository.run("rev-parse", "HEAD^{tree}").decode().strip()


@pytest.mark.parametrize(
    ("author", "at"),
    [("author nobody", 0), ("author A <a> 99999999999999 +0000", LAST), ("author A <a> -5 +0000", 0)],
)
def test_a_commit_with_a_date_that_is_none_is_still_a_commit(repository, author, at):
    odd = raw_commit(repository, author, "committer C <c> 1 +0000")
    found = repository.commits(odd)[-1]
    assert (found.id, found.at) == (odd, at)


def test_the_settings_of_a_repository_run_nothing_and_change_no_answer(repository, tmp_path):
    marker = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\nexit 0\n")
    program.chmod(0o755)
    first, second = repository.commits()
    (repository.path / ".git/info").mkdir(exist_ok=True)
    (repository.path / ".git/info/attributes").write_text("* diff=evil\n")
    (repository.path / "skip").write_text(second.id)
    for name, value in [
        ("log.showSignature", "true"), ("gpg.program", str(program)), ("i18n.logOutputEncoding", "UTF-16"),
        ("diff.evil.textconv", str(program)), ("blame.ignoreRevsFile", str(repository.path / "skip")),
        ("core.pager", str(program)), ("diff.external", str(program)), ("log.follow", "true"),
    ]:  # fmt: skip
        repository.run("config", name, value)
    signed = raw_commit(
        repository, "author A <a> 5 +0000", "committer C <c> 5 +0000",
        "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----",
    )  # fmt: skip
    assert [commit.id for commit in repository.commits(signed)] == [first.id, second.id, signed]
    assert repository.blame(signed, "a.txt", 2).commit == second.id
    assert repository.blame(signed, "a.txt", 2).text == "TWO"
    assert sorted(repository.changed(second.id)) == [("A", "sub dir/ü.txt"), ("M", "a.txt")]
    assert not marker.exists()


def test_an_object_that_is_not_there_is_named(repository):
    blob = repository.files("HEAD")["a.txt"]
    (repository.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(InputError, match=blob[:12]):
        dict(repository.tree("HEAD"))


def test_links_and_submodules_are_told_apart(repository):
    (repository.path / "link.py").symlink_to("a.txt")
    repository.run("update-index", "--add", "--cacheinfo", f"160000,{repository.resolve('HEAD')},vendored")
    repository.run("add", "link.py")
    repository.run("commit", "--quiet", "--message", "links", extra=IDENTITY)
    assert repository.links("HEAD") == {"link.py": "a.txt"}
    assert repository.submodules("HEAD") == ["vendored"]


def test_finds_the_commits_that_write_or_take_out_a_text(repository):
    first, second = repository.commits()
    repository.write_branch("topic", "HEAD", {"n.txt": b"TWO\n"}, "topic", author=AUTHOR, at=3_000_000)
    assert [one.id for one in repository.touching("two")] == [first.id, second.id]
    assert [one.subject for one in repository.touching("TWO")] == ["second", "topic"]
    assert repository.touching("-S") == []


@pytest.mark.parametrize(
    "ask",
    [
        Repository.commits, Repository.changed, Repository.files, Repository.links, Repository.submodules,
        Repository.parents, Repository.cut, Repository.message, Repository.reachable,
        lambda git, name: git.added("", name), lambda git, name: git.added(name, "HEAD"),
        lambda git, name: git.read(name, "a.txt"), lambda git, name: git.blame(name, "a.txt", 1),
        lambda git, name: git.patch("HEAD", name), lambda git, name: dict(git.tree(name)),
    ],
)  # fmt: skip
def test_a_whole_hash_is_asked_for_as_any_other_name(repository, ask):
    head = repository.resolve("HEAD")
    blob = repository.files("HEAD")["a.txt"]
    for name in (head, "0" * 40):  # of a file that is called as a commit is, git would be asked instead
        (repository.path / f"{name}^{{commit}}").write_text("x")
        (repository.path / name).write_text("x")
    repository.run("tag", "--annotate", "--message=one", "v1", extra=IDENTITY)
    tag = repository.run("rev-parse", "v1").decode().strip()
    assert tag != head
    assert ask(repository, head) == ask(repository, tag) == ask(repository, "HEAD")
    for name in ("0" * 40, blob):
        with pytest.raises(NotFoundError, match=f"no commit '{name}'"):
            ask(repository, name)
