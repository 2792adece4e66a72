"""Approval of plans and the start of runs: who may begin what, and until when. What is unclear is no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lemnis.content.schemas.playbook import Approval as Terms
from lemnis.contracts import kinds
from lemnis.contracts.clock import Clock, to_iso
from lemnis.contracts.errors import RefusedError, UsageError
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import Entry, Journal, NewEntry
from lemnis.respond import records
from lemnis.respond.records import Planned

_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval of a plan: by whom, why, and until when a run may begin."""

    key: str
    actor: str
    reason: str
    at: int
    expires: int


def approve(
    journal: Journal,
    clock: Clock,
    planned: Planned,
    *,
    actor: str,
    reason: str,
    roles: frozenset[str] = frozenset(),
) -> Approval:
    """Approve exactly this plan; ``roles`` are the actor's.

    Raises RefusedError if something in it is refused that would stop it, or if it is not theirs to approve.
    """
    if not actor.strip() or not reason.strip():
        raise UsageError("an approval needs an actor and a reason", fix="give --reason")
    if not planned.plan.actions:
        raise RefusedError("the plan has no action: there is nothing to approve")
    if planned.refusals:
        first = planned.refusals[0]
        more = f" (and {len(planned.refusals) - 1} more)" if len(planned.refusals) > 1 else ""
        raise RefusedError(
            f"the plan has a refused action: {first.step}: {first.refused}{more}",
            fix="settle what is refused and plan again",
        )
    terms, may = planned.terms, _roles(planned.terms)
    if may and not roles & set(may):
        raise RefusedError(
            f"{actor} is no {' or '.join(may)}: only they may approve this plan",
            fix="`roles:` in lemnis.yaml says who is what",
        )
    digest = planned.plan.digest
    payload: dict[str, Json] = {
        "digest": digest,
        "expires": clock.now() + terms.expires_min * _MINUTE,
        "undoes": planned.undoes,
    }
    number = len(approvals(journal, planned)) + 1
    while True:
        key = f"{kinds.APPROVED}:{digest}:{number}"
        new = NewEntry(kinds.APPROVED, planned.plan.incident_id, key, payload, actor, reason)
        entry, written = journal.append(new)
        if written or (entry.actor, entry.reason) == (actor, reason):
            return _read(entry)
        number += 1  # somebody else approved it at the same moment


def approvals(journal: Journal, planned: Planned) -> list[Approval]:
    """Return a plan's approvals, oldest first."""
    entries = journal.entries(kind=kinds.APPROVED, subject=planned.plan.incident_id)
    return [_read(one) for one in entries if one.payload["digest"] == planned.plan.digest]


def fresh(journal: Journal, planned: Planned) -> list[Approval]:
    """Return the approvals that no run of this plan has begun on yet: one approval, one run."""
    found = approvals(journal, planned)
    used = {
        str(one.payload["approval"])
        for one in journal.entries(kind=kinds.STARTED, subject=planned.plan.incident_id)
        if one.payload["plan"] == planned.plan.digest
    }
    last = max((place for place, one in enumerate(found, 1) if one.key in used), default=0)
    return found[last:]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a plan's approval is: who has given theirs, of how many, and whose may be given still."""

    given: tuple[str, ...]
    quorum: int
    roles: tuple[str, ...]

    @property
    def missing(self) -> int:
        """How many people have to approve it still."""
        return max(0, self.quorum - len(self.given))


def standing(journal: Journal, clock: Clock, planned: Planned) -> Standing:
    """Return how far the approval of a plan's next run is; what has expired does not count."""
    valid = [one.actor for one in fresh(journal, planned) if clock.now() <= one.expires]
    return Standing(tuple(dict.fromkeys(valid)), planned.terms.quorum, _roles(planned.terms))


def _roles(terms: Terms) -> tuple[str, ...]:
    """Return whose approval counts; empty if anyone's does."""
    if not terms.role:
        return ()
    return tuple(sorted({terms.role, *((terms.escalate.role,) if terms.escalate else ())}))


