"""What the processes of the crash campaign do, and where each is when it is killed.

Every process is `lemnis serve`'s own, or does what a command does. It notes in a shared file which part of
the store it is in, so that a kill has a place; some are told to kill themselves on entering or leaving one.
Of what is tested only waits are shortened, and tables made small.
"""

from __future__ import annotations

import asyncio
import errno
import http.client
import mmap
import multiprocessing.forkserver
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - what is loaded before is not loaded by every process that is killed
import deltalake  # noqa: F401 - the same
import duckdb  # noqa: F401 - the same
import orjson
import sqlalchemy.dialects.sqlite  # noqa: F401 - the same
import starlette.routing  # noqa: F401 - the same
import uvicorn  # noqa: F401 - the same

import lemnis.app.metrics
import lemnis.app.observing
import lemnis.app.searches_schedule
import lemnis.contracts.compiled
import lemnis.correlate.incremental
import lemnis.detect.matcher
import lemnis.ingest.parsers.jsonl
import lemnis.ingest.transports.http
import lemnis.ocsf.entities
import lemnis.ocsf.validation  # noqa: F401 - the same
from bench._crash_site import SOURCE, START, Site, account, body
from lemnis import app
from lemnis.app import (
    correlation,
    deadletters,
    ingest,
    lake_background,
    lake_keeping,
    receiving,
    receiving_process,
    running,
    serve,
    settling,
    watch,
)
from lemnis.content import library as content
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import ServiceError
from lemnis.store import compaction, delta, durable, known, sweeping
from lemnis.store import deadletters as dead
from lemnis.store.inbox import Inbox
from lemnis.store.journal import SqlJournal
from lemnis.store.known import Known
from lemnis.store.lake import Lake
from lemnis.store.spool import Writer

HALF = 0.5
BEGIN = "start"
TOLD, UNFORESEEN = 3, 70
"""Exit codes of a process that ended for a full or read-only disk as it should, and of one that did not."""
FAULTS = ("no fault", "disk full", "disk read-only")
_DISK = {errno.ENOSPC, errno.EROFS, errno.EDQUOT}
_LABEL = 64
_OK = 200
_TRIES_S = 5.0
PLACES: tuple[tuple[Any, str, str], ...] = (
    (Lake, "append", "spool append"),
    (Writer, "add", "spool segment"),
    (Writer, "set_cursor", "cursor"),
    (Writer, "drop", "spool, after a flush"),
    (Writer, "end", "known uids, of a transaction"),
    (Known, "write", "known uids, a run"),
    (Writer, "replace", "known uids, a run in place of others"),
    (Lake, "flush", "flush"),
    (delta.Table, "append", "lake commit"),
    (delta.Table, "_commit", "lake log entry"),
    (compaction.Rewriting, "stage", "compaction"),
    (compaction.Rewriting, "commit", "compaction, put in place"),
    (sweeping, "sweep", "sweep"),
    (delta, "recover", "recovery"),
    (durable, "sync", "sync"),
    (SqlJournal, "write_all", "journal"),
    (SqlJournal, "append_all", "journal"),
    (correlation.Running, "catch_up", "correlation"),
    (correlation.Running, "save", "correlation checkpoint"),
    (watch, "settle", "incidents"),
    (dead.DeadLetters, "add", "dead letters"),
    (dead.DeadLetters, "settle", "dead letters"),
    (deadletters, "replay", "replay of dead letters"),
    (Inbox, "append", "inbox append"),
    (Inbox, "remove", "inbox remove"),
    (receiving.Worker, "step", "worker"),
)
AIMS = {
    "receiver": ("inbox append",),
    "worker": (
        "spool append", "spool segment", "known uids, of a transaction", "journal", "dead letters",
        "inbox remove",
    ),
    "settler": (
        "flush", "lake commit", "lake log entry", "spool, after a flush", "known uids, a run",
        "known uids, a run in place of others", "correlation", "correlation checkpoint", "incidents",
        "journal", "sync",
    ),
    "keeper": ("compaction", "compaction, put in place", "sync", "lake log entry", "sweep"),
    "files": (
        "cursor", "spool append", "dead letters", "replay of dead letters", "compaction", "lake commit",
        "recovery",
    ),
}  # fmt: skip
"""The parts in which a process of a kind may be told to kill itself."""
SOUGHT = (
    ("keeper", "compaction"), ("keeper", "compaction, put in place"), ("keeper", "sweep"),
    ("settler", "correlation checkpoint"), ("settler", "lake log entry"), ("settler", "known uids, a run"),
    ("settler", "spool, after a flush"), ("settler", "incidents"), ("worker-0", "spool segment"),
)  # fmt: skip
"""What a process is in for moments only: whenever it begins in a round, it is told to kill itself there."""
SERVED = {
    "lemnis-settler": "settler",
    "lemnis-keeping": "keeper",
    "lemnis-worker-0": "worker-0",
    "lemnis-worker-1": "worker-1",
}


