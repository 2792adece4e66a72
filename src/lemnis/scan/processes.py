"""Waits for a program, and ends it with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lemnis.contracts.errors import ServiceError


def wait(process: subprocess.Popen[bytes], seconds: int) -> int:
    """Return a program's exit code; raises ServiceError if it does not end, and then ends all it started."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired as error:
        for pid in (*_started(process.pid), process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        raise ServiceError(f"not finished after {seconds} s") from error


def _started(pid: int) -> Iterator[int]:
    """Yield the processes that one started, and those that they did, as Linux tells; none elsewhere."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            parent = int(status.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(status.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    yield from found[1:]
