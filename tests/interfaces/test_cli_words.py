"""What commands say of small and empty things: one is one, nothing is told, times can be read."""

import pytest

from lemnis.interfaces.cli import run
from lemnis.interfaces.cli.commands.hunt import _readable
from lemnis.interfaces.cli.output import console, counted, spoken
from lemnis.interfaces.cli.search_view import class_of, show_answer

RULE = """\
title: T
id: 00000000-0000-4000-8000-000000000001
logsource: {product: zeek, service: conn}
detection: {a: {proto: tcp}, condition: a}
level: high
"""
CONN = (
    '{"ts": 1603490250.123456, "uid": "CAbc", "id.orig_h": "10.0.0.1", "id.orig_p": 1, '
    '"id.resp_h": "10.0.0.2", "id.resp_p": 80, "proto": "tcp", "_path": "conn", "conn_state": "SF"}\n'
)


@pytest.mark.parametrize(
    ("number", "what", "said"),
    [
        (1, "row", "1 row"), (0, "row", "0 rows"), (1200, "entry", "1,200 entries"), (2, "day", "2 days"),
        (2, "match", "2 matches"), (3, "more alert", "3 more alerts"),
    ],
)  # fmt: skip
def test_one_is_one(number, what, said):
    assert counted(number, what) == said


def test_what_a_service_tells_of_itself_is_counted():
    facts = {"rules": 1, "problems": 2, "waiting": 0, "port": 1, "host": "here"}
    told = {"rules": "1 rule", "problems": "2 problems", "waiting": "0 deliveries", "port": 1, "host": "here"}
    assert spoken(facts) == told


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("1603490250", "2020-10-23T21:57:30.000Z"), ("1603490250.123456", "2020-10-23T21:57:30.123Z"),
        ("1603490250.1", "2020-10-23T21:57:30.100Z"), ("1603490250123", "2020-10-23T21:57:30.123Z"),
        ("1603490250123456789", "2020-10-23T21:57:30.123Z"), ("20201023215730", "20201023215730"),
        ("02/Feb/2026", "02/Feb/2026"), ("", ""),
    ],
)  # fmt: skip
def test_a_time_that_counts_is_shown_as_a_date(time, said):
    assert _readable(time) == said


def test_hunt_shows_dates_and_counts_one(tmp_path, capsys):
    (tmp_path / "rule.yml").write_text(RULE, encoding="utf-8")
    (tmp_path / "conn.log").write_text(CONN, encoding="utf-8")
    assert run(["hunt", str(tmp_path / "conn.log"), "--rules", str(tmp_path / "rule.yml")]) == 1
    said = capsys.readouterr().out
    assert "2020-10-23" in said
    assert "1603490250" not in said
    assert "1 match of 1 rule in 1 record; 1 rule" in " ".join(said.split())


def test_hunt_says_which_files_hold_no_record(tmp_path, capsys):
    (tmp_path / "empty.json").write_bytes(b"")
    (tmp_path / "conn.log").write_text(CONN, encoding="utf-8")
    assert run(["hunt", str(tmp_path / "empty.json"), str(tmp_path / "conn.log"), "--source", "zeek"]) == 0
    said = capsys.readouterr().err
    assert f"{tmp_path / 'empty.json'} holds no record" in said
    assert "conn.log holds" not in said


def test_ingest_says_which_files_held_nothing_new(tmp_path, capsys):
    assert run(["init", str(tmp_path / "w")]) == 0
    (tmp_path / "empty.json").write_bytes(b"")
    (tmp_path / "conn.log").write_text(CONN, encoding="utf-8")
    there = ["--workspace", str(tmp_path / "w")]
    assert run(["ingest", "zeek", str(tmp_path / "empty.json"), *there]) == 0
    assert "empty.json holds no record\n" in capsys.readouterr().err
    assert run(["ingest", "zeek", str(tmp_path / "conn.log"), *there]) == 0
    assert "1 record read" in capsys.readouterr().out
    assert run(["ingest", "zeek", str(tmp_path / "conn.log"), *there]) == 0
    assert "conn.log holds no record that was not read before" in capsys.readouterr().err


def test_ingest_leaves_out_what_lies_beside_logs_and_is_none(tmp_path, capsys):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "conn.log").write_text(CONN, encoding="utf-8")
    for name in ("LICENSE", "LICENSE.txt", "notes.md", "README"):
        (folder / name).write_text("Permission is granted to nobody.\n", encoding="utf-8")
    place = ["--workspace", str(tmp_path / "soc")]
    assert run(["init", str(tmp_path / "soc")]) == 0
    assert run(["ingest", "auto", str(folder), *place, "--json"]) == 0
    told = capsys.readouterr()
    assert '{"read":1,"accepted":1,"rejected":0,"duplicates":0}' in told.out
    assert "left out, because it is no log: 4 files: LICENSE, LICENSE.txt, README, notes.md\n" in told.err
    assert run(["ingest", "auto", str(folder), *place]) == 0
    assert "holds no record" not in capsys.readouterr().err
    assert run(["ingest", "auto", str(folder / "LICENSE"), *place]) == 2, "who names it means it"
    (folder / "strange.txt").write_text("what is this\n", encoding="utf-8")
    assert run(["ingest", "auto", str(folder), *place]) == 2, "what may be a log is told to be unknown"
    assert "no source recognises it" in capsys.readouterr().err


def test_a_folder_that_is_empty_holds_no_record(tmp_path, capsys):
    assert run(["init", str(tmp_path / "w")]) == 0
    (tmp_path / "empty").mkdir()
    assert run(["ingest", "zeek", str(tmp_path / "empty"), "--workspace", str(tmp_path / "w")]) == 0
    assert "empty holds no record\n" in capsys.readouterr().err


def test_a_row_with_more_columns_than_a_line_has_room_for_is_shown_down(monkeypatch, capsys):
    monkeypatch.setattr(console, "_width", 80)
    names = [f"column_{number}" for number in range(40)]
    show_answer(names, [["", *(f"value {number}" for number in range(1, 40))]])
    lines = capsys.readouterr().out.splitlines()
    assert any("column_7" in line and "value 7" in line for line in lines)
    assert not any("column_0 " in line for line in lines)
    assert "1 row; empty columns are not shown" in lines
    show_answer(["a", "b"], [["1", "2"]])
    assert "1 row" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("class_0", "base_event"), ("class_4007", "ssh_activity"), ("api_activity", "api_activity"),
        ("class_999999", "class_999999"), ("class_x", "class_x"), ("rejects", "rejects"),
    ],
)  # fmt: skip
def test_a_table_is_told_by_its_class(table, said):
    assert class_of(table) == said
