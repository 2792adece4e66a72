"""Messages are read whatever carries them, and what no pattern reads is told."""

import pytest

from lemnis.contracts.errors import ContentError
from lemnis.ingest import parsers
from lemnis.ingest.parsers import Start
from lemnis.ingest.streams import Stream

DENIED = {"messages": [r"^denied (?P<ip>\S+)(?: by (?P<rule>\S+))?$", r"^allowed (?P<ip>\S+)$"]}


@pytest.mark.parametrize(
    ("carrier", "fields"),
    [
        ("", {}),
        (
            "Nov 24 12:00:00 gw1 fw[7]: ",
            {"logged": "Nov 24 12:00:00", "host": "gw1", "program": "fw", "pid": "7"},
        ),
        (
            "<134>Nov 24 2026 12:00:00 gw1 fw: ",
            {"logged": "Nov 24 2026 12:00:00", "host": "gw1", "program": "fw"},
        ),
        (
            '<134>1 2026-11-24T12:00:00Z gw1 fw 7 - [a x="]"][b] ',
            {"logged": "2026-11-24T12:00:00Z", "host": "gw1", "program": "fw", "pid": "7"},
        ),
        (
            "<134>1 2026-11-24T12:00:00Z gw1 fw - - - \ufeff",
            {"logged": "2026-11-24T12:00:00Z", "host": "gw1", "program": "fw"},
        ),
        (
            "2026-11-24T12:00:00.5+01:00 stdout F ",
            {"logged": "2026-11-24T12:00:00.5+01:00", "stream": "stdout"},
        ),
        ("Nov 24 12:00:00 gw1 : ", {"logged": "Nov 24 12:00:00", "host": "gw1"}),
        ("Nov 24 2026 12:00:00: ", {"logged": "Nov 24 2026 12:00:00"}),
        ("<134>fw[7]: ", {"program": "fw", "pid": "7"}),
        ("fw[7]: ", {"program": "fw", "pid": "7"}),
    ],
)
def test_what_carries_a_message_is_taken_off(parse, carrier, fields):
    records, rejects = parse("messages", f"{carrier}denied 192.0.2.1 by r1\n", options=DENIED)
    assert not rejects
    assert records == [{**fields, "ip": "192.0.2.1", "rule": "r1"}]


def test_the_first_pattern_that_fits_reads_a_message_and_the_others_are_told(parse):
    text = "allowed 192.0.2.2\nperhaps 192.0.2.3\ndenied 192.0.2.4\ndenied -\n"
    records, rejects = parse("messages", text, options=DENIED)
    assert records == [{"ip": "192.0.2.2"}, {"ip": "192.0.2.4"}, {}]
    assert [(r.at.record, r.raw) for r in rejects] == [(2, b"perhaps 192.0.2.3")]


def test_a_head_is_common_to_all_and_skipped_messages_are_no_records(parse):
    options = {**DENIED, "head": r"^(?P<level>[A-Z]+) (?P<message>.*)$", "skip": "^#"}
    text = "# begun\nWARN denied 192.0.2.1\nno head\nWARN other\n"
    records, rejects = parse("messages", text, options=options)
    assert records == [{"level": "WARN", "ip": "192.0.2.1"}]
    assert [reject.at.record for reject in rejects] == [3, 4]


def test_a_message_may_be_json(parse):
    text = '2026-11-24T12:00:00Z stdout F {"a":{"b":1},"c":["x"]}\ndenied 192.0.2.1\n{"broken\n'
    records, rejects = parse("messages", text, options={**DENIED, "json": True})
    assert records == [
        {"logged": "2026-11-24T12:00:00Z", "stream": "stdout", "a.b": "1", "c": ["x"]},
        {"ip": "192.0.2.1"},
    ]
    assert [reject.at.record for reject in rejects] == [3]


@pytest.mark.parametrize(
    "options", [{}, {"messages": ["("]}, {"messages": ["(a)"]}, {"json": 1, "skip": "("}]
)
def test_patterns_that_cannot_be_used_are_an_error(tmp_path, options):
    path = tmp_path / "x.log"
    path.write_text("a\n")
    with pytest.raises(ContentError):
        list(parsers.get("messages").parse(Stream(path), options, Start(), whole=True))
