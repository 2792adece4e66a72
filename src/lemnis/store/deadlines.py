"""What is to be done unless something else ends first: one thread watches all deadlines of a process.

A timer of its own for each query would cost a thread, which waits for its turn twice: to begin, and to end.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(order=True, slots=True)
class _Due:
    at: float
    number: int
    call: Callable[[], None] | None = field(compare=False)


class _Watch:
    """The deadlines that are waited for, and the thread that waits."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._changed = threading.Condition()
        self._due: list[_Due] = []
        self._numbers = itertools.count()
        self._watching = False

    def add(self, seconds: float, call: Callable[[], None]) -> _Due:
        one = _Due(time.monotonic() + seconds, next(self._numbers), call)
        with self._changed:
            heapq.heappush(self._due, one)
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, daemon=True, name="deadlines").start()
            elif self._due[0] is one:
                self._changed.notify()
        return one

    def drop(self, one: _Due) -> None:
        """Let go of one: after this it is not called, and if it was being called, that has ended."""
        with self._changed:
            one.call = None
            while self._due and self._due[0].call is None:
                heapq.heappop(self._due)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                while self._due and self._due[0].at <= now:
                    one = heapq.heappop(self._due)
                    if one.call is not None:
                        one.call()
                self._changed.wait(self._due[0].at - now if self._due else None)


_watch = _Watch()


@contextmanager
def before(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call something quick, from another thread, if the block takes longer than so many seconds.

    It is called once at most, and never once the block has ended. It must not raise.
    """
    global _watch  # noqa: PLW0603 - a process that was forked has no thread that watches
    if _watch.process != os.getpid():
        _watch = _Watch()
    watch = _watch
    one = watch.add(seconds, call)
    try:
        yield
    finally:
        watch.drop(one)
