"""Reference tables: every state they were in is there, and the same changes have the same digest."""

import pyarrow as pa
import pytest
import sqlalchemy as sa

from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import IntegrityError
from lemnis.contracts.reference import RECORDS
from lemnis.store.database import open_engine
from lemnis.store.reference import NOTHING, Reference


def rows(*told):
    return pa.Table.from_pylist(
        [
            {"id": name, "from": since, "until": until, "record": record}
            for name, since, until, record in told
        ],
        schema=RECORDS,
    )


def said(records):
    return [
        (one["id"], one["from"], one["until"], one["record"], one["revision"]) for one in records.to_pylist()
    ]


@pytest.fixture
def engine(tmp_path):
    made = open_engine(tmp_path / "journal.db")
    yield made
    made.dispose()


@pytest.fixture
def reference(engine):
    return Reference(engine, ManualClock(7))


def test_a_change_replaces_the_timelines_of_its_ids_and_earlier_states_stay(reference):
    assert reference.head() == (0, NOTHING)
    reference.change("assets", "a.csv", lambda _: rows(("a", 0, 5, "x"), ("a", 5, 9, "y"), ("b", 0, 9, "z")))
    first = reference.records()
    reference.change("assets", "b.csv", lambda _: rows(("a", 0, 9, "w")))
    reference.change("networks", "n.csv", lambda before: rows(("a", 0, 9, str(before.num_rows))))
    reference.change("assets", "c.csv", lambda _: rows(("b", 0, 0, "{}")))
    assert said(reference.records()) == [("a", 0, 9, "w", 2), ("a", 0, 9, "0", 3)]
    assert said(reference.records(at=1)) == said(first)
    assert said(reference.records(at=3, table="assets")) == [("b", 0, 9, "z", 1), ("a", 0, 9, "w", 2)]
    assert reference.newer(first, 1).equals(reference.records())
    one = reference.records().to_pylist()[0]
    assert (one["table"], one["origin"], one["recorded"]) == ("assets", "b.csv", 7)
    assert [(c.revision, c.table, c.origin, c.records) for c in reference.changes()] == [
        (1, "assets", "a.csv", 3), (2, "assets", "b.csv", 1), (3, "networks", "n.csv", 1), (4, "assets", "c.csv", 1)]  # fmt: skip


def test_who_told_a_record_stays_told(reference):
    reference.change("assets", "a.csv", lambda _: rows(("a", 0, 9, "x")))
    reference.change(
        "assets",
        "b.csv",
        lambda before: pa.concat_tables([before.select(RECORDS.names), rows(("a", 9, 12, "y"))]),
    )
    assert [(one["record"], one["origin"], one["revision"]) for one in reference.records().to_pylist()] == [
        ("x", "a.csv", 1), ("y", "b.csv", 2)]  # fmt: skip


def test_nothing_is_no_change_and_what_raises_leaves_nothing(reference):
    assert reference.change("assets", "a", lambda _: None) is None
    assert reference.change("assets", "a", lambda before: before) is None
    with pytest.raises(ZeroDivisionError):
        reference.change("assets", "a", lambda _: 1 // 0)
    assert reference.head() == (0, NOTHING)


def test_the_same_changes_have_the_same_digest_on_every_machine(tmp_path, reference):
    other = Reference(open_engine(tmp_path / "other.db"), ManualClock(99))
    for one in (reference, other):
        one.change("assets", "a.csv", lambda _: rows(("a", 0, 5, "x")))
        one.change("assets", "b.csv", lambda _: rows(("a", 0, 5, "y")))
    assert reference.head() == other.head()
    other.change("assets", "b.csv", lambda _: rows(("a", 0, 5, "z")))
    reference.change("assets", "b.csv", lambda _: rows(("a", 0, 5, "q")))
    assert reference.head() != other.head()


def test_many_small_changes_become_one_that_says_the_same(engine, reference):
    reference.change("assets", "a.csv", lambda _: rows(("a", 0, 5, "x")))
    for number in range(5):
        reference.change("dns", "events", lambda _, n=number: rows((f"d{n}", 0, 5, "x"), ("e", n, 9, str(n))))
    reference.change("dns", "events", lambda _: rows(("d1", 0, 0, "{}")))
    reader = reference.records(at=3)
    before, head = said(reference.records()), reference.head()
    assert not reference.fold("dns", most=6)
    assert reference.fold("dns", most=5)
    assert (said(reference.records()), reference.head()) == (before, head)
    assert [change.revision for change in reference.changes()] == [1, 7]
    assert sorted(said(reference.newer(reader, 3))) == sorted(before)


def test_altered_data_is_told(engine, reference):
    reference.change("assets", "a.csv", lambda _: rows(("a", 0, 5, "x")))
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE reference SET data = :data"), {"data": b"nothing that Arrow reads"}
        )
    with pytest.raises(IntegrityError, match="altered"):
        reference.records()
