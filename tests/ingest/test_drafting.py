"""Drafted mapping lines: guessed by names and values, never without a reason, always lines that can be read."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_sources import source

from lemnis.content.schemas.source import Line
from lemnis.contracts.errors import NotFoundError
from lemnis.ingest import drafting, drafting_names
from lemnis.ingest.drafting_text import flow
from lemnis.ingest.drafting_values import kind, time_formats

MAPPING = """common: {time: {from: ts}}
events:
  - name: one
    class: http_activity
    activity: 1
    set:
      src_endpoint.ip: {from: client.ipAddress, as: ip}
      http_response.code: {from: status, as: integer}
      http_request.http_method: method
"""


def lines(fields, name, taken=()):
    return {one.path: dict(one.line) for one in drafting.suggest(fields, name, taken) if one.path}


def test_fields_go_where_their_names_and_values_say():
    fields = {
        "userName": ["ada"], "source.ip": ["192.0.2.1", "2001:db8::1"], "dst_port": ["443"],
        "http.method": ["GET"], "status": ["200"], "request.path": ["/a"], "outcome": ["Success", "Failed"],
        "blub": ["x"], "empty": ["-"],
    }  # fmt: skip
    assert lines(fields, "http_activity") == {
        "actor.user.name": {"from": "userName", "personal": True},
        "src_endpoint.ip": {"from": "source.ip", "as": "ip", "lenient": True},
        "dst_endpoint.port": {"from": "dst_port", "as": "integer", "lenient": True},
        "http_request.http_method": {"from": "http.method"},
        "http_response.code": {"from": "status", "as": "integer", "lenient": True},
        "http_request.url.path": {"from": "request.path"},
        "status_id": {"from": "outcome", "map": {"Success": 1, "Failed": 2}, "default": 99},
    }
    left = {one.name: one.why for one in drafting.suggest(fields, "http_activity") if not one.path}
    assert "say what it is" in left["blub"]
    assert left["empty"] == "no value says anything"


def test_a_value_that_is_none_of_the_kind_is_not_guessed():
    assert not lines({"source.ip": ["192.0.2.1", "gateway"]}, "network_activity").get("src_endpoint.ip")


def test_a_path_is_given_once_and_what_is_taken_is_left_alone():
    fields = {"client_ip": ["192.0.2.1"], "src_ip": ["192.0.2.2"]}
    assert list(lines(fields, "network_activity")) == ["src_endpoint.ip"]
    assert lines(fields, "network_activity", {"src_endpoint.ip"}) == {}


def test_the_class_decides_where_a_field_goes():
    assert "user.name" in lines({"user": ["ada"]}, "authentication")
    assert "actor.user.name" in lines({"user": ["ada"]}, "process_activity")
    with pytest.raises(NotFoundError, match="no OCSF class"):
        drafting.suggest({}, "no_class")


def test_an_address_with_its_port_is_taken_apart():
    ((path, line),) = lines({"client": ["192.0.2.1:4711"]}, "network_activity").items()
    assert path == "src_endpoint.ip"
    assert Line.model_validate(line).match is not None


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (["2026-01-02T03:04:05Z", "2026-01-02 03:04:05.123"], ("iso",)),
        (["1767323045"], ("epoch_s",)), (["1767323045.25"], ("epoch_s",)), (["1767323045123"], ("epoch_ms",)),
        (["1767323045123456"], ("epoch_us",)), (["134117966451234567"], ("filetime",)),
        (["02/Jan/2026:03:04:05 +0000"], ("clf",)), (["Jan  2 03:04:05"], ("syslog",)),
        (["2026/01/02 03:04:05"], ("%Y/%m/%d %H:%M:%S",)),
        (["Jan  2 03:04:05", "Jan  2 03:04:06", "2026-01-02T03:04:05Z"], ("syslog", "iso")),
        (["42"], ()), (["soon"], ()), ([], ()), (["2026-01-02T03:04:05Z", "soon"], ()),
    ],
)  # fmt: skip
def test_times_are_known_by_their_values(values, written):
    assert time_formats(values) == written


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["192.0.2.1"], "ip"), (["192.0.2.1:80"], "endpoint"), (["7"], "integer"), (["7.5"], "number"),
        (["GET", "post"], "method"), (["a.example.com"], "hostname"), (["a@example.com"], "email"),
        (["https://example.com/a b"], "text"), (["https://example.com/"], "url"), (["/etc/passwd"], "path"),
        (["C:\\Windows"], "path"), (["true", "false"], "boolean"), (["a b"], "text"), (["-", ""], ""),
    ],
)  # fmt: skip
def test_kinds_of_values(values, found):
    assert kind(values) == found


def test_names_are_compared_by_their_words():
    assert drafting_names.plain("requestParameters.sourceIPAddress") == "request_parameters_source_ip_address"
    assert drafting_names.plain("HTTPMethod") == "http_method"


def test_a_renamed_field_is_read_under_both_names(tmp_path):
    made = drafting.amend(
        source(tmp_path, MAPPING), {"client.ip": ["192.0.2.1"]}, missing=["client.ipAddress"]
    )
    (one,) = made
    assert (one.entry, one.path, one.at.line) == ("one", "src_endpoint.ip", 7)
    assert one.old == "{from: client.ipAddress, as: ip}"
    assert one.new == "{from: [client.ip, client.ipAddress], as: ip}"


def test_what_the_line_cannot_read_is_no_successor(tmp_path):
    made = drafting.amend(source(tmp_path, MAPPING), {"client.ip": ["gateway"]}, missing=["client.ipAddress"])
    assert not [one for one in made if one.old]


def test_a_retyped_field_no_longer_rejects_its_record(tmp_path):
    loaded = source(tmp_path, MAPPING)
    (one,) = drafting.amend(loaded, {}, retyped={"status": ["200 OK"], "method": ["1"]})
    assert one.new == "{from: status, as: integer, lenient: true}"
    assert drafting.amend(loaded, {}, retyped={"status": ["404"]}) == ()


def test_a_new_field_gets_a_line_of_its_own(tmp_path):
    (one,) = drafting.amend(source(tmp_path, MAPPING), {"userAgent": ["curl/8"], "blub": ["x"]})
    assert (one.old, one.new) == ("", "http_request.user_agent: userAgent")
    assert one.at.line == 7


@given(st.text())
def test_texts_come_back_from_yaml_as_they_were(text):
    assert yaml.safe_load(flow([text])) == [text]


@given(st.dictionaries(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=3), max_size=8))
def test_drafts_are_lines_whatever_the_fields_are(fields):
    made = drafting.suggest(fields, "api_activity")
    assert [one.name for one in made] == list(fields)
    read = yaml.safe_load("set:\n" + drafting.written(made, indent=2))["set"] or {}
    assert set(read) == {one.path for one in made if one.path}
    for line in read.values():
        Line.model_validate({"from": line} if isinstance(line, str) else line)
