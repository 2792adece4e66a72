"""The effect ledger: every effect takes place once, whatever is killed when.

For each action of a run, named by a key over run, step, target and arguments:

1. a result in the journal is final: it is returned, nothing is called;
2. before the first call the target is probed; if it is so already, that is the result, and not ours to undo;
3. an intent is written durably before the call, the result after it;
4. an intent without a result (a crash), or an unclear answer (a timeout, a broken connection, a conflict),
   is settled by the probe: there → it is not done again; not there → it is done;
5. what cannot be settled is a failure that says so, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any
from uuid import UUID, uuid5

from lemnis.content.schemas.action import Do
from lemnis.contracts import kinds
from lemnis.contracts.clock import Clock, to_iso
from lemnis.contracts.errors import InputError, RefusedError, ServiceError
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import Entry, Journal, NewEntry
from lemnis.contracts.response import EffectClass, PlannedAction
from lemnis.respond import records
from lemnis.respond.answers import ABSENT, PRESENT, UNKNOWN, Answer, State, accepted
from lemnis.respond.client import Caller, CallError, Reach
from lemnis.respond.guards import Guards, Recent
from lemnis.respond.probing import FIRST_PAUSE, LONGEST_PAUSE, PROBES, UNCLEAR, patiently, probe
from lemnis.respond.records import Planned
from lemnis.respond.template import Rendered, render

_TOO_MANY = 429
_REFUSALS = 300
_SPACE = UUID("7c0e6d5a-52c5-4a5e-9d5c-0d9a3a4f4c11")
Collect = Callable[[PlannedAction], list[str]]
"""Puts what an evidence step asks for into the vault and the journal; returns the digests."""
Keep = Callable[[str, str, bytes], str]
"""Puts bytes into the vault, for an incident and under a title, and writes that down; returns the digest."""
Late = Callable[["Context", PlannedAction, str], "Outcome"]
"""Reads, computes or asks what the plan leaves for the run; raises what ``carry_out`` writes down."""


@dataclass(frozen=True, slots=True)
class Context:
    """The run that effects belong to."""

    run: str
    incident_id: str
    started: int
    actor: str
    planned: Planned


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an action ended: ``done``, ``already``, ``refused`` or ``failed``; a question: ``yes`` or ``no``.

    ``at`` is when that was written down.
    """

    name: str
    error: str = ""
    ours: bool = False
    reconciled: bool = False
    attempts: int = 0
    output: Mapping[str, Json] = field(default_factory=dict)
    at: int = 0

    @property
    def good(self) -> bool:
        """Say whether the world is as the action wants it; a question that was answered is good too."""
        return self.name in {"done", "already", "yes", "no"}


