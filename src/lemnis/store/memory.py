"""Memory that is free in a process: given back to the system, or kept for what comes next.

Arrow's allocator and the C library keep some of what was freed: a process that once did something large
would look large for good. What works on batch after batch is better off with all of it: what the system
gives it has to clear first, and did so for each batch anew (ADR 0063).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache

import pyarrow as pa

_KEPT = ((-4, 0), (-1, (1 << 31) - 1), (-2, 32 << 20))
"""glibc's M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD, as <malloc.h> numbers them."""
_KEPT_MS = "60000"


def release() -> None:
    """Give back what is free in this process: some milliseconds now, and some when it is wanted again."""
    pa.default_memory_pool().release_unused()
    _trim()(0)


def keep() -> None:
    """Keep what is freed from now on, until ``release``: for a process that does the same again and again.

    The C library is told to ask the system for more in large pieces, and for no piece alone. It does nothing
    where that cannot be told.
    """
    try:
        tell: Callable[[int, int], int] = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, value in _KEPT:
        tell(option, value)


def begun_to_keep() -> None:
    """Have Arrow keep memory in processes that this one begins from now on: it is told when one begins."""
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", _KEPT_MS)


@cache
def _trim() -> Callable[[int], object]:
    """Return the C library's ``malloc_trim``; where it has none (not glibc), what does nothing."""
    try:
        found: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return lambda _: None
    return found
