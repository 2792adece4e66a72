"""What no line kept, at hand after mapping, is what ``unmapped`` says of the same events."""

import numpy as np
import orjson
import pyarrow as pa
import pytest

from lemnis.content.library import Library, builtin_root
from lemnis.contracts import compiled
from lemnis.contracts.events import EventBatch, RawBatch
from lemnis.ingest import mapping, mapping_unmapped
from lemnis.ingest.frames import event_frames
from lemnis.ingest.left import Left, Taken
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.mapping_columns import RawColumns, flat
from lemnis.ingest.sources import Sources
from lemnis.store.columns import leaf

NUMBA = pytest.mark.skipif(not compiled.available(), reason="needs Numba, the extra `fast`")


@pytest.fixture(scope="module")
def windows():
    return Sources.load(Library.open(builtin_root())).get("windows")


def raw(rows):
    records = pa.array([orjson.dumps(row).decode() for row in rows])
    names = sorted({name for row in rows for name in row})
    columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
    return RawBatch("windows", "test", records, pa.table(columns), pa.array(range(1, len(rows) + 1)))


def rows(count):
    channel = {"Channel": "Microsoft-Windows-Sysmon/Operational", "Provider_Name": "Microsoft-Windows-Sysmon"}
    for n in range(count):
        yield channel | {
            "EventID": str((1, 3, 11)[n % 3]), "Computer": f"h{n % 5}", "EventRecordID": str(n),
            "SystemTime": "2026-01-01 00:00:00.000" if n != 7 else "never", "Image": f"C:\\a{n}.exe", "ParentImage": "C:\\b.exe",
            "SourceIp": "10.0.0.1", "DestinationIp": "10.0.0.2",
            "Odd": f'say "{n}"\n' if n % 4 else None, "Lists": ["a", None, f"{n}"] if n % 2 else None,
            "Seldom": "x" if n == 2 else None,
        }  # fmt: skip


@pytest.mark.parametrize("passes", [pytest.param(True, marks=NUMBA), False])
def test_what_is_at_hand_is_what_is_written(windows, monkeypatch, passes):
    monkeypatch.setattr(mapping, "ready", lambda *_: passes)
    batches = Mapper(windows).map(raw(list(rows(60)))).batches
    assert len(batches) == 3
    at_hand = 0
    for batch in batches:
        written = mapping_unmapped.read(flat(leaf(batch.table, "unmapped")))
        if batch.left is not None:
            at_hand += 1
            assert {name: batch.left[name].to_pylist() for name in batch.left} == {
                name: column.to_pylist() for name, column in written.items()
            }
            assert len(batch.left) == len(written)
    assert at_hand == 2  # one has lost a row, for its time is none


def test_frames_say_the_same_with_and_without_it(windows):
    for batch in Mapper(windows).map(raw(list(rows(60)))).batches:
        bare = EventBatch(batch.class_uid, batch.source, batch.origin, batch.table)
        for one, other in zip(event_frames(batch, windows), event_frames(bare, windows), strict=True):
            assert one.rows.tolist() == other.rows.tolist()
            assert {name: column.to_pylist() for name, column in one.columns.items()} == {
                name: column.to_pylist() for name, column in other.columns.items()
            }


def test_some_rows_are_taken_and_what_is_nowhere_is_not_there():
    table = pa.table({"a": ["1", "2", None], "b": ["x", "y", "z"]})
    masks = {"a": np.array([True, True, False]), "b": np.array([False, False, False])}
    left = Left(RawColumns(table), masks, 0, 3)
    assert list(left) == ["a"]
    with pytest.raises(KeyError):
        left["b"]
    assert Taken(left, np.array([2, 0]))["a"].to_pylist() == [None, "1"]
