"""Begins runs and brings them to their end, or to where they wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from lemnis.contracts import kinds
from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import InputError, RefusedError
from lemnis.contracts.journal import Journal
from lemnis.contracts.response import EffectClass, PlannedAction
from lemnis.respond import approval, building, effects, limits, planning, records, waiting
from lemnis.respond.building import Function
from lemnis.respond.client import Reach
from lemnis.respond.effects import Collect, Context, Keep, Ledger, Outcome
from lemnis.respond.guards import Guards
from lemnis.respond.limits import Limits
from lemnis.respond.records import Planned, Run
from lemnis.respond.waiting import WaitingError
from lemnis.respond.walking import EndError, Walk

if TYPE_CHECKING:
    from lemnis.respond.engine import Engine

Told = Callable[[str, str], None]
"""Is told a step and its outcome as it ends: for progress on a terminal."""
_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Services:
    """What runs need: the journal, the callers of connections, the clock, the vault's collector, guards."""

    journal: Journal
    reach: Reach
    clock: Clock
    collect: Collect
    database_url: str
    guards: Guards | None = None
    limits: Limits = field(default_factory=lambda: Limits({}, time.monotonic, time.sleep))
    functions: Mapping[str, Function] = field(default_factory=dict)
    gate: AbstractContextManager[Any] | None = None
    sleep: Callable[[float], None] = time.sleep
    told: Told | None = None
    took: Callable[[str, str], None] | None = None
    keep: Keep | None = None


def execute(
    services: Services,
    planned: Planned,
    *,
    actor: str,
    again: Callable[[], Planned],
    engine: Engine | None = None,
    approved: str = "",
) -> Run:
    """Run an approved plan, or take up its run where it was killed; return how it ended, or waits.

    Before a run begins, ``again`` plans anew: RefusedError says what is not as it was when it was approved.
    A plan's run that has ended is returned as it is, unless it was taken back since: what it did is no longer
    so, and RefusedError says it. Approving the plan anew allows a new run. ``approved`` names what allows it
    where that is no approval: that a containment's time is over.
    """
    journal = services.journal
    run = records.unfinished(journal, planned)
    if run is None:
        ended = records.ended(journal, planned)
        if not approved and ended is not None and not approval.fresh(journal, planned):
            return _still(journal, ended)
        run = begin(services, planned, actor=actor, again=again, approved=approved)
    until = _go_on(services, planned, run, actor=actor, engine=engine)
    return replace(records.find_run(journal, run), waits_until=until)


def begin(
    services: Services, planned: Planned, *, actor: str, again: Callable[[], Planned], approved: str = ""
) -> str:
    """Begin a run, if it may, and nothing has changed since the plan was made; return its id."""
    journal = services.journal
    if not approved:
        given = approval.granted(journal, services.clock, planned)
        approved = given.key if given else ""
    approval.startable(planned)
    changed = planning.differences(planned, again())
    if changed:
        raise RefusedError(
            f"since the plan was made: {'; '.join(changed)}", fix="plan again and have it approved"
        )
    request = records.open_request(journal, planned)
    run = request or approval.run_id(planned, approved)
    journal.append(approval.started_entry(planned, run, approved, actor=actor))
    return run


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


def _go_on(services: Services, planned: Planned, run: str, *, actor: str, engine: Engine | None) -> int:
    """Go on with a run to its end, or to where it waits: until when, 0 if it has ended."""
    from lemnis.respond import engine as engines  # noqa: PLC0415 - a quarter of a second that only runs need

    journal, program = services.journal, planned.plan.program
    services.limits.forget(run)
    walk = walker(services, planned, run, actor=actor)

    def part(number: int) -> str:
        try:
            walk.node(program[number])
        except EndError as end:
            return orjson.dumps({"end": end.outcome, "why": end.why}).decode()
        except WaitingError as wait:
            return orjson.dumps({"wait": wait.until}).decode()
        return engines.GOES_ON

    def finish(said: str) -> str:
        end = {"end": "done"} if said == engines.GOES_ON else orjson.loads(said)
        if "wait" not in end:
            journal.append(_finished(journal, planned, run, end, actor=actor))
        if services.took is not None:
            for step, branch in walk.taken:
                services.took(step, branch)
        return said

    work = engines.Work(len(program), part, finish)
    said = engine.run(run, work) if engine else engines.run(run, work, services.database_url)
    return int(orjson.loads(said).get("wait", 0)) if said != engines.GOES_ON else 0


