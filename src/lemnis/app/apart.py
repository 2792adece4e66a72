"""Work that would hold up the pages, done in a process of its own: niced, and gone when it is done.

A thread would not do: Python runs one at a time, and a page waits for its turn again and again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from lemnis.app import processes
from lemnis.contracts.errors import ServiceError

_SPAWN = multiprocessing.get_context("spawn")
_NICE = 10
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def apart(work: Callable[Given, Answer], *args: Given.args, **named: Given.kwargs) -> Answer:
    """Do something in a process of its own and return what it gives; raises what it raises.

    ``work`` is a function of a module; it, what it is given and what it gives are pickled. Raises
    ServiceError where the process died.
    """
    with ProcessPoolExecutor(1, _SPAWN, _begin) as pool:
        try:
            return pool.submit(work, *args, **named).result()
        except BrokenProcessPool as error:
            raise ServiceError(f"the process for {work.__name__} died", fix="it is begun again") from error


def _begin() -> None:
    processes.name("lemnis-apart")
    os.nice(_NICE)
