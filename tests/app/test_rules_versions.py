"""What a detection was, who changed it, and what two versions of it tell: in git, and in the journal."""

import threading
from dataclasses import replace

import lived
import pytest

from lemnis import app
from lemnis.app import rules_saving as saving
from lemnis.app import rules_versions as history
from lemnis.app import trying
from lemnis.app.shelf import repository
from lemnis.content.library import Library
from lemnis.contracts.errors import ContentError, NotFoundError, RefusedError, UsageError

NAME = "admin_page"
FRESH = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
def soc(tmp_path, two_weeks):
    made = lived.workspace(tmp_path)
    (made.state / "lake").symlink_to(two_weeks.state / "lake")
    lived.commit(made)
    return made


def text_of(soc, name=NAME):
    return (soc.content / "detections" / name / "rule.yml").read_text()


def changed(text, value="/articles/3"):
    return text.replace("/admin", value)


def tag(soc, name=NAME):
    return saving.tag(Library.open(soc.content), name)


def test_what_is_kept_is_a_version_with_who_and_why(soc):
    first = text_of(soc)
    second = changed(first)
    path = saving.save(soc, NAME, second, of=tag(soc), actor="dee", reason="the page moved")
    assert path.read_text() == second
    assert path.stat().st_mode & 0o777 == 0o644
    known = history.versions(soc, NAME)
    assert [(one.how, one.by, one.why) for one in known] == [
        ("kept", "dee", "the page moved"), ("committed", app.AUTHOR, "Rules"),
    ]  # fmt: skip
    lived.commit(soc, "The page moved")
    again = history.versions(soc, NAME)
    assert [one.id for one in again] == [one.id for one in known], "committed later, it is the same version"
    assert again[0].commit == repository(soc).resolve("HEAD")
    assert history.current(again, Library.open(soc.content), NAME) == again[0]
    path.write_text(changed(first, "/elsewhere"))
    here = history.versions(soc, NAME)[0]
    assert (here.how, here.why, here.text) == ("here", "not committed yet", changed(first, "/elsewhere"))
    (entry,) = app.journal(soc).entries(kind=saving.CHANGED)
    assert (entry.actor, entry.subject, entry.payload["before"]) == ("dee", NAME, saving.tag_of(first))


def test_nobodys_change_is_written_over(soc):
    seen = tag(soc)
    saving.save(soc, NAME, changed(text_of(soc)), of=seen, actor="dee")
    with pytest.raises(saving.ChangedError, match="changed by somebody else"):
        saving.save(soc, NAME, text_of(soc), of=seen, actor="ana")
    with pytest.raises(saving.ChangedError, match="there is a detection"):
        saving.save(soc, NAME, text_of(soc), of="", actor="ana")
    with pytest.raises(saving.ChangedError):
        saving.save(soc, "no_such_rule", text_of(soc), of=seen, actor="ana")
    texts = [text_of(soc).replace("/articles/3", f"/page/{n}") for n in range(6)]
    before, kept, refused = tag(soc), [], []

    def keep(text):
        try:
            saving.save(soc, NAME, text, of=before, actor="many")
            kept.append(text)
        except saving.ChangedError:
            refused.append(text)

    threads = [threading.Thread(target=keep, args=(text,)) for text in texts]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(kept), len(refused)) == (1, 5)
    assert text_of(soc) == kept[0]


@pytest.mark.parametrize(
    "name", ["../x_rule", "a/b_c", "UPPER", "", "a", "x" * 90, "a_rule\n", ".hidden", "nul\0l_"]
)
def test_names_lead_nowhere_else(soc, name):
    for how in (saving.save, saving.propose):
        with pytest.raises(UsageError):
            how(soc, name, text_of(soc), of="", actor="dee")


