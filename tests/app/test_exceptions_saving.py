"""Exceptions from detections that are written here: into the content or on a branch, of one detection, for a while."""

import pytest
import yaml as pyyaml

from lemnis import app
from lemnis.app import content, exceptions, exceptions_saving
from lemnis.app.shelf import repository
from lemnis.contracts.clock import ManualClock, from_iso
from lemnis.contracts.errors import ContentError, InputError, NotFoundError, RefusedError, UsageError

NUMBER = "11111111-1111-4111-8111-111111111111"
RULE = f"""\
title: The third login
id: {NUMBER}
status: test
logsource: {{product: logins}}
detection:
  selection: {{what|endswith: "3"}}
  condition: selection
level: low
"""
PROPOSED = {
    "title": "The third login: not for host a", "logsource": {"product": "logins"},
    "filter": {"rules": [NUMBER], "selection": {"host": "a"}, "condition": "not selection"},
    "x-lemnis": {"owner": "dee", "expires": "2026-12-01", "reason": "PROPOSED, to be confirmed: a is in all"},
}  # fmt: skip
WHY = "it is the machine that we test with"
NAME = "third_login_not_for_host_a"


@pytest.fixture
def soc(tmp_path):
    made = app.init(tmp_path / "soc", clock=ManualClock(from_iso("2026-09-21T12:00:00Z")))
    for name, text in (
        ("third_login", RULE),
        ("other", RULE.replace("1111", "2222").replace("third", "other")),
    ):
        folder = made.content / "detections" / name
        folder.mkdir(parents=True)
        (folder / "rule.yml").write_text(text)
    return made


def text(**changed):
    return pyyaml.safe_dump(PROPOSED | changed, sort_keys=False)


def save(soc, written=None, *, name=NAME, of="third_login", until="2026-12-31", why=WHY):
    given = {"of": of, "until": until, "why": why, "actor": "dee"}
    return exceptions_saving.save(soc, name, text() if written is None else written, **given)


def test_it_is_written_with_the_reason_and_the_day_of_who_writes_it(soc):
    path = save(soc)
    assert path == soc.content / "exceptions" / NAME / "filter.yml"
    library = app.library(soc)
    (one,) = exceptions.load(library)[0]
    assert (one.file.terms.reason, str(one.file.terms.expires), one.file.terms.owner) == (
        WHY,
        "2026-12-31",
        "dee",
    )
    assert list(content.lint(library, "rule_exceptions")) == []
    (entry,) = app.journal(soc).entries(kind=exceptions_saving.KEPT)
    assert (entry.subject, entry.actor, entry.reason) == ("third_login", "dee", WHY)
    assert entry.payload["text"] == path.read_text()


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"name": "../x"}, UsageError, "cannot be an exception's name"),
        ({"name": "a" * 90}, UsageError, "cannot be an exception's name"),
        ({"of": "nothing"}, NotFoundError, "nothing"),
        ({"until": "soon"}, UsageError, "is no day"),
        ({"until": "2026-09-20"}, UsageError, "today or within 365 days"),
        ({"until": "2028-01-01"}, UsageError, "today or within 365 days"),
        ({"why": "so"}, InputError, "reason"),
        ({"written": "x" * 30_000}, UsageError, "20,000"),
        ({"written": "[]"}, ContentError, ""),
        ({"written": "{"}, ContentError, ""),
        ({"written": text(logsource={"product": "others"})}, RefusedError, "this is about third_login"),
        ({"written": text(filter=PROPOSED["filter"] | {"rules": ["other"]})}, RefusedError, "'other'"),
        ({"written": text(filter=PROPOSED["filter"] | {"rules": [NUMBER, "other"]})}, RefusedError, "'other'"),
        ({"written": text(filter=PROPOSED["filter"] | {"rules": "any"})}, RefusedError, "'any'"),
        ({"written": text(filter=PROPOSED["filter"] | {"condition": "not nothing"})}, RefusedError, "cannot be used"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_and_nothing_is_written(soc, given, error, said):
    with pytest.raises(error) as told:
        save(soc, **given)
    assert said in str(told.value)
    assert not (soc.content / "exceptions").exists()
    assert list(app.journal(soc).entries(kind=exceptions_saving.KEPT)) == []


def test_one_that_is_there_is_not_written_over(soc):
    path = save(soc)
    before = path.read_bytes()
    with pytest.raises(RefusedError, match="already"):
        save(soc, why="another reason than before")
    assert path.read_bytes() == before


def test_nothing_is_written_through_a_link(soc, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (soc.content / "exceptions").mkdir()
    (soc.content / "exceptions" / NAME).symlink_to(elsewhere)
    with pytest.raises(UsageError, match="link"):
        save(soc)
    assert list(elsewhere.iterdir()) == []


def test_a_proposal_is_a_branch_and_nothing_that_runs(soc):
    given = {"of": "third_login", "until": "2026-12-31", "why": WHY, "actor": "dee"}
    repository(soc).commit_all("Rules", author=app.AUTHOR, at=soc.clock.now())
    branch = exceptions_saving.propose(soc, NAME, text(), **given)
    assert branch in repository(soc).branches()
    assert not (soc.content / "exceptions").exists()
    (entry,) = app.journal(soc).entries(kind=exceptions_saving.PROPOSED)
    assert entry.payload["branch"] == branch
