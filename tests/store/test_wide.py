import pyarrow as pa

from lemnis.contracts.clock import ManualClock
from lemnis.contracts.events import EventBatch
from lemnis.store.lake import Lake


def test_a_class_with_many_columns_before_the_time_is_read_by_time(tmp_path):
    wide = {"a": pa.array([{f"f{n}": n for n in range(50)}] * 2)}
    table = pa.table(
        {
            **wide,
            "metadata": pa.array([{"uid": "ev-1"}, {"uid": "ev-2"}]),
            "time": pa.array([1_000, 90_000_000]),
        }
    )
    lake = Lake(tmp_path, ManualClock(0))
    lake.append([EventBatch(4002, "s", "o", table)])
    lake.flush()
    assert [b.table.column("time").to_pylist() for b in lake.scan(start=2_000)] == [[90_000_000]]
    assert [s.last for s in lake.status()] == [90_000_000]
