"""Batches of lanes against a real PostgreSQL and S3: wherever a worker ends, its successor ends at the same."""

import asyncio
import itertools
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scaled

from lemnis import app
from lemnis.app import deadletters, query
from lemnis.app.cluster import Setup
from lemnis.app.cluster.bus import Message
from lemnis.app.cluster.lane import Batch, Work
from lemnis.app.cluster.messages import MESSAGE_BYTES, Sent, pack, pack_signals, unpack, unpack_signals
from lemnis.contracts.correlations import SIGNALS
from lemnis.contracts.errors import InputError, ServiceError, UsageError
from lemnis.contracts.receiving import Delivery
from lemnis.store.database import open_engine
from lemnis.store.remote import RemoteLake
from lemnis.store.remote_lanes import Lanes, LostLaneError
from lemnis.store.remote_letters import Letters
from lemnis.testing.cluster import wait

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
import acme_letters as dead

pytestmark = pytest.mark.scale
AT = 1_767_225_600_000
NUMBERS = itertools.count()


class World:
    """A workspace over the servers, and workers of it that come and go."""

    def __init__(self, servers, folder):
        self.name = f"w{next(NUMBERS)}"
        named = servers.settings(name=self.name) | {"lake": f"s3://{servers.bucket}/{self.name}"}
        self.workspace = scaled.workspace(folder / "ws", cluster=named)
        database = servers.database_named(self.name)
        self.setup = Setup.of(self.workspace, {**servers.environment, "LEMNIS_DATABASE_URL": database})
        self.engine = open_engine(database)
        self.lake = self.setup.lake()
        self.opened = []

    def lanes(self):
        self.opened.append(Lanes(self.engine))
        return self.opened[-1]

    def close(self):
        for one in self.opened:
            one.close()
        self.engine.dispose()

    def worker(self, lanes):
        return Work(self.workspace, None, RemoteLake(self.setup.place()), lanes)

    def uids(self):
        return [
            uid
            for table in self.lake.opened().values()
            for uid in table.dataset().to_table(columns=["metadata"]).column("metadata").combine_chunks()
            .field("uid").to_pylist()
        ]  # fmt: skip


@pytest.fixture
def world(servers, tmp_path):
    made = World(servers, tmp_path)
    yield made
    made.close()


def taken(lanes, name):
    """Take a lane as soon as the server has noticed that its holder is gone."""
    found = []
    wait(lambda: found.append(lanes.take(name)) or found[-1], "the lane is not free")
    return found[-1]


def messages(*deliveries, first=1):
    return [Message(first + n, pack([Sent.of(one) for one in some], AT)) for n, some in enumerate(deliveries)]


def web(word, count=5, origin="h"):
    lines = (
        f'192.0.2.1 - - [01/Jan/2026:00:00:{n:02} +0000] "GET /{word} HTTP/1.1" 200 1 "-" "-"\n'
        for n in range(count)
    )
    return Delivery("web_combined", origin, "".join(lines).encode())


def login(*numbers):
    lines = [line for line in scaled.correlated.lines(40) if f'"EventRecordID": {numbers[0]},' in line]
    for number in numbers[1:]:
        lines += [line for line in scaled.correlated.lines(40) if f'"EventRecordID": {number},' in line]
    return Delivery("windows", "dc", "".join(lines).encode())


def test_what_is_in_the_lake_is_not_put_there_again(world):
    """A worker dies between the commits of two tables; the next does the same batch."""
    some = messages([web("a"), login(1, 2)], [web("b")])
    lanes = world.lanes()
    lane = lanes.take("l")
    batch = Batch(lane)
    world.worker(lanes).take(batch, some)
    tables = batch.whole()
    assert len(tables) == 2
    name = next(iter(tables))
    world.lake.commit(lane.name, batch.lane.planned, {name: tables[name]})
    lanes.close()  # as a process that is killed does

    after = world.lanes()
    again = taken(after, "l")
    assert (again.done, again.planned, again.epoch) == (0, 2, lane.epoch + 1)
    assert world.lake.done("l") == [2]
    batch = Batch(again)
    work = world.worker(after)
    work.take(batch, some)
    assert batch.rows == 12
    assert work.commit(batch) == 12 - tables[name].num_rows
    assert after.finish(batch.lane).done == 2
    assert len(world.uids()) == len(set(world.uids())) == 12


