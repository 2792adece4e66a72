"""The pulse: what came from which host, when and how late, is on record with the events themselves."""

import numpy as np
import pyarrow as pa
import pytest

from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import InputError, Location
from lemnis.contracts.events import EventBatch, Reject
from lemnis.contracts.watching import ALL, DAY, HOUR, OTHERS, STEP, Pulse, Sample, slot_bounds
from lemnis.store import pulse
from lemnis.store.lake import Lake

NOW = 1_767_225_600_000  # 2026-01-01


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def lake(tmp_path, clock):
    return Lake(tmp_path / "lake", clock)


def batch(*events, source="linux", origin="/var/log/a", class_uid=1007):
    """Events are (number, host or None, time)."""
    rows = [
        {
            "time": time,
            "device": {"hostname": host},
            "metadata": {"uid": f"ev-{number:016x}", "log_name": source},
        }
        for number, host, time in events
    ]
    schema = pa.schema(
        [
            ("time", pa.int64()),
            ("device", pa.struct([("hostname", pa.string())])),
            ("metadata", pa.struct([("uid", pa.string()), ("log_name", pa.string())])),
        ]
    )
    return EventBatch(class_uid, source, origin, pa.Table.from_pylist(rows, schema=schema))


def known(lake):
    """Return what is known of sources, Lemnis aside."""
    return [one for one in lake.histories() if one.source]


def counted(lake, source="linux"):
    return {
        one.host: (sum(b.events for b in one.beats), sum(b.rejects for b in one.beats))
        for one in lake.histories(source)
    }


def test_new_events_are_counted_by_host_and_others_by_their_origin(lake, clock):
    lake.append([batch((1, "a", NOW), (2, "b", NOW), (3, "a", NOW - 5), (4, None, NOW))])
    lake.append([batch((1, "a", NOW), (5, "b", NOW))])
    assert counted(lake) == {ALL: (5, 0), "a": (2, 0), "b": (2, 0), "/var/log/a": (1, 0)}


def test_rejects_are_counted_with_their_source(lake):
    lake.append([batch((1, "a", NOW))], rejects=[Reject(Location("x", record=1), "no time", b"{}")])
    assert counted(lake) == {ALL: (1, 1), "a": (1, 0)}


def test_what_is_not_stored_is_not_counted(lake):
    table = batch((1, "a", NOW)).table
    lake.append([batch((1, "a", NOW))])
    wrong = table.set_column(0, "time", pa.array([NOW])).append_column("activity_id", pa.array(["x"]))
    lake.append([EventBatch(1007, "linux", "o", table.append_column("activity_id", pa.array([1])))])
    with pytest.raises(InputError):
        lake.append([EventBatch(1007, "linux", "o", wrong)])
    assert counted(lake)[ALL] == (1, 0)


def test_beats_are_by_five_minutes_of_receipt_and_know_the_newest_event(lake, clock):
    lake.append([batch((1, "a", NOW - HOUR))])
    clock.advance(STEP)
    lake.append([batch((2, "a", NOW), (3, "a", NOW + 400 * DAY))])  # one clock is wrong
    (whole,) = (one for one in known(lake) if one.host == ALL)
    assert [(b.at, b.step, b.events, b.active, b.last) for b in whole.beats] == [
        (NOW, STEP, 1, 1, NOW - HOUR), (NOW + STEP, STEP, 2, 1, NOW),
    ]  # fmt: skip
    assert whole.first == NOW


def test_lags_fall_into_slots_and_so_do_waits(lake):
    lags = [0, 15, 16, 1000, 90_000, 3 * DAY]
    events = [(n, "a", NOW - lag) for n, lag in enumerate(lags, 1)]
    lake.append([batch(*events)], told=Pulse(received=NOW - 200))
    (whole,) = (one for one in known(lake) if one.host == ALL)
    slots = whole.lags[NOW]
    assert sum(slots.values()) == len(lags)
    for lag in lags:
        assert any(slot_bounds(slot)[0] <= lag < slot_bounds(slot)[1] for slot in slots)
    ((slot, count),) = whole.waits[NOW].items()
    assert count == len(lags)
    assert slot_bounds(slot)[0] <= 200 < slot_bounds(slot)[1]


def test_every_lag_has_the_slot_that_its_bounds_say():
    lags = np.unique(np.concatenate([2 ** np.arange(0, 36), 2 ** np.arange(0, 36) - 1, [0]]))
    for lag, slot in zip(lags.tolist(), pulse._slots(lags).tolist(), strict=True):
        low, high = slot_bounds(slot)
        assert low <= lag < high