class Board:
    """What all processes see: whether the round is over, and which fault there is now."""

    def __init__(self, root: Path) -> None:
        """Open it, and make it where there is none."""
        self._memory = _shared(root / "run" / "board", 2)

    @property
    def over(self) -> bool:
        """Whether processes shall come to an end."""
        return bool(self._memory[0])

    @over.setter
    def over(self, yes: bool) -> None:
        self._memory[0] = yes

    @property
    def fault(self) -> str:
        """One of FAULTS."""
        return FAULTS[self._memory[1]]

    @fault.setter
    def fault(self, name: str) -> None:
        self._memory[1] = FAULTS.index(name)


class Place:
    """Where a process is: its id, and the name of a part in a shared file; it may kill itself there."""

    def __init__(self, root: Path, name: str) -> None:
        """Open the place of the process ``name``."""
        self._root, self._name = root, name
        self._memory = _shared(root / "run" / f"{name}.place", 8 + _LABEL)
        self._inside: list[str] = []
        self._left, self._aim = 0, ""

    def begin(self) -> None:
        """Be this process, at its beginning; take the aim that was left for it, which holds once."""
        self._memory[:8] = os.getpid().to_bytes(8, "little")
        self._write(BEGIN)
        path = self._root / "run" / f"{self._name}.aim"
        if path.exists():
            self._aim, self._left = orjson.loads(path.read_bytes())
            path.unlink()

    @property
    def aimed(self) -> bool:
        """Whether an aim is left for the next process of this name."""
        return (self._root / "run" / f"{self._name}.aim").exists()

    def aim(self, label: str, steps: int) -> None:
        """Have the next process of this name kill itself at a step, counted in the part ``label`` if any."""
        (self._root / "run" / f"{self._name}.aim").write_bytes(orjson.dumps([label, steps]))

    @property
    def pid(self) -> int:
        """The id of the last process that was here; 0: there was none."""
        return int.from_bytes(self._memory[:8], "little")

    @property
    def label(self) -> str:
        """The part that the process entered last and is in."""
        return bytes(self._memory[8:]).rstrip(b"\0").decode()

    def _write(self, label: str) -> None:
        self._memory[8:] = label.encode().ljust(_LABEL, b"\0")

    def step(self, label: str) -> None:
        """Count a step."""
        if self._left and self._aim in {"", label}:
            self._left -= 1
            if not self._left:
                killed(self._root, self._name, label, "itself")
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner: Any, name: str, label: str) -> None:
        """Have a function note that the process is in it."""
        original: Callable[..., Any] = getattr(owner, name)

        @wraps(original)
        def noted(*given: Any, **more: Any) -> Any:
            self._inside.append(label)
            self._write(label)
            self.step(label)
            try:
                return original(*given, **more)
            finally:
                self.step(label)
                self._inside.remove(label)  # another thread may have entered something meanwhile
                self._write(self._inside[-1] if self._inside else BEGIN)

        setattr(owner, name, noted)


def _shared(path: Path, size: int) -> mmap.mmap:
    with path.open("ab") as file:
        file.truncate(size)
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), size)


def killed(root: Path, name: str, label: str, by: str) -> None:
    """Note a kill: of which process, in which part, under which fault, by whom."""
    with (root / "run" / "kills").open("ab", buffering=0) as file:
        file.write(orjson.dumps([name, label, Board(root).fault, by]) + b"\n")


# -- every process -----------------------------------------------------------------------------------------


def entered(root: Path, name: str, work: Callable[..., object], given: tuple[Any, ...]) -> None:
    """Be a process: note where it is, and do the work; end with TOLD where the disk says no."""
    content.builtin_root = lambda: root / "builtin"
    app.default_clock = lambda: ManualClock(START)
    watch.detection = partial(watch.detection, rules=[root / "rules.yml"])
    settling.FLUSH_S, settling.FLUSH_ROWS = 0.4, 150
    settling._WAIT_S = receiving._WAIT_S = (0.05, 0.5)  # noqa: SLF001 - waits
    receiving_process._AGAIN_S = running._AGAIN_S = (0.05, 0.5)  # noqa: SLF001 - waits
    correlation._UNSAVED = 20  # noqa: SLF001 - so that checkpoints are written often
    known.FOLDED = 200  # so that runs are made, and become one, in a campaign too
    place = Place(root, name)
    place.begin()
    for owner, attribute, label in PLACES:
        place.watch(owner, attribute, label)
    try:
        work(*given)
    except ServiceError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(TOLD)
    except OSError as error:  # the command line names the file, and ends with the same code
        if error.errno in _DISK and error.filename is not None:
            print(f"{name}: {error}", file=sys.stderr)
            sys.exit(TOLD)
        raise


