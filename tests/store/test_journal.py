import multiprocessing
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lemnis import app
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import InputError, IntegrityError, ServiceError, UsageError
from lemnis.contracts.journal import NewEntry
from lemnis.interfaces.cli import run
from lemnis.store.database import open_engine, revisions, writing
from lemnis.store.journal import GENESIS, SqlJournal

FIELDS = ("seq", "at", "kind", "subject", "key", "actor", "reason", "payload", "previous", "hash")


def entry(number, **payload):
    return NewEntry("alert", f"in-{number % 3}", f"key-{number}", payload or {"n": number}, reason="because")


def opened(path):
    return SqlJournal(open_engine(path), ManualClock(1000))


def test_an_entry_is_written_once_a_key(tmp_path):
    journal = opened(tmp_path / "j.db")
    first, new = journal.append(entry(1, text="grüße", deep={"a": [1, None, 1.5]}))
    assert new
    assert (first.seq, first.at, first.previous) == (1, 1000, GENESIS)
    assert journal.append(entry(1, text="other")) == (first, False)
    assert journal.append_all([entry(2), entry(2), entry(1)]) == [
        (journal.get("key-2"), True), (journal.get("key-2"), False), (first, False),
    ]  # fmt: skip
    assert journal.get("key-9") is None
    assert journal.verify() == 2


def test_entries_survive_reopening_and_are_found_by_kind_and_subject(tmp_path):
    journal = opened(tmp_path / "j.db")
    journal.append_all([entry(n) for n in range(2500)])
    again = opened(tmp_path / "j.db")
    assert [e.seq for e in again.entries()] == list(range(1, 2501))
    assert [e.seq for e in again.entries(subject="in-1", after=2490)] == [2492, 2495, 2498]
    assert list(again.entries(kind="none")) == []
    assert again.verify() == 2500


@pytest.mark.parametrize("payload", [{"n": 2**70}, {"t": "\ud800"}, {1: 2}, {"o": object()}])
def test_what_is_no_json_is_refused_and_nothing_is_written(tmp_path, payload):
    journal = opened(tmp_path / "j.db")
    with pytest.raises(InputError, match="key-2"):
        journal.append_all([entry(1), NewEntry("k", "s", "key-2", payload)])
    assert journal.verify() == 0


def test_a_transaction_that_fails_writes_nothing(tmp_path):
    journal = opened(tmp_path / "j.db")
    journal._clock = None
    with pytest.raises(AttributeError):
        journal.append_all([entry(1)])
    assert journal.verify() == 0


def test_the_database_itself_refuses_to_change_or_delete_an_entry(tmp_path):
    journal = opened(tmp_path / "j.db")
    journal.append(entry(1))
    for statement in ("UPDATE journal SET actor = 'x'", "DELETE FROM journal"):
        with (
            pytest.raises(sa.exc.IntegrityError, match="append-only"),
            writing(journal._engine) as connection,
        ):
            connection.execute(sa.text(statement))


def unprotected(path):
    opened(path).append_all([entry(n) for n in range(8)])
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER journal_no_update")
        db.execute("DROP TRIGGER journal_no_delete")
    db.close()
    return path


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    return unprotected(tmp_path_factory.mktemp("journal") / "j.db")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 8),
    st.sampled_from(FIELDS),
    st.one_of(st.text(max_size=8), st.integers(-9, 2**40), st.binary(max_size=4)),
)
def test_verify_names_the_first_entry_of_which_any_field_was_changed(chain, seq, field, value):
    db = sqlite3.connect(chain)
    db.text_factory = bytes
    try:
        before = db.execute(f"SELECT {field} FROM journal WHERE seq = ?", [seq]).fetchone()[0]
        try:
            db.execute(f"UPDATE journal SET {field} = ? WHERE seq = ?", [value, seq])
        except (sqlite3.IntegrityError, UnicodeEncodeError):
            return  # the table's own constraints refused it
        after = db.execute(f"SELECT {field} FROM journal WHERE rowid = ?", [value if field == "seq" else seq])
        if after.fetchone()[0] == before:
            return
        db.commit()
        with pytest.raises(IntegrityError) as caught:
            opened(chain).verify()
        where = min(seq, value) if field == "seq" and value > 0 else seq
        assert caught.value.at.record == where
        db.execute(
            f"UPDATE journal SET {field} = CAST(? AS {'INTEGER' if field in ('seq', 'at') else 'TEXT'}) WHERE seq = ?",
            [before, value if field == "seq" else seq],
        )
        db.commit()
    finally:
        db.close()
    assert opened(chain).verify() == 8


