"""``lemnis serve``: transports, inbox, worker and health in one service.

Transports run in one event loop; workers have processes. At the end transports take no more and hand over
what they took, then the workers finish what they have in hand. What waits in the inbox beyond that is
worked on at the next start.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lemnis import app
from lemnis.app import processes, receiving, running, settings, transports
from lemnis.app.console_process import ConsoleProcess
from lemnis.app.intake import Counts, Intake
from lemnis.app.lake_background import Keeping
from lemnis.app.observing import Observing, unwell
from lemnis.app.receiving_process import SETTLER, Ready, Said, Seen, Settled, WorkerProcess
from lemnis.app.running import Running
from lemnis.content.schemas.settings import Admin
from lemnis.contracts.errors import ServiceError, UsageError
from lemnis.contracts.receiving import Delivery
from lemnis.store.inbox import Inbox, Waiting

LOG = logging.getLogger("lemnis.serve")
_BEHIND_MS = 60_000
_WORKERS = 4

Heard = Callable[[str, dict[str, Any]], None]
"""Told of what happens, on the event loop: the event's name, and its facts."""


@dataclass(slots=True)
class Totals:
    """What the worker did since this began, by source: the fields of ``Account``, and alerts of all."""

    by_source: dict[str, Counter[str]] = field(default_factory=dict)
    lag_ms: dict[str, int] = field(default_factory=dict)
    alerts: int = 0
    rules: int = 0
    problems: int = 0

    def add(self, seen: Seen) -> None:
        """Add what was done."""
        one = seen.account
        counts = self.by_source.setdefault(one.source, Counter())
        for name in ("deliveries", "bytes", "accepted", "duplicates", "rejected", "dead"):
            counts[name] += getattr(one, name)
        self.lag_ms[one.source] = one.lag_ms
        self.alerts += seen.alerts

    def of(self, name: str) -> int:
        """Return one count over all sources."""
        return sum(counts[name] for counts in self.by_source.values())


