"""Endpoint Security events of macOS: what Sigma asks for is there, whatever kind of event it is."""

import json


def process(path, pid, ppid):
    return {"executable": {"path": path}, "audit_token": {"pid": pid, "euid": 501}, "ppid": ppid}


SHELL = process("/bin/zsh", 41, 40)


def read(parse, *events):
    lines = [
        json.dumps({"time": "2026-02-03T09:00:00Z", "process": SHELL, "event": event}) for event in events
    ]
    records, rejects = parse("eslogger", "\n".join(lines) + "\n")
    assert rejects == []
    return records


def test_an_exec_has_its_command_and_what_it_was_before(parse):
    (record,) = read(parse, {"exec": {"target": process("/bin/ls", 41, 40), "args": ["ls", "-l", "a b"]}})
    wanted = {"event": "exec", "Image": "/bin/ls", "CommandLine": "ls -l a b", "ParentImage": "/bin/zsh",
              "ProcessId": "41", "ParentProcessId": "40", "UserId": "501"}  # fmt: skip
    assert {name: record.get(name) for name in wanted} == wanted


def test_of_other_events_the_process_is_the_image_and_has_no_parent(parse):
    made = {"create": {"destination": {"new_path": {"dir": {"path": "/tmp"}, "filename": "x"}}}}  # noqa: S108
    over = {"rename": {"source": {"path": "/a"}, "destination": {"existing_file": {"path": "/b"}}}}
    execution = {"exec": {"target": process("/bin/ls", 41, 40), "args": ["ls"]}}
    create, rename, _ = read(parse, made, over, execution)
    assert (create["event"], create["TargetFilename"], create["Image"]) == ("create", "/tmp/x", "/bin/zsh")  # noqa: S108
    assert (rename["event"], rename["TargetFilename"]) == ("rename", "/b")
    assert "ParentImage" not in create
    assert "CommandLine" not in create


def test_what_has_no_event_is_left_as_it_is(parse):
    records, _ = parse("eslogger", '{"time": "x"}\n[3]\n{"event": 7}\n')
    assert records == [{"time": "x"}, {"event": "7"}]
