"""`lemnis lake` as people and scripts use it: what it prints, and its exit codes."""

import json
import secrets
import sqlite3
from contextlib import closing

import pytest
import yaml
from lakes import DAY, START, batch

from lemnis import app
from lemnis.contracts.clock import ManualClock, to_iso
from lemnis.interfaces.cli import run

NOW = START + 20 * DAY
RETENTION = {
    "purposes": {
        "security_monitoring": {"days": 10, "raw_days": 5, "basis": "GDPR Art. 6(1)(f)"},
        "debugging": {"days": 2},
    },
    "rules": [{"purpose": "debugging", "sources": ["debug_*"]}],
    "default": "security_monitoring",
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    workspace = app.init(tmp_path / "w")
    monkeypatch.setattr(app, "default_clock", lambda: ManualClock(NOW))
    lake = app.lake(app.open_workspace(workspace.root))
    for start in (0, 40):
        lake.append([
            batch(range(start, start + 40), step=DAY // 4), batch(range(1000 + start, 1040 + start), source="debug_x", step=18_000),
        ])  # fmt: skip
        lake.flush()
    return workspace.root


@pytest.fixture
def lemnis(root, capsys):
    def call(*arguments, code=0):
        capsys.readouterr()
        assert run([*arguments, "--workspace", str(root)]) == code
        captured = capsys.readouterr()
        call.err = captured.err
        return (
            [json.loads(line) for line in captured.out.splitlines()]
            if "--json" in arguments
            else captured.out
        )

    return call


def settings(root, **more):
    path = root / app.SETTINGS
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **more}))


def count(lemnis):
    return lemnis("sql", "SELECT count(*) AS n, count(raw_data) AS raw FROM events", "--json")[0]


def test_status_and_compaction(lemnis):
    (table, spool) = lemnis("lake", "status", "--json")
    assert (table["name"], table["rows"], table["version"], table["oldest_version"]) == (
        "process_activity",
        160,
        2,
        0,
    )
    assert table["ratio"] > 0
    assert spool == {"name": "(spool)", "rows": 0, "bytes": 0, "holds": []}
    *days, last = lemnis("lake", "compact", "--min-files", "2", "--json")
    assert last["days"] == len(days) == 1
    assert (days[0]["files"], days[0]["new_files"]) == (2, 1)
    assert "160 rows in the tables" in lemnis("lake", "status")
    assert "0 days rewritten" in lemnis("lake", "compact")


def test_history_and_the_past(lemnis):
    found = lemnis("lake", "history", "process_activity", "--json")
    assert [one["operation"] for one in found] == ["flush", "flush", "create"]
    assert [one["total"] for one in found] == [160, 80, 0]
    ask = ("sql", "SELECT count(*) AS n FROM process_activity", "--json")
    assert lemnis(*ask, "--as-of", "1") == [{"n": 80}]
    assert lemnis(*ask, "--as-of", to_iso(found[1]["at"])) == [{"n": 80}]
    assert lemnis(*ask, "--as-of", "now") == [{"n": 160}]
    lemnis(*ask, "--as-of", "soon", code=2)
    lemnis(*ask, "--as-of", "9", code=2)
    assert "there are 0 to 2" in lemnis.err
    lemnis("lake", "history", "nosuch", code=2)
    assert "flush" in lemnis("lake", "history", "--limit", "1")


