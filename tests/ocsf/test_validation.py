import pyarrow as pa
import pytest

from lemnis.ocsf.schema import arrow_schema
from lemnis.ocsf.validation import problems

BASE = {
    "activity_id": 1, "category_uid": 1, "class_uid": 1007, "severity_id": 1, "time": 1, "type_uid": 100701,
    "metadata": {"uid": "ev-1", "version": "1.8.0", "product": {"name": "x"}},
}  # fmt: skip
DEVICE, PID = {"hostname": "h", "type_id": 0}, {"pid": 1}
GOOD = {**BASE, "actor": {"process": PID}, "device": DEVICE, "process": PID}


def of(name, *rows, nested=True):
    return problems(pa.Table.from_pylist(list(rows), schema=arrow_schema(name)), name, nested=nested)


def test_a_right_event_has_no_problem():
    assert of("process_activity", GOOD) == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"device": None}, "device is required and has no value"),
        ({"severity_id": 17}, "severity_id: 17 is not in the enumeration"),
        ({"activity_id": 77}, "activity_id: 77 is not in the enumeration"),
        ({"device": {"hostname": "h"}}, "device.type_id is required and has no value"),
        ({"process": {"name": "x"}}, "process needs one of pid, uid"),
        ({"process": {"pid": 1, "file": {"path": "/x", "type_id": 0}}}, "process.file.name is required"),
        (
            {"process": {"pid": 1, "file": {"name": "x", "type_id": 0, "hashes": [{"value": "a"}]}}},
            "process.file.hashes[].algorithm_id is required",
        ),
    ],
)
def test_the_row_and_the_attribute_are_named(change, said):
    (place, reason), *rest = of("process_activity", GOOD, {**GOOD, **change}).items()
    assert rest == []
    assert place == 1
    assert reason.startswith(said)


def test_without_nested_only_the_class_and_enumerations_are_demanded():
    assert of("process_activity", {**GOOD, "process": {"name": "x"}}, nested=False) == {}
    bad = {**GOOD, "device": {"hostname": "h", "type_id": 55}}
    assert of("process_activity", bad, nested=False) == {0: "device.type_id: 55 is not in the enumeration"}


def test_just_one_means_one():
    event = {**BASE, "class_uid": 3003, "category_uid": 3, "user": {"name": "kim"}}
    found = of("authorize_session", event, {**event, "privileges": ["a"]}, {**event, "group": {"name": "g"}},
               {**event, "privileges": ["a"], "group": {"name": "g"}})  # fmt: skip
    assert found == dict.fromkeys((0, 3), "the event needs just one of privileges, group")


def test_columns_that_are_not_there_are_missing_in_every_row():
    table = pa.table({"time": [1, 2]})
    assert problems(table, "base_event") == {
        0: "activity_id is required and has no value", 1: "activity_id is required and has no value"
    }  # fmt: skip
