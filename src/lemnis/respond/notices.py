"""What people are to be told about who is waited for: a fold over the journal, beside ``desk``. Pure.

Something waits for an approval or an answer. It is told when others are asked too, when little time is left,
and when the time is over: each once, and only the last of them where several are due at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lemnis.contracts import kinds
from lemnis.contracts.clock import to_iso
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.respond import records, waiting

NOTICED, ESCALATED = "playbook.noticed", "playbook.escalated"
MOMENTS = ("escalated", "near", "over")
_MINUTE, _DAY = 60_000, 86_400_000
_NEAR = 4
"""A quarter of the time is left: little."""


@dataclass(frozen=True, slots=True)
class Waits:
    """An approval or an answer that is waited for; ``of`` names it: a run, or a question's key.

    ``escalate_at`` is 0 where nobody else is asked. All times are ms.
    """

    of: str
    run: str
    incident_id: str
    what: str
    role: str
    escalate_role: str
    escalate_at: int
    near_at: int
    until: int
    silence: str

    def due(self, now: int) -> str:
        """Say which moment it is, the last that has come; empty before all of them."""
        at = {"escalated": self.escalate_at, "near": self.near_at, "over": self.until}
        come = [name for name in MOMENTS if at[name] and at[name] <= now]
        return max(come, key=lambda name: (at[name], MOMENTS.index(name)), default="")


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be told, of what, at which moment."""

    waits: Waits
    moment: str

    @property
    def role(self) -> str:
        """Whom it concerns; empty for anyone."""
        return self.waits.escalate_role if self.moment == "escalated" else self.waits.role

    @property
    def at(self) -> int:
        """When it was due (ms)."""
        one = self.waits
        return {"escalated": one.escalate_at, "near": one.near_at, "over": one.until}[self.moment]

    @property
    def text(self) -> str:
        """What is said; the same whenever and by whichever process it is said."""
        one, until = self.waits, to_iso(self.waits.until)
        if self.moment == "over":
            return f"{one.what}. Nobody did by {until}: {one.silence}."
        if self.moment == "near":
            return f"{one.what}. Little time is left: until {until}."
        return f"{one.what}. Nobody has yet, so {one.escalate_role} is asked too. Until {until}."

    @property
    def key(self) -> str:
        """The key of the entry that says that it was told."""
        return f"{NOTICED}:{self.waits.of}:{self.moment}"

    def entry(self, outcome: str) -> NewEntry:
        """Write down that it was told, and how that ended."""
        one = self.waits
        payload = {"of": one.of, "run": one.run, "moment": self.moment, "role": self.role, "outcome": outcome}
        return NewEntry(NOTICED, one.incident_id, self.key, payload, reason=f"told ({outcome}): {self.text}")


@dataclass(slots=True)
class Notices:
    """What is waited for, and what was told of it."""

    waits: dict[str, Waits] = field(default_factory=dict)
    told: dict[str, set[str]] = field(default_factory=dict)
    escalated: set[str] = field(default_factory=set)

    def read(self, entries: Iterable[Entry]) -> None:
        """Take up what the journal says, in its order."""
        for entry in entries:
            take = _TAKES.get(entry.kind)
            if take is not None:
                take(self, entry, entry.payload)

    def to_escalate(self, now: int) -> list[Waits]:
        """Return what others are to be asked for now."""
        found = (one for one in self.waits.values() if one.of not in self.escalated)
        return [one for one in found if one.escalate_role and one.escalate_at <= now < one.until]

    def due(self, now: int) -> list[Notice]:
        """Return what is to be told now; what has been over for a day is no news any more."""
        found: list[Notice] = []
        for one in self.waits.values():
            moment = one.due(now)
            new = moment and moment not in self.told.get(one.of, ())
            if new and one.until > now - _DAY:
                found.append(Notice(one, moment))
        return found


def escalated_entry(one: Waits) -> NewEntry:
    """Write down that others are asked too."""
    reason = f"nobody has said anything yet: {one.escalate_role} is asked"
    payload = {"run": one.run, "of": one.of, "role": one.escalate_role}
    return NewEntry(ESCALATED, one.incident_id, f"{ESCALATED}:{one.of}", payload, reason=reason)


def _waits(entry: Entry, p: Mapping[str, Any], of: str, *, what: str, silence: str) -> Waits:
    escalate, whole = p["escalate"] or {}, int(p["timeout_min"]) * _MINUTE
    after = int(escalate.get("after_min", 0)) * _MINUTE
    return Waits(
        of, p["run"], entry.subject, what, p["role"], escalate.get("role", ""),
        entry.at + after if after else 0, entry.at + whole - whole // _NEAR, entry.at + whole, silence,
    )  # fmt: skip


def _requested(notices: Notices, entry: Entry, p: Mapping[str, Any]) -> None:
    if not p["writes"]:
        return
    book = f"the undo of {p['undoes']}" if p["undoes"] else f"the playbook {p['playbook']}"
    who = f"{p['quorum']} of {p['role']}" if p["role"] else "anyone"
    what = f"{p['run']}: {book} for {entry.subject} waits for approval by {who}"
    silence = "it begins, as its playbook says" if p["on_timeout"] == "run" else "it is not done"
    notices.waits[p["run"]] = _waits(entry, p, p["run"], what=what, silence=silence)


def _asked(notices: Notices, entry: Entry, p: Mapping[str, Any]) -> None:
    what = f"{p['run']} asks {p['role'] or 'anyone'} about {entry.subject}: {p['text']}"
    notices.waits[p["key"]] = _waits(entry, p, p["key"], what=what, silence="the answer is no")


def _settled(notices: Notices, entry: Entry, of: str) -> None:
    """Nobody is waited for any more; what ended by its time is still to be told."""
    one = notices.waits.get(of)
    if one is not None and entry.at < one.until:
        del notices.waits[of]


def _run(notices: Notices, entry: Entry, p: Mapping[str, Any]) -> None:
    _settled(notices, entry, p["run"])
    if entry.kind == kinds.FINISHED:
        for of in [one.of for one in notices.waits.values() if one.run == p["run"] and one.of != p["run"]]:
            _settled(notices, entry, of)


def _key(notices: Notices, entry: Entry, p: Mapping[str, Any]) -> None:
    _settled(notices, entry, p["key"])


def _escalated(notices: Notices, entry: Entry, p: Mapping[str, Any]) -> None:
    del entry
    notices.escalated.add(p.get("of", p["run"]))


def _noticed(notices: Notices, entry: Entry, p: Mapping[str, Any]) -> None:
    del entry
    notices.told.setdefault(p["of"], set()).add(p["moment"])
    if p["moment"] == "over":
        notices.waits.pop(p["of"], None)


_TAKES = {
    records.REQUESTED: _requested, waiting.ASKED: _asked, kinds.STARTED: _run, kinds.FINISHED: _run,
    waiting.ANSWERED: _key, kinds.RESULT: _key, ESCALATED: _escalated, NOTICED: _noticed,
}  # fmt: skip
KINDS = tuple(_TAKES)
"""Kinds of entries that are taken up."""