def _finished(journal: Journal, planned: Planned, run: str, end: Mapping[str, str], *, actor: str) -> Any:
    results: dict[str, Any] = {str(one["key"]): one for one in records.find_run(journal, run).results}
    keys = {records.effect_key(run, one): one.step for one in planned.plan.actions}
    left = [step for key, step in keys.items() if key not in results]
    bad = any(one["outcome"] in {"failed", "refused"} for one in results.values())
    outcome = "done with failures" if end["end"] == "done" and bad else end["end"]
    return approval.finished_entry(
        planned, run, outcome=outcome, actor=actor, left=left, why=end.get("why", "")
    )  # fmt: skip


def walker(services: Services, planned: Planned, run: str, *, actor: str) -> Walk:
    """Return the walk of a run: each action goes through the ledger, within limits and its time."""
    journal, clock = services.journal, services.clock
    began = records.find_run(journal, run)
    context = Context(run, began.incident_id, began.started, actor, planned)
    deadline = began.started + planned.deadline_min * _MINUTE

    def late(context: Context, one: PlannedAction, key: str) -> Outcome:
        if one.action == records.ASK:
            return waiting.ask(journal, clock.now(), context, one, key)
        return _late(services, context, one)

    def do(one: PlannedAction) -> Outcome:
        with ExitStack() as stack:
            where, hold = one.arguments.get(records.CONNECTION), limits.unheld
            if where and _calls(planned, one) and not done(one):
                hold = stack.enter_context(services.limits.target(f"{where} {one.target}", run))
            reach, sleep = limits.within(services.limits, services.reach, one.timeout_s, run=run, hold=hold)
            ledger = Ledger(
                journal, reach, clock, sleep=sleep if one.timeout_s else services.sleep,
                collect=services.collect, guards=services.guards, late=late, gate=services.gate,
                keep=services.keep,
            )  # fmt: skip
            outcome = ledger.carry_out(context, one)
        if services.told is not None:
            services.told(one.step, outcome.name)
        return outcome

    def halt() -> str:
        if journal.get(waiting.cancelled_key(run)) is not None:
            return "cancelled"
        return "out of time" if clock.now() > deadline else ""

    def done(one: PlannedAction) -> bool:
        return journal.get(f"{kinds.RESULT}:{records.effect_key(run, one)}") is not None

    return Walk(planned, do, halt, clock.now, services.sleep, done)


def _calls(planned: Planned, one: PlannedAction) -> bool:
    """Say whether an action asks its target when a run comes to it: what was read while planning does not."""
    if one.effect is not EffectClass.READ or one.late:
        return True
    return planned.definition(one).collect is not None


def _late(services: Services, context: Context, one: PlannedAction) -> Outcome:
    """Read or compute what the plan leaves for the run."""
    if one.action.startswith(records.PYTHON):
        name = one.action.removeprefix(records.PYTHON)
        if name not in services.functions:
            raise InputError(f"there is no function {name}", fix="install what registers it")
        try:
            return Outcome("done", output=dict(services.functions[name](one.arguments)))
        except (ValueError, TypeError, LookupError) as error:
            raise InputError(f"{name}: {error}") from error
    reach, _ = limits.within(services.limits, services.reach, one.timeout_s, run=context.run)
    effects.reach(services.reach, one)
    known = {**one.arguments, **effects.steady(context.incident_id, one)}
    return Outcome("done", output=building.ask(context.planned.definition(one), reach, known))
