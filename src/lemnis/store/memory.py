"""What a process holds of memory that it does not use is given back to the system.

Arrow's allocator and the C library keep what was freed, for the next time: a process that once did something
large would look large for good.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import pyarrow as pa


def release() -> None:
    """Give back what is free in this process: some milliseconds now, and some when it is wanted again."""
    pa.default_memory_pool().release_unused()
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    """Return the C library's ``malloc_trim``; where it has none (not glibc), what does nothing."""
    try:
        found: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return lambda _: None
    return found
