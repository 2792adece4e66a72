"""Commands where the machine is not as one would like it: caches that cannot be written, folders that may not be read."""

import pytest

from lemnis.interfaces.cli import run
from lemnis.scan import programs
from lemnis.store.groups import Groups
from lemnis.store.spool import Spool
from lemnis.store.timelines import Timelines

RULE = """\
title: T
id: 00000000-0000-4000-8000-000000000001
logsource: {product: linux}
detection: {a: {x: never}, condition: a}
"""


@pytest.fixture
def _no_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))


@pytest.mark.usefixtures("_no_cache")
def test_hunt_works_where_nothing_can_be_cached(tmp_path, capsys):
    (tmp_path / "rule.yml").write_text(RULE, encoding="utf-8")
    (tmp_path / "auth.log").write_text("Jan  1 00:00:00 host sshd[1]: hello\n", encoding="utf-8")
    code = run(["hunt", str(tmp_path / "auth.log"), "--rules", str(tmp_path / "rule.yml")])
    assert (code, capsys.readouterr().err) == (0, "")


@pytest.mark.usefixtures("_no_cache")
def test_scan_works_where_nothing_can_be_cached(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\nUSER 1000\n", encoding="utf-8")
    assert run(["scan", str(tmp_path / "app"), "--tool", "lemnis", "--json"]) in {0, 1}
    assert "error" not in capsys.readouterr().err


def test_a_folder_on_the_path_that_cannot_be_looked_at_is_passed_over(monkeypatch):
    monkeypatch.setenv("PATH", f"/{'x' * 5000}:/usr/bin:/bin")
    assert programs.find("sh") in {"/usr/bin/sh", "/bin/sh"}


@pytest.mark.parametrize(
    ("make", "within"),
    [
        (lambda folder: Spool(folder / "s.db"), lambda inner, _: inner._db),
        (lambda folder: Groups(folder / "g.db", "stamp"), lambda _, outer: outer._db),
        (lambda folder: Timelines(folder / "t.db"), lambda _, outer: outer._connection),
    ],
)
def test_what_ended_a_transaction_is_told_and_not_that_it_ended(tmp_path, make, within):
    """SQLite rolls back by itself on a full disk; to do so again would be another error in its place."""
    outer = make(tmp_path)

    def write():
        with outer.writing() as inner:
            within(inner, outer).execute("ROLLBACK")
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write()
