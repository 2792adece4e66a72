"""OTLP logs: whole exports and single records, in either spelling, give the same fields."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.ingest import parsers
from lemnis.ingest.parsers import Start
from lemnis.ingest.streams import Stream


def text(value):
    return {"stringValue": value}


RESOURCE = {"attributes": [{"key": "service.name", "value": text("shop")}]}
SCOPE = {"name": "shop.core", "version": "2"}
RECORD = {
    "timeUnixNano": "1770109200123456789", "severityNumber": 17, "severityText": "ERROR", "body": text("it failed"),
    "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174",
    "attributes": [
        {"key": "user.id", "value": {"intValue": "7"}}, {"key": "ok", "value": {"boolValue": False}},
        {"key": "tags", "value": {"arrayValue": {"values": [text("a"), text("b")]}}},
        {"key": "who", "value": {"kvlistValue": {"values": [{"key": "name", "value": text("mia")}]}}},
        {"key": "body", "value": text("mine")}, {"key": "nothing", "value": {}},
    ],
}  # fmt: skip
FIELDS = {
    "timeUnixNano": "1770109200123456789", "severityNumber": "17", "severityText": "ERROR", "body": "it failed",
    "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "scope.name": "shop.core",
    "scope.version": "2", "resource.service.name": "shop", "user.id": "7", "ok": "false", "tags": ["a", "b"],
    "who.name": "mia", "attributes.body": "mine",
}  # fmt: skip
EXPORT = {"resourceLogs": [{"resource": RESOURCE, "scopeLogs": [{"scope": SCOPE, "logRecords": [RECORD]}]}]}
BESIDE = {"resource": RESOURCE, "scope": SCOPE, "logRecord": RECORD}
FLAT = {"resource": RESOURCE, "scope": SCOPE, **RECORD}


@pytest.mark.parametrize("record", [EXPORT, BESIDE, FLAT], ids=["export", "beside", "flat"])
@pytest.mark.parametrize("indent", [None, 1], ids=["line", "document"])
def test_however_it_is_wrapped_a_record_has_the_same_fields(parse, record, indent):
    records, rejects = parse("otlp", json.dumps(record, indent=indent) + "\n")
    assert (records, rejects) == ([FIELDS], [])


def test_names_and_ids_may_be_written_as_protobuf_does(parse):
    record = {
        "time_unix_nano": "1770109200123456789", "trace_id": "W47/95gDgQPSabYzgT/GDA==", "span_id": "7uGbfsPBsXQ=",
        "body": {"string_value": "it failed"},
    }  # fmt: skip
    export = {"resource_logs": [{"scope_logs": [{"log_records": [record, record]}]}]}
    records, _ = parse("otlp", json.dumps(export) + "\n")
    names = ("timeUnixNano", "traceId", "spanId", "body")
    assert records == [{name: FIELDS[name] for name in names}] * 2


def test_every_record_of_an_export_can_be_read_again_by_itself(tmp_path):
    path = tmp_path / "export.jsonl"
    other = {**RECORD, "body": text("again")}
    path.write_text(
        json.dumps({"resourceLogs": [{"resource": RESOURCE, "scopeLogs": [{"logRecords": [RECORD, other]}]}]})
    )
    (parsed,) = parsers.get("otlp").parse(Stream(path), {}, Start(), whole=True)
    path.write_text("\n".join(parsed.records.to_pylist()))
    (again,) = parsers.get("otlp").parse(Stream(path), {}, Start(), whole=True)
    assert again.fields.to_pylist() == parsed.fields.to_pylist()
    assert parsed.positions.to_pylist() == [1, 1]


def test_what_is_no_log_record_is_refused_beside_the_others(parse):
    deep = text("x")
    for _ in range(20):
        deep = {"arrayValue": {"values": [deep]}}
    lines = ["{", "[]", "3", '{"resourceMetrics": []}', '{"resourceLogs": 3}', json.dumps(BESIDE),
             json.dumps({"logRecord": {"body": deep}}), '{"logRecord": {"body": "plain"}}']  # fmt: skip
    records, rejects = parse("otlp", "\n".join(['{"resourceLogs": []}', *lines]) + "\n")
    assert records == [FIELDS]
    assert [reject.at.record for reject in rejects] == [2, 3, 4, 5, 6, 8, 9]
    assert all(reject.reason.startswith("no OTLP log record: ") for reject in rejects)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["resourceLogs", "scopeLogs", "logRecords", "logRecord", "resource", "scope", "attributes",
                         "key", "value", "body", "stringValue", "kvlistValue", "arrayValue", "values", "traceId"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(json_values)
def test_no_json_breaks_it(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("otlp") / "log"
    path.write_text(json.dumps(value) + "\n")
    for parsed in parsers.get("otlp").parse(Stream(path), {}, Start(), whole=True):
        assert len(parsed.records) == parsed.fields.num_rows == len(parsed.positions)
