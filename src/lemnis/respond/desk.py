"""What waits, for whom and until when: a fold over the journal, from which all timers follow.

Nothing of it is kept anywhere else, so a process that begins anew has, after one pass over the journal, what
the one before it had: the runs to go on with, those that wait for approval or an answer, and the containments
that end by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lemnis.contracts import kinds
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.respond import records, waiting

EXPIRED = "playbook.expired"
_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Request:
    """A run that waits for approval, and until when."""

    run: str
    plan: str
    incident_id: str
    until: int
    on_timeout: str


@dataclass(frozen=True, slots=True)
class Ending:
    """An effect that ends by itself: of which run, by its key, and when."""

    key: str
    run: str
    incident_id: str
    at: int


@dataclass(slots=True)
class Desk:
    """What waits. ``plans`` are the runs that have begun and not ended, by their plan's digest."""

    requests: dict[str, Request] = field(default_factory=dict)
    plans: dict[str, str] = field(default_factory=dict)
    endings: dict[str, Ending] = field(default_factory=dict)
    woken: set[str] = field(default_factory=set)
    approved: set[str] = field(default_factory=set)
    approvals: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    seq: int = 0

    def read(self, entries: Iterable[Entry]) -> None:
        """Take up what the journal says, in its order."""
        for entry in entries:
            self.seq = entry.seq
            take = _TAKES.get(entry.kind)
            if take is not None:
                take(self, entry, entry.payload)

    def take_woken(self) -> set[str]:
        """Return the runs for which something came that they waited for, once."""
        found, self.woken = self.woken & set(self.plans), set()
        return found

    def take_approved(self) -> list[Request]:
        """Return the requests whose plan was approved by somebody, once for each approval."""
        plans, self.approved = self.approved, set()
        return [one for one in self.requests.values() if one.plan in plans]

    def overdue(self, now: int) -> list[Request]:
        """Return the requests that nobody has approved in time."""
        return [one for one in self.requests.values() if one.until <= now]

    def ended(self, now: int) -> list[Ending]:
        """Return the effects whose time is over, of runs that have ended."""
        over = (one for one in self.endings.values() if one.at <= now and one.run in self.finished)
        return sorted(over, key=lambda one: (one.at, one.key))


def expired_entry(one: Ending, outcome: str) -> NewEntry:
    """Write down that an effect's time is over, and what became of taking it back."""
    payload = {"run": one.run, "key": one.key, "outcome": outcome}
    reason = f"its time is over: {outcome}"
    return NewEntry(EXPIRED, one.incident_id, f"{EXPIRED}:{one.key}", payload, "lemnis", reason)


def _requested(desk: Desk, entry: Entry, p: Mapping[str, Any]) -> None:
    until = entry.at + int(p["timeout_min"]) * _MINUTE
    desk.requests[p["run"]] = Request(p["run"], p["plan"], entry.subject, until, p["on_timeout"])
    if p["plan"] in desk.approvals or not p["writes"]:
        desk.approved.add(p["plan"])


def _started(desk: Desk, entry: Entry, p: Mapping[str, Any]) -> None:
    del entry
    desk.requests.pop(p["run"], None)
    desk.plans[p["run"]] = p["plan"]
    desk.woken.add(p["run"])


def _ended(desk: Desk, entry: Entry, p: Mapping[str, Any]) -> None:
    del entry
    desk.requests.pop(p["run"], None)
    desk.plans.pop(p["run"], None)
    desk.finished.add(p["run"])


def _approved(desk: Desk, entry: Entry, p: Mapping[str, Any]) -> None:
    del entry
    desk.approvals.add(p["digest"])
    desk.approved.add(p["digest"])


def _wakes(desk: Desk, entry: Entry, p: Mapping[str, Any]) -> None:
    del entry
    desk.woken.add(p["run"])


def _result(desk: Desk, entry: Entry, p: Mapping[str, Any]) -> None:
    ttl = int(p.get("ttl_min", 0))
    if ttl and p["ours"] and p["outcome"] in {"done", "already"}:
        desk.endings[p["key"]] = Ending(p["key"], p["run"], entry.subject, entry.at + ttl * _MINUTE)


def _expired(desk: Desk, entry: Entry, p: Mapping[str, Any]) -> None:
    del entry
    desk.endings.pop(p["key"], None)


_TAKES = {
    records.REQUESTED: _requested, kinds.STARTED: _started, kinds.FINISHED: _ended,
    kinds.APPROVED: _approved, kinds.RESULT: _result, waiting.ANSWERED: _wakes, waiting.CANCELLED: _wakes,
    EXPIRED: _expired,
}  # fmt: skip
KINDS = tuple(_TAKES)
"""Kinds of entries that the desk takes up."""
