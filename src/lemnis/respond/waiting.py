"""What a run waits for: persons' answers, and time. It is all in the journal, so waiting costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lemnis.contracts.errors import RefusedError, UsageError
from lemnis.contracts.journal import Entry, Journal, NewEntry
from lemnis.contracts.response import PlannedAction
from lemnis.respond.effects import Context, Outcome

ASKED, ANSWERED, CANCELLED = "playbook.asked", "playbook.answered", "playbook.cancelled"
ANSWERS = ("yes", "no")
_MINUTE = 60_000


class WaitingError(Exception):
    """The run can go no further now; it goes on ``until`` (ms), or before if what it asks is answered."""

    def __init__(self, until: int, why: str) -> None:
        """``why`` is for people."""
        super().__init__(why)
        self.until, self.why = until, why


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a run to people, and until when it stands."""

    key: str
    run: str
    step: str
    incident_id: str
    text: str
    role: str
    escalate_role: str
    escalate_at: int
    until: int


def question(entry: Entry) -> Question:
    """Read a question's entry."""
    p: Mapping[str, Any] = entry.payload
    escalate = p["escalate"] or {}
    after = int(escalate.get("after_min", 0)) * _MINUTE
    return Question(
        p["key"], p["run"], p["step"], entry.subject, p["text"], p["role"], escalate.get("role", ""),
        entry.at + after if after else 0, entry.at + int(p["timeout_min"]) * _MINUTE,
    )  # fmt: skip


def ask(journal: Journal, now: int, context: Context, one: PlannedAction, key: str) -> Outcome:
    """Return what a question was answered; nobody's answer in time is no. Raises WaitingError before that."""
    given = journal.get(f"{ANSWERED}:{key}")
    if given is not None:
        return Outcome(str(given.payload["answer"]), output={"by": given.actor, "reason": given.reason})
    payload = {"run": context.run, "key": key, "step": one.step, **one.arguments}
    text = str(one.arguments.get("text", ""))
    entry, _ = journal.append(
        NewEntry(ASKED, context.incident_id, f"{ASKED}:{key}", payload, context.actor, f"asks: {text}")
    )
    asked = question(entry)
    if now > asked.until:
        return Outcome("no", "nobody answered in time", output={"by": "", "reason": ""})
    raise WaitingError(asked.until, f"{one.step} waits for an answer: {text}")


def questions(journal: Journal, run: str) -> list[Question]:
    """Return the questions of a run that nobody has answered."""
    found = [question(one) for one in journal.entries(kind=ASKED) if one.payload["run"] == run]
    return [one for one in found if journal.get(f"{ANSWERED}:{one.key}") is None]


def answer(
    journal: Journal, now: int, asked: Question, said: str, *, actor: str, reason: str, roles: frozenset[str]
) -> Entry:
    """Write down what somebody answered; raises RefusedError if it is not theirs to say, or too late."""
    if said not in ANSWERS:
        raise UsageError(f"{said!r} is no answer", fix="yes or no")
    if not actor.strip() or not reason.strip():
        raise UsageError("an answer needs an actor and a reason", fix="give --reason")
    may = {asked.role, asked.escalate_role} - {""}
    if asked.role and not may & roles:
        raise RefusedError(f"{actor} is no {' or '.join(sorted(may))}: only they may answer {asked.step}")
    if now > asked.until:
        raise RefusedError(f"the time to answer {asked.step} is over")
    entry, new = journal.append(
        NewEntry(
            ANSWERED, asked.incident_id, f"{ANSWERED}:{asked.key}",
            {"run": asked.run, "key": asked.key, "step": asked.step, "answer": said}, actor, reason,
        )
    )  # fmt: skip
    if not new:
        raise RefusedError(f"{entry.actor} has answered {entry.payload['answer']} already")
    return entry


def cancelled_key(run: str) -> str:
    """Return the key of the entry that ends a run."""
    return f"{CANCELLED}:{run}"


def cancelled_entry(run: str, incident: str, *, actor: str, reason: str) -> NewEntry:
    """Write down that a run shall do nothing more; what has begun is settled first."""
    return NewEntry(CANCELLED, incident, cancelled_key(run), {"run": run}, actor, reason)
