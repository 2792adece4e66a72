"""What the processes of a service are called: people and benchmarks that look at them tell them apart."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_MAX = 15


def name(role: str) -> None:
    """Name this process, where the system lets it (Linux: 15 bytes, as ``ps -o comm`` shows them)."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(role[:_MAX], encoding="ascii")
