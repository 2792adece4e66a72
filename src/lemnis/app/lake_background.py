"""The lake is kept while `serve` runs: days of small files are rewritten, and retention is applied if it may.

Each look is a process of its own, of the lowest priority, which gives back its memory at its end: neither the
event loop nor a worker waits for it. It may be killed at any moment (``store.compaction``), and is, when the
service ends while it works.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lemnis import app

LOG = logging.getLogger("lemnis.keeping")
_SPAWN = multiprocessing.get_context("spawn")
_DAY_MS = 86_400_000
_ENDS_S = 2.0
ACTOR = "lemnis serve"

Heard = Callable[[dict[str, Any]], None]
"""Told, on the event loop, of each look that did something."""


class Keeping:
    """Looks after a workspace's lake every so many seconds."""

    def __init__(self, root: Path, *, every_s: float, heard: Heard) -> None:
        """``root`` is the workspace's."""
        self._root, self._every, self._heard = root, every_s, heard
        self.failures = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Look until ``stop``; what fails is told in the log, and tried again the next time."""
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every)
            if stop.is_set():
                return
            try:
                facts = await self._look(stop)
            except OSError as error:  # no process can be had: the lake waits
                facts = {"problem": f"it cannot be looked after: {error}"}
            if problem := facts.get("problem"):
                self.failures += 1
                LOG.error("the lake: %s", problem)
            if facts.get("days") or facts.get("rows") or facts.get("indexed") or problem:
                self._heard(facts)

    async def _look(self, stop: asyncio.Event) -> dict[str, Any]:
        """Run one process to its end, or end it when the service ends; return what it told."""
        here, there = _SPAWN.Pipe()
        level = logging.getLogger().getEffectiveLevel()
        process = _SPAWN.Process(target=_main, args=(str(self._root), there, level), name="lemnis-keeping")
        process.start()
        there.close()
        ended = asyncio.create_task(asyncio.to_thread(process.join))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                with suppress(OSError):
                    here.send("stop")
                await asyncio.wait({ended}, timeout=_ENDS_S)
        finally:
            stopped.cancel()
            process.kill()
            await ended
        facts: dict[str, Any] = {}
        with suppress(EOFError, OSError):
            if here.poll():
                facts = here.recv()
        here.close()
        if not facts and process.exitcode and not stop.is_set():
            facts = {"problem": f"the process that looks after it ended with {process.exitcode}"}
        process.close()
        return facts


def _main(root: str, connection: Connection, level: int) -> None:
    """Be the process: compact, sweep, and let go what is past its time where the settings say so."""
    os.nice(19)
    from lemnis.app import logs, processes
    from lemnis.contracts.errors import LemnisError

    processes.name(multiprocessing.current_process().name)
    logs.configure(level)

    def stop() -> bool:
        return connection.poll()  # what is to be read is "stop", or that whoever began this is gone

    try:
        facts = look(app.open_workspace(Path(root)), stop)
    except (LemnisError, OSError) as error:
        facts = {"problem": str(error)}
    with suppress(OSError):
        connection.send(facts)


def look(workspace: app.Workspace, stop: Callable[[], bool]) -> dict[str, Any]:
    """Look after a lake once; return what was done. Raises LemnisError as what it does."""
    from lemnis.app import lake_keeping, settings

    read = settings.load(workspace)
    facts: dict[str, Any] = {}
    if read.lake.compact:
        tidied = lake_keeping.compact(workspace, stop=stop)
        facts |= {"days": len(tidied.days), "swept": asdict(tidied.swept)}
        indexed = tidied.indexed
    else:
        indexed = lake_keeping.index(workspace)
    facts |= {"indexed": indexed} if indexed else {}
    if read.retention.automatic and not stop() and _due(workspace):
        kept = lake_keeping.retain(workspace, actor=ACTOR)
        facts |= {"run": kept.run, "rows": sum(one.rows + one.raw for one in kept.done.losses)}
    return facts


def _due(workspace: app.Workspace) -> bool:
    """Say whether retention was not applied for a day."""
    from lemnis.app import lake_keeping

    last = max((entry.at for entry in app.journal(workspace).entries(kind=lake_keeping.DONE)), default=None)
    return last is None or workspace.clock.now() - last >= _DAY_MS
