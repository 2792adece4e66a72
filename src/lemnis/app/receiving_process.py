"""Workers, and what settles their work, in processes of their own: the event loop answers senders meanwhile.

It ends when it is told to, or when the process that began it is gone. If it dies it is begun again, and does
again what it had in hand.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.store import memory

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from lemnis.app.receiving import Account
    from lemnis.app.watch import Watch

LOG = logging.getLogger("lemnis.receiving")
_SPAWN = multiprocessing.get_context("spawn")
_AGAIN_S = (1.0, 60.0)
_STOP = "stop"
_YIELDS = 2
"""The niceness of what settles: it keeps up, and workers come first."""
_GARBAGE = (50_000, 20, 100)


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker works: with so many rules, and so many parts of the content that cannot be used."""

    rules: int
    problems: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What of one source was worked on, and how many alerts there were since the last time."""

    account: Account
    alerts: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What was settled: the seconds by stage, and how many alerts of correlations there were."""

    stages: Mapping[str, float]
    alerts: int


Said = Ready | Seen | Settled
SETTLER = -1
"""In the place of a worker's number: it settles what all of them have done."""


class WorkerProcess:
    """Keeps a worker running; ``heard`` is called on the event loop with what it says."""

    def __init__(
        self, root: Path, part: tuple[int, int], *, detect: bool, heard: Callable[[Said], None]
    ) -> None:
        """``root`` is the workspace's; it is the worker ``part`` (k of n) of several, or SETTLER of them.

        Without ``detect`` events only go into the lake.
        """
        self.restarts = 0
        self.ready = False
        self.name = "the settler" if part[0] == SETTLER else f"worker {part[0]}"
        self._root, self._part, self._detect, self._heard = root, part, detect, heard
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._stopping = False

    async def run(self) -> None:
        """Run a worker until ``stop``; one that dies is begun again, later each time it does so at once."""
        wait = _AGAIN_S[0]
        while True:
            code, worked = await self._once()
            if self._stopping:
                return
            wait = _AGAIN_S[0] if worked else min(2 * wait, _AGAIN_S[1])
            self.restarts += 1
            LOG.error("%s ended with %s; it begins again in %.0f s", self.name, code, wait)
            await asyncio.sleep(wait)

    @property
    def pid(self) -> int | None:
        """Return its process's id, while it has one."""
        process = self._process
        return None if process is None else process.pid

    def stop(self) -> None:
        """Let it finish what it has in hand, flush and end."""
        self._stopping = True
        self._send_stop()

    def kill(self) -> None:
        """End it at once; what it has in hand is done again at the next start."""
        self._stopping = True
        if self._process is not None and self._process.is_alive():
            self._process.kill()

    def _send_stop(self) -> None:
        if self._connection is not None:
            with suppress(OSError):
                self._connection.send(_STOP)

    async def _once(self) -> tuple[int | None, bool]:
        """Run one process to its end; return its exit code and whether it had begun to work."""
        here, there = _SPAWN.Pipe()
        level = logging.getLogger().getEffectiveLevel()
        process = _SPAWN.Process(
            target=_main,
            args=(str(self._root), self._part, self._detect, there, level),
            name="lemnis-settler" if self._part[0] == SETTLER else f"lemnis-worker-{self._part[0]}",
        )
        memory.begun_to_keep()
        process.start()
        there.close()
        self._process, self._connection = process, here
        loop = asyncio.get_running_loop()
        over, worked = asyncio.Event(), False
        if self._stopping:
            self._send_stop()

        def hear() -> None:
            nonlocal worked
            try:
                while here.poll():
                    said = here.recv()
                    worked, self.ready = True, True
                    self._heard(said)
            except (EOFError, OSError):
                loop.remove_reader(here.fileno())
                over.set()

        loop.add_reader(here.fileno(), hear)
        try:
            await over.wait()
        except asyncio.CancelledError:
            loop.remove_reader(here.fileno())
            raise
        finally:
            self.ready, self._connection = False, None
            here.close()  # the worker takes that for the end of this process
            await asyncio.to_thread(process.join)
        code = process.exitcode
        self._process = None
        process.close()
        return code, worked


def _main(
    root: str,
    part: tuple[int, int],
    detect: bool,  # noqa: FBT001 - of a process
    connection: Connection,
    level: int,
) -> None:
    """Be the worker; the terminal's Ctrl-C is for the process that began this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from lemnis.app import logs, processes, receiving
    from lemnis.app.settling import Settling
    from lemnis.app.watch import Watch
    from lemnis.contracts import compiled

    memory.keep()
    processes.name(multiprocessing.current_process().name)
    logs.configure(level)
    compiled.load()

    workspace = app.open_workspace(Path(root))
    watch = Watch(workspace) if detect else None
    gc.set_threshold(*_GARBAGE)
    gc.freeze()  # what was loaded is no garbage: looking through it would hold up alerts
    alerts = 0

    def told(account: Account) -> None:
        nonlocal alerts
        now = watch.alerts if watch is not None else 0
        with suppress(OSError):
            connection.send(Seen(account, now - alerts))
        alerts = now

    def stop() -> bool:
        if not connection.poll():
            return False
        try:
            return bool(connection.recv() == _STOP)
        except (EOFError, OSError):  # whoever began this is gone: another worker may wait for the lock
            os._exit(1)

    if part[0] == SETTLER:
        os.nice(_YIELDS)
        settling = Settling(workspace, watch)

        def settled() -> None:
            nonlocal alerts
            stages, now = settling.stages.take(), watch.alerts if watch is not None else 0
            if stages or now != alerts:
                with suppress(OSError):
                    connection.send(Settled(stages, now - alerts))
            alerts = now

        with suppress(OSError):  # that who began this is gone is seen when it looks whether to stop
            connection.send(_ready(watch))
        settling.run(stop, settled)
        return
    worker = receiving.Worker(
        workspace, receiving.inbox(workspace), watch, told=told, part=part, settles=False
    )
    with suppress(OSError):
        connection.send(_ready(watch))
    worker.run(stop)


def _ready(watch: Watch | None) -> Ready:
    if watch is None:
        return Ready(0, 0)
    return Ready(len(watch.detection.rules), len(tuple(watch.detection.problems)))
