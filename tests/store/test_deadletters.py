"""Dead letters: kept once, let go with the event, bounded by age and size, and not found in the file after."""

import pyarrow as pa
import pytest
from lakes import DAY, START, batch, lake, numbers

from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import Location
from lemnis.contracts.events import Appended, Cursor, Reject
from lemnis.store import deadletters
from lemnis.store.deadletters import Keep
from lemnis.store.lake import Lake
from lemnis.store.spool import Spool


def reject(record, raw=b"x", reason="bad", **more):
    return Reject(Location("a.log", record=record), reason, raw, **more)


def counts(store):
    return {one.source: (one.rows, one.forgotten) for one in store.dead_counts()}


def test_a_letter_has_all_that_is_known_of_it(tmp_path):
    store = lake(tmp_path)
    cursor = Cursor("linux", "head", "a.log", 1)
    store.append([], rejects=[reject(7, b"\xff{", fields='{"a":"b"}')], cursor=cursor, content="sha256:1")
    (one,) = store.dead_letters()
    assert (one.source, one.origin_key, one.at, one.reason) == (
        "linux",
        "head",
        Location("a.log", record=7),
        "bad",
    )
    assert (one.raw, one.fields, one.content, one.time) == (b"\xff{", '{"a":"b"}', "sha256:1", START)


def test_the_same_record_is_there_once_with_the_last_reason(tmp_path):
    store = lake(tmp_path)
    store.append([], rejects=[reject(1, reason="no time")], source="s", content="old")
    store.append([], rejects=[reject(1, reason="no entry"), reject(2)], source="s", content="new")
    assert [(one.reason, one.content) for one in store.dead_letters()] == [
        ("no entry", "new"),
        ("bad", "new"),
    ]
    store.append([], rejects=[reject(None, b"", "damaged"), reject(None, b"", "cut off")], source="s")
    assert counts(store) == {"s": (4, 0)}


def test_what_is_settled_goes_with_the_event_or_not_at_all(tmp_path):
    store = lake(tmp_path)
    store.append([], rejects=[reject(1), reject(2)], source="linux")
    one, two = store.dead_letters()
    assert store.append([batch([1])], settled=[one.id, one.id]) == Appended(1, 0, 0)
    assert [left.id for left in store.dead_letters()] == [two.id]
    wrong = batch([2], schema=pa.schema([("time", pa.int64())]))
    with pytest.raises(Exception, match=r"metadata\.uid"):
        store.append([wrong], settled=[two.id])
    assert [left.id for left in store.dead_letters()] == [two.id]
    assert numbers(store) == [1]


def test_letters_that_are_too_old_are_forgotten_and_counted(tmp_path):
    clock = ManualClock(START)
    store = Lake(tmp_path, clock, keep=Keep(days=2))
    store.append([], rejects=[reject(1)], source="s")
    clock.advance(DAY)
    store.append([], rejects=[reject(2)], source="s")
    clock.advance(DAY + 1)
    store.flush()
    assert [one.at.record for one in store.dead_letters()] == [2]
    assert counts(store) == {"s": (1, 1)}


def test_who_floods_forgets_its_own_oldest(tmp_path):
    store = Lake(tmp_path, ManualClock(START), keep=Keep(bytes=100_000))
    store.append([], rejects=[reject(1, b"q" * 1000)], source="quiet")
    for number in range(30):
        store.append(
            [], rejects=[reject(n, b"f" * 4000) for n in range(number * 10, number * 10 + 10)], source="flood"
        )
    assert sum(one.bytes for one in store.dead_counts()) <= 100_000
    assert counts(store)["quiet"] == (1, 0)
    kept = [one.at.record for one in store.dead_letters("flood")]
    assert kept == list(range(300 - len(kept), 300))
    assert counts(store)["flood"] == (len(kept), 300 - len(kept))
    assert len(kept) >= 15


def test_what_was_let_go_is_not_in_the_file(tmp_path):
    store = lake(tmp_path)
    store.append([], rejects=[reject(1, b"SECRET-one" * 50), reject(2, b"SECRET-two" * 5000)], source="s")
    store.append([], settled=[one.id for one in store.dead_letters()])
    with Spool(tmp_path / "spool.db")._connection() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"SECRET" not in (tmp_path / "spool.db").read_bytes()


def test_sql_sees_them_and_the_catalogue_names_them(tmp_path):
    store = lake(tmp_path)
    assert "rejects" not in store.schemas()
    store.append([], rejects=[reject(n, b"r%d" % n) for n in range(2500)], source="s")
    rows = store.query("SELECT count(*) AS n, max(record) AS last FROM rejects WHERE metadata.log_name = 's'")
    assert rows.to_pylist() == [{"n": 2500, "last": 2499}]
    assert "rejects" in store.schemas()


def test_rejects_that_lie_in_a_table_of_an_older_lake_become_letters(tmp_path):
    store = lake(tmp_path)
    names = ("time", "metadata", "file", "line", "record", "reason", "raw")
    schema = pa.schema([deadletters.ARROW.field(name) for name in names])
    for first in (0, 2):
        old = pa.Table.from_pylist(
            [
                {"time": START + n, "metadata": {"uid": f"rj-{n:016}", "log_name": "s"}, "file": "a.log", "line": None,
                 "record": n, "reason": "bad", "raw": b"r%d" % n}
                for n in range(first, first + 2)
            ],
            schema=schema,
        )  # fmt: skip
        with store._spool.writing() as spool:
            spool.set_schema("rejects", schema)
            spool.add("rejects", old, pa.array(range(first, first + 2)).to_numpy())
        if not first:
            store.flush()
    assert (tmp_path / "tables" / "rejects").is_dir()
    again = lake(tmp_path)
    assert sorted((one.at.record, one.raw) for one in again.dead_letters()) == [
        (n, b"r%d" % n) for n in range(4)
    ]
    assert not (tmp_path / "tables" / "rejects").exists()
    assert len(lake(tmp_path).dead_letters()) == 4
