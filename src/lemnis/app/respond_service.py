"""Response while ``lemnis serve`` runs: begins playbooks, goes on with runs, keeps every timer.

All state is in the journal. What was under way when a process was killed is taken up by the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from lemnis import app
from lemnis.app import (
    respond,
    respond_notices,
    respond_presence,
    respond_services,
    respond_triggers,
    settings,
)
from lemnis.app.respond_triggers import Armed
from lemnis.content.library import Library
from lemnis.contracts import kinds
from lemnis.contracts.errors import LemnisError, NotFoundError, RefusedError
from lemnis.contracts.journal import Entry
from lemnis.respond import approval, records
from lemnis.respond import notices as telling
from lemnis.respond.desk import KINDS, Desk, Ending, Request, expired_entry
from lemnis.respond.engine import Engine
from lemnis.respond.records import Run
from lemnis.store import durable

LOG = logging.getLogger("lemnis.respond")
EVERY_S = 0.5
FINDINGS_S = 30.0
_IDLE_S = 5.0
_MARK = "playbooks.mark"
_AGAIN_MS = (2_000, 300_000)


class Responder:
    """Goes on with what waits; a context manager. ``step`` looks once, ``keep`` until it is told to stop."""

    def __init__(self, workspace: app.Workspace) -> None:
        """Read the settings; raises ContentError with its place."""
        self.workspace = workspace
        self.read = settings.load(workspace).playbooks
        self.desk = Desk()
        self.notices = telling.Notices()
        self.began = workspace.clock.now()
        self._stack = ExitStack()
        self._busy: dict[str, str] = {}
        self._later: dict[str, int] = {}
        self._wait: dict[str, int] = {}
        self._triggers = 0
        self._ticked: dict[int, int] = {}
        self._armed: list[Armed] = []
        self._findings: set[str] | None = None

    def __enter__(self) -> Self:
        """Open what runs need, and take up where the last process was."""
        self.room = self._stack.enter_context(respond_services.room(self.workspace))
        self._stack.enter_context(respond_presence.present(self.workspace))
        self.engine = self._stack.enter_context(Engine(respond_services.database(self.workspace)))
        self.pool = self._stack.enter_context(ThreadPoolExecutor(self.read.workers, "respond"))
        self._armed = respond_triggers.armed(Library.open(self.workspace.content), self.read.start)
        self._take_up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let what is under way come to its end, and close."""
        self._stack.close()

    @property
    def waiting(self) -> int:
        """How many runs wait for approval."""
        return len(self.desk.requests)

    @property
    def busy(self) -> int:
        """How many runs are under way."""
        return len(self._busy)

    def _take_up(self) -> None:
        """Read what waits, by kind, and from where on the journal is to be looked at for triggers."""
        journal = self.room.journal
        head = journal.head()[0]
        wanted = sorted({*KINDS, *telling.KINDS})
        found = [one for kind in wanted for one in journal.entries(kind=kind) if one.seq <= head]
        found.sort(key=lambda one: one.seq)
        self.desk.read(found)
        self.notices.read(found)
        self.desk.seq = head
        self._mark = self.workspace.state / _MARK
        self._triggers = int(self._mark.read_text(encoding="ascii")) if self._mark.exists() else head
        if self._armed:
            for kind in respond_triggers.KINDS:
                for entry in journal.entries(kind=kind, after=self._triggers):
                    if entry.seq <= head:
                        self._trigger(entry)
        self._note_mark(head)

    def _note_mark(self, seq: int) -> None:
        """Note up to where triggers were looked at; it may be behind: a playbook begins once a subject."""
        self._triggers = seq
        durable.write(self._mark, str(seq).encode())

    def _look(self) -> list[Entry]:
        """Take up what is new in the journal."""
        new = list(self.room.journal.entries(after=self.desk.seq))
        self.desk.read(new)
        self.notices.read(new)
        return new

    def step(self) -> None:
        """Look once at what is new and what is due, and begin it."""
        new = self._look()
        for entry in new if self._armed else ():
            self._trigger(entry)
        if new:
            self._note_mark(self.desk.seq)
        now = self.workspace.clock.now()
        due = {name for name, at in list(self._wait.items()) if at <= now}
        self._tick(now)
        self._tell(now)
        self._requests(now, due)
        for ending in self.desk.ended(now):
            if self._later.get(ending.key, 0) <= now:
                self._submit(ending.key, partial(self._expire, ending))
        for run in (self.desk.take_woken() | due) & set(self.desk.plans):
            if not self._submit(run, partial(self._go_on, run)):
                self.desk.woken.add(run)

    def _tell(self, now: int) -> None:
        """Tell people of what waits for them, where the settings say how."""
        notify = self.read.notify
        for one in self.notices.due(now) if notify is not None else ():
            name = f"{one.moment} {one.waits.of}"
            if notify is not None and self._later.get(name, 0) <= now:
                self._submit(name, partial(respond_notices.send, self.room, notify, one))

    def _requests(self, now: int, due: set[str]) -> None:
        """Begin, escalate and end what waits for approval."""
        for waits in self.notices.to_escalate(now):
            self.room.journal.append(telling.escalated_entry(waits))
        for one in self.desk.overdue(now):
            if self._later.get(one.run, 0) <= now:
                self._timed_out(one)
        again = [one for one in self.desk.requests.values() if one.run in due]
        for one in (*self.desk.take_approved(), *again):
            if not self._submit(one.run, partial(self._begin, one)):
                self.desk.approved.add(one.plan)  # it may be that this approval was the last that it needs

    async def keep(self, stop: asyncio.Event) -> None:
        """Look every so often, until ``stop``; what fails is told, and tried again."""
        loop, looked = asyncio.get_running_loop(), 0.0
        while not stop.is_set():
            try:
                await asyncio.to_thread(self.step)
                if loop.time() - looked > FINDINGS_S:
                    await asyncio.to_thread(self.findings)
                    looked = loop.time()
            except (LemnisError, OSError) as error:
                LOG.warning("response: %s", error)
            except Exception:  # one playbook's fault must not end the response to everything else
                LOG.exception("response: a defect")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY_S)

    # -- triggers ------------------------------------------------------------------------------------------

    def webhook(self, name: str, body: Mapping[str, Any], delivery: str = "") -> list[str]:
        """Begin a playbook by what a webhook brought; return the digests of its plans.

        A ``delivery`` that came before begins nothing again. Raises NotFoundError if no webhook begins this
        playbook here, RefusedError for a delivery that was for another one.
        """
        armed = [one for one in self._armed if one.name == name and one.trigger.by == "webhook"]
        if not armed:
            raise NotFoundError(f"no webhook begins a playbook {name} here")
        if delivery:
            respond_triggers.deliver(self.room, name, delivery)
        found: list[str] = []
        for one in armed:
            facts = respond_triggers.of_webhook(one, body, delivery or str(self.workspace.clock.now()))
            if respond_triggers.wants(one, "webhook", facts, self.room.policies):
                planned = respond_triggers.begin(self.room, one, facts)
                found += [planned.plan.digest] if planned else []
        return found

    def _trigger(self, entry: Entry) -> None:
        by = {one.trigger.by for one in self._armed}
        if not by & {"alert", "incident", "sla"}:
            return
        try:
            found = respond_triggers.of_entry(self.room, entry)
        except LemnisError as error:
            LOG.warning("%s: %s", entry.key, error)
            return
        if found is not None:
            kind, facts = found
            for one in self._armed:
                if respond_triggers.wants(one, kind, facts, self.room.policies):
                    respond_triggers.begin(self.room, one, facts)

    def _tick(self, now: int) -> None:
        """Begin what schedules and new findings say."""
        for number, one in enumerate(self._armed):
            if one.trigger.by == "schedule":
                for at in respond_triggers.ticks(one, self._ticked.get(number, self.began), now):
                    respond_triggers.begin(self.room, one, respond_triggers.of_tick(one, at))
                self._ticked[number] = now

    def findings(self) -> None:
        """Begin what findings say that are new since the last look; the first only notes what is there."""
        from lemnis.app import findings

        if not any(one.trigger.by == "finding" for one in self._armed):
            return
        rows = {f"{row['id']} {row['resource']}": row for row in findings.listed(self.workspace)}
        known, self._findings = self._findings, set(rows)
        for key in sorted(set(rows) - (known if known is not None else set(rows))):
            for one in self._armed:
                self._found(one, rows[key])

    def _found(self, one: Armed, row: Mapping[str, Any]) -> None:
        """Begin a playbook by a finding, if it wants to."""
        if one.trigger.by != "finding":
            return
        try:
            facts = respond_triggers.of_finding(one, row)
        except (LemnisError, ValueError) as error:
            LOG.warning("playbook %s does not begin by finding %s: %s", one.name, row["id"], error)
            return
        if respond_triggers.wants(one, "finding", facts, self.room.policies):
            respond_triggers.begin(self.room, one, facts)

    # -- runs ----------------------------------------------------------------------------------------------

    def _submit(self, name: str, do: Callable[[], None]) -> bool:
        """Have something done by a worker, unless it is under way."""
        if name in self._busy:
            return False
        self._busy[name] = name
        self._wait.pop(name, None)

        def work() -> None:
            try:
                do()
                self._later.pop(name, None)
            except Exception:
                LOG.exception("response: %s", name)
                self._again(name)
            finally:
                self._busy.pop(name, None)

        self.pool.submit(work)
        return True

    def _again(self, name: str) -> None:
        """Try again later, and later still."""
        now, (first, longest) = self.workspace.clock.now(), _AGAIN_MS
        before = self._later.get(name, 0)
        wait = min(longest, max(first, 2 * (now - before))) if before else first
        self._later[name] = self._wait[name] = now + wait

    def _run(self, plan: str, approved: str = "") -> Run:
        return respond.run_in(self.room, plan, actor="lemnis", engine=self.engine, approved=approved)

    def _begin(self, one: Request, approved: str = "") -> None:
        """Begin a run that waited, if enough people approved it; what has changed since ends it."""
        planned, _ = records.find_plan(self.room.journal, one.plan)
        if not approved:
            try:
                approval.granted(self.room.journal, self.workspace.clock, planned)
            except RefusedError:
                return  # it waits on
        try:
            self._note(self._run(one.plan, approved))
        except RefusedError as error:
            self.room.journal.append(
                approval.finished_entry(planned, one.run, outcome="refused", actor="lemnis", why=error.what)
            )

    def _go_on(self, run: str) -> None:
        plan = self.desk.plans.get(run)
        if plan is not None:
            self._note(self._run(plan))

    def _note(self, run: Run) -> None:
        if run.waits_until:
            self._wait[run.id] = run.waits_until + 1

    def _timed_out(self, one: Request) -> None:
        """End a run that nobody has approved in time, or begin it, if its playbook says so."""
        planned, _ = records.find_plan(self.room.journal, one.plan)
        if one.on_timeout == "run" and all(act.undo or act.effect == "read" for act in planned.plan.actions):
            self._submit(one.run, partial(self._begin, one, f"nobody said no: {one.run}"))
            return
        why = "nobody approved it in time"
        self.room.journal.append(
            approval.finished_entry(planned, one.run, outcome="not approved", actor="lemnis", why=why)
        )

    def _expire(self, one: Ending) -> None:
        """Take back an effect whose time is over: that it ends was part of what was approved."""
        planned = respond.undo_for(self.room, one.run, only=[one.key])
        outcome = "it was gone already"
        if planned.refusals:
            outcome = f"it is left to a person: {planned.refusals[0].refused}"
        elif planned.plan.actions:
            self.room.journal.append(records.planned_entry(planned, actor="lemnis"))
            outcome = self._run(planned.plan.digest, f"time over: {one.key}").outcome
        self.room.journal.append(expired_entry(one, outcome))


async def keep(workspace: app.Workspace, stop: asyncio.Event) -> None:
    """Serve response until ``stop``, once there is something to serve; what fails is told and begun anew."""
    while not stop.is_set():
        try:
            if await asyncio.to_thread(needed, workspace):
                await _serve(workspace, stop)
        except (LemnisError, OSError) as error:
            LOG.warning("response: %s", error)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _IDLE_S)


def needed(workspace: app.Workspace) -> bool:
    """Say whether there is anything to serve: a playbook that begins by itself, or a run of any kind."""
    if settings.load(workspace).playbooks.start:
        return True
    journal = app.journal(workspace)
    kept = (next(journal.entries(kind=kind), None) for kind in (records.REQUESTED, kinds.STARTED))
    return any(one is not None for one in kept)


async def _serve(workspace: app.Workspace, stop: asyncio.Event) -> None:
    from lemnis.app import respond_webhooks

    responder = Responder(workspace)
    await asyncio.to_thread(responder.__enter__)
    try:
        hooks = asyncio.create_task(respond_webhooks.serve(responder, stop))
        await responder.keep(stop)
        await hooks
    finally:
        await asyncio.to_thread(responder.__exit__, None, None, None)
