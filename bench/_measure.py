"""Children whose time and memory are their own: what a lane runs, runs in one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

ROOT = Path(__file__).parent.parent
_INTERVAL = 0.2
_KB, _MB = 1024, 1024 * 1024


class ChildError(Exception):
    """A child that failed, with the end of what it said."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a child took: seconds (``first``: to its first line), CPU seconds, megabytes; and what it wrote.

    CPU is that of the child and of all children it waited for, and memory the sum over its processes.
    """

    wall: float
    cpu: float
    peak_mb: float
    first: float | None
    lines: int
    output: bytes = b""

    @property
    def said(self) -> dict[str, Any]:
        """Return the JSON object that the child wrote last."""
        said: dict[str, Any] = orjson.loads(self.output.strip().splitlines()[-1])
        return said


def child(
    argv: Sequence[str | Path],
    *,
    given: Path | None = None,
    one_core: bool = False,
    keep: bool = False,
    codes: Sequence[int] = (0,),
    environment: Mapping[str, str] | None = None,
) -> Usage:
    """Run a program to its end; ``given`` is piped into it. Raises ChildError for another exit code."""
    with tempfile.TemporaryFile() as errors, _cores(one_core=one_core):
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        if given is not None:
            threading.Thread(target=_pour, args=(given, process.stdin), daemon=True).start()
        watch = _Watch(process.pid)
        first, count, kept = _drain(process.stdout, started, keep=keep)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        peak = max(watch.end(), usage.ru_maxrss / _KB)
        if process.returncode not in codes:
            errors.seek(0)
            tail = errors.read()[-800:].decode(errors="replace").strip()
            raise ChildError(f"{Path(argv[0]).name} ended with {process.returncode}: {tail}")
    return Usage(wall, usage.ru_utime + usage.ru_stime, peak, first, count, kept)


def module(
    name: str,
    spec: Mapping[str, Any],
    *,
    one_core: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Usage:
    """Run ``main`` of a module of this folder on ``spec``; it writes one JSON object."""
    argv = [sys.executable, "-m", f"bench.{name}", orjson.dumps(dict(spec), default=str).decode()]
    return child(argv, one_core=one_core, keep=True, environment=environment)


@contextmanager
def _cores(*, one_core: bool) -> Iterator[None]:
    """Leave one core to what is started here, if asked; a child inherits what its starter may use."""
    if not one_core or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _pour(file: Path, pipe: IO[bytes] | None) -> None:
    """Copy a file into a pipe; a reader that ends early is told of by its exit code."""
    if pipe is None:
        return
    try:
        with file.open("rb") as source, pipe:
            while block := source.read(_MB):
                pipe.write(block)
    except BrokenPipeError:
        return


def _drain(pipe: IO[bytes] | None, started: float, *, keep: bool) -> tuple[float | None, int, bytes]:
    """Read all that a child writes: when the first came, how many lines, and the text if it is kept."""
    first, count, kept = None, 0, []
    if pipe is None:
        return first, count, b""
    with pipe:
        while block := os.read(pipe.fileno(), _MB):
            if first is None:
                first = time.perf_counter() - started
            count += block.count(b"\n")
            if keep:
                kept.append(block)
    return first, count, b"".join(kept)


class _Watch:
    """Looks at the memory of all processes of a session, several times a second."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._peak = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> float:
        """Stop looking, and return the most that was seen, in megabytes."""
        self._over.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._over.wait(_INTERVAL):
            self._peak = max(self._peak, sum(map(_share, _members(self._session))) / _KB)


def _members(session: int) -> Iterator[Path]:
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[3]) == session:
            yield place


def _share(place: Path) -> int:
    """Return a process's memory in kB; what it shares with others counts by its share."""
    try:
        lines = (place / "smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
