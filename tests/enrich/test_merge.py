"""What an import makes of timelines, against a timeline that is a list of days."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.reference import ALWAYS, FOREVER, RECORDS
from lemnis.enrich.merge import Told, merge

DAYS = range(-2, 14)


def records(*rows):
    keys = ("id", "from", "until", "record")
    return pa.Table.from_pylist([dict(zip(keys, row, strict=True)) for row in rows], schema=RECORDS)


def rows(table):
    return [(one["id"], one["from"], one["until"], one["record"]) for one in table.to_pylist()]


def laid(before, merged):
    """The records there are after a change: those of the ids that it names are replaced."""
    changed = {row[0] for row in rows(merged.records)}
    kept = [row for row in rows(before) if row[0] not in changed]
    return records(*kept, *(row for row in rows(merged.records) if row[1] < row[2]))


def test_a_snapshot_holds_until_the_next_change_that_is_known():
    before = records(("a", 10, 20, "x"), ("a", 20, FOREVER, "y"))
    assert rows(merge(before, [Told("a", "z")], as_of=5).records) == [
        ("a", 5, 10, "z"), ("a", 10, 20, "x"), ("a", 20, FOREVER, "y")]  # fmt: skip
    assert rows(merge(before, [Told("a", "z")], as_of=15).records) == [
        ("a", 10, 15, "x"), ("a", 15, 20, "z"), ("a", 20, FOREVER, "y")]  # fmt: skip
    assert rows(merge(before, [Told("a", "y")], as_of=15).records) == [
        ("a", 10, 15, "x"), ("a", 15, FOREVER, "y")]  # fmt: skip
    assert rows(merge(before, [Told("b", "z")], as_of=15).records) == [("b", 15, FOREVER, "z")]


def test_what_is_as_it_was_changes_nothing():
    before = records(("a", 10, 20, "x"), ("b", ALWAYS, FOREVER, "y"))
    done = merge(before, [Told("a", "x"), Told("b", "y")], as_of=15)
    assert (done.records.num_rows, done.added, done.changed, done.unchanged, done.ended) == (0, 0, 0, 2, 0)


def test_what_a_complete_import_does_not_name_ended():
    before = records(("a", 0, FOREVER, "x"), ("b", 0, FOREVER, "y"), ("c", 0, 5, "z"), ("d", 9, FOREVER, "w"))
    done = merge(before, [Told("a", "x")], as_of=9, complete=True)
    assert sorted(rows(done.records)) == [("b", 0, 9, "y"), ("d", 0, 0, "{}")]
    assert (done.added, done.changed, done.unchanged, done.ended) == (0, 0, 1, 2)


SPANS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 10), st.integers(1, 5), st.sampled_from("xyz")),
    max_size=8,
)


@given(SPANS, st.integers(0, 10))
def test_intervals_that_are_told_hold_and_the_same_again_changes_nothing(spans, as_of):
    before, by_day = records(), {}
    for name, since, length, record in spans:
        one = Told(name, record, since, since + length)
        before = laid(before, merge(before, [one], as_of=as_of))
        by_day |= {(name, day): record for day in range(since, since + length)}
        assert not merge(before, [one], as_of=as_of).records.num_rows
    told = {}
    for name, since, until, record in rows(before):
        for day in range(since, until):
            assert (name, day) not in told
            told[name, day] = record
    assert told == by_day


@given(SPANS, st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(-1, 12))
def test_a_snapshot_says_its_moment_changes_nothing_before_and_may_be_told_again(spans, name, record, as_of):
    before = records()
    for one, since, length, said in spans:
        before = laid(before, merge(before, [Told(one, said, since, since + length)], as_of=0))
    after = laid(before, merge(before, [Told(name, record)], as_of=as_of))
    assert _at(after, name, as_of) == record
    assert [_at(after, name, day) for day in DAYS if day < as_of] == [
        _at(before, name, day) for day in DAYS if day < as_of]  # fmt: skip
    assert not merge(after, [Told(name, record)], as_of=as_of).records.num_rows


def _at(table, name, day):
    return next((row[3] for row in rows(table) if row[0] == name and row[1] <= day < row[2]), None)