def granted(journal: Journal, clock: Clock, planned: Planned) -> Approval | None:
    """Return the approval that completes the quorum, None if the plan needs none.

    Raises RefusedError if too few people have approved it, or if what they gave has expired.
    """
    found = fresh(journal, planned)
    if not planned.writes:
        return found[-1] if found else None
    short, quorum = planned.plan.digest[7:19], planned.terms.quorum
    valid = [one for one in found if clock.now() <= one.expires]
    people = {one.actor for one in valid}
    if len(people) >= quorum:
        return valid[-1]
    if len({one.actor for one in found}) >= quorum:
        late = next(one for one in found if one not in valid)
        raise RefusedError(
            f"the approval by {late.actor} expired at {to_iso(late.expires)}",
            fix="look at the plan again and approve it anew",
        )
    what = f"is approved by {len(people)} of {quorum} people" if people else "is not approved"
    whose = f" of {' or '.join(_roles(planned.terms))}" if planned.terms.role else ""
    more = f": {quorum - len(people)} more{whose}" if people else f": by {quorum}{whose}" if whose else ""
    raise RefusedError(f"the plan {what}{more}", fix=f"`lemnis playbook approve {short} --reason …`")


def run_id(planned: Planned, approved: str) -> str:
    """Return the id of the run that an approval allows: one approval, one run."""
    return stable_id("run", planned.plan.digest, approved)


def startable(planned: Planned) -> None:
    """Raise RefusedError if something in the plan is refused that would stop it."""
    if planned.refusals:
        raise RefusedError(f"the plan has a refused action: {planned.refusals[0].refused}", fix="plan again")


def requested_entry(planned: Planned, *, number: int, actor: str) -> NewEntry:
    """Write down that a run waits for approval; the payload's ``run`` is its id."""
    plan, terms = planned.plan, planned.terms
    key = f"{records.REQUESTED}:{plan.digest}:{number}"
    payload: dict[str, Any] = {
        "run": stable_id("run", plan.digest, key), "plan": plan.digest, "playbook": plan.playbook,
        "undoes": planned.undoes, "role": terms.role, "quorum": terms.quorum,
        "writes": planned.writes, "timeout_min": terms.timeout_min, "on_timeout": terms.on_timeout,
        "escalate": terms.escalate.model_dump(mode="json") if terms.escalate else None,
    }  # fmt: skip
    who = f"{terms.quorum} of {terms.role}" if terms.role else f"{terms.quorum}"
    return NewEntry(
        records.REQUESTED, plan.incident_id, key, payload, actor, f"waits for approval by {who}"
    )  # fmt: skip


def started_entry(planned: Planned, run: str, approved: str, *, actor: str) -> NewEntry:
    """Write down that a run begins; ``approved`` is the key of what allows it."""
    plan = planned.plan
    payload = {
        "run": run, "plan": plan.digest, "playbook": plan.playbook, "undoes": planned.undoes,
        "approval": approved, "content": planned.library,
    }  # fmt: skip
    what = f"undo of {planned.undoes}" if planned.undoes else plan.playbook
    return NewEntry(
        kinds.STARTED, plan.incident_id, f"{kinds.STARTED}:{run}", payload, actor, f"run of {what} begins"
    )


def finished_entry(
    planned: Planned, run: str, *, outcome: str, actor: str, left: Sequence[str] = (), why: str = ""
) -> NewEntry:
    """Write down how a run ended; ``left`` are the steps that were not reached."""
    payload = {
        "run": run, "plan": planned.plan.digest, "outcome": outcome, "not_reached": list(left), "why": why
    }  # fmt: skip
    key = f"{kinds.FINISHED}:{run}"
    what = f"undo of {planned.undoes}" if planned.undoes else planned.plan.playbook
    reason = f"run of {what} ended: {outcome}" + (f" ({why})" if why else "")
    return NewEntry(kinds.FINISHED, planned.plan.incident_id, key, payload, actor, reason)


def _read(entry: Entry) -> Approval:
    return Approval(entry.key, entry.actor, entry.reason, entry.at, int(str(entry.payload["expires"])))