def test_a_worker_that_only_seemed_dead_changes_nothing(world):
    some = messages([web("a")], [web("b")])
    slow, quick = world.lanes(), world.lanes()
    first = Batch(slow.take("l"))
    was = world.worker(slow)
    was.take(first, some[:1])
    slow.release("l")  # its session is lost, and it does not know

    second = Batch(quick.take("l"))
    now = world.worker(quick)
    now.take(second, some[:1])
    was.table = was._remote.opened()  # it has looked at the tables before the other commits
    assert now.commit(second) == 5
    assert was.commit(first) == 0
    with pytest.raises(LostLaneError):
        slow.finish(first.lane)
    with pytest.raises(LostLaneError):
        was.take(first, some[1:])
    assert quick.finish(second.lane).done == 1
    assert len(world.uids()) == len(set(world.uids())) == 5


def test_records_that_come_again_are_one_whatever_lane_they_come_by(world):
    """The same delivery, equal lines in another, and records that name themselves, grouped anew."""
    lanes = world.lanes()
    one, other = Batch(lanes.take("one")), Batch(lanes.take("other"))
    work = world.worker(lanes)
    work.take(one, messages([web("a"), login(1, 2, 3)], [web("a"), web("a", origin="i")]))
    work.take(other, messages([web("a"), login(3, 4)]))
    work.take(one, messages([login(4, 5)], first=3))
    assert (one.rows, other.rows) == (14, 1)
    assert work.counts.duplicates == 5 + 5 + 1 + 1
    work.commit(one)
    work.commit(other)
    lanes.finish(one.lane)
    assert len(world.uids()) == len(set(world.uids())) == 15

    lanes.close()  # `other` was not finished: what it claimed stays its own
    again = world.lanes()
    batch = Batch(taken(again, "other"))
    world.worker(again).take(batch, messages([web("a"), login(3, 4)]))
    assert batch.rows == 1


def test_two_workers_make_and_widen_a_table_at_once(world):
    """Both commit to a table that neither has seen with columns of the other."""

    def some(name, count):
        return pa.table({
            "time": pa.array(range(AT, AT + count), pa.int64()),
            "metadata": [{"uid": f"{name}{n}", name: "x"} for n in range(count)],
        })  # fmt: skip

    lakes = [RemoteLake(world.setup.place()) for _ in range(2)]
    for lake in lakes:
        assert lake.opened() == {}
    assert lakes[0].commit("a", 3, {"t": some("a", 3)}) == 3
    assert lakes[1].commit("b", 7, {"t": some("b", 4)}) == 4
    assert lakes[0].commit("a", 4, {"t": some("a2", 2)}) == 2
    assert lakes[0].commit("a", 4, {"t": some("a2", 2)}) == 0
    answer = world.lake.query("SELECT count(*) AS n, count(metadata.b) AS b FROM t")
    assert answer.to_pylist() == [{"n": 9, "b": 4}]
    assert world.lake.done("b") == [7]
    assert world.lake.status()[0].rows == 9


