"""Events that are OCSF already: taken as they are, checked, and nothing of them lost."""

import json

import pytest

from lemnis.app.source_tests import read
from lemnis.content.library import Library
from lemnis.ingest import mapping_unmapped
from lemnis.ingest.sources import Sources

EVENT = {
    "class_uid": 3002, "category_uid": 3, "activity_id": 1, "type_uid": 300201, "severity_id": 4,
    "time": 1_772_474_400_000, "metadata": {"version": "1.5.0", "uid": "a-1", "product": {"name": "Gate"}},
    "user": {"name": "noor", "groups": [{"name": "ops", "uid": "g-1"}]}, "dst_endpoint": {"ip": "192.0.2.7"},
    "is_mfa": True, "odd": {"more": [1, 2]},
}  # fmt: skip


@pytest.fixture
def events(tmp_path):
    source = Sources.load(Library.open()).get("ocsf")

    def run(*records):
        path = tmp_path / "events.json"
        path.write_text("".join(json.dumps(one) + "\n" for one in records))
        found = read(source, path)
        return [row for _, table in found.tables for row in table.to_pylist()], found

    return run


def test_each_attribute_is_taken_as_it_is(events):
    (event,), _ = events(EVENT)
    assert (event["class_uid"], event["type_uid"], event["severity_id"]) == (3002, 300201, 4)
    assert event["user"]["name"] == "noor"
    assert [group["name"] for group in event["user"]["groups"]] == ["ops"]
    assert event["is_mfa"] is True
    assert event["metadata"]["product"] == {"name": "Gate", "vendor_name": "Any"}
    assert event["metadata"]["original_event_uid"] == "a-1"
    assert json.loads(event["raw_data"]) == EVENT


def test_what_the_class_does_not_have_stays(events):
    _, found = events(EVENT | {"unmapped": {"x": "y"}, "raw_data": "theirs"})
    ((_, table),) = found.tables
    left = mapping_unmapped.read(table.column("unmapped").combine_chunks())
    assert left["odd.more"].to_pylist() == [["1", "2"]]
    assert left["unmapped.x"].to_pylist() == ["y"]
    assert left["raw_data"].to_pylist() == ["theirs"]
    assert left["metadata.version"].to_pylist() == ["1.5.0"]


def test_a_class_that_is_not_kept_becomes_a_base_event(events):
    (event,), _ = events(EVENT | {"class_uid": 5001, "activity_id": 2})
    assert (event["class_uid"], event["activity_id"]) == (0, 99)
    assert json.loads(event["unmapped"])["class_uid"] == "5001"


def test_times_in_seconds_are_told_by_their_twin(events):
    (event,), _ = events(EVENT | {"time": 1_772_474_400, "time_dt": "2026-03-02T18:00:00Z"})
    assert event["time"] == 1_772_474_400_000


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"activity_id": 42}, "activity_id: 42 is not in the enumeration"),
        ({"user": None}, "user is required and has no value"),
        ({"is_mfa": "maybe"}, "is_mfa: 'maybe' is no bool"),
        ({"user": {"name": "noor", "groups": [{"name": ["x"], "privileges": {"a": 1}}, 7]}}, "user.groups"),
        ({"class_uid": None}, "no entry of the mapping fits"),
        ({"time": "soon"}, "no time: 'soon'"),
    ],
)
def test_what_the_standard_does_not_allow_is_rejected_and_the_next_goes_on(events, change, reason):
    good, found = events(EVENT | change, EVENT)
    assert len(good) == 1
    (reject,) = found.rejects
    assert reject.at.record == 1
    assert reject.reason.startswith(reason)
