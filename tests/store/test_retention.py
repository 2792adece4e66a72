"""What is past its time goes from the tables and from the disk; what is held, or serves longer, stays."""

import multiprocessing
import os
import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from lakes import DAY, START, batch, lake, numbers

from lemnis.contracts.events import Appended
from lemnis.store import deltalog, sweeping
from lemnis.store.holds import Hold
from lemnis.store.retention import Policy, Purpose, Retention, Rule

HOUR = DAY // 24
SECURITY = Purpose("security_monitoring", 10, raw_days=4, basis="GDPR Art. 6(1)(f)")
DEBUGGING = Purpose("debugging", 2)
AUDIT = Purpose("audit", 30)
POLICY = Policy(
    (Rule(DEBUGGING, ("http_activity",)), Rule(AUDIT, sources=("sudo*",)), Rule(SECURITY, ("process_*",))),
    default=Purpose("rest", 20),
)
NOW = START + 20 * DAY + HOUR


def filled(folder, **sources):
    """Make a lake with an event an hour, 20 days long, of each source; return it."""
    store = lake(folder)
    for name in sources or {"linux": 1}:
        first = {"linux": 0, "sudo": 10_000}[name]
        rows = batch(range(first, first + 480), source=name, step=HOUR).table
        times = pa.array([START + n * HOUR for n in range(480)])
        table = rows.set_column(2, "time", times)
        store.append([type(batch([]))(1007, name, "o", table)])
    store.flush()
    return store


def left_on_disk(folder, text):
    """Name the files with rows in which a message has this text; every Parquet file is read, named or not."""
    found = []
    for path in folder.rglob("*.parquet"):
        if "_delta_log" not in path.parts:
            table = pq.read_table(path, partitioning=None)
            if any(text in str(row) for row in table.to_pylist()):
                found.append(path)
    raw = [
        p
        for p in folder.rglob("*")
        if p.is_file() and p.suffix != ".parquet" and text.encode() in p.read_bytes()
    ]
    return found + raw


def test_whole_days_go_and_nothing_of_them_is_left_on_the_disk(tmp_path):
    store = filled(tmp_path)
    store.compact(min_files=1)
    retention = Retention(store.tables, POLICY, now=NOW)
    plan = retention.plan()
    assert sum(loss.rows for loss in plan.losses) == 10 * 24
    assert {loss.purposes for loss in plan.losses} == {("security_monitoring",)}
    assert numbers(store) == list(range(480))  # planning changes nothing
    assert left_on_disk(tmp_path, "message 17")
    done = retention.run("run-1")
    assert done.losses == plan.losses
    assert (done.dropped, done.rewritten) == (10, 6)  # the six days after lose their raw records
    assert numbers(store) == list(range(240, 480))
    assert not left_on_disk(tmp_path, "message 100")
    assert left_on_disk(tmp_path, "message 300")
    assert not left_on_disk(tmp_path, "raw 300")
    assert left_on_disk(tmp_path, "raw 400")
    assert not list((tmp_path / "tables" / "process_activity").glob("day=2024-10-04"))
    table = DeltaTable(tmp_path / "tables" / "process_activity").to_pyarrow_table()
    assert table.num_rows == 240
    assert retention.plan().losses == ()
    assert retention.run("run-2").losses == ()


def test_a_redelivery_of_what_went_does_not_come_back(tmp_path):
    store = filled(tmp_path)
    Retention(store.tables, POLICY, now=NOW).run("r")
    rows = batch(range(480), step=HOUR)
    assert store.append([rows]) == Appended(0, 480, 0)
    store.flush()
    assert numbers(lake(tmp_path)) == list(range(240, 480))


def test_where_sources_differ_days_are_rewritten_and_stay_sorted(tmp_path):
    store = filled(tmp_path, linux=1, sudo=1)
    done = Retention(store.tables, POLICY, now=NOW).run("r")
    assert done.dropped == 0
    assert {(loss.source, loss.rows > 0) for loss in done.losses if loss.rows} == {("linux", True)}
    assert numbers(store) == [*range(240, 480), *range(10_000, 10_480)]
    assert not left_on_disk(tmp_path, "message 17'")
    for name, table in store.tables.open():
        for file in table.files():
            times = pq.read_table(table.absolute(file), columns=["time"], partitioning=None).column(0)
            assert times.to_pylist() == sorted(times.to_pylist()), name
    kept = store.query(
        "SELECT metadata.log_name AS s, count(raw_data) AS raw, count(*) AS n FROM process_activity GROUP BY 1 ORDER BY 1"
    )
    assert kept.to_pylist() == [{"s": "linux", "raw": 96, "n": 240}, {"s": "sudo", "raw": 480, "n": 480}]


def test_what_serves_several_purposes_is_kept_for_the_longest():
    assert POLICY.terms("process_activity", "sudo").days == 30
    assert POLICY.terms("process_activity", "sudo").purposes == ("audit", "security_monitoring")
    assert POLICY.terms("process_activity", "linux").raw_days == 4
    assert POLICY.terms("http_activity", "nginx").days == 2
    assert POLICY.terms("dns_activity", "x").purposes == ("rest",)
    assert Policy().terms("dns_activity", "x").days > 10**9
    assert POLICY.digest != Policy().digest


