"""Events are enriched on their way into the lake: as of event time, and the same in replay."""

import orjson
import pyarrow as pa
import pytest
from enriched import EVENTS, HISTORY, LINE, NOW, assets, log

from lemnis import app
from lemnis.app import enriching, ingest
from lemnis.app.replay import replay
from lemnis.app.rules_lint import lint_paths
from lemnis.app.rules_test import test_rules as run_tests
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.reference import RECORDS
from lemnis.enrich.merge import Told, merge
from lemnis.incidents import entries as writing

RULE = """\
title: A login to a critical machine fails
id: 5b2e0d5c-0000-4000-8000-00000000e17c
status: test
level: high
logsource: {product: linux, service: sshd}
detection:
  selection: {asset.criticality: critical, 'src_endpoint.asset.owner': red}
  condition: selection
"""


@pytest.fixture
def workspace(tmp_path):
    made = app.init(tmp_path / "w", clock=ManualClock(NOW))
    folder = made.content / "detections" / "critical_login"
    folder.mkdir(parents=True)
    (folder / "rule.yml").write_text(RULE)
    return made


def enrichments(workspace):
    """What is stored with each event, by time: attribute, value, type, data."""
    table = app.lake(workspace).query(
        "SELECT time, metadata.uid AS uid, enrichments FROM authentication ORDER BY time, uid"
    )
    return [
        [
            (one["name"], one["value"], one["type"], orjson.loads(one["data"]))
            for one in row["enrichments"] or ()
        ]
        for row in table.to_pylist()
    ]


def alerts(workspace):
    found = app.journal(workspace).entries(kind=writing.ALERT)
    return sorted(entry.key for entry in found if entry.payload["rule_id"].endswith("e17c"))


def test_a_renamed_machine_and_a_reused_address_are_what_they_were_at_the_time(workspace, tmp_path):
    assets(workspace, HISTORY)
    ingest.Ingest(workspace).run([log(tmp_path, *EVENTS)])
    owners = [
        [(name, data["id"], data["owner"]) for name, _, _, data in event] for event in enrichments(workspace)
    ]
    assert owners == [
        [("device.hostname", "m1", "blue"), ("src_endpoint.ip", "p1", "red")],
        [("device.hostname", "m1", "blue"), ("src_endpoint.ip", "p2", "white")],
        [("device.hostname", "m2", "green"), ("src_endpoint.ip", "p2", "white")],
        [("device.hostname", "m2", "green"), ("src_endpoint.ip", "p1", "red")],
        [("device.hostname", "m1", "blue"), ("src_endpoint.ip", "p1", "red")],
    ]
    assert enrichments(workspace)[2][1] == (
        "src_endpoint.ip", "198.51.100.9", "asset",
        {"id": "p2", "owner": "white", "valid_from": "2026-02-01T00:00:00.000Z",
         "valid_until": "2026-04-01T00:00:00.000Z"},
    )  # fmt: skip


def test_replay_equals_live_and_a_late_correction_changes_neither_ids_nor_alerts(workspace, tmp_path):
    assets(workspace, HISTORY)
    path = log(tmp_path, *EVENTS)
    ingest.Ingest(workspace, watcher=ingest.watcher(workspace)).run([path])
    live, before = alerts(workspace), enrichments(workspace)
    assert len(live) == 1  # of April: the machine is critical, and who called is red
    library = Library.open(workspace.content)

    def again():
        found = replay(
            app.lake(workspace), library, rules=[library.get("detections", "critical_login").manifest]
        )
        return sorted(alert.id for alert in found)

    assert again() == live
    assets(workspace, HISTORY.replace("critical", "low"))
    ingest.Ingest(workspace, watcher=ingest.watcher(workspace)).run(
        [log(tmp_path, *EVENTS, name="again.log")]
    )
    assert enrichments(workspace) == before
    assert (alerts(workspace), again()) == (live, live)


def test_the_same_tables_give_the_same_in_another_workspace(tmp_path, workspace):
    other = app.init(tmp_path / "other", clock=ManualClock(NOW))
    found = []
    for one in (workspace, other):
        enriching.reference(one).change(
            "assets", "cmdb.csv",
            lambda before: merge(before, [Told("m1", '{"id":"m1","hostnames":["web1"]}')], as_of=0).records,
        )  # fmt: skip
        run = enriching.Enriching(one)
        assert run.tables()
        ingest.Ingest(one).run([log(tmp_path, *EVENTS)])
        found.append((run.digest, enrichments(one)))
    assert found[0] == found[1]
    assert found[0][1][0][0][3] == {"id": "m1", "valid_from": "1970-01-01T00:00:00.000Z", "revision": 1}


def test_a_rule_is_tested_with_what_is_known(workspace, tmp_path):
    folder = workspace.content / "detections" / "critical_login"
    line = LINE.format("04-15", "web1", 1, "198.51.100.9").strip()
    known = "{assets: [{id: a, hostnames: [web1], criticality: %s}, {id: b, addresses: [198.51.100.9], owner: red}]}"
    (folder / "tests.yml").write_text(
        f"- {{name: critical, source: linux_syslog, fires: true, known: {known % 'critical'}, records: '{line}'}}\n"
        f"- {{name: low, source: linux_syslog, fires: false, known: {known % 'low'}, records: '{line}'}}\n"
        f"- {{name: unknown, source: linux_syslog, fires: false, records: '{line}'}}\n"
    )
    (tested,) = run_tests(Library.open(workspace.content), ["critical_login"])
    assert tested.passed, tested
    assert [(one.raw, one.ocsf) for one in tested.results] == [(1, 1), (0, 0), (0, 0)]
    assert lint_paths(Library.open(workspace.content), [folder / "rule.yml"]).findings == ()


def test_without_records_nothing_is_added_and_with_unknown_machines_neither(workspace, tmp_path):
    ingest.Ingest(workspace).run([log(tmp_path, EVENTS[0])])
    assert "enrichments" not in app.lake(workspace).schemas()["authentication"].names
    assets(workspace, "- {id: else, hostnames: [elsewhere]}\n")
    ingest.Ingest(workspace).run([log(tmp_path, EVENTS[1], name="other.log")])
    assert "enrichments" not in app.lake(workspace).schemas()["authentication"].names


def test_what_changes_is_taken_over_and_a_broken_file_goes_on_as_it_was(workspace, caplog):
    now = 0.0
    run = enriching.Enriching(workspace, clock=lambda: now, every_s=2)
    assert run.tables() is None
    assets(workspace, "- {id: a, hostnames: [a]}\n")
    assets(workspace, "- {id: b, hostnames: [b]}\n", name="more")
    assert run.tables() is None
    now = 2.0
    assert run.tables().of("assets").column("id").to_pylist() == ["a", "b"]
    assets(workspace, "- {id: a, hostnames: nowhere at all}\n")
    assets(workspace, "- {id: c, hostnames: [c]}\n", name="more")
    now = 4.0
    assert sorted(run.tables().of("assets").column("id").to_pylist()) == ["a", "c"]
    assert "assets/all.yaml:1:" in caplog.text
    (workspace.content / "assets" / "all.yaml").unlink()
    now = 6.0
    assert run.tables().of("assets").column("id").to_pylist() == ["c"]
    enriching.reference(workspace).change(
        "networks", "x", lambda _: pa.Table.from_pylist(
            [{"id": "n", "from": 0, "until": 9, "record": '{"cidr":"10.0.0.0/8"}'}], schema=RECORDS),
    )  # fmt: skip
    now = 8.0
    assert run.tables().present == {"assets", "networks"}