class Serving:
    """One run of the service; what it shows is read by health, metrics and the terminal."""

    def __init__(
        self,
        workspace: app.Workspace,
        *,
        detect: bool = True,
        admin: Admin | None = None,
        workers: int | None = None,
        heard: Sequence[Heard] = (),
    ) -> None:
        """Read the settings; raises ContentError with its place, UsageError where there is no transport."""
        self.workspace = workspace
        read = settings.load(workspace)
        if not read.transports:
            raise UsageError(
                "there is nothing to serve: no transport in the settings",
                fix="add one under `transports:` in lemnis.yaml; see docs/receiving.md",
            )
        self.admin = admin or read.admin
        self.heard: list[Heard] = list(heard)
        self.transports = [Running(one) for one in transports.build(workspace, read)]
        self.inbox: Inbox = receiving.inbox(workspace)
        self.counts = Counts()
        self.totals = Totals()
        count = workers or read.workers or min(_WORKERS, os.cpu_count() or 1)
        self.workers = [
            WorkerProcess(workspace.root, (number, count), detect=detect, heard=self._worked)
            for number in range(count)
        ]
        self.settler = WorkerProcess(workspace.root, (SETTLER, count), detect=detect, heard=self._worked)
        self.keeping = Keeping(
            workspace.root, every_s=read.lake.look_s, heard=lambda facts: self._tell("kept", **facts)
        )
        self.console = ConsoleProcess(workspace.root, self._console) if read.console is not None else None
        self.observing: Observing | None = None
        self.stopping = False
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Begin to end; asked a second time, do not wait for what the workers have in hand."""
        if self.stopping:
            for one in (*self.workers, self.settler):
                one.kill()
        self._end()

    def _end(self) -> None:
        self.stopping = True
        self._stop.set()

    async def run(self) -> None:
        """Serve until ``stop``; raises ServiceError if no transport can begin."""
        from lemnis.app import incidents_sla, respond_service, searches_schedule

        processes.open_many()
        self.observing = Observing(self)
        intake = Intake(self.inbox, received=self._received)
        self.counts = intake.counts
        workers = [asyncio.create_task(one.run()) for one in self.workers]
        settler = asyncio.create_task(self.settler.run())
        observing = asyncio.create_task(self.observing.run(self._stop))
        admin = asyncio.create_task(self._admin())
        keeping = asyncio.create_task(self.keeping.run(self._stop))
        searching = asyncio.create_task(searches_schedule.keep(self.workspace, self._stop))
        responding = asyncio.create_task(respond_service.keep(self.workspace, self._stop))
        timing = asyncio.create_task(incidents_sla.keep(self.workspace, self._stop))
        shown = asyncio.create_task(self.console.run(self._stop) if self.console else asyncio.sleep(0))
        try:
            await running.run(self.transports, intake, self._stop, self._tell)
        except ServiceError:  # nothing came, and what waited is worked on at the next start
            for one in (*self.workers, self.settler):
                one.kill()
            raise
        finally:
            self._end()
            await intake.close()
            for one in self.workers:
                one.stop()
            await asyncio.gather(*workers, return_exceptions=True)
            self.settler.stop()  # it settles what the workers did last
            others = (settler, observing, admin, keeping, searching, responding, timing, shown)
            await asyncio.gather(*others, return_exceptions=True)
            self._tell("stopped", waiting=sum(one.deliveries for one in self.waiting()))
            self.inbox.close()

    # -- what it shows -------------------------------------------------------------------------------------

    def waiting(self) -> list[Waiting]:
        """Return how much waits in the inbox, by source."""
        return self.inbox.waiting()

    def unready(self) -> list[str]:
        """Say why it is not ready to take what comes; nothing if it is."""
        reasons = [f"{one.transport.name}: {one.problem}" for one in self.transports if one.problem]
        if self.stopping:
            reasons.append("it is stopping")
        reasons += [f"{one.name} has not begun" for one in (*self.workers, self.settler) if not one.ready]
        reasons += unwell(self.workspace)
        try:
            waiting = self.waiting()
        except ServiceError as error:
            return [*reasons, str(error)]
        if sum(one.bytes for one in waiting) >= self.inbox.max_bytes:
            reasons.append("the inbox is full")
        now = self.workspace.clock.now()
        late = {one.source: now - one.since for one in waiting if one.since is not None}
        return reasons + [f"{name} waits for {ms // 1000} s" for name, ms in late.items() if ms > _BEHIND_MS]

    # -- inside --------------------------------------------------------------------------------------------

    def _tell(self, event: str, /, **facts: Any) -> None:
        for one in self.heard:
            one(event, facts)

    def _console(self, said: dict[str, Any]) -> None:
        self._tell("console", url=said.get("url", ""), welcome=said.get("welcome", ""))

    def _received(self, deliveries: Sequence[Delivery]) -> None:
        self._tell("received", deliveries=deliveries)

    def _worked(self, said: Said) -> None:
        if isinstance(said, Ready):
            self.totals.rules, self.totals.problems = said.rules, said.problems
            self._tell("ready", rules=said.rules, problems=said.problems)
        elif isinstance(said, Settled):
            self.totals.alerts += said.alerts
            self._tell("settled", stages=said.stages, alerts=said.alerts)
        else:
            self.totals.add(said)
            self._tell("worked", account=said.account, alerts=said.alerts)

    async def _admin(self) -> None:
        """Answer for health and metrics; that it cannot is told, and costs nothing else."""
        if not self.admin.on:
            return
        from lemnis.app import admin
        from lemnis.ingest.transports import _asgi

        server = _asgi.Server(
            "admin", admin.application(self), host=self.admin.host, port=self.admin.port, connections=64
        )
        try:
            await server.run(
                self._stop, listening=lambda host, port: self._tell("admin", host=host, port=port)
            )
        except ServiceError as error:
            LOG.error("health and metrics cannot be asked for: %s", error)  # noqa: TRY400 - told in full
            self._tell("failed", transport="admin", problem=str(error))
