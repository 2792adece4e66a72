"""The interpreter: every record becomes an event or a reject that says why."""

import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_sources import batch, events, source

from lemnis.ingest import mapping_unmapped
from lemnis.ingest.mapping import Mapper

MAPPING = """
common:
  absent: ["-"]
  time: {from: ts, format: iso}
  severity: informational
  set:
    src_endpoint.hostname: host
events:
  - name: request
    class: http_activity
    when: {kind: request}
    activity: {from: method, map: {GET: 3, POST: 6}, default: 99}
    severity: [{from: level, map: {warn: medium}}, {value: low}]
    set:
      http_request.http_method: method
      http_request.url.path: {from: url, match: '^[^?]*'}
      http_request.url.query_string: {from: url, match: '[?](.*)$'}
      http_request.x_forwarded_for: {from: forwarded, split: ", "}
      http_response.code: {from: status, as: integer}
      http_response.length: {from: size, as: integer, lenient: true}
      src_endpoint.ip: {from: ip, as: ip}
      actor.user.name: [{from: user}, {from: owner, match: '^([^@]+)@'}]
      file.path: file
      file.hashes: {from: hash, as: hashes}
      status_id: {from: ok, map: {true: 1, false: 2}, default: 0}
  - name: call
    class: api_activity
    when: {kind: [call, rpc]}
    activity: 1
    set:
      api.operation: op
      actor.user.uid: user
      src_endpoint.ip: {from: ip, as: ip, lenient: true}
      resources[0].uid: target
      resources[1].uid: second
"""
REQUEST = {
    "kind": "request", "ts": "2026-01-02T03:04:05.678Z", "method": "GET", "url": "/a?b=1", "status": "200",
    "ip": "::ffff:198.51.100.7", "host": "edge",
}  # fmt: skip


@pytest.fixture
def mapper(tmp_path):
    return Mapper(source(tmp_path, MAPPING))


def one(mapper, **change):
    (event,) = events(mapper.map(batch({**REQUEST, **change})))
    return event


def reason(mapper, **change):
    mapped = mapper.map(batch({**REQUEST, **change}))
    assert mapped.batches == ()
    (reject,) = mapped.rejects
    assert reject.at.file == "log"
    assert reject.at.record == 1
    assert orjson.loads(reject.raw) == {**REQUEST, **change}
    return reject.reason


def test_an_event_has_what_its_lines_say_and_what_its_class_implies(mapper):
    event = one(mapper)
    assert event["time"] == 1_767_323_045_678
    assert event["class_uid"] == 4002
    assert event["category_uid"] == 4
    assert (event["activity_id"], event["activity_name"], event["type_uid"]) == (3, "Get", 400203)
    assert (event["severity_id"], event["severity"]) == (2, "Low")
    assert event["http_request"] == {"http_method": "GET", "url": {"path": "/a", "query_string": "b=1"}}
    assert event["http_response"] == {"code": 200}
    assert event["src_endpoint"] == {"ip": "198.51.100.7", "hostname": "edge"}
    metadata = event["metadata"]
    assert metadata["log_name"] == "acme"
    assert metadata["version"] == "1.8.0"
    assert metadata["product"] == {"name": "Proxy", "vendor_name": "Acme"}
    assert metadata["original_time"] == REQUEST["ts"]
    assert orjson.loads(event["raw_data"]) == REQUEST


def test_what_no_line_keeps_word_for_word_is_in_unmapped(mapper):
    event = one(mapper, more="x", status="0200", tags=["a", 'b"']) | {}
    left = orjson.loads(event["unmapped"])
    assert left == {
        "kind": "request", "url": "/a?b=1", "ip": "::ffff:198.51.100.7", "more": "x", "status": "0200",
        "tags": ["a", 'b"'],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "other"}, "no entry of the mapping fits"),
        ({"ts": "yesterday"}, "no time: 'yesterday'"),
        ({"ts": None}, "no time: none of ts is there"),
        ({"status": "OK"}, "http_response.code: 'OK' is no integer"),
        ({"ip": "nowhere"}, "src_endpoint.ip: 'nowhere' is no ip"),
        ({"kind": "rpc", "op": "Get", "ip": "x", "host": None}, "actor is required and has no value"),
        ({"kind": "rpc", "op": None, "user": "kim"}, "api is required and has no value"),
    ],
)
def test_what_cannot_be_mapped_is_rejected_with_its_reason(mapper, change, said):
    assert reason(mapper, **change) == said


def test_good_rows_beside_bad_ones_go_on(mapper):
    rows = [{**REQUEST, "status": status} for status in ("200", "bad", "404")]
    mapped = mapper.map(batch(*rows, first=11))
    assert [event["http_response"]["code"] for event in events(mapped)] == [200, 404]
    assert [reject.at.record for reject in mapped.rejects] == [12]


def test_a_lenient_line_leaves_out_what_it_cannot_read(mapper):
    event = one(mapper, size="many")
    assert "length" not in event["http_response"]
    assert orjson.loads(event["unmapped"])["size"] == "many"


def test_the_first_line_that_has_a_value_gives_it(mapper):
    assert one(mapper, user="kim", owner="ana@x")["actor"]["user"]["name"] == "kim"
    assert one(mapper, user="-", owner="ana@x")["actor"]["user"]["name"] == "ana"
    assert "actor" not in one(mapper, user="-", owner="ana")


def test_numbers_booleans_and_lists_of_a_parser_are_texts_to_lines(mapper):
    event = one(mapper, status=204, ok=True, forwarded="a, b", level="warn")
    assert event["http_response"]["code"] == 204
    assert (event["status_id"], event["status"]) == (1, "Success")
    assert event["http_request"]["x_forwarded_for"] == ["a", "b"]
    assert event["severity"] == "Medium"


