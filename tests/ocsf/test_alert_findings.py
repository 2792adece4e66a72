"""Alerts as OCSF Detection Findings."""

from dataclasses import replace

import orjson
import pyarrow as pa
import pytest

from lemnis.contracts.alerts import Alert, Entity, MatchedField, Severity
from lemnis.ocsf import schema
from lemnis.ocsf.findings import MAX_EVENTS, alert_finding
from lemnis.ocsf.validation import problems

ALERT = Alert(
    "al-1", "rule-1", "A title", Severity.HIGH, 2000, "windows", ("ev-1", "ev-2"),
    (Entity.parse("host:h"), Entity.parse("address:192.0.2.1")), "sha256:content",
    ("attack.execution", "attack.t1059.001", "attack.stealth", "car.2013-02-003"),
    {"metadata": {"uid": "ev-1"}, "raw_data": "raw", "time": 2000}, count=2, first=1000, last=3000,
    rule_digest="sha256:rule", matched=(MatchedField("Image", "Image is like '*cmd.exe'", "C:\\cmd.exe"),),
    confidence="medium", window=3_600_000,
)  # fmt: skip
VARIANTS = [
    ALERT,
    replace(ALERT, revision=3),
    replace(ALERT, revision=4, withdrawn=True),
    Alert("al-2", "r", "T", Severity.UNKNOWN, 1, "s", ("ev-1",), (), "sha256:c"),
]


@pytest.mark.parametrize("alert", VARIANTS)
def test_a_finding_meets_the_standard(alert):
    table = pa.Table.from_pylist([alert_finding(alert, 5000)], schema=schema.arrow_schema(2004))
    assert problems(table, 2004) == {}
    (row,) = table.to_pylist()
    assert row["metadata"]["version"] == schema.version()
    assert row["type_uid"] == 200400 + row["activity_id"]


def test_nothing_of_a_finding_is_lost_to_the_schema():
    found = alert_finding(ALERT, 5000)
    (row,) = pa.Table.from_pylist([found], schema=schema.arrow_schema(2004)).to_pylist()

    def inside(told, kept):
        if isinstance(told, dict):
            return all(inside(value, kept[key]) for key, value in told.items())
        if isinstance(told, list | tuple):
            return len(told) == len(kept) and all(map(inside, told, kept))
        return told == kept

    assert inside(found, row)


def test_a_finding_tells_rule_technique_evidence_and_what_matched():
    found = alert_finding(ALERT, 5000)
    info = found["finding_info"]
    assert info["uid"] == found["metadata"]["uid"] == found["metadata"]["correlation_uid"] == "al-1"
    assert info["analytic"] == {
        "uid": "rule-1", "name": "A title", "version": "sha256:rule", "type_id": 1, "type": "Rule",
    }  # fmt: skip
    assert info["attacks"] == [
        {"tactic": {"name": "Execution", "uid": "TA0002"}},
        {"tactic": {"name": "Stealth"}},
        {"technique": {"uid": "T1059"}, "sub_technique": {"uid": "T1059.001"}},
    ]
    assert (info["first_seen_time"], info["last_seen_time"], found["count"], found["time"]) == (
        1000,
        3000,
        2,
        2000,
    )
    assert [one["uid"] for one in info["related_events"]] == ["ev-1", "ev-2"]
    assert (found["confidence_id"], found["confidence"], found["is_alert"]) == (2, "Medium", True)
    assert (found["severity_id"], found["risk_score"]) == (4, 60)
    assert alert_finding(ALERT, 5000, risks={"high": 7})["risk_score"] == 7
    assert "content:sha256:content" in found["metadata"]["labels"]
    (evidence,) = found["evidences"]
    assert (evidence["uid"], orjson.loads(evidence["data"])) == (
        "ev-1",
        {"metadata": {"uid": "ev-1"}, "time": 2000},
    )
    assert orjson.loads(found["unmapped"]) == {
        "matched": [{"field": "Image", "asks": "Image is like '*cmd.exe'", "value": "C:\\cmd.exe"}]
    }


def test_what_changes_an_alert_is_an_update_with_an_id_of_its_own():
    first, again = alert_finding(ALERT, 1), alert_finding(replace(ALERT, revision=1), 2)
    repeated, more = (alert_finding(ALERT, 1, sequence=seq, repeated=True) for seq in (8, 9))
    gone = alert_finding(replace(ALERT, revision=2, withdrawn=True), 3)
    every = (first, again, repeated, more, gone)
    assert [one["activity_name"] for one in every] == ["Create", "Update", "Update", "Update", "Close"]
    assert len({one["metadata"]["uid"] for one in every}) == 5
    assert {one["finding_info"]["uid"] for one in every} == {"al-1"}
    assert [one["metadata"].get("sequence") for one in every] == [None, None, 8, 9, None]
    assert (gone["status"], gone["status_id"], first["status_id"]) == ("Resolved", 4, 1)


def test_the_events_of_a_finding_are_bounded_and_counted():
    many = replace(ALERT, event_uids=tuple(f"ev-{n}" for n in range(5000)), count=5000)
    found = alert_finding(many, 1)
    assert (len(found["finding_info"]["related_events"]), found["count"]) == (MAX_EVENTS, 5000)
