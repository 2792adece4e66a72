"""The console beside ``lemnis serve``: it begins with it, comes back when it dies, and ends with it."""

import asyncio
import os
import signal
import sys

import httpx

from lemnis import app
from lemnis.app.console_process import ConsoleProcess


def test_the_console_comes_back_and_ends_with_its_parent(tmp_path):
    root = app.init(tmp_path / "soc").root
    (root / "lemnis.yaml").write_text("name: soc\nconsole: {port: 0}\n")
    told = asyncio.Queue()

    async def work():
        stop, process = asyncio.Event(), ConsoleProcess(root, told.put_nowait)
        running = asyncio.create_task(process.run(stop))
        first = await asyncio.wait_for(told.get(), 90)
        assert first["welcome"]
        async with httpx.AsyncClient(base_url=first["url"]) as ask:
            assert (await ask.get("/api/v1/me")).status_code == 401
        os.kill(process.pid, signal.SIGKILL)
        second = await asyncio.wait_for(told.get(), 90)
        assert process.restarts == 1
        stop.set()
        await asyncio.wait_for(running, 60)
        async with httpx.AsyncClient(base_url=second["url"]) as ask:
            try:
                await ask.get("/api/v1/me")
            except httpx.ConnectError:
                return
        raise AssertionError("it still listens")

    asyncio.run(work())


def test_one_that_dies_at_once_is_not_begun_all_the_time(tmp_path):
    told = []

    async def work():
        stop = asyncio.Event()
        process = ConsoleProcess(tmp_path, told.append, command=(sys.executable, "-c", "raise SystemExit(3)"))
        running = asyncio.create_task(process.run(stop))
        async with asyncio.timeout(60):
            while not process.restarts:  # noqa: ASYNC110 - nothing tells that it died
                await asyncio.sleep(0.02)
        await asyncio.sleep(1.2)
        assert process.restarts == 1
        stop.set()
        await asyncio.wait_for(running, 60)

    asyncio.run(work())
    assert told == []
