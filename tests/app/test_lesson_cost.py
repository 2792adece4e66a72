"""What an alert takes of an analyst: as the settings say, as the journal tells, or as it is assumed."""

import pytest
from worked import ask, at, clock, lines  # noqa: F401 - fixtures

from lemnis import app
from lemnis.app import lesson_cost, lesson_report
from lemnis.app.rates import limits
from lemnis.contracts.alerts import Entity
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph import Graph


def test_the_settings_say_it(at):  # noqa: F811
    assert lesson_cost.minutes(at) == (10.0, "assumed")
    settings = at.root / app.SETTINGS
    settings.write_text(settings.read_text() + "\nminutes_per_alert: 6\n")
    assert lesson_cost.minutes(at) == (6.0, "settings")


def test_a_rate_needs_events_of_the_detections_sources(at):  # noqa: F811
    found = lesson_cost.analyst(at, [], {"a_source_without_events"})
    assert (found["alerts_a_week"], found["minutes_a_week"], found["days"]) == (None, None, 0.0)
    assert "not known" in lesson_cost.told({"cost": found})


def test_alerts_become_minutes_a_week_with_their_limits(at, monkeypatch):  # noqa: F811
    class Lake:
        @staticmethod
        def query(_sql, *, parameters):
            assert parameters == [["s"]]
            return Rows()

    class Rows:
        @staticmethod
        def to_pylist():
            return [{"first": 0, "last": 14 * 86_400_000}]

    monkeypatch.setattr(app, "events", lambda _: Lake)
    found = lesson_cost.analyst(at, [1, 86_400_000], {"s"})
    low, high = limits(2)
    assert found["alerts_a_week"] == {
        "rate": 1.0,
        "low": pytest.approx(low / 2, abs=1e-6),
        "high": pytest.approx(high / 2, abs=1e-6),
    }
    assert found["minutes_a_week"]["rate"] == 10.0
    assert "10 analyst minutes a week (1.21 to 36.1, 95 %) over 14 days" in lesson_cost.told({"cost": found})


def test_what_runs_of_a_commit_is_counted_then_and_now(at):  # noqa: F811
    commit, then, now = "1" * 40, 1_700_000_000_000, 1_700_000_000_000 + 86_400_000
    assert lesson_report.exposed(at, commit, then, now) == (None, None)
    told = [
        ("image:a", "built_from", f"commit:{commit}", None),
        ("workload:shop", "instance_of", "image:a", then),
        ("workload:pay", "instance_of", "image:a", None),
        ("container:c", "instance_of", "image:a", None),
    ]
    Graph(app.engine(at)).load(
        [
            Edge(Entity.parse(one), Entity.parse(other), how, "m", Strength.RECORDED, {}, valid_to=until)
            for one, how, other, until in told
        ]
    )
    assert lesson_report.exposed(at, commit, then, now) == (2, 1)
    assert lesson_report.exposed(at, commit, None, now) == (None, None)
