import csv
import itertools
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
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


# -- what search shows and writes ---------------------------------------------------------------------------------


@pytest.fixture
def found(at, tmp_path):
    lake = app.lake(app.open_workspace(tmp_path / "w"))
    row = {
        "class_uid": 6003, "time": START + 5000, "severity_id": 5, "message": "=cmd|' /C calc'!A0", "metadata": {"uid": "f", "log_name": "aws"},
        "user": {"name": "@sum"}, "labels": ["a", "b"], "raw_data": "raw \x1b[31mred",
    }  # fmt: skip
    lake.append([EventBatch(6003, "aws", "o", pa.Table.from_pylist([row]))])
    return at


def test_rows_are_shown_and_printed(found, capsys):
    assert run(["search", "| stats count, max(time) as last by class", "--json", *found]) == 0
    assert lines(capsys)[1] == {"class": "authentication", "count": 1, "last": START}
    assert run(["search", "| stats count, max(time) as last by class", *found]) == 0
    shown = capsys.readouterr().out
    assert "2024-10-04" in shown
    assert "process_activity" in shown
    assert run(["search", "class:process_activity | eval n = 1 + 1 | head 1", "--json", *found]) == 0
    (hit,) = lines(capsys)
    assert (hit["more"], hit["event"]["message"]) == ({"n": 2}, "message 19")
    assert run(["search", "uid:f", "--raw", *found]) == 0
    assert capsys.readouterr().out == "raw \\x1b[31mred\n"


def test_a_histogram_shows_when(found, capsys):
    assert run(["search", "class:process_activity | sort message", "--histogram", "--json", *found]) == 0
    bars = lines(capsys)
    assert sum(bar["count"] for bar in bars) == 20
    assert len({later["time"] - bar["time"] for bar, later in itertools.pairwise(bars)}) == 1
    assert run(["search", "class:process_activity", "--histogram", *found]) == 0
    assert "█" in capsys.readouterr().out
    assert run(["search", "nothing_of_this", "--histogram", *found]) == 0


def test_fields_and_values_are_completed(found, capsys):
    def texts(text):
        assert run(["search", text, "--complete", "--json", *found]) == 0
        return {one["text"]: one["count"] for one in lines(capsys)}

    assert texts("user.na") == {"user.name": 1}
    assert texts("class:process_activity proc") == {"process.name": 16, "process.args": 11}
    names = texts("process.name:p")
    assert names["process.name:p1"] == 2
    assert sum(names.values()) == 16
    assert texts("class:process_activity class:a") == {"class:api_activity": 0, "class:authentication": 0}
    assert texts("user.name:") == {"user.name:@sum": 1}
    assert texts("a | st") == {"stats": 0}
    assert next(iter(texts("a | stats co"))) == "count"
    assert texts("a | join us") == {"user": 0}
    assert "source" in texts("a | stats count by so")
    assert texts("@root") == {"@root_logins_from_outside": 0}
    assert run(["search", "user.na", "--complete", *found]) == 0
    assert "user.name" in capsys.readouterr().out


def test_fields_are_listed_with_what_is_in_them(found, capsys):
    assert run(["search", "name", "--fields", "--json", *found]) == 0
    listed = {one["name"]: one for one in lines(capsys)}
    assert listed["user.name"] == {
        "name": "user.name",
        "type": "text",
        "classes": ["api_activity"],
        "sampled": 1,
        "filled": 1.0,
        "examples": ["@sum"],
    }
    assert listed["actor.process.name"]["filled"] == 0.8
    assert listed["metadata.log_name"]["classes"] == ["api_activity", "process_activity"]
    assert run(["search", "--fields", *found]) == 0
    assert "severity_id" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["parquet", "json", "ndjson", "csv"])
def test_events_are_written_to_a_file(found, tmp_path, suffix, capsys):
    path = tmp_path / f"out.{suffix}"
    assert run(["search", "", "--output", str(path), "--json", *found]) == 0
    assert lines(capsys) == [{"file": str(path), "rows": 22, "more": False}]
    if suffix == "parquet":
        table = pq.read_table(path)
        assert sorted(set(table.column("class").to_pylist())) == [
            "api_activity",
            "authentication",
            "process_activity",
        ]
        rows = [(row["class"], row["metadata"]["uid"], row["message"]) for row in table.to_pylist()]
    elif suffix == "csv":
        rows = [
            (row["class"], row["uid"], row["message"])
            for row in csv.DictReader(path.read_text("utf-8").splitlines())
        ]
        assert [row[2] for row in rows if row[0] == "api_activity"] == ["'=cmd|' /C calc'!A0"]
    else:
        text = path.read_text("utf-8")
        objects = json.loads(text) if suffix == "json" else [json.loads(line) for line in text.splitlines()]
        rows = [(one["class"], one["uid"], one["event"]["message"]) for one in objects]
    assert len({row[1] for row in rows}) == 22
    assert not list(tmp_path.glob(".new-*"))


@pytest.mark.parametrize("suffix", ["parquet", "json", "ndjson", "csv"])
@pytest.mark.parametrize(
    "query",
    [
        "class:api_activity | table time, user.name, labels, class_uid",
        "nothing_at_all | table time, user.name, labels, class_uid",
    ],
)
def test_rows_are_written_to_a_file(found, tmp_path, suffix, query):
    path = tmp_path / f"out.{suffix}"
    assert run(["search", query, "--output", str(path), *found]) == 0
    empty = query.startswith("nothing")
    if suffix == "parquet":
        table = pq.read_table(path)
        assert table.column_names == ["time", "user.name", "labels", "class_uid"]
        assert [row["time"].isoformat() for row in table.to_pylist()] == (
            [] if empty else ["2024-10-04T00:00:05+00:00"]
        )
    elif suffix == "csv":
        body = [] if empty else ['2024-10-04T00:00:05.000Z,\'@sum,"[""a"",""b""]",6003']
        assert path.read_text("utf-8").splitlines() == ["time,user.name,labels,class_uid", *body]
    else:
        expected = (
            []
            if empty
            else [{"time": START + 5000, "user.name": "@sum", "labels": ["a", "b"], "class_uid": 6003}]
        )
        text = path.read_text("utf-8")
        assert (
            json.loads(text) if suffix == "json" else [json.loads(line) for line in text.splitlines()]
        ) == expected


def test_what_cannot_be_written_leaves_no_file(found, tmp_path, capsys):
    path = tmp_path / "out.csv"
    path.write_text("before", encoding="utf-8")
    assert run(["search", "no.such.field:1", "--output", str(path), *found]) == 2
    assert run(["search", "", "--output", str(tmp_path / "out.xlsx"), *found]) == 2
    assert "no format .xlsx" in capsys.readouterr().err
    assert path.read_text("utf-8") == "before"
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["out.csv"]


STOPPED = """
import os, signal, sys, threading
from lemnis.interfaces.cli import run
from lemnis.store.searching import windows
backwards = windows.backwards
def slowly(parts, start, end, rows):
    for number, window in enumerate(backwards(parts, start, end, 5)):
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)
        yield window
windows.backwards = slowly
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize("output", [[], ["--output", "out.csv"]])
def test_ctrl_c_ends_a_search_with_what_it_had(at, tmp_path, output):
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, "search", "message", *at, *(output or ["--json"])],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 130
    assert "stopped" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.csv").exists()
    if not output:
        assert 0 < len(done.stdout.splitlines()) < 20
