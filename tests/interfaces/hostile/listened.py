"""A console that is attacked over a real socket; no test itself."""

import asyncio
import contextlib
import threading
from dataclasses import replace

from lemnis.interfaces import console


@contextlib.contextmanager
def served(made):
    """Serve a console in a thread of its own; yield its port."""
    place, there = {}, threading.Event()

    def listening(_host, port):
        place["port"] = port
        there.set()

    async def run():
        place["loop"], place["stop"] = asyncio.get_running_loop(), asyncio.Event()
        await console.serve(free, place["stop"], listening=listening)

    free = replace(made.built, settings=made.built.settings.model_copy(update={"port": 0}))
    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert there.wait(90)
        yield place["port"]
    finally:
        place["loop"].call_soon_threadsafe(place["stop"].set)
        thread.join(60)
