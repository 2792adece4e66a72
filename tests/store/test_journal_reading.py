"""What is read of the journal without reading all of it: subjects, hashes, rows, the last entry."""

import sqlite3

import pytest

from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import IntegrityError
from lemnis.contracts.journal import NewEntry
from lemnis.store.database import open_engine
from lemnis.store.journal import SqlJournal


@pytest.fixture
def journal(tmp_path):
    made = SqlJournal(open_engine(tmp_path / "journal.db"), ManualClock(1000))
    made.append_all(
        [
            NewEntry(kind, subject, f"{kind}:{subject}", {"text": text})
            for kind, subject, text in [
                ("opened", "in-20", "al-1"), ("opened", "in-1%", "al-2"), ("joined", "in-20", "al-3"),
                ("note", "in-20", "al-2"), ("opened", "in-10", "al-22"),
            ]
        ]
    )  # fmt: skip
    return made


def test_subjects_are_found_by_kind_beginning_and_what_they_mention(journal):
    assert journal.subjects(["opened"]) == ["in-20", "in-1%", "in-10"]
    assert journal.subjects(["opened"], beginning="in-1") == ["in-1%", "in-10"]
    assert journal.subjects(["opened"], beginning="in-1%") == ["in-1%"]
    assert journal.subjects(["opened"], beginning="in-_") == []
    assert journal.subjects(["opened", "joined"], mentioning='"al-3"') == ["in-20"]
    assert journal.subjects(["opened", "joined"], mentioning='"al-2"') == ["in-1%"]
    assert journal.subjects([]) == []


def test_the_last_entry_of_some_subjects_and_entries_by_their_keys(journal):
    assert journal.last(["in-20"]) == 4
    assert journal.last(["in-20", "in-10"]) == 5
    assert journal.last(["in-9"]) == journal.last([]) == 0
    assert {key: one.seq for key, one in journal.of_keys(["joined:in-20", "x"]).items()} == {
        "joined:in-20": 3
    }


def test_rows_are_what_was_hashed_and_hashes_come_in_order(journal):
    every = list(journal.entries())
    rows = list(journal.rows(["in-20"], up_to=3))
    assert [row["seq"] for row in rows] == [1, 3]
    assert rows[0]["payload"] == '{"text":"al-1"}'
    assert list(journal.hashes(4)) == [one.hash for one in every[:4]]


def test_a_hash_that_is_missing_is_told_with_its_number(journal, tmp_path):
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("DROP TRIGGER journal_no_delete")
        connection.execute("DELETE FROM journal WHERE seq = 3")
    connection.close()
    with pytest.raises(IntegrityError, match="entry 3 is missing"):
        list(journal.hashes(5))


def test_more_hashes_than_there_are_entries_is_a_journal_that_was_cut(journal):
    with pytest.raises(IntegrityError, match="entry 6 is missing"):
        list(journal.hashes(9))
