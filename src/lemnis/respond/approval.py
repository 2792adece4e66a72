"""Approval of plans and the start of runs: who may begin what, and until when."""

from __future__ import annotations

from dataclasses import dataclass

from lemnis.contracts import kinds
from lemnis.contracts.clock import Clock, to_iso
from lemnis.contracts.errors import RefusedError, UsageError
from lemnis.contracts.ids import stable_id
from lemnis.contracts.journal import Entry, Journal, NewEntry
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


def approve(journal: Journal, clock: Clock, planned: Planned, *, actor: str, reason: str) -> Approval:
    """Approve exactly this plan; raises RefusedError if it has refusals that would stop it."""
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
    digest = planned.plan.digest
    number = len(approvals(journal, planned)) + 1
    expires = clock.now() + planned.expires_min * _MINUTE
    key = f"{kinds.APPROVED}:{digest}:{number}"
    entry, new = journal.append(
        NewEntry(
            kinds.APPROVED, planned.plan.incident_id, key,
            {"digest": digest, "expires": expires, "undoes": planned.undoes}, actor, reason,
        )
    )  # fmt: skip
    if not new and (entry.actor, entry.reason) != (actor, reason):
        raise RefusedError(f"{entry.actor} approved it at the same moment", fix="look at it again")
    return _read(entry)


def approvals(journal: Journal, planned: Planned) -> list[Approval]:
    """Return a plan's approvals, oldest first."""
    entries = journal.entries(kind=kinds.APPROVED, subject=planned.plan.incident_id)
    return [_read(one) for one in entries if one.payload["digest"] == planned.plan.digest]


def run_id(planned: Planned, approval: Approval | None) -> str:
    """Return the id of the run that an approval allows: one approval, one run."""
    return stable_id("run", planned.plan.digest, approval.key if approval else "")


def allowed(journal: Journal, planned: Planned) -> Approval | None:
    """Return the newest approval, None if the plan needs none; raises RefusedError if it lacks one."""
    found = approvals(journal, planned)
    if not found and planned.writes:
        short = planned.plan.digest[7:19]
        raise RefusedError("the plan is not approved", fix=f"`lemnis playbook approve {short} --reason …`")
    return found[-1] if found else None


def in_time(clock: Clock, planned: Planned, approval: Approval | None) -> None:
    """Raise RefusedError if the approval has expired."""
    if approval is not None and clock.now() > approval.expires:
        raise RefusedError(
            f"the approval by {approval.actor} expired at {to_iso(approval.expires)}",
            fix="look at the plan again and approve it anew",
        )
    if planned.refusals:
        raise RefusedError(f"the plan has a refused action: {planned.refusals[0].refused}", fix="plan again")


def started_entry(planned: Planned, run: str, approval: Approval | None, *, actor: str) -> NewEntry:
    """Write down that a run begins."""
    plan = planned.plan
    payload = {
        "run": run, "plan": plan.digest, "playbook": plan.playbook, "undoes": planned.undoes,
        "approval": approval.key if approval else "", "content": plan.content_digest,
    }  # fmt: skip
    what = f"undo of {planned.undoes}" if planned.undoes else plan.playbook
    return NewEntry(
        kinds.STARTED, plan.incident_id, f"{kinds.STARTED}:{run}", payload, actor, f"run of {what} begins"
    )


def finished_entry(planned: Planned, run: str, *, outcome: str, actor: str, left: list[str]) -> NewEntry:
    """Write down how a run ended; ``left`` are the steps that were not reached."""
    payload = {"run": run, "plan": planned.plan.digest, "outcome": outcome, "not_reached": left}
    key = f"{kinds.FINISHED}:{run}"
    what = f"undo of {planned.undoes}" if planned.undoes else planned.plan.playbook
    return NewEntry(
        kinds.FINISHED, planned.plan.incident_id, key, payload, actor, f"run of {what} ended: {outcome}"
    )


def _read(entry: Entry) -> Approval:
    return Approval(entry.key, entry.actor, entry.reason, entry.at, int(str(entry.payload["expires"])))
