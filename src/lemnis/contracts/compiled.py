"""Whether the passes that Numba compiles can be had, and whether they are worth to be loaded.

Numba is the ``fast`` extra. To load it and a few passes takes half a second, as long as 20,000 records take
without; a process that has loaded it uses it for every record.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec

WORTH = 20_000
"""So many records are worth it."""
LARGE = 4_000_000
"""And so many bytes, however few records they are."""


@cache
def available() -> bool:
    """Say whether the compiled passes can be had."""
    return find_spec("numba") is not None


def ready(count: int = 0, size: int = 0) -> bool:
    """Say whether to use the compiled passes for so many records or bytes: they are loaded, or worth it."""
    return "numba" in sys.modules or ((count >= WORTH or size >= LARGE) and available())


def load() -> None:
    """Load what the passes need: for whoever runs long."""
    if available():
        import numba  # noqa: F401, PLC0415 - what this is for
