"""Access logs, syslog, CSV: what each line says, and nothing breaks them."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.errors import ContentError
from lemnis.ingest import parsers
from lemnis.ingest.parsers import Start
from lemnis.ingest.streams import Stream

COMBINED = '198.51.100.7 - {} [10/Oct/2025:13:55:36 +0000] "{}" 200 2326 "{}" "{}"\n'


def test_a_combined_line(parse):
    text = COMBINED.format(
        "mia", "GET /a%20b?x=1&y=%27 HTTP/1.1", "http://shop/", 'Mozilla "5.0"'.replace('"', '\\"')
    )
    (record,), _ = parse("access", text)
    assert record == {
        "c-ip": "198.51.100.7", "cs-username": "mia", "time": "10/Oct/2025:13:55:36 +0000", "sc-status": "200",
        "sc-bytes": "2326", "cs-referer": "http://shop/", "cs-user-agent": 'Mozilla "5.0"', "cs-method": "GET",
        "c-uri": "/a%20b?x=1&y=%27", "cs-version": "HTTP/1.1", "cs-uri-stem": "/a%20b", "cs-uri-query": "x=1&y=%27",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("GET /x y HTTP/1.0", {"cs-uri-stem": "/x y", "cs-version": "HTTP/1.0"}),
        ("\\x16\\x03\\x01", {"request": "\x16\x03\x01"}),
        ("\\xff\\xfe", {"request": "\\xff\\xfe"}),
        ("-", {}),
        ("GET /only", {"cs-uri-stem": "/only"}),
        ("GET /\\xc3\\xa9?q=\\x22 HTTP/1.1", {"cs-uri-stem": "/é", "cs-uri-query": 'q="'}),
    ],
)
def test_odd_requests_are_kept(parse, request_line, expected):
    (record,), rejects = parse("access", COMBINED.format("-", request_line, "-", "-"))
    assert rejects == []
    assert {key: record[key] for key in expected} == expected
    assert "cs-username" not in record


def test_common_format_virtual_hosts_and_what_follows(parse):
    records, rejects = parse("access", (
        '::1 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 304 -\n'
        'shop.example:443 10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8" 0.003\n'
        '10.0.0.2 - [10/Oct/2025:13:55:36 +0000] "GET /x HTTP/1.1" 200 5\n'
        "nonsense\n"
    ))  # fmt: skip
    assert records[0]["c-ip"] == "::1"
    assert "sc-bytes" not in records[0]
    assert (records[1]["cs-host"], records[1]["rest"]) == ("shop.example:443", "0.003")
    assert (records[2]["c-ip"], records[2]["c-uri"]) == ("10.0.0.2", "/x")
    assert [reject.at.record for reject in rejects] == [4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<38>Oct  3 01:02:03 web1 sshd[99]: Failed password for root from 10.0.0.1 port 22 ssh2",
         {"time": "Oct  3 01:02:03", "host": "web1", "program": "sshd", "pid": "99", "facility": "auth", "severity": "informational",
          "message": "Failed password for root from 10.0.0.1 port 22 ssh2"}),
        ("2025-10-03T01:02:03.123456+00:00 web1 CRON[7]: (root) CMD (x)",
         {"time": "2025-10-03T01:02:03.123456+00:00", "host": "web1", "program": "CRON", "pid": "7", "message": "(root) CMD (x)"}),
        ('<165>1 2025-10-03T01:02:03Z web1 app 7 ID47 [a@1 k="v\\"w" l="2"][b@1 k="x"] \ufeffhello',
         {"version": "1", "time": "2025-10-03T01:02:03Z", "host": "web1", "program": "app", "pid": "7", "msgid": "ID47",
          "sd.a@1.k": 'v"w', "sd.a@1.l": "2", "sd.b@1.k": "x", "message": "hello", "facility": "local4", "severity": "notice"}),
        ("<34>1 2025-10-03T01:02:03Z web1 su - - - text", {"version": "1", "time": "2025-10-03T01:02:03Z", "host": "web1",
          "program": "su", "message": "text", "facility": "auth", "severity": "critical"}),
        ("Oct  3 01:02:03 web1 last message repeated 3 times", {"time": "Oct  3 01:02:03", "host": "web1",
          "message": "last message repeated 3 times"}),
    ],
)  # fmt: skip
def test_syslog_lines(parse, text, expected):
    records, rejects = parse("syslog", text + "\n")
    assert rejects == []
    assert records == [expected]


def test_csv_rows_with_quotes_and_breaks_keep_their_lines(parse):
    records, rejects = parse("csvlines", 'time,who,what\n1,mia,"two\nlines, ""quoted"""\n2,tom\n3,ann,x\n')
    assert records == [
        {"time": "1", "who": "mia", "what": 'two\nlines, "quoted"'},
        {"time": "3", "who": "ann", "what": "x"},
    ]
    assert [(reject.at.record, reject.reason) for reject in rejects] == [
        (4, "2 values where the header has 3")
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text("ab,;\"' \n", max_size=5), min_size=2, max_size=2), min_size=1, max_size=5))
def test_csv_is_read_as_it_was_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([["one", "two"], *rows])
    path.write_text(written.getvalue())
    found = []
    for parsed in parsers.get("csvlines").parse(Stream(path), {"delimiter": ","}, Start(), whole=True):
        assert parsed.rejects == ()
        found += parsed.fields.to_pylist()
    wanted = [row for row in rows if any(row)] if rows else []
    assert [[row.get("one") or "", row.get("two") or ""] for row in found if any(row.values())] == wanted


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(
        ["access", "syslog", "csvlines", "audit", "jsonl", "windows", "sarif", "w3c", "dnsdebug"]
    ),
    st.binary(max_size=200),
)
def test_nothing_breaks_a_parser_and_nothing_is_lost(tmp_path_factory, name, data):
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(data)
    for parsed in parsers.get(name).parse(Stream(path), {}, Start(), whole=True):
        assert len(parsed.records) == parsed.fields.num_rows == len(parsed.positions)
        assert all(reject.reason and reject.at.file == str(path) for reject in parsed.rejects)
    if name in {"access", "syslog", "audit"} and not data.startswith((b"\xfe\xff", b"\xff\xfe")):  # UTF-16
        good = [line for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.removesuffix(b"\r")]
        taken = sum(
            len(parsed.records) + len(parsed.rejects)
            for parsed in parsers.get(name).parse(Stream(path), {}, Start(), whole=True)
        )
        assert taken == len(good)