def test_sql_reads_the_storage_and_nothing_else(world, tmp_path, monkeypatch):
    lanes = world.lanes()
    batch = Batch(lanes.take("l"))
    work = world.worker(lanes)
    work.take(batch, messages([web("a"), Delivery("web_combined", "h", b"no line of a log\n")]))
    work.commit(batch)
    assert world.lake.query("SELECT count(*) AS n FROM events").to_pylist() == [{"n": 5}]
    assert world.lake.query("SELECT reason FROM rejects").num_rows == 1
    for name, value in world.setup.environment.items():
        monkeypatch.setenv(name, value)
    asked = "SELECT count(*) AS n FROM http_activity"
    assert query.sql(world.workspace, asked, limit=5, timeout=60).to_pylist() == [{"n": 5}]
    assert {one.name: one.rows for one in query.tables(world.workspace)} == {"http_activity": 5, "rejects": 1}
    assert len(query.events(world.workspace, "class:http_activity")) == 5
    (tmp_path / "x.csv").write_text("a\n1\n")
    for hostile in (f"SELECT * FROM '{tmp_path}/x.csv'", "DROP VIEW events", "SELECT 1; SELECT 2"):
        with pytest.raises(UsageError):
            world.lake.query(hostile)


def test_what_cannot_be_worked_on_is_kept(world):
    """A source that nobody knows, and a message that is none of ours."""
    lanes = world.lanes()
    batch = Batch(lanes.take("l"))
    work = world.worker(lanes)
    work.take(
        batch, [Message(1, b"garbage"), *messages([Delivery("nobody", "h", b"x\n"), web("a")], first=2)]
    )
    work.commit(batch)
    kept = world.lake.query("SELECT reason FROM rejects ORDER BY reason").column("reason").to_pylist()
    assert any("none of ours" in reason for reason in kept)
    path = next(reason for reason in kept if "nobody" in reason).rpartition("kept at ")[2]
    assert world.lake.get(path) == b"x\n"
    assert work.counts.accepted == 5


def test_dead_letters_come_back_when_the_mapping_is_better(world, servers, tmp_path, monkeypatch):
    """Each once, with the uid that it would have had, whatever is done again; the rest says why."""
    for name, value in world.setup.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(app, "engine", lambda _: world.engine)  # one that is closed when this is over
    dead.source(world.workspace, "parser: jsonl", dead.MAPPING)
    text = dead.text("lines of JSON", 30) + "[odd]\n"
    lanes = world.lanes()
    work = world.worker(lanes)
    batch = Batch(lanes.take("l"))
    work.take(batch, messages([Delivery("acme", "h", text.encode())]))
    work.commit(batch)
    batch = Batch(lanes.finish(batch.lane))
    work.take(batch, messages([Delivery("nobody", "h", b"x\n")], first=2))
    work.commit(batch)
    lanes.finish(batch.lane)
    assert dead.told(deadletters.replay(world.workspace, ["acme"])) == (11, 0, 0, 11, 0)
    (group, *_) = deadletters.listing(world.workspace, "acme").groups
    assert (group.source, group.whole) == ("acme", group.count)

    dead.source(world.workspace, "parser: jsonl", dead.FIXED)
    with monkeypatch.context() as patch:
        patch.setattr(Letters, "change", cut)  # killed before the letters go
        with pytest.raises(ServiceError, match="cut"):
            deadletters.replay(world.workspace, ["acme"])
    assert dead.told(deadletters.replay(world.workspace, ["acme"])) == (11, 0, 10, 1, 0)
    assert dead.told(deadletters.replay(world.workspace, ["acme"])) == (1, 0, 0, 1, 0)
    assert len(world.uids()) == len(set(world.uids())) == 30 + 2
    other = World(servers, tmp_path / "other")  # where they come to the better mapping at first
    dead.source(other.workspace, "parser: jsonl", dead.FIXED)
    lanes = other.lanes()
    batch, work = Batch(lanes.take("l")), other.worker(lanes)
    work.take(batch, messages([Delivery("acme", "h", text.encode())]))
    work.commit(batch)
    other.close()
    named = [{uid for uid in one.uids() if uid.startswith("ev-")} for one in (world, other)]
    assert named[0] == named[1]
    assert len(named[0]) == 30

    (aside,) = deadletters.listing(world.workspace, "nobody").groups
    assert aside.count == 1
    assert deadletters.revive(world.workspace) == 1
    assert not deadletters.listing(world.workspace, "nobody").groups
    ((sent,),) = asyncio.run(read_back(world.setup))
    assert (sent.delivery.source, world.lake.get(sent.object)) == ("nobody", b"x\n")


