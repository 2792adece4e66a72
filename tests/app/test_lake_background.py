"""The lake is looked after while the service runs: by a process of its own, which may end at any moment."""

import asyncio
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))
from lakes import DAY, START, batch

from lemnis import app
from lemnis.app import lake_background, lake_keeping
from lemnis.app.serve import Serving
from lemnis.contracts.clock import ManualClock
from lemnis.store import index


@pytest.fixture
def workspace(tmp_path):
    made = app.init(tmp_path / "w")
    lake = app.lake(made)
    for start in range(0, 40, 10):
        lake.append([batch(range(start, start + 10))])
        lake.flush()
    return made


def settings(workspace, **more):
    path = workspace.root / app.SETTINGS
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **more}))


def rows(workspace):
    return app.lake(workspace).query("SELECT count(*) AS n FROM events").column("n")[0].as_py()


def test_a_look_compacts_and_lets_go_once_a_day(workspace):
    settings(
        workspace, lake={"compact_files": 2},
        retention={"purposes": {"p": {"days": 3}}, "default": "p", "automatic": True},
    )  # fmt: skip
    soon = app.Workspace(workspace.root, ManualClock(START + DAY))
    assert lake_background.look(soon, lambda: False) | {"run": ""} == {
        "days": 1, "rows": 0, "run": "", "swept": {"files": 0, "bytes": 0, "entries": 0},
    }  # fmt: skip
    assert "run" not in lake_background.look(
        app.Workspace(workspace.root, ManualClock(START + DAY + 1)), lambda: False
    )
    later = app.Workspace(workspace.root, ManualClock(START + 9 * DAY))
    assert lake_background.look(later, lambda: False)["rows"] == 40
    assert rows(workspace) == 0
    done = list(app.journal(workspace).entries(kind=lake_keeping.DONE))
    assert [entry.actor for entry in done] == ["lemnis serve"] * 2


@pytest.mark.parametrize("compacted", [True, False])
def test_the_index_is_kept_where_the_settings_want_it(workspace, monkeypatch, compacted):
    monkeypatch.setattr(index, "WORTH_ROWS", 1)
    soon = app.Workspace(workspace.root, ManualClock(START + DAY))
    lake_background.look(soon, lambda: False)
    assert not app.lake(workspace).index.exists, "nobody asked for it"
    settings(workspace, lake={"compact": compacted, "compact_files": 2}, search={"index": True})
    facts = lake_background.look(soon, lambda: False)
    assert facts["indexed"] == (1 if compacted else 4)
    assert "indexed" not in lake_background.look(soon, lambda: False)
    assert app.lake(workspace).index.bytes > 0


def test_without_leave_nothing_is_done(workspace):
    settings(workspace, lake={"compact": False}, retention={"purposes": {"p": {"days": 3}}, "default": "p"})
    assert (
        lake_background.look(app.Workspace(workspace.root, ManualClock(START + 99 * DAY)), lambda: False)
        == {}
    )


def test_the_service_looks_after_its_lake_and_ends_at_once(workspace):
    settings(
        workspace, lake={"compact_files": 2, "look_s": 0.1},
        transports={"web": {"kind": "http", "port": 0, "open": True}}, admin={"on": False},
    )  # fmt: skip
    heard = []

    async def serve():
        serving = Serving(workspace, detect=False, workers=1)
        serving.heard.append(lambda event, facts: heard.append((event, facts)))
        running = asyncio.create_task(serving.run())
        while not any(event == "kept" for event, _ in heard):
            await asyncio.sleep(0.05)
            assert not running.done()
        began = time.monotonic()
        serving.stop()
        await running
        return time.monotonic() - began

    took = asyncio.run(asyncio.wait_for(serve(), 120))
    (facts,) = [facts for event, facts in heard if event == "kept"]
    assert facts["days"] == 1
    assert rows(workspace) == 40
    assert len(next(app.lake(workspace).tables.open())[1].files()) == 1
    assert took < 60


def test_a_look_that_fails_is_told_and_tried_again(workspace):
    heard = []

    async def run():
        stop, told = asyncio.Event(), asyncio.Event()

        def hear(facts):
            heard.append(facts)
            if len(heard) == 2:
                told.set()

        keeping = lake_background.Keeping(workspace.root / "nosuch", every_s=0.01, heard=hear)
        task = asyncio.create_task(keeping.run(stop))
        await told.wait()
        stop.set()
        await task
        return keeping.failures

    assert asyncio.run(asyncio.wait_for(run(), 120)) >= 2
    assert "no workspace here" in heard[0]["problem"]


def test_a_look_that_is_at_work_when_the_service_ends_is_ended(workspace):
    lake = app.lake(workspace)
    for start in range(1000, 40_000, 13_000):
        table = batch(range(start, start + 13_000), step=1).table
        lake.append([type(batch([]))(1007, "linux", "o", pa.concat_tables([table]))])
        lake.flush()

    async def run():
        stop = asyncio.Event()
        task = asyncio.create_task(
            lake_background.Keeping(workspace.root, every_s=0.01, heard=lambda _: None).run(stop)
        )
        await asyncio.sleep(0.5)
        stop.set()
        began = time.monotonic()
        await task
        return time.monotonic() - began

    assert asyncio.run(asyncio.wait_for(run(), 120)) < 30
    assert rows(workspace) == 39_040
