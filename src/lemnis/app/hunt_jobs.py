"""A hunt in pieces: several processes look at one each, and what they find comes in order of the input.

This process looks too, at the first piece at once: the others need a moment to begin. What is found depends
neither on how many there are nor on where the pieces are cut.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lemnis.app.exceptions import Compiled
from lemnis.app.hunt_correlation import Signalled
from lemnis.app.hunting import End, Found, Hit, Hunter, Progress, Task
from lemnis.contracts.events import Reject
from lemnis.detect import RuleSet

WORTH = 96_000_000
"""Bytes of input from which on it is worth to begin processes."""
PIECE = 60_000_000
SMALL = 8_000_000
"""Bytes of a piece of a large file, and of the small files that are looked at together."""


def cores() -> int:
    """Return how many processes may run at once."""
    return len(os.sched_getaffinity(0))


def tasks(hunter: Hunter, files: Sequence[Path]) -> list[Task]:
    """Cut the input into pieces, in order."""
    found: list[Task] = []
    held: list[Path] = []
    size = 0
    for file in files:
        parts = hunter.parts(file, PIECE)
        if len(parts) > 1:
            if held:
                found.append(Task(tuple(held)))
                held, size = [], 0
            for number, (begin, end) in enumerate(parts):
                found.append(Task((file,), (begin, end), follows=number > 0))
            continue
        held.append(file)
        size += file.stat().st_size if file.is_file() else 0
        if size >= SMALL:
            found.append(Task(tuple(held)))
            held, size = [], 0
    return [*found, Task(tuple(held))] if held else found


def total(files: Sequence[Path]) -> int:
    """Return the size of the input in bytes, as far as it lies in files."""
    return sum(file.stat().st_size for file in files if file.is_file())


@dataclass(slots=True)
class Jobs:
    """Looks at tasks with ``count`` processes, this one included."""

    hunter: Hunter
    rules: RuleSet
    count: int
    _records: int = 0
    _base: int = 0
    _whole: bool = False
    _asked: set[int] = field(default_factory=set)

    def run(self, todo: Sequence[Task]) -> Iterator[Found]:
        """Yield what is found, in order of the tasks."""
        if self.count < 2 or len(todo) < 2:  # noqa: PLR2004 - there is nothing to share
            for task in todo:
                yield from self._ordered(task, self.hunter.run(task))
            return
        context = multiprocessing.get_context("spawn")
        given = (self.rules, self.hunter.paths, self.hunter.source, self.hunter.made)
        others = set(multiprocessing.active_children())
        with ProcessPoolExecutor(self.count - 1, context, _begin, given) as pool:
            try:
                yield from self._run(todo, pool)
            except BaseException:  # nobody waits for what they would find
                for one in set(multiprocessing.active_children()) - others:
                    one.terminate()
                raise
            finally:
                pool.shutdown(cancel_futures=True)

    def _run(self, todo: Sequence[Task], pool: ProcessPoolExecutor) -> Iterator[Found]:
        given: dict[int, Future[list[Found]]] = {}
        kept: dict[int, list[Found]] = {}
        following = 0

        def hand_out() -> None:
            nonlocal following
            while sum(not one.done() for one in given.values()) < self.count and following < len(todo):
                with undisturbed():
                    given[following] = pool.submit(_work, todo[following])
                following += 1

        for number, task in enumerate(todo):
            if number == following:  # nobody has it yet, and nothing is to come before it
                following += 1
                hand_out()
                yield from self._ordered(task, self.hunter.run(task))
                continue
            while number in given and not given[number].done() and following < len(todo):
                own, following = following, following + 1
                hand_out()
                kept[own] = list(self.hunter.run(todo[own]))
            found = kept.pop(number) if number in kept else given.pop(number).result()
            yield from self._ordered(task, iter(found))

    def _ordered(self, task: Task, found: Iterator[Found]) -> Iterator[Found]:
        """Count records on over the parts of a file; a part that is no lines is read on to the file's end."""
        if not task.follows:
            self._base, self._whole = 0, False
        if self._whole:
            return
        for item in found:
            if not isinstance(item, End):
                yield self._counted(item)
            elif item.irregular:
                start = replace(item.start, position=item.start.position + self._base)
                self._base, self._whole = 0, True
                yield from map(self._counted, self.hunter.rest(task.files[0], start))
            else:
                self._base += item.start.position

    def _counted(self, item: Found) -> Found:
        if isinstance(item, Progress):
            self._records += item.records
            self._asked |= item.rules
            return replace(item, records=self._records, rules=frozenset(self._asked))
        if isinstance(item, Hit):
            return replace(item, record=item.record + self._base)
        if isinstance(item, Signalled):
            return replace(item, base=self._base)
        if isinstance(item, Reject) and item.at.record is not None:
            return replace(item, at=replace(item.at, record=item.at.record + self._base))
        return item


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait: a process that is begun meanwhile is begun whole, and leaves Ctrl-C to this one."""
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()  # only there Ctrl-C interrupts anything
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number)) if main else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # what is begun inherits it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if main:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


_hunter: list[Hunter] = []
"""A process that works for another has one."""


def _begin(rules: RuleSet, paths: tuple[Path, ...], source: str, made: tuple[Compiled, ...]) -> None:
    os.nice(1)  # who asked comes first
    _hunter[:] = [Hunter(rules, paths, source, made)]
    gc.freeze()


def _work(task: Task) -> list[Found]:
    return list(_hunter[0].run(task))
