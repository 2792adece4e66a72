"""The notebooks run from top to bottom, and are kept without outputs."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from lemnis import app
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.events import EventBatch

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples/notebooks").glob("*.ipynb"))
START = 20_000 * 86_400_000
MINUTE = 60_000


def event(class_uid, number, minute, **more):
    metadata = {"uid": f"ev-{class_uid}-{number}", "log_name": "sshd" if class_uid == 3002 else "audit"}
    return {
        "class_uid": class_uid, "severity_id": 1, "time": START + minute * MINUTE, "message": f"event {number}",
        "metadata": metadata, **more,
    }  # fmt: skip


def login(number, minute, user, ip):
    return event(3002, number, minute, user={"name": user}, src_endpoint={"ip": ip})


def process(number, minute, user, line):
    return event(1007, number, minute, actor={"user": {"name": user}}, process={"cmd_line": line})


EVENTS = {
    3002: [
        login(0, 1, "amy", "198.51.100.7"),
        login(1, 2, "bob", "198.51.100.7"),
        login(2, 3, "eve", "10.0.0.7"),
    ],
    1007: [
        process(0, 4, "bob", "curl http://x"),
        process(1, 90, "amy", "wget y"),
        process(2, 91, "amy", "ls"),
    ],
}


@pytest.fixture
def names(tmp_path, monkeypatch):
    workspace = app.init(tmp_path / "w", clock=ManualClock(START + 120 * MINUTE))
    for class_uid, rows in EVENTS.items():
        source = rows[0]["metadata"]["log_name"]
        app.lake(workspace).append([EventBatch(class_uid, source, "o", pa.Table.from_pylist(rows))])
    monkeypatch.setattr(app, "open_workspace", lambda: workspace)
    return {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


def test_the_hunt_finds_what_is_there(names, capsys):
    (path,) = [one for one in NOTEBOOKS if one.stem == "hunt"]
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)  # noqa: S102 - our own notebook
    assert [(row["src_endpoint.ip"], row["names"]) for row in names["suspects"]] == [
        ("198.51.100.7", ["amy", "bob"])
    ]
    assert [(row["process.cmd_line"], row["join.src_endpoint.ip"]) for row in names["after"].to_pylist()] == [
        ("curl http://x", "198.51.100.7")
    ]
    assert [hit.uid for hit in names["newest"][:3]] == ["ev-1007-2", "ev-1007-1", "ev-1007-0"]
    assert sum(count for _, count in names["bars"]) == 3
    assert "user.name" in capsys.readouterr().out
