"""How well incidents are handled, in figures."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from incident_made import incident

from lemnis.contracts.alerts import IncidentStatus, Verdict
from lemnis.contracts.handling import Asset, Handling
from lemnis.incidents.statistics import Lesson, document, measured, percentiles, repeated, rows, share


def one(name="in-1", verdict=Verdict.UNKNOWN, opened=5000, **handled):
    made = replace(incident(status=IncidentStatus.CLOSED), id=name, verdict=verdict, opened=opened)
    assets = [Asset("host:a", "a", team="shop", services=("cart", "pay"))]
    return measured(made, Handling(**handled), assets)


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_a_percentile_is_a_value_that_was_measured_and_no_fewer_are_below(values):
    found = percentiles(values)
    for rank, value in found.items():
        assert value in values
        assert sum(other <= value for other in values) >= rank * len(values) / 100
        assert sum(other < value for other in values) < rank * len(values) / 100 or value == min(values)


def test_percentiles_by_nearest_rank():
    assert percentiles(range(1, 101)) == {50: 50, 90: 90, 95: 95}
    assert percentiles([7]) == {50: 7, 90: 7, 95: 7}
    assert percentiles([]) == {}


@pytest.mark.parametrize(
    ("count", "of", "low", "high"), [(2, 2, 0.3424, 1.0), (8, 10, 0.4902, 0.9433), (0, 0, 0, 1)]
)
def test_a_share_has_wilsons_interval(count, of, low, high):
    found = share(count, of)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert found.share == (count / of if of else None)


def test_rows_by_detection_team_and_service():
    found = [
        one("in-1", Verdict.TRUE_POSITIVE, acknowledged=6000, contained=7000, resolved=9000),
        one("in-2", Verdict.FALSE_POSITIVE, acknowledged=8000),
    ]
    (row,) = rows(found, "detection")
    assert (row.name, row.title, row.incidents) == ("r", "A title", 2)
    assert row.times["acknowledge"] == (2, {50: 1000, 90: 3000, 95: 3000})
    assert row.times["recover"] == (1, {50: 4000, 90: 4000, 95: 4000})
    assert (row.verdicts["true"].count, row.verdicts["true"].of) == (1, 2)
    assert [row.name for row in rows(found, "team")] == ["shop"]
    assert [row.name for row in rows(found, "service")] == ["cart", "pay"]
    assert document(row)["times"]["contain"] == {"count": 1, "p50": 2000, "p90": 2000, "p95": 2000}


def test_what_comes_after_its_lesson_was_closed_came_again():
    lesson = Lesson("2026-1", 10_000, "in-1", frozenset({"r"}), "CWE-78")
    known = [
        one("in-1", Verdict.TRUE_POSITIVE),
        one("in-2", Verdict.TRUE_POSITIVE, opened=11_000),
        one("in-3", Verdict.FALSE_POSITIVE, opened=12_000),
        one("in-4", Verdict.TRUE_POSITIVE, opened=13_000),
    ]
    found = repeated([lesson], (each.incident for each in known), {"in-4": "CWE-78"})
    assert [(each.incident, each.same, each.what) for each in found] == [
        ("in-2", "rule", "r"),
        ("in-4", "cause", "CWE-78"),
    ]
    (row,) = rows(known, "", found)
    assert (row.repeats, row.again) == (tuple(found), 2)