class Context:
    """In the place of multiprocessing's: `serve`'s processes come from the campaign's fork server."""

    def __init__(self, root: Path) -> None:
        """``root`` is the site's."""
        self._root = root
        self._context = multiprocessing.get_context("forkserver")

    def Pipe(self) -> tuple[Connection, Connection]:  # noqa: N802 - the name it has there
        """Return a pipe."""
        return self._context.Pipe()

    def Process(self, *, target: Callable[..., object], args: tuple[Any, ...], name: str) -> Any:  # noqa: N802
        """Return a process that notes where it is."""
        given = (self._root, SERVED[name], target, args)
        return self._context.Process(target=entered, args=given, name=name)


def serving(root: Path, address: str) -> None:
    """Be `lemnis serve`, until SIGTERM."""
    server: Any = multiprocessing.forkserver._forkserver  # type: ignore[attr-defined] # noqa: SLF001
    server._forkserver_address, server.ensure_running = address, lambda: None  # noqa: SLF001 - it runs
    receiving_process._SPAWN = lake_background._SPAWN = Context(root)  # type: ignore[assignment] # noqa: SLF001

    async def run() -> None:
        one = serve.Serving(Site(root).workspace)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, one.stop)
        await one.run()

    asyncio.run(run())


def filing(root: Path, seed: int) -> None:
    """Do again and again what `ingest`, `sources replay` and `lake compact` do, until the round is over."""
    site, rng, board = Site(root), random.Random(seed), Board(root)  # noqa: S311 - moments, not secrets
    watching = watch.Watch(site.workspace)
    while not board.over:
        ingest.Ingest(site.workspace, SOURCE, watching).run([root / "crash.log"])
        if rng.random() < HALF:
            deadletters.replay(site.workspace, watcher=watching)
        if rng.random() < HALF:
            app.lake(site.workspace).flush()
            lake_keeping.compact(site.workspace)
        time.sleep(0.02)


# -- the sender, which is nobody's part ---------------------------------------------------------------------


def sending(root: Path, port: int, most: int, seed: int, pause_s: float) -> None:
    """Send up to ``most`` new deliveries, note those that are answered, send all others again.

    Ends when the round is over, or, where ``pause_s`` is 0, when all were answered.
    """
    site, rng, board = Site(root), random.Random(seed), Board(root)  # noqa: S311 - moments, not secrets
    done, first = site.acknowledged(), site.sent()
    open_ = [number for number in range(first) if number not in done]
    open_ += rng.sample(sorted(done), min(3, len(done)))  # as who lost the answer does
    fresh = iter(range(first, first + most))
    with ThreadPoolExecutor(4) as pool:
        while not board.over:
            some = open_[:8] or list(islice(fresh, rng.randrange(1, 9)))
            if not some:
                if not pause_s:
                    return
                time.sleep(0.02)
                continue
            with (root / "sent").open("ab", buffering=0) as file:
                file.write(b"." * max(0, max(some) + 1 - site.sent()))
            answered = list(pool.map(partial(_posted, root, port), some))
            failed = [number for number, yes in zip(some, answered, strict=True) if not yes]
            open_ = open_[8:] + failed
            time.sleep(0.05 if failed else rng.uniform(0, pause_s))


def _posted(root: Path, port: int, number: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TRIES_S)
    try:
        connection.request("POST", f"/ingest/{SOURCE}", body(number))
        if connection.getresponse().status != _OK:
            return False
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    with (root / "acknowledged").open("ab", buffering=0) as file:
        file.write(b"%d\n" % number)
    return True


# -- at the end --------------------------------------------------------------------------------------------


def finishing(root: Path) -> None:
    """Do all that is left, so that what is there depends on nothing but what came."""
    site = Site(root)
    watching = watch.Watch(site.workspace)
    worker = receiving.Worker(site.workspace, receiving.inbox(site.workspace), watching)
    while worker.step():
        worker.settle()
    worker.settle(everything=True)
    ingest.Ingest(site.workspace, SOURCE, watching).run([root / "crash.log"])
    deadletters.replay(site.workspace, watcher=watching)
    watching.finish()
    app.lake(site.workspace).flush()


def accounting(root: Path) -> None:
    """Write the account of what is there into a file."""
    (root / "account.json").write_bytes(account(Site(root)).dump())
