"""In how many threads requests are worked on: few, so that they do not wait for each other's turns.

Python runs one thread at a time. Many that each give way for every row of a database wait for the interpreter
longer than they work, and all are late; a few are done one after the other. Work of different kinds has
threads of its own: what takes long, or waits for others, holds up nothing that is quick. Who asks while all
threads of a kind are taken waits, in order.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeVar, TypeVarTuple, Unpack

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

Value = TypeVar("Value")
Given = TypeVarTuple("Given")


class Turn(Enum):
    """A kind of work, and in how many threads it is done."""

    KNOWING = ("knowing", 2)
    """To know who asks: each request begins so."""
    PAGE = ("page", 4)
    DEAR = ("dear", 4)
    """What the lake is asked for, and what else may take seconds."""
    SIGNING = ("signing", 4)
    """To hash passwords, and to ask providers elsewhere."""
    HEARING = ("hearing", 2)
    """To tell those who listen what happens."""


_LIMITS: RunVar[dict[Turn, CapacityLimiter]] = RunVar("lemnis.turns")
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