def test_what_is_no_longer_recent_is_summed_up_and_what_is_old_forgotten(lake, clock):
    lake.append(
        [batch((1, "a", NOW))], told=Pulse(samples=(Sample("linux", 4, {"x": {"text": 3, "number": 1}}),))
    )
    clock.advance(STEP)
    lake.append([batch((2, "a", NOW), (3, "a", NOW))])
    clock.advance(4 * DAY)
    lake.append([batch((4, "a", NOW))])
    lake.flush()
    lake.flush()
    (whole,) = (one for one in known(lake) if one.host == ALL)
    assert [(b.at, b.step, b.events, b.active) for b in whole.beats] == [
        (NOW, HOUR, 3, 2), (NOW + 4 * DAY + STEP, STEP, 1, 1),
    ]  # fmt: skip
    assert [(f.name, f.kind, f.at, f.step, f.rows) for f in whole.fields] == [
        ("x", "number", NOW, DAY, 1), ("x", "text", NOW, DAY, 3),
    ]  # fmt: skip
    assert whole.sampled == {NOW: 4}
    clock.advance(40 * DAY)
    lake.flush()
    assert known(lake) == []


def test_samples_of_one_hour_add_up(lake):
    for rows in (4, 6):
        lake.append([], told=Pulse(samples=(Sample("linux", rows, {"x": {"text": rows}}),)))
    (whole,) = known(lake)
    assert [(f.name, f.rows) for f in whole.fields] == [("x", 10)]
    assert whole.sampled == {NOW: 10}


def test_hosts_and_fields_of_a_source_are_bounded(lake, monkeypatch):
    monkeypatch.setattr(pulse, "MAX_HOSTS", 4)
    monkeypatch.setattr(pulse, "MAX_FIELDS", 3)
    lake.append([batch(*((n, f"h{n}", NOW) for n in range(1, 9)))])
    lake.append([batch((20, "h1", NOW), (21, "h8", NOW))])
    found = counted(lake)
    assert found[ALL] == (10, 0)
    assert len(found) <= 6
    assert sum(events for host, (events, _) in found.items() if host != ALL) == 10
    assert found[OTHERS][0] > 1
    sample = Sample("linux", 1, {f"f{n}": {"text": 1} for n in range(9)})
    lake.append([], told=Pulse(samples=(sample, sample)))
    (whole,) = (one for one in known(lake) if one.host == ALL)
    assert len({f.name for f in whole.fields}) <= 3


def test_hosts_that_spoke_lately_are_left_out_where_only_others_are_asked_for(lake, clock):
    lake.append([batch((1, "a", NOW), (2, "b", NOW))])
    clock.advance(HOUR)
    lake.append([batch((3, "b", NOW))])
    assert [one.host for one in lake.histories("linux", before=NOW + STEP)] == [ALL, "a"]
    assert lake.hosts() == {"linux": 2}
    also = {("linux", "b")}
    assert [one.host for one in lake.histories("linux", before=NOW + STEP, also=also)] == [ALL, "a", "b"]


def test_of_many_hosts_that_are_still_those_that_were_heard_last_are_looked_at(lake, clock, monkeypatch):
    monkeypatch.setattr(pulse, "MAX_STILL", 2)
    for number in range(5):
        lake.append([batch((number + 1, f"h{number}", NOW))])
        clock.advance(STEP)
    clock.advance(HOUR)
    found = [one.host for one in lake.histories("linux", before=clock.now() - STEP)]
    assert found == [ALL, "h3", "h4"]


def test_it_is_on_record_that_lemnis_listened_whatever_came(lake, clock):
    lake.flush()
    clock.advance(STEP)
    lake.append([], rejects=[Reject(Location("x"), "cannot be read")])
    (own,) = lake.histories("")
    assert [(b.at, b.active, b.events, b.rejects) for b in own.beats] == [
        (NOW, 1, 0, 0),
        (NOW + STEP, 1, 0, 0),
    ]


def test_what_was_rolled_back_is_counted_when_it_comes_again(lake):
    table = batch((1, "a", NOW)).table
    lake.append([EventBatch(1007, "linux", "o", table.append_column("activity_id", pa.array([1])))])
    right = batch((2, "new", NOW), class_uid=1001)
    wrong = batch((3, "b", NOW)).table.append_column("activity_id", pa.array(["x"]))
    with pytest.raises(InputError):
        lake.append([right, EventBatch(1007, "linux", "o", wrong)])
    assert counted(lake) == {ALL: (1, 0), "a": (1, 0)}
    lake.append([right])
    assert counted(lake) == {ALL: (2, 0), "a": (1, 0), "new": (1, 0)}


def test_a_forgotten_host_that_speaks_again_is_known_again(lake, clock):
    lake.append([batch((1, "a", NOW))])
    clock.advance(40 * DAY)
    lake.flush()
    assert known(lake) == []
    lake.append([batch((2, "a", NOW))])
    assert counted(lake) == {ALL: (1, 0), "a": (1, 0)}
