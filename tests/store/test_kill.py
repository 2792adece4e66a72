"""SIGKILL at random moments of append, flush and compaction: nothing acknowledged is lost, nothing is twice."""

import multiprocessing
import random
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

KILLS = 25
BATCH = 200
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["lemnis.store.lake"])


def work(folder, acknowledged, ready):
    sys.path.insert(0, str(Path(__file__).parent))
    from lakes import batch, lake  # noqa: PLC0415 - beside this file, which the child knows by its path only

    store = lake(folder)
    step = acknowledged.stat().st_size
    batch([0])  # what the first one loads is no part of what is killed
    ready.set()
    with acknowledged.open("ab", buffering=0) as log:
        while True:
            first = max(0, step - 1) * BATCH  # the last one again, as a sender does that lost the answer
            store.append([batch(range(first, step * BATCH + BATCH), step=3_600_000)])
            log.write(b".")
            step += 1
            if step % 2 == 0:
                store.flush()
            if step % 5 == 0:
                store.compact(min_files=3)


@pytest.mark.parametrize("seed", [1])
def test_a_killed_lake_loses_nothing_and_has_nothing_twice(tmp_path, seed):
    from lakes import lake, numbers  # noqa: PLC0415 - as above

    moments = random.Random(seed)  # noqa: S311 - moments, not secrets
    acknowledged = tmp_path / "acknowledged"
    acknowledged.touch()
    before = 0
    for _ in range(KILLS):
        ready = SPAWN.Event()
        child = SPAWN.Process(target=work, args=(tmp_path / "lake", acknowledged, ready))
        child.start()
        assert ready.wait(60)
        wanted = acknowledged.stat().st_size + moments.randint(0, 6)
        while acknowledged.stat().st_size < wanted and child.is_alive():
            child.join(0.002)
        child.join(moments.uniform(0, 0.1))
        assert child.is_alive(), "the worker ended by itself"
        child.kill()
        child.join()
        steps = acknowledged.stat().st_size
        found = numbers(lake(tmp_path / "lake"))
        assert found == list(range(len(found)))
        assert len(found) >= max(before, steps * BATCH)
        before = len(found)
    store = lake(tmp_path / "lake")
    store.flush()
    table = DeltaTable(tmp_path / "lake" / "tables" / "process_activity").to_pyarrow_table()
    assert sorted(int(text.split()[1]) for text in table.column("message").to_pylist()) == list(range(before))
    assert before > KILLS * BATCH
    whole = [one for one in store.histories() if one.source and not one.host]
    assert sum(beat.events for one in whole for beat in one.beats) == before  # the pulse counted each once
