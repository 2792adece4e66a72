"""The console beside ``serve``, in a process of its own: a page that is dear holds up nothing that comes in.

It ends when it is told to, or when the process that began it is gone (its stdin ends). If it dies it is begun
again, later each time it does so at once.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

LOG = logging.getLogger("lemnis.console")
_AGAIN_S = (1.0, 60.0)
_END_S = 15.0
COMMAND = (
    sys.executable,
    "-c",
    "from lemnis.interfaces.cli import main; main()",
    "console",
    "--json",
    "--child",
)


class ConsoleProcess:
    """Keeps the console of a workspace running; ``heard`` is told where it listens."""

    def __init__(
        self, root: Path, heard: Callable[[dict[str, Any]], None], *, command: Sequence[str] = COMMAND
    ) -> None:
        """Nothing runs before ``run``."""
        self._command = (*command, "--workspace", str(root))
        self._heard = heard
        self.restarts = 0
        self.pid: int | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Run the console until ``stop``."""
        wait = _AGAIN_S[0]
        while not stop.is_set():
            worked, code = await self._once(stop)
            if stop.is_set():
                return
            wait = _AGAIN_S[0] if worked else min(2 * wait, _AGAIN_S[1])
            self.restarts += 1
            LOG.error("the console ended with %s; it begins again in %.0f s", code, wait)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)

    async def _once(self, stop: asyncio.Event) -> tuple[bool, int | None]:
        """Run one process to its end; return whether it listened, and its exit code."""
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # the terminal's Ctrl-C is for the process that began this one
        )  # fmt: skip
        self.pid = process.pid
        stopping = asyncio.create_task(stop.wait())
        listening = asyncio.create_task(self._listen(process))
        ending = asyncio.create_task(process.wait())
        try:
            await asyncio.wait([stopping, ending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if process.returncode is None:
                if process.stdin is not None:
                    process.stdin.close()
                try:
                    await asyncio.wait_for(asyncio.shield(ending), _END_S)
                except TimeoutError:
                    process.kill()
            self.pid = None
            stopping.cancel()
            await asyncio.gather(stopping, ending, listening, return_exceptions=True)
        return bool(listening.result()), process.returncode

    async def _listen(self, process: asyncio.subprocess.Process) -> bool:
        listened = False
        while process.stdout is not None and (line := await process.stdout.readline()):
            with suppress(orjson.JSONDecodeError):
                said = orjson.loads(line)
                listened = True
                self._heard(said)
        return listened
