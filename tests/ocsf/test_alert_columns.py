"""Alerts by columns say what each of them says by itself."""

from dataclasses import replace

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.alerts import Alert, Entity, EntityKind, MatchedField, Severity
from lemnis.ocsf import schema
from lemnis.ocsf.alert_columns import Told, alert_table
from lemnis.ocsf.findings import MAX_EVENTS, alert_finding, evidence

RISKS = {"low": 3, "high": 50}
ENTITIES = st.builds(Entity, st.sampled_from(EntityKind), st.sampled_from(["a", "b:c", "é", ""]))
EVENTS = st.sampled_from([{}, {"raw_data": "left out", "a": 1}, {"name": "ü", "raw": {"x": [1, None]}}])
ALERTS = st.builds(
    Alert,
    id=st.sampled_from(["al-1", "al-2", "al-3"]),
    rule_id=st.sampled_from(["r1", "r2"]),
    title=st.sampled_from(["One", "Two"]),
    severity=st.sampled_from(Severity),
    time=st.integers(0, 9),
    source=st.sampled_from(["linux", "windows"]),
    event_uids=st.lists(st.sampled_from(["ev-1", "ev-2"]), max_size=3).map(tuple),
    entities=st.lists(ENTITIES, max_size=4).map(tuple),
    content_digest=st.sampled_from(["sha256:1", "sha256:2"]),
    tags=st.sampled_from([(), ("attack.execution", "attack.t1059.001"), ("attack.impact",)]),
    revision=st.integers(0, 1),
    withdrawn=st.booleans(),
    count=st.integers(1, 3),
    first=st.sampled_from([0, 1]),
    last=st.sampled_from([0, 10]),
    rule_digest=st.sampled_from(["", "sha256:r"]),
    matched=st.sampled_from([(), (MatchedField("Image", "is", "x"),), (MatchedField("User", "is", "é"),)]),
    confidence=st.sampled_from(["", "low", "high"]),
    fingerprint=st.sampled_from(["", "fp"]),
)
CASES = st.tuples(ALERTS, st.integers(0, 9), st.integers(0, 3), EVENTS)


def by_columns(cases):
    told = [Told(alert, at, sequence, evidence(alert, event)) for alert, at, sequence, event in cases]
    table = alert_table(told, RISKS)
    table.validate(full=True)
    return table


def by_rows(cases):
    rows = [
        alert_finding(alert, at, risks=RISKS, sequence=sequence, event=event)
        for alert, at, sequence, event in cases
    ]
    return pa.Table.from_pylist(rows, schema=schema.arrow_schema(2004))


@given(st.lists(CASES, max_size=8))
def test_what_is_made_by_columns_is_what_is_made_by_rows(cases):
    assert by_columns(cases).equals(by_rows(cases))


def test_of_an_alert_with_very_many_events_some_are_named():
    many = Alert(
        "al-1", "r", "T", Severity.LOW, 1, "s", tuple(f"ev-{n}" for n in range(3000)), (), "sha256:c"
    )
    cases = [(many, 1, 1, {}), (replace(many, id="al-2", event_uids=()), 1, 2, {"a": 1})]
    table = by_columns(cases)
    assert table.equals(by_rows(cases))
    assert len(table.to_pylist()[0]["finding_info"]["related_events"]) == MAX_EVENTS
