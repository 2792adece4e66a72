import json

import pyarrow as pa
import pytest
from lakes import START, batch

from lemnis import app
from lemnis.contracts.errors import Location
from lemnis.contracts.events import EventBatch, Reject
from lemnis.interfaces.cli import run


@pytest.fixture
def at(tmp_path):
    workspace = app.init(tmp_path / "w")
    lake = app.lake(workspace)
    lake.append([batch(range(20))], rejects=[Reject(Location("a.log", record=3), "no JSON", b"\xffx")])
    lake.append([EventBatch(3002, "sshd", "o", pa.Table.from_pylist(
        [{"class_uid": 3002, "time": START, "message": "[red]x" + "y" * 300, "metadata": {"uid": "u"}}]
    ))])  # fmt: skip
    return ["--workspace", str(workspace.root)]


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_sql_prints_one_object_a_row(at, capsys):
    query = "SELECT class_uid, count(*) AS n, sum(time) AS s, max(day) AS d FROM events GROUP BY 1 ORDER BY 1"
    assert run(["sql", query, "--json", *at]) == 0
    assert lines(capsys)[1] == {"class_uid": 3002, "n": 1, "s": START, "d": "2024-10-04"}
    assert run(["sql", "SELECT raw, file FROM rejects", "--json", *at]) == 0
    assert lines(capsys) == [{"raw": "\\xffx", "file": "a.log"}]


def test_sql_says_when_there_is_more(at, capsys):
    assert run(["sql", "SELECT message FROM events", "--limit", "5", "--json", *at]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 5
    assert "more than 5" in captured.err


def test_sql_without_a_query_lists_the_tables(at, capsys):
    assert run(["sql", "--json", *at]) == 0
    assert {t["name"]: t["rows"] for t in lines(capsys)} == {
        "authentication": 1,
        "process_activity": 20,
        "rejects": 1,
    }
    assert run(["sql", *at]) == 0
    assert "process_activity" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [
    ["sql", "DROP TABLE events"], ["sql", "SELECT x FROM events"], ["search", "nosuchfield:1"], ["search", "(a"],
    ["search", "a", "--since", "soon"], ["sql", "SELECT count(*) FROM range(1000000) a, range(1000000) b", "--timeout", "0.2"],
])  # fmt: skip
def test_what_cannot_be_asked_exits_2(at, arguments, capsys):
    assert run([*arguments, *at]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error:")
    assert "Traceback" not in error


def test_search_finds_and_shows(at, capsys):
    assert run(["search", "message:'x' OR uid:u", "--json", *at]) == 0
    (hit,) = lines(capsys)
    assert (hit["uid"], hit["time"], hit["class"]) == ("u", START, "authentication")
    assert hit["event"]["metadata"] == {"uid": "u"}
    assert run(["search", "--since", "2024-10-04T00:18:00Z", "--json", *at]) == 0
    assert [hit["event"]["message"] for hit in lines(capsys)] == ["message 19", "message 18"]
    assert run(["search", "uid:u", *at]) == 0
    shown = capsys.readouterr().out
    assert "[red]x" in shown
    assert "…" in shown


def test_no_workspace_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["search", "x"]) == 2
    assert "lemnis init" in capsys.readouterr().err
