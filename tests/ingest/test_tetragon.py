"""Tetragon's events: what their one object holds stands for itself, and the command is whole."""

import json

import pytest

from lemnis.ingest.parsers import Start, tetragon
from lemnis.ingest.streams import Stream

SHELL = {"exec_id": "a:1", "binary": "/bin/sh", "arguments": "-c id", "pid": 7}
BARE = {"exec_id": "a:2", "binary": "/usr/bin/id", "arguments": ""}


@pytest.fixture
def parsed(tmp_path):
    """Parse events of three kinds, and one that has no process at all."""
    events = [
        {
            "process_exec": {"process": SHELL, "parent": BARE},
            "node_name": "n",
            "time": "2026-03-02T18:00:00Z",
        },
        {"process_exit": {"process": BARE, "status": 1}, "time": "2026-03-02T18:00:01Z"},
        {"process_kprobe": {"process": SHELL, "args": [{"int_arg": 4}]}, "time": "2026-03-02T18:00:02Z"},
        {"node_name": "n", "time": "2026-03-02T18:00:03Z"},
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in events) + "no JSON\n")
    (some,) = tetragon.parse(Stream(path), {}, Start(), whole=True)
    return some


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("kind", ["process_exec", "process_exit", "process_kprobe", None]),
        ("process.binary", ["/bin/sh", "/usr/bin/id", "/bin/sh", None]),
        ("CommandLine", ["/bin/sh -c id", "/usr/bin/id", "/bin/sh -c id", None]),
        ("ParentCommandLine", ["/usr/bin/id", None, None, None]),
        ("status", [None, "1", None, None]),
        ("node_name", ["n", None, None, "n"]),
    ],
)
def test_fields_are_those_of_the_event(parsed, field, values):
    assert parsed.fields.column(field).to_pylist() == values


def test_a_list_of_arguments_is_kept_as_it_is_written(parsed):
    *none, text, last = parsed.fields.column("args").to_pylist()
    assert [*none, last] == [None, None, None]
    assert json.loads(text) == [{"int_arg": 4}]


def test_nothing_is_left_under_the_name_of_a_kind(parsed):
    assert not [name for name in parsed.fields.column_names if name.startswith("process_")]


def test_what_is_no_event_is_a_reject(parsed):
    assert [reject.at.record for reject in parsed.rejects] == [5]
