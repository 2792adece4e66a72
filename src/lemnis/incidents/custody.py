"""Chain of custody: who collected, looked at, exported or handed over which evidence, when and why. Pure.

Each act names the hash of the one before it on the same evidence: the chain holds in an extract, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.ids import Json
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.incidents.entries import EVIDENCE

CUSTODY = "evidence.custody"


class Act(StrEnum):
    """What is done with evidence."""

    COLLECTED = "collected"
    ACCESSED = "accessed"
    EXPORTED = "exported"
    TRANSFERRED = "transferred"


@dataclass(frozen=True, slots=True)
class Step:
    """One act: when (ms), who, what, why, to whom, and the hash of its entry."""

    at: int
    actor: str
    act: Act
    reason: str
    to: str
    hash: str


@dataclass(frozen=True, slots=True)
class Held:
    """One piece of evidence of an incident: its digest, what it is, and every act on it, the first first."""

    incident: str
    digest: str
    title: str
    steps: tuple[Step, ...]

    @property
    def holder(self) -> str:
        """Return who has it: whom it was handed to last, else who collected it."""
        handed = [step.to for step in self.steps if step.act is Act.TRANSFERRED]
        return handed[-1] if handed else self.steps[0].actor


def held(entries: Iterable[Entry]) -> list[Held]:
    """Return the evidence that entries tell of, in the order in which it was collected."""
    found: dict[tuple[str, str], Held] = {}
    for entry in entries:
        if entry.kind not in {EVIDENCE, CUSTODY}:
            continue
        digest = str(entry.payload.get("digest", ""))
        key, before = (entry.subject, digest), found.get((entry.subject, digest))
        if entry.kind == EVIDENCE:
            title = str(entry.payload.get("title") or entry.reason)
            step = Step(entry.at, entry.actor, Act.COLLECTED, entry.reason, "", entry.hash)
            found[key] = Held(entry.subject, digest, title, (step,))
        elif before is not None:
            act, to = Act(str(entry.payload["act"])), str(entry.payload.get("to", ""))
            step = Step(entry.at, entry.actor, act, entry.reason, to, entry.hash)
            found[key] = Held(before.incident, digest, before.title, (*before.steps, step))
    return list(found.values())


def act(one: Held, what: Act, *, actor: str, reason: str, to: str = "") -> NewEntry:
    """Write an act on evidence down, after the last one known; raises UsageError without a reason.

    Its key follows from its place in the chain: of two who write at once, one has to look again.
    """
    if not reason.strip():
        raise UsageError("whoever handles evidence says why")
    if what is Act.TRANSFERRED and not to.strip():
        raise UsageError("a transfer needs to whom")
    number = len(one.steps)
    payload: dict[str, Json] = {
        "digest": one.digest, "act": what.value, "to": to, "number": number, "previous": one.steps[-1].hash,
    }  # fmt: skip
    return NewEntry(
        CUSTODY, one.incident, f"{CUSTODY}:{one.incident}:{one.digest}:{number}", payload, actor, reason
    )


def find(known: Iterable[Held], wanted: str) -> Held:
    """Return the evidence of this digest, of a beginning of it, or of this title; raises NotFoundError."""
    several = list(known)
    plain = wanted.removeprefix("sha256:")
    exact = [one for one in several if wanted in {one.title, one.digest}]
    found = exact or [one for one in several if plain and one.digest.startswith(f"sha256:{plain}")]
    if len({one.digest for one in found}) != 1:
        what = (
            f"{len(found)} pieces of evidence are called {wanted!r}" if found else f"no evidence {wanted!r}"
        )
        raise NotFoundError(what, fix="`lemnis incident evidence list ID` shows them")
    return found[-1]


def document(one: Held) -> dict[str, Json]:
    """Return a piece of evidence as JSON."""
    return {
        "id": one.digest, "incident": one.incident, "title": one.title, "holder": one.holder,
        "custody": [
            {"at": to_iso(s.at), "actor": s.actor, "act": s.act.value, "to": s.to, "reason": s.reason,
             "hash": s.hash}
            for s in one.steps
        ],
    }  # fmt: skip