def test_what_the_standard_requires_and_nobody_can_know_is_filled_in(mapper):
    file = one(mapper, file="/srv/a.bin", hash="SHA256=AB,MD5=CD")["file"]
    assert file["name"] == "a.bin"
    assert file["type_id"] == 0
    assert [(h["algorithm_id"], h["value"]) for h in file["hashes"]] == [(3, "AB"), (1, "CD")]


def test_elements_of_a_list_are_those_that_are_there(mapper):
    rows = [
        {"kind": "call", "ts": REQUEST["ts"], "op": "Get", "user": "kim", "ip": "198.51.100.7", **more}
        for more in ({"target": "a", "second": "b"}, {"second": "c"}, {})
    ]
    found = [event.get("resources") for event in events(mapper.map(batch(*rows)))]
    assert found == [[{"uid": "a"}, {"uid": "b"}], [{"uid": "c"}], None]


def test_an_empty_batch_gives_nothing(mapper):
    mapped = mapper.map(batch())
    assert mapped.batches == ()
    assert mapped.rejects == ()


def test_lineage_names_the_raw_field_and_the_line_of_the_mapping(mapper):
    (origin,) = mapper.explain("http_request.url.path")
    assert (origin.entry, origin.raw) == ("request", ("url",))
    line = MAPPING.splitlines()[(origin.at.line or 0) - 1]
    assert "http_request.url.path" in line
    common = mapper.explain("src_endpoint.hostname")
    assert {found.entry for found in common} == {"request", "call"}
    assert mapper.explain("time")[0].raw == ("ts",)
    assert mapper.explain("actor.process.pid") == ()


VALUES = st.one_of(
    st.none(), st.text(max_size=12), st.sampled_from(["request", "call", "-", "200", "2026-01-01", "1.2.3.4"])
)
RECORDS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["request", "call", "rpc", "x", None])},
    optional=dict.fromkeys(("ts", "method", "url", "status", "ip", "op", "user", "file", "odd"), VALUES),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(RECORDS, min_size=1, max_size=12))
def test_every_row_is_mapped_or_rejected(mapper, rows):
    mapped = mapper.map(batch(*rows, types={name: pa.string() for row in rows for name in row}))
    kept = sum(len(one) for one in mapped.batches)
    assert kept + len(mapped.rejects) == len(rows)
    for event in events(mapped):
        raw = orjson.loads(event["raw_data"])
        assert event["time"] is not None
        assert event["class_uid"] in {4002, 6003}
        if "unmapped" in event:
            assert (
                orjson.loads(event["unmapped"]).items()
                <= {k: v for k, v in raw.items() if v is not None}.items()
            )


TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=20)), min_size=1, max_size=8)


@given(texts=TEXTS)
def test_unmapped_is_json_whatever_the_text_and_reads_back(texts):
    column = pa.array(texts, pa.string())
    rows = column.is_valid().to_numpy(zero_copy_only=False)
    written = mapping_unmapped.write({'a "b"': (column, rows)}, len(texts))
    assert [None if one is None else orjson.loads(one) for one in written.to_pylist()] == [
        None if one is None else {'a "b"': one} for one in texts
    ]
    back = mapping_unmapped.read(written).get('a "b"')
    assert (back.to_pylist() if back is not None else [None] * len(texts)) == texts


@given(data=st.data())
def test_unmapped_is_written_the_same_both_ways(data):
    count = data.draw(st.integers(1, 6))
    value = (
        st.none()
        | st.text(max_size=12)
        | st.sampled_from(["\x00\x1f\x7f\b\t\n\f\r", 'a\\"b' * 5, "\u00e9\U0001f600"])
    )
    fields = {}
    for name in data.draw(st.lists(st.text(max_size=5), max_size=4, unique=True)):
        lists = data.draw(st.booleans())
        some = st.lists(value, max_size=3) | st.none() if lists else value
        values = data.draw(st.lists(some, min_size=count + 1, max_size=count + 1))
        column = pa.array(values, pa.list_(pa.string()) if lists else pa.string()).slice(1)
        rows = column.is_valid().to_numpy(zero_copy_only=False) & data.draw(st.booleans())
        fields[name] = (column, rows)
    found = []
    for used in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mapping_unmapped, "ready", lambda _, used=used: used)
            found.append(mapping_unmapped.write(fields, count))
    compiled, joined = found
    assert (compiled.to_pylist() if compiled is not None else None) == (
        joined.to_pylist() if joined is not None else None
    )
    if compiled is not None:
        compiled.validate(full=True)


def test_unmapped_reads_back_texts_that_look_like_times_and_mixed_lists():
    texts = pa.array(['{"a":"2026-01-02 03:04:05","b":["x","y"]}', '{"a":"z","b":"x"}', None])
    found = mapping_unmapped.read(texts)
    assert found["a"].to_pylist() == ["2026-01-02 03:04:05", "z", None]
    assert found["b"].to_pylist() == [["x", "y"], ["x"], None]


@pytest.mark.parametrize(
    ("extra", "entry", "kept"), [("", "", True), ("raw: drop", "", False), ("raw: drop", "raw: keep", True)]
)
def test_the_raw_record_is_kept_as_the_source_says(tmp_path, extra, entry, kept):
    mapping = f"""
events:
  - name: one
    class: base_event
    time: {{from: ts}}
    activity: 1
    {entry}
"""
    record = {"ts": "2026-01-02T03:04:05Z", "odd": "x"}
    (event,) = events(
        Mapper(source(tmp_path, mapping.replace("activity: 1", "activity: 99"), extra)).map(batch(record))
    )
    assert ("raw_data" in event) is kept
    assert event["unmapped"] == '{"odd":"x"}'
