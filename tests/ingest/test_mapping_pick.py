"""What lines pick out of lists of objects: for attributes, and for Sigma's fields alike on both ways."""

import orjson
import pyarrow as pa
import pytest
from small_sources import batch, events, source

from lemnis.contracts.errors import ContentError
from lemnis.ingest.frames import event_frames, raw_frames
from lemnis.ingest.mapping import Mapper

MAPPING = """
common: {time: {from: ts, format: iso}}
events:
  - name: call
    class: api_activity
    activity: 1
    set:
      api.operation: op
      actor.user.uid: {from: targets, pick: id, where: {type: User}}
      actor.user.name: {from: targets, pick: 1.name.first, default: nobody}
      api.request.flags: {from: targets, pick: tags}
      src_endpoint.ip: {from: headers, pick: Value, where: {Name: [x-ip, X-IP]}, match: '^[^,]+', as: ip}
      src_endpoint.port: {from: targets, pick: port, as: integer}
"""
SIGMA = """
sigma:
  routes: [{product: acme}]
  fields: {target.id: {from: targets, pick: id}, first: {from: targets, pick: name.first, match: '^.'}}
"""
TARGETS = [
    {"type": "App", "id": "a", "tags": ["x", "y"], "port": 443},
    {"type": "User", "id": 7, "name": {"first": "Kim"}, "tags": ["z"]},
]
HEADERS = [{"Name": "Host", "Value": "h"}, {"Name": "X-IP", "Value": "198.51.100.7, 198.51.100.8"}]


@pytest.fixture
def acme(tmp_path):
    return source(tmp_path, MAPPING, SIGMA)


def row(targets, headers=HEADERS):
    text = targets if isinstance(targets, str) else orjson.dumps(targets).decode()
    return {
        "ts": "2026-01-02T03:04:05Z",
        "op": "Get",
        "targets": text,
        "headers": orjson.dumps(headers).decode(),
    }


def test_members_of_the_objects_that_fit_are_picked(acme):
    (event,) = events(Mapper(acme).map(batch(row(TARGETS))))
    assert event["actor"]["user"] == {"uid": "7", "name": "Kim"}
    assert event["api"]["request"]["flags"] == ["x", "y", "z"]
    assert event["src_endpoint"] == {"ip": "198.51.100.7", "port": 443}
    assert orjson.loads(orjson.loads(event["unmapped"])["targets"]) == TARGETS


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "[",
        "7",
        '"x"',
        "[]",
        "[[]]",
        "{}",
        "null",
        "[" * 900 + "]" * 900,
        '[{"name": 3}, null, {"name": []}]',
    ],
)
def test_what_has_no_such_member_gives_none(acme, odd):
    (event,) = events(Mapper(acme).map(batch(row(odd))))
    assert event["actor"]["user"] == {"name": "nobody"}
    assert "request" not in event["api"]


def test_a_picked_value_that_cannot_be_converted_rejects_the_record(acme):
    mapped = Mapper(acme).map(batch(row([{"port": "many"}]), row(TARGETS)))
    assert [reject.at.record for reject in mapped.rejects] == [1]
    assert "is no integer" in mapped.rejects[0].reason


def test_sigma_sees_every_picked_value_on_raw_records_and_on_events(acme):
    raw = batch(row(TARGETS), row("[]"))
    (frame,) = raw_frames(raw, acme)
    (mapped,) = Mapper(acme).map(raw).batches
    for one in (frame, *event_frames(mapped, acme)):
        assert one.columns["target.id"].to_pylist() == [["a", "7"], None]
        assert one.columns["first"].to_pylist() == [["K"], None]


def test_a_list_of_texts_beside_lists_of_objects_has_nothing_to_pick(acme):
    lists = pa.list_(pa.string())
    first, second = row(TARGETS), row("[]")
    raw = batch(
        {**first, "targets": [first["targets"]]}, {**second, "targets": ["a", "b"]}, types={"targets": lists}
    )
    found = events(Mapper(acme).map(raw))
    assert [event["actor"]["user"] for event in found] == [{"uid": "7", "name": "Kim"}, {"name": "nobody"}]


def test_where_without_pick_is_an_error(tmp_path):
    with pytest.raises(ContentError, match="give both"):
        source(tmp_path, MAPPING.replace("pick: id, where", "where"))
