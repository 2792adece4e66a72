"""Content that changes under a running process: looked at now and then, taken over when it is sound.

The look is at names, sizes and times of files, every few seconds, and so seldom that it takes no more than a
fiftieth of the time; what they hold is read when one of them changed. All that watch a folder in a process
share a look. Content with a problem that was not there before is told and left alone: the old one goes on.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from lemnis.content.library import Library
from lemnis.contracts.errors import LemnisError

EVERY_S = 2.0
_SPARING = 50
_SHOWN = 5
_log = logging.getLogger("lemnis.reload")


class Built(Protocol):
    """What is built of a library: ``problems`` are those parts of it that cannot be used."""

    @property
    def problems(self) -> Iterable[LemnisError]:
        """What is wrong, and where."""
        ...


T = TypeVar("T", bound=Built)
State = frozenset[tuple[str, int, int, int]]


class Reloading(Generic[T]):
    """Watches the files of a library; ``build`` makes of a library what is to be replaced."""

    def __init__(
        self,
        library: Library,
        built: Built,
        overlay: Path,
        build: Callable[[Library], T],
        *,
        every_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``library`` and what was ``built`` of it are in use; ``overlay`` is where files may change."""
        self._digest = library.digest
        self._known = frozenset(map(str, (*built.problems, *library.problems)))
        self._overlay, self._build = overlay, build
        self._every_s, self._clock = EVERY_S if every_s is None else every_s, clock
        self._next = clock()
        self._seen: object = None

    def newer(self) -> tuple[Library, T] | None:
        """Return content that is new and sound with what was built of it; None if there is none.

        Nothing is looked at more often than every few seconds.
        """
        if self._clock() < self._next:
            return None
        look = _look(self._overlay, self._every_s, self._clock)
        state, pause = look.state, max(self._every_s, _SPARING * look.took_s)
        self._next = self._clock() + pause
        if state == self._seen:
            return None
        self._seen = state  # of before it is read: what changes meanwhile is seen the next time
        try:
            found = self._read()
        except (LemnisError, OSError) as error:
            _refuse([error])
            return None
        finally:
            self._next = self._clock() + pause
        return found

    def _read(self) -> tuple[Library, T] | None:
        library = Library.open(self._overlay)
        if library.digest == self._digest:
            return None
        built = self._build(library)
        problems = [*built.problems, *library.problems]
        fresh = [problem for problem in problems if str(problem) not in self._known]
        if fresh:
            _refuse(fresh)
            return None
        self._digest = library.digest
        self._known = frozenset(map(str, problems))
        _log.info("content reloaded: %s", library.digest)
        return library, built


def _refuse(problems: list[LemnisError | OSError] | list[LemnisError]) -> None:
    """Say why changed content is not taken over."""
    said = "; ".join(map(str, problems[:_SHOWN]))
    more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in said)
    _log.warning("changed content is not used, the old one goes on: %s%s", shown, more)


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen beneath a folder, when that was begun and how long it took (seconds)."""

    state: State
    at: float
    took_s: float


_looks: dict[Path, _Look] = {}


def _look(folder: Path, every_s: float, clock: Callable[[], float]) -> _Look:
    """Look at a folder, or share a look that was begun a moment ago."""
    now = clock()
    last = _looks.get(folder)
    if last is None or not last.at <= now < last.at + every_s / 2 + last.took_s:
        began = time.perf_counter()
        state = _state(folder)
        last = _looks[folder] = _Look(state, now, time.perf_counter() - began)
    return last


def _state(folder: Path) -> State:
    """Return what files there are beneath a folder, and of each what changes when it is written."""
    found = set()
    waiting = [str(folder)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:  # gone meanwhile, or never there
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                stat = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            found.add((entry.path, stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return frozenset(found)