def test_check_says_what_is_wrong_and_ends_with_1(lemnis, root):
    assert lemnis("lake", "check", "--deep", "--json")[-1]["ok"]
    assert "whole" in lemnis("lake", "check")
    path = next((root / ".lemnis/lake/tables/process_activity").glob("day=*/*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    *findings, last = lemnis("lake", "check", "--deep", "--json", code=1)
    assert not last["ok"]
    assert findings[0]["at"].endswith(path.name)
    assert findings[0]["kind"] in {"file-page", "file-changed", "file-unreadable"}
    lemnis("lake", "check", "--deep", code=1)
    assert path.name in lemnis.err
    assert "restore the file" in lemnis.err


def test_check_of_a_spool_that_is_no_database(lemnis, root):
    (root / ".lemnis/lake/spool.db").write_bytes(b"no database" * 1000)
    (finding, _) = lemnis("lake", "check", "--json", code=1)
    assert finding["kind"] == "spool-damaged"


def test_nothing_goes_without_a_policy(lemnis):
    lemnis("lake", "retain", code=2)
    assert "kept for ever" in lemnis.err
    assert count(lemnis) == {"n": 160, "raw": 160}


def test_a_policy_that_names_no_purpose_is_refused_with_its_place(lemnis, root):
    settings(root, retention={**RETENTION, "default": "securty"})
    lemnis("lake", "retain", "--plan", code=2)
    assert "lemnis.yaml" in lemnis.err
    assert "securty" in lemnis.err


def test_retention_is_planned_done_and_written_down(lemnis, root):
    settings(root, retention=RETENTION)
    *losses, plan = lemnis("lake", "retain", "--plan", "--json")
    assert plan["rows"] == sum(one["rows"] for one in losses) == 40 + 80
    assert plan["raw"] == 20
    assert {tuple(one["purposes"]) for one in losses} == {("security_monitoring",), ("debugging",)}
    assert count(lemnis) == {"n": 160, "raw": 160}
    done = lemnis("lake", "retain", "--reason", "quarterly", "--as", "dpo", "--json")[-1]
    assert (done["rows"], done["raw"]) == (120, 20)
    assert count(lemnis) == {"n": 40, "raw": 20}
    begun, ended = (e for e in lemnis("journal", "list", "--json") if e["kind"].startswith("lake.retention"))
    assert (begun["kind"], ended["kind"]) == ("lake.retention.begun", "lake.retention.done")
    assert (ended["actor"], ended["reason"]) == ("dpo", "quarterly")
    assert ended["payload"]["policy"] == plan["policy"]
    assert ended["payload"]["rows"] == 120
    assert ended["payload"]["purposes"][0]["basis"] == ""
    assert {one["name"]: one["basis"] for one in ended["payload"]["purposes"]}["security_monitoring"]
    assert lemnis("lake", "history", "--json")[0]["facts"]["lemnis.run"] == done["run"]
    assert "past their time: 0 rows" in lemnis("lake", "retain")
    assert lemnis("lake", "check", "--deep", "--json")[-1]["ok"]
    assert not any(
        "message 1 " in p.read_bytes().decode("latin-1")
        for p in (root / ".lemnis/lake").rglob("*")
        if p.is_file()
    )


def test_nothing_is_left_in_free_pages_of_the_spool_either(lemnis, root):
    settings(root, retention=RETENTION)
    secret = secrets.token_hex(4000).encode()
    lake = root / ".lemnis" / "lake"
    with closing(sqlite3.connect(lake / "spool.db", isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete = OFF")  # some builds of SQLite have it on, most have not
        db.execute("INSERT INTO segments (name, rows, data) VALUES ('process_activity', 0, ?)", (secret,))
        db.execute("DELETE FROM segments WHERE rows = 0")
        assert any(secret[100:200] in path.read_bytes() for path in lake.glob("spool.db*"))
        lemnis("lake", "retain")
    assert not any(secret[100:200] in path.read_bytes() for path in lake.rglob("*") if path.is_file())
    assert lemnis("lake", "check", "--deep", "--json")[-1]["ok"]


def test_the_search_index_follows_what_went(lemnis, root, monkeypatch):
    monkeypatch.setattr("lemnis.store.index.WORTH_ROWS", 1)
    settings(root, retention=RETENTION)
    assert app.lake(app.open_workspace(root)).refresh_index() > 0
    before = set((root / ".lemnis/lake/index").rglob("*.grams2"))
    lemnis("lake", "retain")
    after = set((root / ".lemnis/lake/index").rglob("*.grams2"))
    assert before - after  # a file that is gone has no index
    assert len(after) == sum(one["files"] for one in lemnis("lake", "status", "--json") if "files" in one)


def test_a_hold_holds_until_it_is_released(lemnis, root):
    settings(root, retention=RETENTION)
    held = lemnis(
        "lake", "hold", "add", "case-7", "--reason", "letter of counsel", "--source", "linux",
        "--until", to_iso(START + 2 * DAY), "--as", "counsel", "--json",
    )  # fmt: skip
    assert (held[0]["name"], held[0]["active"], held[0]["actor"]) == ("case-7", True, "counsel")
    lemnis("lake", "hold", "add", "case-7", "--reason", "again", code=2)
    lemnis("lake", "hold", "add", "case-8", "--reason", " ", code=2)
    *losses, plan = lemnis("lake", "retain", "--plan", "--json")
    assert (plan["held"], plan["holds"]) == (8, ["case-7"])
    assert [one["holds"] for one in losses if one["held"]] == [["case-7"]] * 2
    lemnis("lake", "retain")
    assert "by case-7" in lemnis.err
    assert count(lemnis) == {"n": 48, "raw": 28}
    lemnis("lake", "hold", "release", "nosuch", "--reason", "x", code=2)
    lemnis("lake", "hold", "release", "case-7", "--reason", "closed", "--as", "counsel")
    assert lemnis("lake", "hold", "list", "--json") == []
    assert lemnis("lake", "hold", "list", "--all", "--json")[0]["released"] == "closed"
    lemnis("lake", "retain")
    assert count(lemnis) == {"n": 40, "raw": 20}
    lemnis("lake", "hold", "add", "case-7", "--reason", "opened again")
    assert [one["active"] for one in lemnis("lake", "hold", "list", "--all", "--json")] == [False, True]
    assert lemnis("journal", "verify", "--json")[0]["ok"]


def test_a_hold_by_search_holds_what_it_finds(lemnis, root):
    settings(root, retention=RETENTION)
    lemnis("lake", "hold", "add", "h", "--reason", "r", "--search", 'message:"message 3" source:linux')
    lemnis("lake", "hold", "add", "bad", "--reason", "r", "--search", "nosuch:(", code=2)
    assert lemnis("lake", "retain", "--plan", "--json")[-1]["held"] == 1
    lemnis("lake", "retain")
    assert count(lemnis) == {"n": 41, "raw": 21}
