"""Evidence: collected, looked at, handed over, packed and checked; and the journal's signed checkpoints."""

# ruff: noqa: F401, F811 - fixtures that are imported

import shutil
import sqlite3

import orjson
import pytest
from worked import ask, at, clock, lines

from lemnis import app
from lemnis.app import incidents_evidence
from lemnis.contracts.errors import IntegrityError
from lemnis.store.vault import FileVault


@pytest.fixture
def name(ask, tmp_path):
    found = lines(ask("incident", "list", "--json"))[0]["id"]
    (tmp_path / "mail.eml").write_bytes(b"From: x\n" * 1000)
    ask("incident", "evidence", "add", found, str(tmp_path / "mail.eml"), "--reason", "from the mailbox")
    return found


def test_custody_says_who_did_what_and_why(ask, name, tmp_path):
    copy = tmp_path / "copy.eml"
    assert (
        "says why"
        in ask(
            "incident", "evidence", "get", name, "mail.eml", "--out", str(copy), "--reason", "", code=2
        ).err
    )
    ask(
        "incident",
        "evidence",
        "get",
        name,
        "mail.eml",
        "--out",
        str(copy),
        "--reason",
        "headers",
        "--as",
        "elif",
    )
    assert copy.read_bytes() == b"From: x\n" * 1000
    ask("incident", "evidence", "transfer", name, "mail.eml", "--to", "police", "--reason", "case 17")
    (one,) = lines(ask("incident", "evidence", "list", name, "--json"))
    assert [(s["act"], s["actor"], s["reason"], s["to"]) for s in one["custody"]] == [
        ("collected", "ana", "from the mailbox", ""),
        ("accessed", "elif", "headers", ""),
        ("transferred", "ana", "case 17", "police"),
    ]
    assert one["holder"] == "police"
    assert "transferred to police" in ask("incident", "evidence", "list", name).out
    assert (
        "no evidence"
        in ask("incident", "evidence", "get", name, "zz", "--out", "-", "--reason", "x", code=2).err
    )


def test_a_package_is_written_once_and_holds_until_it_is_changed(at, ask, name, tmp_path):
    package = tmp_path / "evidence.zip"
    assert "needs its reason" in ask("incident", "export", name, "--package", str(package), code=2).err
    made = lines(
        ask(
            "incident",
            "export",
            name,
            "--package",
            str(package),
            "--reason",
            "for court",
            "--to",
            "court",
            "--json",
        )
    )[0]
    assert made["evidence"] == 1
    assert (
        "a file already"
        in ask("incident", "export", name, "--package", str(package), "--reason", "x", code=2).err
    )
    public = at.state / "keys" / "journal.pub"
    told = lines(ask("incident", "verify", str(package), "--key", str(public), "--json"))[0]
    assert (told["ok"], told["trusted"], told["incident"], told["evidence"]) == (True, True, name, 1)
    assert "whose key is it?" in ask("incident", "verify", str(package)).out
    (one,) = lines(ask("incident", "evidence", "list", name, "--json"))
    assert [(s["act"], s["to"]) for s in one["custody"]] == [("collected", ""), ("exported", "court")]
    data = bytearray(package.read_bytes())
    place = data.index(b"From: x")
    data[place] ^= 1
    package.write_bytes(data)
    assert f"evidence/{one['id'][7:]}" in ask("incident", "verify", str(package), code=1).out
    assert "no such file" in ask("incident", "verify", str(tmp_path / "none.zip"), code=2).err.lower()


def test_evidence_that_was_altered_is_not_packed(at, ask, name, tmp_path):
    digest = lines(ask("incident", "evidence", "list", name, "--json"))[0]["id"]
    FileVault(at.state / "vault").place(digest).write_bytes(b"something else")
    refused = ask("incident", "export", name, "--package", str(tmp_path / "p.zip"), "--reason", "x", code=1)
    assert "was altered" in refused.err
    assert not (tmp_path / "p.zip").exists()


def test_checkpoints_hold_until_the_journal_is_rewritten(at, ask, name, tmp_path):
    kept = tmp_path / "checkpoint.json"
    first = lines(ask("journal", "checkpoint", "--out", str(kept), "--json"))[0]
    assert orjson.loads(kept.read_bytes())["signatures"][0]["keyid"] == first["key"]
    ask("incident", "note", name, "one more")
    ask("journal", "checkpoint")
    assert "2 checkpoints hold" in ask("journal", "checkpoint", "--check").out
    assert (at.state / "keys" / "journal").stat().st_mode & 0o777 == 0o600
    database = at.state / "journal.db"
    shutil.copy(database, tmp_path / "copy.db")
    with sqlite3.connect(database) as connection:
        connection.execute("DROP TRIGGER journal_no_update")
        connection.execute("UPDATE journal SET hash = 'sha256:' || substr(hash, 9) || '0' WHERE seq = 2")
    connection.close()
    assert "its first" in ask("journal", "checkpoint", "--check", code=1).err
    with pytest.raises(IntegrityError):
        app.journal(at).verify()


def test_two_who_write_at_once_are_both_in_the_chain(at, name, monkeypatch):
    real, rival = incidents_evidence._held, []

    def held(journal, one):
        found = real(journal, one)
        if not rival:
            rival.append(1)
            incidents_evidence.transfer(at, one.id, "mail.eml", to="police", actor="elif", reason="first")
        return found

    monkeypatch.setattr(incidents_evidence, "_held", held)
    after = incidents_evidence.transfer(at, name, "mail.eml", to="court", actor="ana", reason="second")
    assert [step.to for step in after.steps] == ["", "police", "court"]
