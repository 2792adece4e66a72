from dataclasses import dataclass

import pyarrow as pa

from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.detection import Match
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import canonical, stable_id
from lemnis.detect.alerts import MAX_EVENT, Alerts, bounded


@dataclass(frozen=True)
class Rule:
    id: str
    title: str = "a title"
    level: str = "high"
    tags: tuple[str, ...] = ("attack.execution",)


def entities(class_uid, event):
    assert class_uid == 1007
    return [
        Entity(EntityKind.USER, event["user"]),
        Entity(EntityKind.HOST, "h"),
        Entity(EntityKind.HOST, "h"),
    ]


def batch(*times):
    rows = [
        {"metadata": {"uid": f"ev-{n}"}, "time": time, "user": f"u{n}", "empty": None}
        for n, time in enumerate(times)
    ]
    return EventBatch(1007, "linux", "file", pa.Table.from_pylist(rows))


ALERTS = Alerts("sha256:content", entities)


def test_an_alert_says_which_rule_which_event_and_what_about():
    (alert,) = ALERTS.of(batch(5, 7), [Match(0, [1])], [Rule("r")])
    assert alert.id == stable_id("al", "r", "ev-1")
    assert (alert.rule_id, alert.title, alert.severity, alert.time, alert.source) == (
        "r",
        "a title",
        Severity.HIGH,
        7,
        "linux",
    )
    assert alert.event_uids == ("ev-1",)
    assert alert.entities == (Entity(EntityKind.HOST, "h"), Entity(EntityKind.USER, "u1"))
    assert alert.content_digest == "sha256:content"
    assert alert.tags == ("attack.execution",)
    assert alert.event == {"metadata": {"uid": "ev-1"}, "time": 7, "user": "u1"}


def test_rows_of_several_frames_and_rules_come_once_each_by_time():
    matches = [Match(1, [0, 1]), Match(0, [1]), Match(1, [1])]
    found = list(ALERTS.of(batch(9, 3), matches, [Rule("a"), Rule("b")]))
    assert [(alert.time, alert.rule_id) for alert in found] == [(3, "a"), (3, "b"), (9, "b")]
    assert len({alert.id for alert in found}) == 3


def test_no_match_is_no_alert_and_a_level_that_is_missing_is_not_made_up():
    assert list(ALERTS.of(batch(1), [], [])) == []
    (alert,) = ALERTS.of(batch(1), [Match(0, [0])], [Rule("r", level="")])
    assert alert.severity is Severity.UNKNOWN


def test_the_event_is_bounded_and_keeps_what_names_it():
    event = {
        "metadata": {"uid": "ev-1"}, "time": 1, "raw_data": "x" * 50_000, "b": b"\xff", "many": list(range(500)),
        **{f"field{n}": {"deep": ["y" * 3000] * 4} for n in range(20)},
    }  # fmt: skip
    small = bounded(event)
    assert len(canonical(small)) <= MAX_EVENT
    assert small["metadata"] == {"uid": "ev-1"}
    assert "the lake has it" in small["raw_data"]
    assert bounded({"raw_data": "z" * 5000})["raw_data"].endswith("… (5000 characters)")
    assert bounded(event) == small