class Ledger:
    """Carries out actions through the journal."""

    def __init__(
        self,
        journal: Journal,
        reach: Reach,
        clock: Clock,
        *,
        sleep: Callable[[float], None],
        collect: Collect,
        guards: Guards | None = None,
        late: Late | None = None,
        keep: Keep | None = None,
        gate: AbstractContextManager[Any] | None = None,
    ) -> None:
        """``reach`` gives callers by connection; ``sleep`` waits between attempts.

        ``late`` does what is read or asked while the plan runs. ``gate`` is held while caps are looked at and
        the intent is written, so that no two runs take the last place.
        """
        self._journal, self._reach, self._clock = journal, reach, clock
        self._sleep, self._collect, self._late, self._keep = sleep, collect, late, keep
        self._guards = guards or Guards(Recent(journal, clock))
        self._gate = gate or nullcontext()

    def carry_out(self, context: Context, one: PlannedAction) -> Outcome:
        """Carry out one action of a run, or return what became of it before."""
        key = records.effect_key(context.run, one)
        known = self._journal.get(f"{kinds.RESULT}:{key}")
        if known is not None:
            p: Mapping[str, Any] = known.payload
            return Outcome(
                p["outcome"], p["error"], p["ours"], p["reconciled"], p["attempts"], p["output"], known.at
            )  # fmt: skip
        before = self._clock.now()
        try:
            outcome = self._decide(context, one, key)
        except (ServiceError, InputError, RefusedError) as error:
            outcome = Outcome("refused" if isinstance(error, RefusedError) else "failed", error.what)
        now = self._clock.now()
        self._write(context, one, key, outcome, now - before)
        if outcome.name == "failed" and one.effect is not EffectClass.READ:
            self._pause(context, one)
        return replace(outcome, at=now)

    def _pause(self, context: Context, one: PlannedAction) -> None:
        """Pause an action that fails too often; the way back is never barred."""
        if not one.action.endswith(records.UNDO):
            entry = self._guards.pause(context.planned.definition(one), one.action, context.actor)
            if entry is not None:
                self._journal.append(entry)

    def _decide(self, context: Context, one: PlannedAction, key: str) -> Outcome:
        if one.refused:
            return Outcome("refused", one.refused)
        if one.action == records.COLLECT:
            return Outcome("done", output={"evidence": self._collect(one)})
        if one.effect is EffectClass.READ:
            late = one.late and self._late is not None
            outcome = (
                self._late(context, one, key) if late and self._late else Outcome("done", output=one.before)
            )
            return self._kept(context, one, key, outcome)
        return _Effect(self, context, one, key).settle()

    def _kept(self, context: Context, one: PlannedAction, key: str, outcome: Outcome) -> Outcome:
        """Fetch what a reading action collects, and put it into the vault."""
        action = context.planned.definitions.get(one.action)
        if action is None or action.collect is None or not outcome.good:
            return outcome
        if self._keep is None:
            raise ServiceError(f"there is no vault to keep what {one.action} collects")
        part, known, caller = action.collect, values(context, one, key), reach(self._reach, one)

        def look(answer: Answer) -> None:
            if not accepted(part, answer, known):
                raise ServiceError(f"{part.request.path} answered {answer.status} {answer.text()}")

        def ask(request: Rendered) -> Answer:
            return caller.send(request, timeout=action.timeout_s, service=action.aws_service)

        _, answer = patiently(ask, render(part.request, known), look, self._sleep)
        digest = self._keep(context.incident_id, f"{one.action} {one.target}", answer.body)
        return replace(outcome, output={**outcome.output, "evidence": [digest]})

    def _write(self, context: Context, one: PlannedAction, key: str, outcome: Outcome, took: int) -> None:
        payload: dict[str, Json] = {
            "run": context.run, "key": key, "step": one.step, "action": one.action, "target": one.target,
            "effect": one.effect.value, "outcome": outcome.name, "error": outcome.error, "ours": outcome.ours,
            "reconciled": outcome.reconciled, "attempts": outcome.attempts, "ms": took,
            "output": dict(outcome.output), **({"ttl_min": one.ttl_min} if one.ttl_min else {}),
        }  # fmt: skip
        reason = f"{one.action} {one.target}: {outcome.name}" + (
            f" ({outcome.error})" if outcome.error else ""
        )
        incident = context.incident_id
        entries = [NewEntry(kinds.RESULT, incident, f"{kinds.RESULT}:{key}", payload, context.actor, reason)]
        effective = outcome.good and (outcome.ours or outcome.name == "done")
        if context.planned.mitigates and effective and one.effect is not EffectClass.READ:
            entries.append(
                NewEntry(
                    kinds.CONTAINED, incident, f"{kinds.CONTAINED}:{incident}:{context.run}",
                    {"run": context.run, "key": key, "target": one.target}, context.actor,
                    f"contained: {one.action} took effect on {one.target}",
                )
            )  # fmt: skip
        self._journal.append_all(entries)


class _Said(Enum):
    """What a target said to a request: done, no, not now (surely not done), nothing clear, never asked."""

    YES, NO, LATER, UNCLEAR, UNSENT = range(5)