def test_links_lead_nowhere_else(soc, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    (soc.content / "detections" / "linked_rule").symlink_to(away)
    with pytest.raises(UsageError, match="a link"):
        saving.save(soc, "linked_rule", changed(text_of(soc)).replace(lived.ADMIN, FRESH), of="", actor="dee")
    assert not list(away.iterdir())


def test_a_rule_with_an_error_is_refused_with_its_line(soc):
    broken = text_of(soc).replace("condition: selection", "condition: nothing")
    with pytest.raises(RefusedError, match="line"):
        saving.save(soc, NAME, broken, of=tag(soc), actor="dee")
    with pytest.raises(UsageError, match="characters"):
        saving.save(soc, NAME, "x" * 70_000, of=tag(soc), actor="dee")
    with pytest.raises(UsageError, match="are none"):
        saving.save(soc, NAME, "title: \ud800", of=tag(soc), actor="dee")


def test_a_rule_that_ships_is_overlaid_with_its_tests(soc):
    library = Library.open(soc.content)
    name = next(one.name for one in library.items("detections").values() if not one.own)
    shipped = library.get("detections", name)
    text = shipped.manifest.read_text().replace("status: ", "status:  ", 1)
    saving.save(soc, name, text, of=tag(soc, name), actor="dee")
    mine = Library.open(soc.content).get("detections", name)
    assert mine.own
    assert {inner for inner, _ in mine.read()} == {inner for inner, _ in shipped.read()}
    known = history.versions(soc, name)
    assert [one.how for one in known] == ["kept", "ships"]


def test_a_proposal_is_a_branch_and_changes_nothing(soc):
    before, head = text_of(soc), repository(soc).resolve("HEAD")
    branch = saving.propose(soc, NAME, changed(before), of=tag(soc), actor="dee d'Or", reason="tidy")
    assert (text_of(soc), repository(soc).resolve("HEAD")) == (before, head)
    git = repository(soc)
    assert git.read(branch, f"content/detections/{NAME}/rule.yml").decode() == changed(before)
    (commit,) = git.between(f"HEAD..{branch}")
    assert (commit.author, commit.subject) == ("dee-d-Or", f"Detection {NAME}: tidy")
    newest, old = history.versions(soc, NAME)
    assert (newest.how, newest.branch, newest.by) == ("proposed", branch, "dee d'Or")
    assert history.current([newest, old], Library.open(soc.content), NAME) == old
    assert saving.propose(soc, NAME, changed(before), of=tag(soc), actor="dee d'Or", reason="tidy") == branch


def test_what_never_was_is_told(soc):
    with pytest.raises(NotFoundError):
        history.versions(soc, "no_such_rule")
    with pytest.raises(NotFoundError):
        history.version(history.versions(soc, NAME), "j99")


def test_without_git_the_journal_alone_tells(tmp_path):
    made = lived.workspace(tmp_path)
    with pytest.raises(NotFoundError):
        saving.propose(
            replace(made, root=tmp_path / "nowhere"), NAME, text_of(made), of=tag(made), actor="dee"
        )
    saving.save(made, NAME, changed(text_of(made)), of=tag(made), actor="dee")
    assert [one.how for one in history.versions(made, NAME)] == ["kept"]


def test_a_difference_has_the_lines_of_both():
    before = "\n".join(f"line {n}" for n in range(20))
    after = before.replace("line 10", "another\nand one").replace("line 19", "")
    found = history.difference(before, after, around=1)
    assert [(one.sign, one.text, one.old, one.new) for one in found] == [
        ("…", "", 0, 0), ("=", "line 9", 10, 10), ("-", "line 10", 11, 0), ("+", "another", 0, 11), ("+", "and one", 0, 12),
        ("=", "line 11", 12, 13), ("…", "", 0, 0), ("=", "line 18", 19, 20), ("-", "line 19", 20, 0),
    ]  # fmt: skip
    assert history.difference(before, before) == []


def test_two_versions_are_replayed_side_by_side(soc):
    library, before = Library.open(soc.content), text_of(soc)
    found = trying.compared(soc, library, before, changed(before), days=14)
    (one,) = found.differences
    assert (one.kept, one.gone, one.added, found.whole) == (0, 58, 14, True)
    assert len(one.gone_examples) == len(one.added_examples) == 3
    other = changed(before).replace(lived.ADMIN, lived.LOGIN)
    apart = trying.compared(soc, library, before, other, days=14)
    assert sorted((one.gone, one.added) for one in apart.differences) == [(0, 14), (58, 0)]
    with pytest.raises(ContentError):
        trying.compared(soc, library, before, "title: x", days=1)


def test_a_rule_that_matches_everything_is_bounded(soc):
    library = Library.open(soc.content)
    every = text_of(soc).replace("/admin", "'*'")
    found = trying.tried(soc, library, every, days=14)
    assert found.sound
    assert len(found.alerts) == 338
    assert {field.field for one in found.alerts for field in one.matched} == {"cs-uri-stem"}
    few = trying.tried(soc, library, every, start=lived.START, end=lived.START + lived.DAY)
    assert len(few.alerts) == 24
    stopped = trying.tried(soc, library, every, days=14, seconds=-1)
    assert (stopped.whole, stopped.events < 338) == (False, True)