def cut(*_):
    raise ServiceError("cut")


async def read_back(setup):
    """Return the deliveries of all messages in the streams."""
    bus = await setup.bus()
    try:
        found = []
        for stream in bus.raw:
            if (await bus.state(stream)).messages:
                found += [unpack(one.data)[1] for one in await bus.reader(stream, 0).next(9, wait=3)]
        return found
    finally:
        await bus.close()


def test_a_database_that_is_away_is_no_fault_of_the_records(world):
    """What is in hand is dropped as a whole; nothing of it is put aside."""

    class Away(Lanes):
        calls = 0

        def plan(self, *given, **more):
            self.calls += 1
            if self.calls == 2:
                raise ServiceError("it is away")
            return super().plan(*given, **more)

    lanes = Away(world.engine)
    world.opened.append(lanes)
    lane = lanes.take("l")
    work = world.worker(lanes)
    with pytest.raises(ServiceError, match="away"):
        work.take(Batch(lane), messages([login(1, 2)]))
    batch = Batch(lane)
    work.take(batch, messages([login(1, 2)]))
    assert (batch.rows, work.counts.given_up, set(batch.tables)) == (2, 0, {"authentication"})


def test_claims_are_let_go_of_by_day(world):
    lanes = world.lanes()
    lane = lanes.take("l")
    keys = np.array([5, 5, -3], dtype=np.int64)
    lane, foreign = lanes.plan(lane, 1, keys, day=10)
    assert not len(foreign)
    other, foreign = lanes.plan(lanes.take("m"), 1, keys, day=20)
    assert sorted(foreign) == [-3, 5]
    assert lanes.forget(11) == 2
    assert not len(lanes.plan(other, 2, keys, day=20)[1])


def test_a_lane_is_held_by_one_and_free_when_its_session_ends(world):
    one, other = world.lanes(), world.lanes()
    assert (one.present(), one.present(), other.present()) == (1, 1, 2)
    lane = one.take("l")
    assert other.take("l") is None
    saved = one.save(lane, b"state", AT, done=9)
    one.close()
    lane = taken(other, "l")
    assert (lane.done, other.checkpoint(lane)) == (9, b"state")
    with pytest.raises(LostLaneError):
        one.save(saved, b"late", AT, done=3)
    assert other.checkpoint(lane) == b"state"
    assert other.present() == 1


def test_lanes_are_for_postgresql(tmp_path):
    engine = open_engine(tmp_path / "x.db")
    with pytest.raises(UsageError, match="PostgreSQL"):
        Lanes(engine)
    engine.dispose()


def test_messages_come_back_as_they_went():
    sent = [Sent.of(Delivery("auto", "o\udcff", b"\x00\xff", "k", "too long")), Sent.of(web("a"))]
    at, back = unpack(pack(sent, AT))
    assert at == AT
    assert [one.delivery.data for one in back] == [b"\x00\xff", web("a").data]
    assert [one.claim for one in back] == [one.claim for one in sent]
    with pytest.raises(InputError):
        unpack(b"x")
    rng = np.random.default_rng(1)
    values = [rng.bytes(100).hex() for _ in range(20_000)]
    columns = {name: [None] * len(values) for name in SIGNALS.names} | {"value": values}
    table = pa.table(columns, schema=SIGNALS).replace_schema_metadata({b"clocks": b"{}"})
    parts = list(pack_signals(table))
    assert len(parts) > 1
    assert all(len(part) <= MESSAGE_BYTES for part in parts)
    assert pa.concat_tables(map(unpack_signals, parts)).equals(table)