class _Effect:
    """One effect being settled."""

    def __init__(self, ledger: Ledger, context: Context, one: PlannedAction, key: str) -> None:
        self._journal, self._clock, self._sleep = ledger._journal, ledger._clock, ledger._sleep  # noqa: SLF001
        self._guards, self._gate = ledger._guards, ledger._gate  # noqa: SLF001
        self._context, self._one, self._key = context, one, key
        self._undoing = one.action.endswith(records.UNDO)
        self._wanted = ABSENT if self._undoing else PRESENT
        self._action = context.planned.definition(one)
        self._values = values(context, one, key)
        self._caller = reach(ledger._reach, one)  # noqa: SLF001
        self._before = ""
        self._wait = 0.0

    def settle(self) -> Outcome:
        """Bring the effect about, once."""
        intent = self._journal.get(f"{kinds.INTENT}:{self._key}")
        self._remember(intent)
        if self._action.blind:
            return self._unseen(begun=intent is not None)
        state = self._probe() if intent is None else self._watch(0)
        if intent is not None:
            self._before = str(intent.payload["before"])
            if state.name == self._wanted:
                return Outcome("already", ours=self._mine(state), reconciled=True)
        else:
            if state.name == self._wanted:
                return Outcome("already", ours=False)
            self._begin(state)
        if state.name == UNKNOWN:
            return Outcome("failed", f"the target is in a state that the action does not know: {state.said}")
        if self._undoing and not state.ours and self._action.probe and self._action.probe.ours:
            return Outcome("refused", "what is there now is not what this run made")
        return self._try()

    def _unseen(self, *, begun: bool) -> Outcome:
        """Bring about what cannot be looked at: at most once, unless the target ignores repetitions."""
        if begun and not self._action.repeatable:
            why = self._action.blind
            return Outcome("failed", f"it was begun, and whether it took effect cannot be known: {why}")
        if not begun:
            self._begin(State(ABSENT, ours=True))
        return self._try()

    def _remember(self, intent: Entry | None) -> None:
        """Take up what was kept of the target before this effect, or before the one to take back."""
        if self._undoing:
            intent = self._journal.get(f"{kinds.INTENT}:{self._values['effect.key']}")
        kept = intent.payload.get("kept") if intent is not None else None
        if isinstance(kept, Mapping):
            self._values |= kept

    def _begin(self, state: State) -> None:
        """Write the intent, unless a cap or the state forbids."""
        if state.name == UNKNOWN or (self._undoing and not state.ours and self._marked):
            return
        with self._gate:
            problem = "" if self._undoing else self._guards.forbids(self._action, self._one)
            if problem:
                raise RefusedError(problem)
            self._intend(state)

    def _intend(self, state: State) -> None:
        self._before = state.name
        self._values |= state.kept
        payload: dict[str, Json] = {
            "run": self._context.run, "key": self._key, "step": self._one.step, "action": self._one.action,
            "target": self._one.target, "before": state.name, "kept": dict(state.kept),
        }  # fmt: skip
        reason = f"about to {self._one.action} {self._one.target}"
        self._journal.append(
            NewEntry(
                kinds.INTENT, self._context.incident_id, f"{kinds.INTENT}:{self._key}", payload,
                self._context.actor, reason,
            )
        )  # fmt: skip

    @property
    def _marked(self) -> bool:
        return bool(self._action.probe and self._action.probe.ours)

    def _mine(self, state: State) -> bool:
        """Say whether what is there is this run's: by its mark, else because it was not there before."""
        return self._undoing or (state.ours if self._marked else self._before == ABSENT)

    def _try(self) -> Outcome:
        part = self._action.undo if self._undoing else self._action.do
        if part is None:
            raise InputError(f"{self._one.action} has no such request")
        request = render(part.request, self._values)
        outcome = Outcome("failed")
        for attempt in range(1, self._action.attempts + 1):
            if attempt > 1:
                self._sleep(max(FIRST_PAUSE * 2**attempt, self._wait))
            outcome, again = self._attempt(request, part, attempt)
            if not again or self._wait > LONGEST_PAUSE:
                break
        return outcome

    def _attempt(self, request: Rendered, part: Do, attempt: int) -> tuple[Outcome, bool]:
        """Send once; return the outcome, and whether it may be tried again."""
        said, error = self._send(request, part)
        if said is _Said.YES:
            return self._verify(attempt), False
        if said is not _Said.UNCLEAR and said is not _Said.LATER:
            return Outcome("failed", error, attempts=attempt), said is _Said.UNSENT
        if self._action.blind:
            again = said is _Said.LATER or self._action.repeatable
            why = "" if again else f"; whether it took effect cannot be known: {self._action.blind}"
            return Outcome("failed", error + why, attempts=attempt), again
        try:
            state = self._watch(0)
        except ServiceError as unknown:
            return Outcome("failed", f"{error}; {unknown.what}", attempts=attempt), False
        if state.name == self._wanted:
            mine = self._mine(state)
            name = "done" if mine else "already"
            return Outcome(name, ours=mine, reconciled=True, attempts=attempt), False
        again = said is _Said.LATER or self._one.effect is not EffectClass.IRREVERSIBLE
        return Outcome("failed", error, attempts=attempt), again

    def _send(self, request: Rendered, part: Do) -> tuple[_Said, str]:
        """Send a request; return what the target said to it, and in words."""
        try:
            answer = self._caller.send(
                request, timeout=self._action.timeout_s, service=self._action.aws_service
            )
            if accepted(part, answer, self._values):
                return _Said.YES, ""
        except CallError as failed:
            return (_Said.UNSENT if failed.unsent else _Said.UNCLEAR), failed.what
        except ServiceError as rubbish:
            return _Said.UNCLEAR, f"{request.line}: {rubbish.what}"
        self._wait = answer.retry_after
        wait = f" and asks to wait {answer.retry_after:g} s" if answer.retry_after else ""
        error = f"{request.line} answered {answer.status} {answer.text()}{wait}"
        odd = answer.status < _REFUSALS  # accepted, but not in the way that this target accepts
        unclear = _Said.UNCLEAR if odd or answer.status in UNCLEAR else _Said.NO
        return (_Said.LATER if answer.status == _TOO_MANY else unclear), error

    def _verify(self, attempt: int) -> Outcome:
        """Look until the effect shows; targets may show it a moment later."""
        if self._action.blind:
            return Outcome("done", ours=True, attempts=attempt)
        state = self._watch(PROBES - 1)
        if state.name == self._wanted:
            return Outcome("done", ours=self._mine(state), attempts=attempt)
        said = state.said or f"it is {state.name}"
        return Outcome("failed", f"accepted, but the effect does not show: {said}", attempts=attempt)

    def _watch(self, least: int) -> State:
        """Look until the effect shows: ``least`` times again, and for as long as it may take to show."""
        settles = self._action.probe.settles_s if self._action.probe else 0
        state, waited, number = self._probe(), 0.0, 0
        while state.name != self._wanted and (number < least or waited < settles):
            number += 1
            pause = min(FIRST_PAUSE * 2**number, LONGEST_PAUSE)
            self._sleep(pause)
            waited += pause
            state = self._probe()
        return state

    def _probe(self) -> State:
        state = probe(self._action, self._caller, self._values, self._sleep)
        if state.name == PRESENT:
            self._values |= state.kept
        return state


def values(context: Context, one: PlannedAction, key: str) -> dict[str, Any]:
    """Return what an action's templates may use while it runs."""
    arguments = one.arguments
    return {
        **{name: value for name, value in arguments.items() if not name.startswith("@")},
        **steady(context.incident_id, one),
        "effect.key": arguments.get("@effect", key),
        "run.id": arguments.get("@run", context.run),
        "run.started": arguments.get("@started", to_iso(context.started)),
    }


def steady(incident_id: str, one: PlannedAction) -> dict[str, str]:
    """Return what templates may use that does not depend on the run."""
    name = stable_id("ef", incident_id, one.step, one.target).removeprefix("ef-")
    return {"incident.id": incident_id, "effect.name": name, "effect.uuid": str(uuid5(_SPACE, name))}


def reach(by_name: Reach, one: PlannedAction) -> Caller:
    """Return the caller of an action's connection; raises RefusedError if it leads elsewhere than planned."""
    name, _, url = str(one.arguments[records.CONNECTION]).partition(" ")
    caller = by_name(name)
    if caller.url != url:
        raise RefusedError(f"the connection {name} leads to {caller.url}, and not to {url} as was planned")
    return caller
