"""A running `lemnis serve` with its console, at the time of the workspace; who is signed in; load on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import argon2
import httpx
import orjson

from bench._measure import ROOT, _share
from bench._serving import _cpu
from lemnis import app
from lemnis.app.access import accounts
from lemnis.app.access.passwords import Passwords
from lemnis.app.access.service import Access
from lemnis.contracts.clock import OffsetClock

PASSWORD = "a lemniscate turns twice"  # noqa: S105 - of accounts that the bench makes
HEADERS = {"accept": "text/html", "accept-encoding": "gzip"}
_START_S, _END_S = 300.0, 60.0
_THINKS_S = (1.0, 3.0)
_KB = 1024


def clocked(root: Path) -> tuple[app.Workspace, int]:
    """Open a workspace at the moment after its last entry, and say by how much the clock is moved (ms)."""
    now = int(time.time() * 1000)
    opened = app.open_workspace(root)
    journal = app.journal(opened)
    last = next(iter(journal.some(journal.head()[0] - 1, 1)), None)
    offset = 1_000 + (now if last is None else last.at) - now
    return app.open_workspace(root, clock=OffsetClock(offset)), offset


def cookies(opened: app.Workspace, count: int) -> list[str]:
    """Add so many accounts with every role; return the cookie of a session of each."""
    cheap = Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    access = Access(opened, passwords=cheap)
    found, mark = [], f"{int(time.time()):x}"
    for number in range(count):
        roles = sorted(access.rights.roles)
        _, invitation = accounts.add(access, f"bench-{mark}-{number}", roles, actor="bench")
        if invitation is None:
            raise RuntimeError("an account without an invitation")
        found.append(accounts.accept(access, invitation.secret, "", PASSWORD).cookie)
    return found


class Served:
    """``lemnis serve --json`` as a child: where its console and its intake are."""

    def __init__(self, root: Path, offset: int, *, command: str = "serve") -> None:
        """``command`` is ``serve``, or ``console`` for the console alone."""
        more = ["--port", "0"] if command == "console" else []
        start = [sys.executable, "-c", "from lemnis.interfaces.cli import main; main()"]
        self._process = subprocess.Popen(
            [*start, command, "--json", "-w", str(root), *more],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, start_new_session=True,
            env={**os.environ, "LEMNIS_LOG": "error", "LEMNIS_CLOCK_OFFSET": str(offset)},
        )  # fmt: skip
        self._wanted = {"console", "in", "ready"} if command == "serve" else {"console"}
        self.base = ""
        self.port = 0
        self._there = threading.Event()
        self._thread = threading.Thread(target=self._hear, args=(self._process.stdout,))
        self._thread.start()

    def begin(self) -> float:
        """Wait until it listens; return the seconds that it took."""
        began = time.perf_counter()
        if not self._there.wait(_START_S):
            raise RuntimeError("lemnis did not begin")
        return time.perf_counter() - began

    @property
    def megabytes(self) -> float:
        """The memory of all its processes."""
        return sum(map(_share, self._processes())) / _KB

    @property
    def cpu(self) -> float:
        """The CPU seconds of all its processes."""
        return sum(map(_cpu, self._processes()))

    def _processes(self) -> list[Path]:
        """Return it and its children: the console has a session of its own."""
        found, parents = {self._process.pid}, {}
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return [Path("/proc") / str(pid) for pid in found]

    def end(self) -> None:
        """End it as an administrator would."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _hear(self, pipe: IO[bytes] | None) -> None:
        for line in pipe or ():
            _, brace, rest = line.partition(b"{")  # a progress bar may come before
            if not brace:
                continue
            said: dict[str, Any] = orjson.loads(brace + rest)
            if said["event"] == "listening" and "url" not in said:
                self.port = said["port"]
                self._wanted.discard("in")
            elif said.get("url"):
                self.base = said["url"]
                self._wanted.discard("console")
            self._wanted.discard(said["event"])
            if not self._wanted:
                self._there.set()


@contextlib.contextmanager
def served(root: Path, offset: int, *, command: str = "serve") -> Iterator[Served]:
    """Have it running, and end it."""
    one = Served(root, offset, command=command)
    try:
        one.begin()
        yield one
    finally:
        one.end()


@dataclass(slots=True)
class Asked:
    """What many people's requests took: seconds, by page; and how many failed."""

    seconds: list[float] = field(default_factory=list)
    by_page: dict[str, list[float]] = field(default_factory=dict)
    failed: int = 0
    heard: int = 0


Pages = Sequence[tuple[str, Sequence[str], int]]
"""Pages that people look at: name, paths of which each is as likely, how often."""


async def crowd(base: str, people: Sequence[str], pages: Pages, seconds: float) -> Asked:
    """Let people look at pages for so long, each one every other second.

    Each has the stream of live events open, as a page has.
    """
    asked, until = Asked(), time.perf_counter() + seconds
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=base, headers=HEADERS, timeout=60, limits=limits) as client:
        listening = [asyncio.create_task(_listen(client, one, asked)) for one in people]
        turns = [_person(client, number, one, pages, until, asked) for number, one in enumerate(people)]
        await asyncio.gather(*turns)
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    return asked


async def _listen(client: httpx.AsyncClient, cookie: str, asked: Asked) -> None:
    async with client.stream(
        "GET", "/api/v1/stream", headers={"cookie": f"lemnis={cookie}"}, timeout=None
    ) as answer:
        async for line in answer.aiter_lines():
            asked.heard += line.startswith("event:")


async def _person(  # noqa: PLR0917 - of one crowd
    client: httpx.AsyncClient, number: int, cookie: str, pages: Pages, until: float, asked: Asked
) -> None:
    chance = random.Random(number)  # noqa: S311 - an order of pages, no secret
    weights = [often for *_, often in pages]
    await asyncio.sleep(chance.uniform(0, _THINKS_S[1]))
    while time.perf_counter() < until:
        name, paths, _ = chance.choices(pages, weights)[0]
        path = chance.choice(paths)
        began = time.perf_counter()
        try:
            answer = await client.get(path, headers={"cookie": f"lemnis={cookie}"})
            asked.failed += answer.status_code != httpx.codes.OK
        except httpx.HTTPError:
            asked.failed += 1
        took = time.perf_counter() - began
        asked.seconds.append(took)
        asked.by_page.setdefault(name, []).append(took)
        await asyncio.sleep(max(0.0, chance.uniform(*_THINKS_S) - took))
