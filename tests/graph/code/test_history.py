"""Who wrote a line: renamed, squashed, rebased, cut off."""

import pytest

from lemnis.contracts.provenance import Strength
from lemnis.graph.code.history import authored, deployed, written
from lemnis.store.git import Repository

AT = 1_764_000_000_000
HOLE = "def preview(text):\n    return shell(f'echo {text}')\n"


class Repo:
    """A repository that is built step by step."""

    def __init__(self, folder):
        self.git = Repository.create(folder)
        self.count = 0

    def commit(self, message, files, who="Ann"):
        for path, text in files.items():
            (self.git.path / path).parent.mkdir(parents=True, exist_ok=True)
            (self.git.path / path).write_text(text)
        self.count += 1
        return self.git.commit_all(
            message, author=f"{who} <{who.lower()}@x.org>", at=AT + self.count * 60_000
        )

    def run(self, *words):
        who = {f"GIT_{r}_{k}": v for r in ("AUTHOR", "COMMITTER") for k, v in
               (("NAME", "Merger"), ("EMAIL", "m@x.org"), ("DATE", f"@{AT // 1000 + 9_000} +0000"))}  # fmt: skip
        return self.git.run(*words, extra=who)


@pytest.fixture
def repo(tmp_path):
    one = Repo(tmp_path / "r")
    one.commit("begin", {"README": "x\n", "shop/other.py": "a = 1\n"})
    return one


def test_a_line_of_an_ordinary_history_is_a_record(repo):
    hole = repo.commit("hole", {"shop/labels.py": HOLE}, "Bob")
    last = repo.commit("more", {"README": "y\n"})
    found = written(repo.git, last, "shop/labels.py", 2)
    assert (found.blame.commit, found.strength, found.reasons, found.renamed) == (
        hole,
        Strength.RECORDED,
        (),
        "",
    )
    assert deployed(repo.git, last) == ("", ())


def test_renames_are_followed(repo):
    hole = repo.commit("hole", {"shop/labels.py": HOLE}, "Bob")
    repo.run("mv", "shop/labels.py", "shop/stickers.py")
    moved = repo.commit("move", {})
    found = written(repo.git, moved, "shop/stickers.py", 2)
    assert (found.blame.commit, found.renamed, found.strength) == (hole, "shop/labels.py", Strength.RECORDED)


def test_a_squashed_branch_tells_who_wrote_the_line(repo):
    repo.run("switch", "-q", "-c", "topic")
    repo.commit("first", {"shop/a.py": "b = 2\n"}, "Cid")
    wrote = repo.commit("hole", {"shop/labels.py": HOLE}, "Bob")
    repo.commit("last", {"shop/c.py": "c = 3\n"}, "Cid")
    repo.run("switch", "-q", "main")
    repo.commit("meanwhile", {"README": "z\n"})
    repo.run("merge", "-q", "--squash", "topic")
    squash = repo.commit("Preview labels", {}, "Merger")
    found = written(repo.git, squash, "shop/labels.py", 2)
    assert (found.blame.commit, found.strength) == (squash, Strength.LABEL)
    assert (found.original.id, found.original.author) == (wrote, "Bob")
    assert "squashed others; there Bob wrote the line" in found.reasons[0]


@pytest.mark.parametrize(
    "message",
    ["Preview (#12)\n\n* first\n* second\n", "Preview\n\nCo-authored-by: A <a@x>\nCo-authored-by: B <b@x>\n",
     "Squashed commit of the following:\n\ncommit 1\n"],
)  # fmt: skip
def test_a_squashed_commit_whose_branch_is_gone_is_a_label(repo, message):
    squash = repo.commit(message, {"shop/labels.py": HOLE})
    found = written(repo.git, squash, "shop/labels.py", 2)
    assert (found.strength, found.original) == (Strength.LABEL, None)
    assert "who of them wrote it is not known" in found.reasons[0]


def test_a_picked_commit_is_no_squash(repo):
    repo.run("switch", "-q", "-c", "topic")
    one = repo.commit("hole", {"shop/labels.py": HOLE}, "Bob")
    repo.run("switch", "-q", "main")
    repo.commit("meanwhile", {"README": "z\n"})
    repo.run("cherry-pick", one)
    picked = repo.git.resolve("main")
    assert picked != one
    assert written(repo.git, picked, "shop/labels.py", 2).strength is Strength.RECORDED


def test_a_rebased_commit_names_its_copy(repo):
    hole = repo.commit("hole", {"shop/labels.py": HOLE}, "Bob")
    repo.run("switch", "-q", "-c", "kept", f"{hole}~1")
    repo.commit("other base", {"README": "other\n"})
    repo.run("branch", "-f", "main", "kept")
    repo.run("switch", "-q", "main")
    repo.run("branch", "-D", "kept")
    repo.run("cherry-pick", hole)
    copy = repo.git.resolve("main")
    found = written(repo.git, hole, "shop/labels.py", 2)
    assert (found.blame.commit, found.strength, found.copies) == (hole, Strength.LABEL, (copy,))
    assert "history was rewritten" in found.reasons[0]
    assert copy[:12] in found.reasons[0]
    why, copies = deployed(repo.git, hole)
    assert (copies, "history was rewritten" in why) == ((copy,), True)


def test_a_commit_that_was_dropped_is_no_more_than_a_name(repo):
    hole = repo.commit("hole", {"shop/labels.py": HOLE}, "Bob")
    repo.run("reset", "-q", "--hard", "HEAD~1")
    found = written(repo.git, hole, "shop/labels.py", 2)
    assert (found.strength, found.copies) == (Strength.NAME_MATCH, ())
    assert "no commit that is left has the same patch" in found.reasons[0]


def test_two_copies_are_both_told(repo):
    hole = repo.commit("hole", {"shop/labels.py": HOLE}, "Bob")
    repo.run("reset", "-q", "--hard", "HEAD~1")
    for name in ("one", "two"):
        repo.run("switch", "-q", "-c", name, "main")
        repo.commit(name, {"README": f"{name}\n"})
        repo.run("cherry-pick", hole)
    found = written(repo.git, hole, "shop/labels.py", 2)
    assert (found.strength, len(found.copies)) == (Strength.NAME_MATCH, 2)
    assert "several have the same patch" in found.reasons[0]


def test_history_that_is_cut_off_is_not_taken_for_its_beginning(repo, tmp_path):
    repo.commit("hole", {"shop/labels.py": HOLE}, "Bob")
    repo.commit("more", {"README": "y\n"})
    shallow = tmp_path / "s"
    extra = {"GIT_ALLOW_PROTOCOL": "file"}
    repo.git.run(
        "-c",
        "protocol.file.allow=always",
        "clone",
        "-q",
        "--depth=1",
        f"file://{repo.git.path}",
        str(shallow),
        extra=extra,
    )
    one = Repository(shallow)
    found = written(one, one.resolve("HEAD"), "shop/labels.py", 2)
    assert found.strength is Strength.NAME_MATCH
    assert "shallow" in found.reasons[0]
    root = repo.git.commits("main")[0].id
    assert written(repo.git, "main", "shop/other.py", 1).blame.commit == root
    assert written(repo.git, "main", "shop/other.py", 1).strength is Strength.RECORDED


def test_who_a_commit_says_its_author_is(repo):
    edge = authored(repo.git.commits("main")[0])
    assert (edge.relation, str(edge.target), edge.strength) == (
        "authored_by",
        "person:ann@x.org",
        Strength.LABEL,
    )
