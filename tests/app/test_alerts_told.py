"""What people and machines see of alerts: the fields that matched, repeats, and in the lake the same."""

from dataclasses import replace

import orjson
import pytest
from watched import batch, entities
from watched import frames as plain_frames

from lemnis import app
from lemnis.app import incidents, watch
from lemnis.app.detection import Detection, detection
from lemnis.content.library import Library
from lemnis.contracts.detection import Offers
from lemnis.detect.alerts import Alerts
from lemnis.detect.facts import FactsOf
from lemnis.detect.matched import Matching
from lemnis.detect.matcher import Matcher
from lemnis.detect.rules import compile_files
from lemnis.detect.suppress import Suppression
from lemnis.interfaces.cli import run

ROWS = [(1, 0, "break-in by ann", "192.0.2.1"), (2, 1, "Break-In by bob", "192.0.2.1"), (3, 2, "nothing", "")]
RULE = """title: A break-in
id: 5f1a5e3e-0000-4000-8000-000000000001
level: critical
logsource: {category: test}
detection:
  a: {message|startswith: break-in}
  condition: a
"""
SUPPRESSING = RULE + "x-lemnis-suppress: {for: 30d}\n"


def frames(events):
    for frame in plain_frames(events):
        yield replace(frame, offers=Offers(categories=frozenset({"test"})))


def detecting(text):
    loaded = compile_files([("r.yml", text.encode())])
    assert not loaded.problems
    facts, matching = FactsOf(loaded.rules, loaded.atoms), Matching(loaded.rules, loaded.atoms)
    making = Alerts("sha256:c", entities, facts)
    return Detection(frames, Matcher(loaded.rules, loaded.atoms), loaded.rules, making, matching=matching)


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    workspace = app.init(tmp_path / "w")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(workspace.root))

    def asking(text, command, *options):
        watching = watch.Watch(workspace, detecting=detecting(text))
        watching.watch([batch(*ROWS)])
        watching.finish()
        (one,) = incidents.incidents(workspace)
        assert run(["incident", command, one.id, *options]) == 0
        return capsys.readouterr().out

    return asking


def test_an_incident_shows_the_fields_that_matched(ask):
    assert "message: break-in by ann" in ask(RULE, "show")


def test_alerts_are_listed_with_what_matched_and_in_which_events(ask):
    first, other = [orjson.loads(line) for line in ask(RULE, "alerts", "--json").splitlines()]
    assert (first["count"], first["window"], first["severity"]) == (1, 0, "critical")
    assert first["matched"] == [
        {"field": "message", "asks": "message is like 'break-in*'", "value": "break-in by ann"}
    ]
    assert other["matched"][0]["value"] == "Break-In by bob"
    assert first["rule_digest"] == other["rule_digest"]
    assert first["rule_digest"].startswith("sha256:")
    assert first["event"]["metadata"]["uid"] == first["event_uids"][0] != other["event_uids"][0]
    assert "2 alerts" in ask(RULE, "alerts")


def test_an_alert_that_folds_lists_all_its_events(ask):
    (one,) = [orjson.loads(line) for line in ask(SUPPRESSING, "alerts", "--json").splitlines()]
    assert (one["count"], len(one["event_uids"]), one["window"]) == (2, 2, 30 * 86_400_000)
    assert one["first"] < one["last"]
    text = ask(SUPPRESSING, "alerts")
    assert all(uid in text for uid in one["event_uids"])


def test_the_content_says_which_alerts_fold(tmp_path):
    workspace = app.init(tmp_path / "w")
    before = detection(Library.open(workspace.content))
    assert before.alerts.facts(0).suppression is None
    own = workspace.content / "correlations" / "default"
    own.mkdir(parents=True)
    shipped = Library.open(workspace.content).get("correlations", "default").manifest.read_text("utf-8")
    manifest = own / "grouping.yaml"
    manifest.write_text(f"{shipped}\nsuppress: [{{rules: ['*'], by: [User], for: 2h}}]\n", "utf-8")
    after = detection(Library.open(workspace.content))
    assert after.alerts.facts(0).suppression == Suppression(2 * 3_600_000, ("User",))
    manifest.write_text(f"{shipped}\nsuppress: [{{rules: [], for: 2h}}]\n", "utf-8")
    (problem,) = [
        one for one in detection(Library.open(workspace.content)).problems if "grouping" in str(one)
    ]
    assert "suppress" in str(problem)
