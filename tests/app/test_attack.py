"""From raw logs of four sources to one incident, with the built-in sources and rules, and again by replay."""

import attacked
import pytest

from lemnis import app
from lemnis.app import incidents
from lemnis.app.ingest import Ingest, watcher
from lemnis.app.replay import replay
from lemnis.content.library import Library
from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import ManualClock

RULES = {
    "Web scanner names itself in its user agent": 4,
    "Web path asked for that only a scanner looks for": 3,
    "SSH login refused for a user that does not exist": 4,
    "Discovery command run by the shell of a service": 2,
    "Instance credentials read from the metadata service by a command-line program": 1,
    "Credentials of a machine's role used from outside its network": 2,
    "Cloud identity or its rights could not be changed for want of permission": 1,
}


def ingested(folder, logs, *, one_by_one=False):
    workspace = app.init(folder, clock=ManualClock(attacked.BASE * 1000 + 3_600_000))
    for some in sorted(logs.iterdir(), reverse=True) if one_by_one else [logs]:
        totals = Ingest(workspace, watcher=watcher(workspace)).run([some])
        assert totals.rejected == 0
    return workspace


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    attacked.write(folder)
    return folder


@pytest.fixture(scope="module")
def workspace(logs, tmp_path_factory):
    return ingested(tmp_path_factory.mktemp("w") / "w", logs)


def test_the_attack_is_one_incident_and_the_mistyped_name_is_in_none(workspace):
    (one,) = incidents.incidents(workspace)
    assert {group.title: group.count for group in one.by_rule} == RULES
    assert one.severity is Severity.HIGH
    alerts = incidents.alerts_of(workspace, one.id)
    assert len(alerts) == sum(RULES.values())
    assert not [alert for alert in alerts if any(e.value == attacked.OFFICE for e in alert.entities)]
    kinds = [entry.kind for entry in app.journal(workspace).entries()]
    assert kinds.count("alert") == sum(RULES.values()) + 1


def test_each_alert_says_why_it_is_in(workspace):
    (one,) = incidents.incidents(workspace)
    first, *others = [group for group in one.groups for _ in group.reasons[:1]]
    assert first.first == one.first_event
    told = {group.title: group.reasons for group in one.by_rule}
    assert any(
        "shares address 198.51.100.23" in reason
        for reason in told["Credentials of a machine's role used from outside its network"]
    )
    ssh = told["SSH login refused for a user that does not exist"]
    assert any("shares host web1" in reason and "before it" in reason for reason in ssh)
    assert all(group.reasons for group in others)


def test_the_timeline_has_what_was_deployed_before_what_was_seen(workspace):
    (one,) = incidents.incidents(workspace)
    first, *others = incidents.timeline(workspace, one)
    assert (first.kind, first.title) == ("deploy", "registry.shop.example/shop:1 started on web1")
    assert first.detail["container"] == "c1"
    assert others[-1].kind == "opened"
    assert {item.kind for item in others[:-1]} == {"alert"}


def test_replay_gives_the_alerts_of_the_ingest(workspace):
    live = [
        incidents.alert(workspace, entry.subject) for entry in app.journal(workspace).entries(kind="alert")
    ]
    found = replay(app.lake(workspace), Library.open(workspace.content))
    assert {alert.id: alert for alert in found} == {alert.id: alert for alert in live}
    part = replay(
        app.lake(workspace),
        Library.open(workspace.content),
        start=(attacked.BASE + 60) * 1000,
        sources=["linux_syslog"],
    )
    assert {alert.source for alert in part} == {"linux_syslog"}
    assert len(part) == 5


def test_file_by_file_ends_in_the_same_alerts_and_grouping_as_all_at_once(workspace, logs, tmp_path):
    other = ingested(tmp_path / "w", logs, one_by_one=True)
    (whole,) = incidents.incidents(workspace)
    (parts,) = [one for one in incidents.incidents(other) if not one.merged_into]
    assert parts.alert_ids == whole.alert_ids
    assert parts.risk == whole.risk
    again = ingested(tmp_path / "again", logs)
    assert [one.id for one in incidents.incidents(again)] == [whole.id]


def test_without_the_attack_nothing_is_found(logs, tmp_path):
    for file in logs.iterdir():
        kept = [
            line
            for line in file.read_text().splitlines(keepends=True)
            if attacked.ATTACKER not in line and "printf x" not in line
        ]
        if file.name == "audit.log":
            kept = kept[:3]
        benign = tmp_path / "logs" / file.name
        benign.parent.mkdir(exist_ok=True)
        benign.write_text("".join(kept))
    workspace = ingested(tmp_path / "w", benign.parent)
    assert incidents.incidents(workspace) == []