def test_a_missing_entry_and_a_cut_end_are_seen(tmp_path):
    copy = unprotected(tmp_path / "j.db")
    head = opened(copy).head()[1]
    db = sqlite3.connect(copy)
    db.execute("DELETE FROM journal WHERE seq = 8")
    db.commit()
    assert opened(copy).verify() == 7
    with pytest.raises(IntegrityError, match="none with the hash"):
        opened(copy).verify(anchor=head)
    db.execute("DELETE FROM journal WHERE seq = 3")
    db.commit()
    db.close()
    with pytest.raises(IntegrityError, match="entry 3 is missing"):
        opened(copy).verify()


def write_many(path, worker):
    journal = opened(path)
    for number in range(25):
        journal.append_all([entry(worker * 1000 + number), entry(9_000_000 + number)])


def test_processes_that_open_and_write_at_once_keep_one_chain(tmp_path):
    path = tmp_path / "j.db"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=write_many, args=(path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    journal = opened(path)
    assert journal.verify() == 125
    assert len({e.key for e in journal.entries()}) == 125


def test_a_database_that_cannot_be_opened_says_so(tmp_path):
    (tmp_path / "bad.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(ServiceError, match="not a database"):
        open_engine(tmp_path / "bad.db")
    with pytest.raises(UsageError):
        open_engine("nonsense")
    with pytest.raises(ServiceError, match="does not open") as caught:
        open_engine("postgresql+psycopg://user:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)


def test_a_database_of_a_newer_version_is_refused(tmp_path):
    opened(tmp_path / "j.db")
    with sqlite3.connect(tmp_path / "j.db") as db:
        db.execute("UPDATE alembic_version SET version_num = 'r9999_future'")
    db.close()
    with pytest.raises(ServiceError, match="another version"):
        open_engine(tmp_path / "j.db")


def test_the_command_verifies_lists_and_names_what_is_broken(tmp_path, capsys):
    workspace = app.init(tmp_path / "w")
    app.journal(workspace).append_all([entry(1), entry(2)])
    at = ["--workspace", str(workspace.root)]
    assert run(["journal", "verify", "--json", *at]) == 0
    head = app.journal(workspace).head()[1]
    assert head in capsys.readouterr().out
    assert run(["journal", "list", "--json", "--subject", "in-2", *at]) == 0
    assert '"id":2' in capsys.readouterr().out
    with sqlite3.connect(workspace.state / "journal.db") as db:
        db.execute("DROP TRIGGER journal_no_update")
        db.execute("UPDATE journal SET actor = 'mallory' WHERE seq = 2")
    db.close()
    assert run(["journal", "verify", "--anchor", head, *at]) == 1
    assert "journal#2" in capsys.readouterr().err


def test_revisions_are_one_line_named_as_their_files():
    config = Config()
    config.set_main_option("script_location", "lemnis.store:migrations")
    config.set_main_option("path_separator", "os")
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())
    assert [script.revision for script in reversed(scripts)] == revisions()
    assert [Path(script.path).stem for script in reversed(scripts)] == revisions()


@pytest.mark.parametrize("damage", ["gone", "overwritten"])
def test_a_damaged_database_is_told_as_such(tmp_path, capsys, damage):
    workspace = app.init(tmp_path / "w")
    app.journal(workspace).append_all([entry(number) for number in range(200)])
    place = workspace.state / "journal.db"
    with sqlite3.connect(place) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if damage == "gone":
            db.execute("DROP TABLE journal")
    db.close()
    if damage == "overwritten":
        with place.open("r+b") as file:
            file.seek(4096 * 2)
            file.write(b"\xa5" * (place.stat().st_size - 4096 * 3))
    assert run(["journal", "verify", "--workspace", str(workspace.root)]) == 3
    said = capsys.readouterr().err
    assert "journal.db" in said
    assert "defect" not in said
    assert "SELECT" not in said