def test_held_rows_stay_and_the_plan_says_so(tmp_path):
    store = filled(tmp_path, linux=1, sudo=1)
    hold = Hold("case-7", ("process_activity",), ("linux",), START + 2 * DAY, START + 3 * DAY + 5 * HOUR)
    retention = Retention(store.tables, POLICY, [hold, Hold("other", ("dns_activity",))], now=NOW)
    held = [loss for loss in retention.plan().losses if loss.held]
    assert [(loss.day, loss.held, loss.holds) for loss in held] == [
        ("2024-10-06", 24, ("case-7",)), ("2024-10-07", 5, ("case-7",)),
    ]  # fmt: skip
    retention.run("r")
    store.compact(min_files=1)
    sweeping.sweep(store.tables, before=deltalog.now() + 1)
    assert numbers(store) == [*range(48, 77), *range(240, 480), *range(10_000, 10_480)]
    raw = store.query("SELECT count(raw_data) AS n FROM process_activity WHERE metadata.log_name = 'linux'")
    assert raw.column("n")[0].as_py() == 29 + 96  # a hold keeps the raw record too
    again = Retention(store.tables, POLICY, now=NOW).run("released")
    assert sum(loss.rows for loss in again.losses) == 29
    assert not left_on_disk(tmp_path, "message 50'")


def test_a_hold_with_a_search_holds_what_it_finds(tmp_path):
    from lemnis.store.columns import uid_keys  # noqa: PLC0415 - of this test only

    store = filled(tmp_path)

    def found(hold):
        sql = "SELECT metadata.uid AS u FROM process_activity WHERE actor.process.name = ?"
        return uid_keys(store.query(sql, parameters=[hold.search], limit=10**6).column("u"))

    Retention(store.tables, POLICY, [Hold("h", search="p3")], now=NOW, found=found).run("r")
    names = {n for n in range(240) if n % 7 == 3 and n % 5}
    assert numbers(store) == sorted(names | set(range(240, 480)))


def test_what_is_appended_while_it_runs_stays(tmp_path):
    store = filled(tmp_path)
    store.append([batch([1000], step=1)])
    Retention(store.tables, POLICY, now=NOW).run("r")
    assert numbers(store) == [*range(240, 480), 1000]  # in the spool: the next run takes it
    store.flush()
    Retention(store.tables, POLICY, now=NOW).run("r")
    assert numbers(store) == list(range(240, 480))


def killed(folder, number):
    sys.path.insert(0, str(Path(__file__).parent))
    left = [number]
    real = os.fsync

    def fsync(handle):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), 9)
        real(handle)

    from lakes import lake as open_lake  # noqa: PLC0415 - in the child

    store = open_lake(folder)
    os.fsync = fsync
    Retention(store.tables, POLICY, [], now=NOW).run("r")


@pytest.mark.parametrize("seed", [3])
def test_killed_anywhere_it_is_gone_on_with_and_takes_nothing_else(tmp_path, seed):
    filled(tmp_path, linux=1, sudo=1)
    spawn = multiprocessing.get_context("forkserver")
    spawn.set_forkserver_preload(["lemnis.store.lake", "lemnis.store.retention"])
    moments = random.Random(seed)  # noqa: S311 - moments, not secrets
    codes = []
    for _ in range(5):
        child = spawn.Process(target=killed, args=(tmp_path, moments.randint(0, 40)))
        child.start()
        child.join()
        codes.append(child.exitcode)
        found = numbers(lake(tmp_path))
        assert set(found) >= {*range(240, 480), *range(10_000, 10_480)}
        assert len(found) == len(set(found))
    assert -9 in codes
    store = lake(tmp_path)
    Retention(store.tables, POLICY, now=NOW).run("last")
    assert numbers(store) == [*range(240, 480), *range(10_000, 10_480)]
    assert not left_on_disk(tmp_path, "message 17'")


PURPOSES = st.builds(
    Purpose, st.sampled_from(["a", "b", "c"]), st.none() | st.integers(0, 12), st.none() | st.integers(0, 12)
)
RULES = st.builds(
    Rule,
    PURPOSES,
    st.sampled_from([("*",), ("process_*",), ("dns_activity",)]),
    st.sampled_from([("*",), ("linux",), ("s*",)]),
)


@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an example is a lake: to shrink takes minutes
)
@given(
    rules=st.lists(RULES, max_size=3),
    default=st.none() | PURPOSES,
    held=st.booleans(),
    days=st.integers(0, 30),
)
def test_any_policy_keeps_exactly_what_it_says(tmp_path_factory, rules, default, held, days):
    folder = tmp_path_factory.mktemp("lake")
    store = lake(folder)
    policy, now = Policy(tuple(rules), default), START + days * DAY
    holds = [Hold("h", sources=("sudo",), until=START + 3 * DAY)] if held else []
    store.append(
        [batch(range(30), source="linux", step=DAY // 3), batch(range(30, 60), source="sudo", step=DAY // 3)]
    )
    store.flush()
    expected = []
    for n in range(60):
        source, time = ("linux" if n < 30 else "sudo"), START + n * (DAY // 3)
        age = now // DAY - time // DAY
        terms = policy.terms("process_activity", source)
        safe = held and source == "sudo" and time < START + 3 * DAY
        if safe or age <= terms.days:
            expected.append((n, safe or age <= terms.raw_days))
    Retention(store.tables, policy, holds, now=now).run("r")
    rows = store.query("SELECT message, raw_data FROM process_activity", limit=1000).to_pylist()
    assert sorted((int(r["message"].split()[1]), r["raw_data"] is not None) for r in rows) == expected
