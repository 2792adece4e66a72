"""The processes of a service: what they are called, so that one tells them apart, and what they may open."""

from __future__ import annotations

import multiprocessing
import os
import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_MAX = 15
_FILES = 65_536


def name(role: str) -> None:
    """Name this process, where the system lets it (Linux: 15 bytes, as ``ps -o comm`` shows them)."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(role[:_MAX], encoding="ascii")


def end_with_parent() -> None:
    """Let this process, which ``multiprocessing`` began, end with its parent, also if that is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(
            target=_end_after, args=(parent.join,), daemon=True, name="ends with its parent"
        ).start()


def _end_after(wait: Callable[[], object]) -> None:
    wait()
    os._exit(1)


def open_many() -> None:
    """Let this process have as many files and connections open as the system lets it, within reason.

    The usual 1,024 are fewer than the connections that the settings allow, and then no file can be opened.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
