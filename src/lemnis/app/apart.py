"""Work that would hold up the pages, done in a process of its own: niced, and gone when it is done.

A thread would not do: Python runs one at a time, and a page waits for its turn again and again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

from lemnis.app import processes
from lemnis.contracts.errors import ServiceError

_SPAWN = multiprocessing.get_context("spawn")
_NICE = 10
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def apart(work: Callable[Given, Answer], *args: Given.args, **named: Given.kwargs) -> Answer:
    """Do something in a process of its own and return what it gives; raises what it raises.

    ``work`` is a function of a module; it, what it is given and what it gives are pickled. The process ends
    with this one, however that ends. Raises ServiceError where the process died.
    """
    near, far = _SPAWN.Pipe(duplex=False)
    child = _SPAWN.Process(target=_do, args=(far, work, args, named), daemon=True)
    child.start()
    far.close()
    try:
        given, wrong = near.recv()
    except EOFError as error:
        raise ServiceError(f"the process for {work.__name__} died", fix="it is begun again") from error
    finally:
        near.close()
        child.join()
    if wrong is not None:
        raise wrong
    answer: Answer = given
    return answer


def _do(far: Connection, work: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    processes.name("lemnis-apart")
    processes.end_with_parent()
    os.nice(_NICE)
    answer: tuple[Any, Exception | None]
    try:
        answer = work(*args, **named), None
    except Exception as error:  # noqa: BLE001 - whoever waits raises it
        answer = None, error
    far.send(answer)
