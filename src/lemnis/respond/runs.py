"""Begins runs and brings them to their end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lemnis.contracts import kinds
from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import RefusedError
from lemnis.contracts.journal import Journal
from lemnis.respond import approval, planning, records
from lemnis.respond.client import Reach
from lemnis.respond.effects import Collect, Context, Ledger
from lemnis.respond.records import Planned, Run

Told = Callable[[str, str], None]
"""Is told a step and its outcome as it ends: for progress on a terminal."""


@dataclass(frozen=True, slots=True)
class Services:
    """What runs need: the journal, the callers of connections, the clock, the vault's collector."""

    journal: Journal
    reach: Reach
    clock: Clock
    collect: Collect
    database_url: str
    sleep: Callable[[float], None] = time.sleep
    told: Told | None = None


def execute(services: Services, planned: Planned, *, actor: str, again: Callable[[], Planned]) -> Run:
    """Run an approved plan, or take up its run where it was killed; return how it ended.

    Before a run begins, ``again`` plans anew: RefusedError says what is not as it was when it was approved.
    A plan's run that has ended is returned as it is, unless it was taken back since: what it did is no longer
    so, and RefusedError says it. Approving the plan anew allows a new run.
    """
    journal = services.journal
    granted = approval.allowed(journal, planned)
    run = approval.run_id(planned, granted)
    if journal.get(f"{kinds.STARTED}:{run}") is None:
        approval.in_time(services.clock, planned, granted)
        changed = planning.differences(planned, again())
        if changed:
            raise RefusedError(
                f"since the plan was made: {'; '.join(changed)}", fix="plan again and have it approved"
            )
        journal.append(approval.started_entry(planned, run, granted, actor=actor))
    elif journal.get(f"{kinds.FINISHED}:{run}") is not None:
        return _still(journal, records.find_run(journal, run))
    _finish(services, planned, run, actor=actor)
    return records.find_run(journal, run)


def _still(journal: Journal, run: Run) -> Run:
    """Return a run that has ended; raises RefusedError if another one took it back."""
    for other in records.runs(journal, run.incident_id):
        if other.undoes == run.id and any(one["outcome"] in {"done", "already"} for one in other.results):
            short = run.plan[7:19]
            raise RefusedError(
                f"the run {run.id} of this plan was taken back by {other.id}: nothing was done now",
                fix=f"`lemnis playbook approve {short} --reason …` allows a new run",
            )
    return run


def _finish(services: Services, planned: Planned, run: str, *, actor: str) -> None:
    from lemnis.respond import engine  # noqa: PLC0415 - a quarter of a second that only runs need

    journal = services.journal
    began = records.find_run(journal, run)
    context = Context(run, began.incident_id, began.started, actor, planned)
    ledger = Ledger(journal, services.reach, services.clock, sleep=services.sleep, collect=services.collect)

    def carry_out(number: int) -> bool:
        one = planned.plan.actions[number]
        outcome = ledger.carry_out(context, one)
        if services.told is not None:
            services.told(one.step, outcome.name)
        return outcome.good or one.step in planned.carry_on

    def finish(complete: bool) -> str:  # noqa: FBT001 - the engine's shape
        results: dict[str, Any] = {str(one["key"]): one for one in records.find_run(journal, run).results}
        keys = {records.effect_key(run, one): one.step for one in planned.plan.actions}
        left = [step for key, step in keys.items() if key not in results]
        bad = any(one["outcome"] not in {"done", "already"} for one in results.values())
        outcome = "stopped" if not complete else "done with failures" if bad else "done"
        entry = approval.finished_entry(planned, run, outcome=outcome, actor=actor, left=left)
        journal.append(entry)
        return outcome

    engine.run(run, engine.Work(planned.groups, carry_out, finish), services.database_url)
