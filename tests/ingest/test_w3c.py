"""W3C logs: the header says what the values are, wherever it stands; the DNS server's debug log beside them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.ingest import parsers
from lemnis.ingest.parsers import Start
from lemnis.ingest.streams import Stream

IIS = """#Software: x
#Date: 2026-02-03 09:00:00
#Fields: date time c-ip cs-method cs-uri-stem cs-uri-query cs(User-Agent)
2026-02-03 09:00:01 198.51.100.7 GET /a x=1 Mozilla/5.0+(X11)
2026-02-03 09:00:02 198.51.100.7 GET /b - -
2026-02-03 09:00:03 too few
#Date: 2026-02-04 00:00:00
#Fields: time c-ip
00:00:01 2001:db8::7
"""


def test_every_header_holds_for_the_lines_beneath_it(parse):
    records, rejects = parse("w3c", IIS, options={"plus": ["cs-user-agent"]})
    assert records == [
        {"timestamp": "2026-02-03 09:00:01", "c-ip": "198.51.100.7", "cs-method": "GET", "cs-uri-stem": "/a",
         "cs-uri-query": "x=1", "c-uri": "/a?x=1", "cs-user-agent": "Mozilla/5.0 (X11)"},
        {"timestamp": "2026-02-03 09:00:02", "c-ip": "198.51.100.7", "cs-method": "GET", "cs-uri-stem": "/b",
         "c-uri": "/b"},
        {"timestamp": "2026-02-04 00:00:01", "c-ip": "2001:db8::7"},
    ]  # fmt: skip
    assert [(r.at.record, r.reason) for r in rejects] == [(6, "4 values where #Fields names 7")]


def test_reading_goes_on_under_the_header_that_holds(parse):
    whole, _ = parse("w3c", IIS)
    rest, rejects = parse("w3c", IIS, start=Start(position=4))
    assert rest == whole[1:]
    assert [reject.at.record for reject in rejects] == [6]
    assert parse("w3c", IIS, start=Start(position=9)) == ([], [])


def test_tabs_and_quotes_part_values_too(parse):
    records, _ = parse("w3c", '#Fields: a b(X-Y) c\n1\t2 3\t"4"\n')
    assert records == [{"a": "1", "b(X-Y)": "2 3", "c": '"4"'}]
    records, _ = parse("w3c", '#Fields: a b\n1 "2 ""3"\n')
    assert records == [{"a": "1", "b": '2 "3'}]


def test_lines_before_a_header_say_so(parse):
    records, rejects = parse("w3c", "1 2\n#Fields: a b\n1 2\n")
    assert records == [{"a": "1", "b": "2"}]
    assert [(r.at.record, r.reason) for r in rejects] == [(1, "no #Fields line before it")]


@settings(max_examples=100, deadline=None)
@given(st.text('#F a\t"-\n:ields', max_size=80))
def test_nothing_breaks_it_and_no_line_is_lost(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("w3c") / "log"
    path.write_text(text, encoding="utf-8")
    taken = 0
    for parsed in parsers.get("w3c").parse(Stream(path), {}, Start(), whole=True):
        assert len(parsed.records) == parsed.fields.num_rows == len(parsed.positions)
        taken += len(parsed.records) + len(parsed.rejects)
    assert taken == sum(bool(line) and not line.startswith("#") for line in text.split("\n"))


@pytest.mark.parametrize("day", ["2/3/2026 9:00:01 AM", "2026-02-03 09:00:01", "03.02.2026 09:00:01"])
def test_a_packet_of_the_dns_servers_debug_log(parse, day):
    text = (
        "DNS Server log file creation at now\n\tField #  Information\n\n"
        f"{day} 0E54 PACKET  00000254C0A3F0D0 UDP Rcv 10.20.0.17      2f1a   Q [0001   D   NOERROR] A      "
        "(3)www(7)example(3)com(0)\n"
        f"{day} 0E54 EVENT   something else\n"
        f"{day} 0E54 PACKET  broken\n"
    )
    (record,), rejects = parse("dnsdebug", text)
    assert (record["time"], record["name"], record["type"]) == (day, "www.example.com", "A")
    assert "response" not in record
    assert [reject.at.record for reject in rejects] == [6]


def test_the_root_is_a_dot(parse):
    text = (
        "2026-02-03 09:00:01 0E54 PACKET  00F0D0 UDP Snd ::1      2f1a R Q [8081 A DR  NOERROR] NS     (0)\n"
    )
    (record,), _ = parse("dnsdebug", text)
    assert (record["name"], record["response"], record["flag_letters"]) == (".", "R", "A DR")


def test_what_is_no_record_of_a_pattern_is_skipped(parse):
    records, rejects = parse("pattern", "# x\na\n1\n", options={"line": "^(?P<a>[a-z])$", "skip": "^#"})
    assert records == [{"a": "a"}]
    assert [reject.at.record for reject in rejects] == [3]


def test_lines_that_begin_no_record_go_on_with_the_one_before(parse):
    options = {"line": r"(?s)^(?P<n>\d+) (?P<text>.*)$", "begins": r"^\d"}
    records, rejects = parse("pattern", "astray\n1 a\n  b\n\nc\n2 d\n", options=options)
    assert records == [{"n": "1", "text": "a\n  b\nc"}, {"n": "2", "text": "d"}]
    assert [(reject.at.record, reject.raw) for reject in rejects] == [(1, b"astray")]
