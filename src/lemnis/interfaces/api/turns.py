"""In how many threads requests are worked on: few, so that they do not wait for each other's turns.

Python runs one thread at a time. Many that each give way for every row of a database wait for the interpreter
longer than they work, and all are late; a few are done one after the other. Work of different kinds has
threads of its own: what takes long, or waits for others, holds up nothing that is quick. Who asks while all
threads of a kind are taken waits, in order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import TypeVar, TypeVarTuple, Unpack

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

Value = TypeVar("Value")
Given = TypeVarTuple("Given")
_CORES = os.cpu_count() or 1


class Turn(Enum):
    """A kind of work, and in how many threads it is done."""

    KNOWING = ("knowing", 8)
    """To know who asks: each request begins so, and now and then waits for whoever writes to the database."""
    PAGE = ("page", 2)
    CHANGE = ("change", 2)
    """What a form asks to be done: it is written to the disk."""
    DEAR = ("dear", min(4, max(2, _CORES)))
    """What the lake is asked for, and what else may take seconds."""
    SIGNING = ("signing", 4)
    """To hash passwords, and to ask providers elsewhere."""
    HEARING = ("hearing", 2)
    """To tell those who listen what happens."""


_LIMITS: RunVar[dict[Turn, CapacityLimiter]] = RunVar("lemnis.turns")
CORES_EACH = max(1, _CORES // int(Turn.DEAR.value[1]))
"""How many cores a search has, so that all that go on at once have what there is."""
ROUTES = 12
"""In how many threads routes of the API are worked on that say nothing else."""


async def taken(turn: Turn, work: Callable[[Unpack[Given]], Value], *given: *Given) -> Value:
    """Do work in a thread of its kind, when it is its turn; raises what the work raises."""
    limits = _LIMITS.get({})
    if turn not in limits:
        limits[turn] = CapacityLimiter(turn.value[1])
        _LIMITS.set(limits)
    return await anyio.to_thread.run_sync(work, *given, limiter=limits[turn])


def bound() -> None:
    """Let routes that say nothing else have so many threads, in the event loop at hand."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = ROUTES