LOG_LINE = {"line": r"^(?P<time>\d{4}\S+Z) ?(?P<message>(?:##\[(?P<mark>[a-z]+)\])?.*)$"}


def test_a_pattern_names_the_fields_of_a_line(parse):
    text = "\ufeff2025-11-03T09:43:21Z ##[error]it failed\n\nno time here\n2025-11-03T09:43:22Z \n"
    records, rejects = parse("pattern", text, options=LOG_LINE)
    assert records == [
        {"time": "2025-11-03T09:43:21Z", "message": "##[error]it failed", "mark": "error"},
        {"time": "2025-11-03T09:43:22Z"},
    ]
    assert [(reject.reason, reject.at.record, reject.raw) for reject in rejects] == [
        ("the line does not fit the source's pattern", 3, b"no time here")
    ]


@pytest.mark.parametrize("options", [{}, {"line": 3}, {"line": "("}, {"line": "^(.*)$"}])
def test_a_pattern_that_cannot_be_used_is_told(parse, options):
    with pytest.raises(ContentError, match="pattern") as told:
        parse("pattern", "x\n", options=options)
    assert "every group is named" in str(told.value)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_a_pattern_loses_no_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(data)
    good = [line for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.removesuffix(b"\r")]
    taken = 0
    for parsed in parsers.get("pattern").parse(Stream(path), {"line": "^(?P<a>[a-z]+)"}, Start(), whole=True):
        assert len(parsed.records) == parsed.fields.num_rows == len(parsed.positions)
        taken += len(parsed.records) + len(parsed.rejects)
    assert taken == len(good)


def test_an_event_of_sysmon_for_linux_has_the_fields_of_windows(parse):
    event = (
        "<Event><System><EventID>1</EventID><Channel>Linux-Sysmon/Operational</Channel></System>"
        '<EventData><Data Name="Image">/bin/ls</Data></EventData></Event>'
    )
    lines = [f"{HEAD} sysmon: {event}", f"{HEAD} cron[7]: (root) CMD (x)", f"{HEAD} sysmon: <Event><System>"]
    records, rejects = parse("syslog", "\n".join(lines) + "\n")
    assert rejects == []
    named = {key: records[0][key] for key in ("Channel", "EventID", "Image", "program")}
    assert named == {
        "Channel": "Linux-Sysmon/Operational",
        "EventID": "1",
        "Image": "/bin/ls",
        "program": "sysmon",
    }
    assert "message" not in records[0]
    assert [record["message"] for record in records[1:]] == ["(root) CMD (x)", "<Event><System>"]


HEAD = "Oct  3 01:02:03 web1"
