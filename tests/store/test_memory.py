"""What moves rows holds a bounded part of them, however many there are, and gives it back."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakes import START, batch, lake, numbers, uid

from lemnis.contracts.events import EventBatch
from lemnis.store import compaction, delta, memory
from lemnis.store import lake as lakes

SCRIPT = """
import sys
from pathlib import Path
import pyarrow as pa
sys.path.insert(0, sys.argv[1])
import test_memory
print(test_memory.moved(Path(sys.argv[2])))
"""
MB = 1 << 20
ROWS = 200


def wide(first):
    """Return some 2 MB of rows, much of which packs well, as findings do."""
    rows = [
        {"time": START + n, "class_uid": 1007, "metadata": {"uid": uid(n)}, "message": f"message {n}",
         "raw_data": f"{n} " * 1700}
        for n in range(first, first + ROWS)
    ]  # fmt: skip
    return EventBatch(1007, "linux", "origin", pa.Table.from_pylist(rows))


def moved(folder):
    """Flush and compact 60 MB in a process of its own; return the most that Arrow held (MB) in each."""
    lakes._FLUSH_BYTES = compaction._WINDOW_BYTES = 6 * MB
    store = lake(folder)
    for first in range(0, 30 * ROWS, ROWS):
        store.append([wide(first)])
    began = pa.default_memory_pool().max_memory()
    assert store.flush() == 30 * ROWS
    flushed = pa.default_memory_pool().max_memory()
    (done,) = compaction.compact(store.tables, min_files=2)
    assert (done.rows, done.new_files) == (30 * ROWS, 1)
    return began // MB, flushed // MB, pa.default_memory_pool().max_memory() // MB


def test_flush_and_compaction_hold_a_part_of_what_they_move(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path / "lake")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    began, flushed, compacted = eval(done.stdout)  # noqa: S307 - what the script above says
    assert began < 15
    assert flushed < 45
    assert compacted < 45


def test_a_flush_takes_pieces_and_each_is_a_commit(tmp_path, monkeypatch):
    store = lake(tmp_path)
    for first in range(0, 100, 10):
        store.append([batch(range(first, first + 10), step=1)])
    taken, real = [], delta.Table.append
    monkeypatch.setattr(
        delta.Table, "append", lambda table, rows, **more: taken.append(rows.num_rows) or real(table, rows, **more)
    )  # fmt: skip
    monkeypatch.setattr(lakes, "_FLUSH_BYTES", 1)
    assert store.flush() == 100
    assert taken == [10] * 10
    assert numbers(store) == list(range(100))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("spans")


class Table:
    """As much of a table as is asked for spans."""

    def __init__(self, folder):
        self.folder = folder

    def absolute(self, file):
        return self.folder / file.path


times = st.lists(
    st.one_of(st.integers(0, 40), st.integers(0, 3_000_000), st.integers(-(2**41), 2**41)), min_size=1, max_size=60
)  # fmt: skip


@given(st.lists(times, min_size=1, max_size=3), st.integers(1, 20), st.sampled_from([2, 16, 1 << 20]))
def test_spans_part_all_times_into_pieces_of_few_rows(place, files, most, slices):
    told = []
    for number, some in enumerate(files):
        pq.write_table(pa.table({"time": pa.array(some, pa.int64())}), place / f"{number}")
        told.append(delta.DataFile(f"{number}", "", len(some), 0, min(some), max(some)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "_WINDOW_ROWS", most)
        patch.setattr(compaction, "_SLICES", slices)
        spans = list(compaction.spans(Table(place), told))
    assert (spans[0][0], spans[-1][1]) == (-delta.FAR, delta.FAR)
    assert all(one[1] == following[0] for one, following in pairwise(spans))
    every = np.array([time for some in files for time in some])
    for low, high in spans:
        inside = every[(every >= low) & (every < high)]
        assert len(inside) <= most or len(set(inside.tolist())) == 1
    assert len(spans) <= 2 * len(every) + 1


@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="only Linux says what a process holds"
)
def test_what_is_free_is_given_back():
    script = """
import numpy as np
import pyarrow as pa
from lemnis.store import memory
def held():
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith("Anonymous"):
            return int(line.split()[1]) >> 10
memory.release()
before = held()
parts = [pa.array(np.arange(50_000)).cast(pa.string()) for _ in range(200)]
much = held() - before
del parts
memory.release()
print(much, held() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    much, left = map(int, done.stdout.split())
    assert much > 100
    assert left < much / 3


KEPT = """
import resource
import numpy as np
import pyarrow as pa
from lemnis.store import memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    before = faults()
    made = np.ones(20 << 20, np.uint8)
    held = pa.allocate_buffer(20 << 20)
    np.frombuffer(held, np.uint8)[:] = 1
    del made, held
    return faults() - before

memory.keep()
work()
again = work()
memory.release()
print(again, work())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what is told is glibc's own")
def test_what_is_kept_is_not_asked_for_again_and_can_be_given_back(monkeypatch):
    monkeypatch.delenv("MIMALLOC_PURGE_DELAY", raising=False)
    memory.begun_to_keep()
    said = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    again, released = map(int, said.stdout.split())
    assert again < 50 < released
