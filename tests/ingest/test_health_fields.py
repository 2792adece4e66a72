"""Drift: fields that are new, missing or of another kind, and what is told as no drift at all."""

import pyarrow as pa
import pytest

from lemnis.contracts.watching import DAY, HOUR, STEP, FieldSeen
from lemnis.ingest.health_fields import MISSING, NEW, RETYPED, Sampler, drift, look

NOW = 1_767_571_200_000 + 10 * DAY + 5 * HOUR


def seen(name, *counts, kind="text", days=8, rows=100):
    """Return a field that ``rows`` records had on each learnt day, and so many in the last two hours."""
    learnt = [FieldSeen(name, kind, NOW - n * DAY, DAY, rows) for n in range(2, 2 + days) if rows]
    lately = [FieldSeen(name, kind, NOW - n * HOUR, HOUR, count) for n, count in enumerate(counts) if count]
    return [*learnt, *lately]


SAMPLED = {NOW - n * DAY: 100 for n in range(2, 10)} | {NOW - n * HOUR: 100 for n in range(20)}


def found(*fields, sampled=SAMPLED):
    return drift([one for field in fields for one in field], sampled, NOW)


def test_fields_as_ever_are_no_drift():
    known = found(seen("user", 100, 100), seen("rare", 0, 0, rows=2))
    assert known.learnt
    assert known.found == ()


def test_a_field_that_no_record_had_before_is_new():
    (one,) = found(seen("user", 100, 100), seen("tenant", 40, 60, rows=0)).found
    assert (one.field, one.change, one.since, one.now) == ("tenant", NEW, NOW - HOUR, "text")
    assert "100 records have it; none of 800 before had" in one.why


def test_a_field_that_most_records_had_and_none_has_is_missing():
    (one,) = found(seen("user", 100, 100), seen("address", rows=30)).found
    assert (one.field, one.change, one.before) == ("address", MISSING, "text")
    assert "30%" in one.why


@pytest.mark.parametrize(("rows", "lately"), [(2, 100), (30, 5)])
def test_what_may_be_chance_is_not_missing(rows, lately):
    sampled = SAMPLED | {NOW - n * HOUR: lately for n in range(2)}
    assert found(seen("address", rows=rows), sampled=sampled).found == ()


def test_a_field_whose_values_are_of_another_kind_is_retyped():
    usual = seen("duration", kind="number")
    now = [FieldSeen("duration", "text", NOW, HOUR, 90), FieldSeen("duration", "number", NOW, HOUR, 10)]
    (one,) = found(usual, now).found
    assert (one.field, one.change, one.before, one.now) == ("duration", RETYPED, "number", "text")
    was_mixed = [*usual, *seen("duration", kind="text", rows=5)]
    assert found(was_mixed, now).found == ()


def test_a_source_that_brings_new_names_all_the_time_has_open_vocabulary():
    named = [[FieldSeen(f"label{n}", "text", NOW - n * DAY, DAY, 50)] for n in range(2, 10)]
    known = found(seen("user", 100, 100), *named, seen("label99", 50, 50, rows=0))
    assert known.open
    assert [one.field for one in known.found if one.change == NEW] == []


@pytest.mark.parametrize(
    "sampled", [{}, {NOW - 3 * DAY: 1000, NOW: 50}, {NOW - 2 * DAY: 90, NOW - 3 * DAY: 90, NOW: 50}]
)
def test_too_little_history_is_said_and_raises_no_alarm(sampled):
    known = found(seen("tenant", 50, rows=0), sampled=sampled)
    assert not known.learnt
    assert known.found == ()


def test_a_look_tells_kinds_and_presence():
    table = pa.table(
        {
            "n": ["1", "-2.5", None, "1e9"],
            "t": ["a", "1", "true", None],
            "l": pa.array([["a"], None, ["b", "c"], None], pa.list_(pa.string())),
            "none": pa.array([None] * 4, pa.string()),
            "i": [1, 2, 3, 4],
        }
    )
    sample = look("src", table)
    assert sample.rows == 4
    assert sample.fields == {
        "n": {"number": 3}, "t": {"number": 1, "boolean": 1, "text": 1}, "l": {"list": 2}, "i": {"number": 4},
    }  # fmt: skip


def test_a_source_is_looked_at_once_in_five_minutes_and_never_far():
    sampler, table = Sampler(), pa.table({"a": ["x"] * 10_000})
    (sample,) = sampler.of("one", table, NOW)
    assert sample.rows < 1000
    assert sampler.of("one", table, NOW + 1) == ()
    assert len(sampler.of("two", table, NOW + 1)) == 1
    assert len(sampler.of("one", table, NOW + STEP)) == 1
    assert sampler.of("three", table.slice(0, 0), NOW) == ()
