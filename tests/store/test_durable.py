"""SQLite files that several make at the same moment, and wait for each other."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from lemnis.contracts.clock import ManualClock
from lemnis.respond import engine
from lemnis.store import durable
from lemnis.store.database import open_engine
from lemnis.store.inbox import Inbox
from lemnis.store.spool import Spool
from lemnis.store.timelines import Timelines

TOGETHER = 8


def _of_playbooks(path):
    made = engine._sqlite(f"sqlite:///{path}")
    made.connect().close()
    made.dispose()


FILES = {
    "spool": Spool,
    "inbox": lambda path: Inbox(path, ManualClock(0)).close(),
    "timelines": lambda path: Timelines(path).close(),
    "database": lambda path: open_engine(path).dispose(),
    "playbooks": _of_playbooks,
}


@pytest.fixture
def held(tmp_path):
    """A new file that somebody writes to, without a write-ahead log, and that connection."""
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield path, other


@pytest.mark.parametrize("kind", FILES)
def test_a_new_file_that_another_writes_to_is_waited_for(held, kind):
    path, other = held
    before = path.stat().st_ino
    release = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    release.start()
    FILES[kind](path)
    release.join()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert path.stat().st_ino == before


@pytest.mark.parametrize("kind", FILES)
def test_many_may_make_the_same_file_at_once(tmp_path, kind):
    together = threading.Barrier(TOGETHER)

    def make(path):
        together.wait()
        FILES[kind](path)

    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(make, [tmp_path / "new.db"] * TOGETHER))
    with closing(sqlite3.connect(tmp_path / "new.db")) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_wait_for_a_file_that_others_hold_ends(held):
    with (
        closing(sqlite3.connect(held[0])) as db,
        pytest.raises(sqlite3.OperationalError, match="locked") as raised,
    ):
        durable.write_ahead(db, 0.05)
    assert durable.is_busy(raised.value)


def test_what_is_wrong_with_a_file_is_not_waited_for(tmp_path):
    (tmp_path / "text").write_text("no database at all " * 100)
    with (
        closing(sqlite3.connect(tmp_path / "text")) as db,
        pytest.raises(sqlite3.DatabaseError, match="not a database") as raised,
    ):
        durable.write_ahead(db, 30)
    assert not durable.is_busy(raised.value)


def test_timelines_that_others_hold_are_not_begun_anew(tmp_path, monkeypatch):
    path = tmp_path / "timelines.db"
    with closing(Timelines(path)) as kept:
        kept.note("in-1", {"after": 7})
        monkeypatch.setattr("lemnis.store.timelines._BUSY_SECONDS", 0.05)
        with kept.writing(), pytest.raises(sqlite3.OperationalError, match="locked"):
            Timelines(path)
        assert kept.state("in-1") == {"after": 7}
    with closing(Timelines(path)) as again:
        assert again.state("in-1") == {"after": 7}
