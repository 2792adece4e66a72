"""The journal: named as syslog where syslog has the same; bytes become text, several values a list."""

import json

ENTRY = {
    "__REALTIME_TIMESTAMP": "1770109201123456", "__CURSOR": "s=1", "_HOSTNAME": "web1", "_PID": "7", "PRIORITY": "3",
    "SYSLOG_FACILITY": "10", "SYSLOG_IDENTIFIER": "sudo", "MESSAGE": "hello", "_UID": "0",
}  # fmt: skip


def read(parse, *entries):
    records, rejects = parse("journald", "\n".join(json.dumps(entry) for entry in entries) + "\n")
    assert rejects == []
    return records


def test_what_syslog_has_too_is_named_as_there(parse):
    (record,) = read(parse, ENTRY)
    assert record == {
        "time": "2026-02-03T09:00:01.123456Z", "host": "web1", "pid": "7", "severity": "error",
        "facility": "authpriv", "program": "sudo", "message": "hello", "_UID": "0", "__CURSOR": "s=1",
    }  # fmt: skip


def test_bytes_are_text_and_several_values_a_list(parse):
    odd = {**ENTRY, "MESSAGE": [104, 105, 255, 10, 33], "EXAMPLE": ["12", "34"], "ONE": [65]}
    first, second = read(parse, odd, {**ENTRY, "EXAMPLE": "plain", "MESSAGE": None})
    assert first["message"] == "hi\\xff\n!"
    assert (first["EXAMPLE"], first["ONE"]) == (["12", "34"], "A")
    assert second["EXAMPLE"] == ["plain"]
    assert "message" not in second


def test_what_is_odd_is_left_as_it_is(parse):
    bare = {
        "__REALTIME_TIMESTAMP": "soon",
        "PRIORITY": "99",
        "_COMM": "app",
        "SYSLOG_PID": "5",
        "N": [1, 300],
    }
    (record,) = read(parse, bare)
    assert record == {
        "time": "soon",
        "program": "app",
        "_COMM": "app",
        "pid": "5",
        "SYSLOG_PID": "5",
        "N": ["1", "300"],
    }


def test_an_event_of_sysmon_is_taken_apart(parse):
    event = "<Event><System><EventID>5</EventID><Channel>Linux-Sysmon/Operational</Channel></System></Event>"
    first, second = read(parse, {**ENTRY, "MESSAGE": event}, ENTRY)
    assert (first["EventID"], first["Channel"]) == ("5", "Linux-Sysmon/Operational")
    assert second["message"] == "hello"
