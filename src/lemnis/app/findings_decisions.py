"""What people decide about problems: accepted until a day, false, mitigated, mended; and whose they are.

A decision is an entry of the journal about ``finding:fd-…``. It says what is still to be done, and changes
nothing that a gate says: that takes an exception (``exemptions``). It counts until its last day, and not any
more once an alert touches what the problem is in, or a scan still sees what was said to be mended.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import findings_life
from lemnis.contracts.clock import from_iso, to_iso
from lemnis.contracts.errors import RefusedError, StaleError, UsageError
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import Entry, NewEntry

if TYPE_CHECKING:
    from lemnis.app.feedback_findings import Attacked, Touched
    from lemnis.app.findings_life import Problem

DECIDED = "finding.decided"
"""The kind of journal entry; its subject is ``finding:`` and the problem's id."""
LONGEST_DAYS = 366
MOST_REASON = 2000
_DAY = 86_400_000


class State(StrEnum):
    """How a problem stands: to be mended, or set aside and why."""

    OPEN = "open"
    ACCEPTED = "accepted"
    FALSE_POSITIVE = "false_positive"
    MITIGATED = "mitigated"
    FIXED = "fixed"


class Word(StrEnum):
    """What can be decided."""

    ACCEPT = "accept"
    FALSE_POSITIVE = "false_positive"
    MITIGATED = "mitigated"
    FIXED = "fixed"
    REOPEN = "reopen"
    ASSIGN = "assign"


_STATES: Mapping[Word, State] = {
    Word.ACCEPT: State.ACCEPTED, Word.FALSE_POSITIVE: State.FALSE_POSITIVE, Word.MITIGATED: State.MITIGATED,
    Word.FIXED: State.FIXED, Word.REOPEN: State.OPEN,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision: its number in the journal, when (ms), by whom, why; its last day, or whose it became."""

    seq: int
    at: int
    actor: str
    word: Word
    reason: str
    until: str = ""
    to: str = ""

    def document(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {
            "decision": self.word.value, "at": to_iso(self.at), "by": self.actor, "reason": self.reason,
            "until": self.until or None, "to": self.to or None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """How a problem stands. ``version`` counts its decisions; ``void`` says why the last counts no more."""

    state: State = State.OPEN
    owner: str = ""
    decision: Decided | None = None
    void: str = ""
    version: int = 0

    def document(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {
            "state": self.state.value, "owner": self.owner, "version": self.version, "void": self.void,
            "decided": self.decision.document() if self.decision else None,
        }  # fmt: skip


def standing(
    words: Sequence[Decided], now: int, *, touched: Touched | None = None, seen: int = 0
) -> Standing:
    """Return how a problem stands after these decisions, the oldest first. Pure.

    ``touched`` is the newest alert about what the problem is in; ``seen`` is when a scan last saw it (ms).
    """
    owner = next((one.to for one in reversed(words) if one.word is Word.ASSIGN), "")
    last = next((one for one in reversed(words) if one.word is not Word.ASSIGN), None)
    if last is None or last.word is Word.REOPEN:
        return Standing(State.OPEN, owner, last, "", len(words))
    void = _void(last, now, touched, seen)
    return Standing(State.OPEN if void else _STATES[last.word], owner, last, void, len(words))


def _void(last: Decided, now: int, touched: Touched | None, seen: int) -> str:
    if last.until and now >= from_iso(last.until) + _DAY:
        return f"it was {_STATES[last.word].value} until {last.until}"
    risk = last.word in {Word.ACCEPT, Word.MITIGATED}
    if risk and touched is not None and touched.at > last.at:
        return f"alert {touched.alert} touched {touched.where} on {to_iso(touched.at)[:10]}"
    if last.word is Word.FIXED and seen > last.at:
        return f"a scan of {to_iso(seen)[:10]} still sees it"
    return ""


def subject(problem: str) -> str:
    """Return what journal entries about a problem are about."""
    return f"finding:{problem}"


def read(entry: Entry) -> Decided:
    """Return a journal entry as a decision."""
    p = entry.payload
    return Decided(
        entry.seq, entry.at, entry.actor, Word(str(p["decision"])), entry.reason, str(p.get("until", "")),
        str(p.get("to", "")),
    )  # fmt: skip


@dataclass
class Decisions:
    """All decisions of a workspace; each look reads what was written since the one before."""

    workspace: app.Workspace
    _words: dict[str, list[Decided]] = field(default_factory=dict)
    _after: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> Mapping[str, Sequence[Decided]]:
        """Return the decisions by the problems' ids, the oldest first."""
        with self._lock:
            for entry in app.journal(self.workspace).entries(kind=DECIDED, after=self._after):
                self._words.setdefault(entry.subject.removeprefix("finding:"), []).append(read(entry))
                self._after = entry.seq
            return {name: tuple(some) for name, some in self._words.items()}


def of(workspace: app.Workspace, problem: str) -> tuple[Decided, ...]:
    """Return the decisions about one problem, the oldest first."""
    found = app.journal(workspace).entries(kind=DECIDED, subject=subject(problem))
    return tuple(map(read, found))


class Stand:
    """Says how problems stand now: what was decided, what alerts touched since, what scans saw."""

    def __init__(
        self,
        workspace: app.Workspace,
        attacked: Attacked,
        words: Mapping[str, Sequence[Decided]] | None = None,
    ) -> None:
        """``words`` are the decisions by problem, where they are at hand."""
        self._attacked, self._now = attacked, workspace.clock.now()
        self._words = Decisions(workspace).look() if words is None else words
        self._looks = findings_life.store(workspace).looks() if self._words else {}

    def of(self, one: Problem) -> Standing:
        """Return how a problem stands."""
        words = self._words.get(one.id, ())
        if not words:
            return Standing()
        names = {name for row in one.rows for name in (row.resource, row.resource.rpartition("@")[2])}
        touched = self._attacked.touched({*names, *(row.finding.resource for row in one.rows)})
        still = [self._looks.get((row.resource, row.finding.tool), 0) for row in one.rows if not row.fixed_at]
        return standing(words, self._now, touched=touched, seen=max(still, default=0))


def decide(
    workspace: app.Workspace,
    name: str,
    word: Word,
    *,
    actor: str,
    reason: str = "",
    until: str = "",
    to: str = "",
    version: int | None = None,
) -> Problem:
    """Decide about a problem, by its id or that of one of its findings; return it.

    ``until`` is the last day on which it counts (``YYYY-MM-DD``): accepting takes one, within a year. ``to``
    is who it is assigned to. With ``version`` it is refused if somebody decided since.

    Raises NotFoundError; UsageError for what is missing or wrong; RefusedError where it does not follow,
    StaleError where somebody decided since.
    """
    one = findings_life.problem(workspace, name)
    known = of(workspace, one.id)
    if version is not None and version != len(known):
        raise StaleError("somebody decided on this meanwhile", fix="look at it again")
    _check(word, known, one, reason=reason, to=to)
    payload: dict[str, Json] = {"decision": word.value}
    if until or word is Word.ACCEPT:
        payload["until"] = _last_day(word, until, workspace.clock.now())
    if word is Word.ASSIGN:
        payload["to"] = to.strip()[:100]
    key = stable_id("fj", one.id, str(len(known)))
    entry = NewEntry(DECIDED, subject(one.id), key, payload, actor=actor, reason=reason.strip()[:MOST_REASON])
    if not app.journal(workspace).append(entry)[1]:
        kind = RefusedError if version is None else StaleError
        raise kind("somebody decided on this at the same time", fix="look at it again")
    return one


def _check(word: Word, known: Sequence[Decided], one: Problem, *, reason: str, to: str) -> None:
    if word is Word.ASSIGN:
        if not to.strip():
            raise UsageError("to whom?", fix="name a person or a team")
        return
    if not reason.strip():
        raise UsageError(f"to decide {word.value} takes a reason", fix="say why, for whoever looks next")
    if all(row.fixed_at is not None for row in one.rows):
        raise RefusedError("it is gone: no scan sees it any more", fix="there is nothing left to decide")
    last = next((old for old in reversed(known) if old.word is not Word.ASSIGN), None)
    if word is Word.REOPEN and (last is None or last.word is Word.REOPEN):
        raise RefusedError("it is open", fix="only what was set aside can be opened again")


def _last_day(word: Word, text: str, now: int) -> str:
    if word not in {Word.ACCEPT, Word.MITIGATED}:
        raise UsageError(f"{word.value} has no end", fix="leave it out")
    return last_day(text, now)


def last_day(text: str, now: int) -> str:
    """Read the last day on which something counts; raises UsageError for one that is past, or too far."""
    today = datetime.fromtimestamp(now / 1000, UTC).date()
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UsageError("until when does it count?", fix="a day, as 2026-12-31") from error
    if not today <= day <= today + timedelta(days=LONGEST_DAYS):
        raise UsageError(f"{day} is past, or more than a year away", fix="a day of the next 366")
    return day.isoformat()


def about(workspace: app.Workspace, problems: Iterable[Problem]) -> Iterator[tuple[Problem, dict[str, Json]]]:
    """Yield problems with what rules over who and what may know of each: the service's team and owner."""
    from lemnis.app import gate_facts

    known: dict[str, dict[str, Json]] = {}
    for one in problems:
        resource = one.chief.resource
        if resource not in known:
            facts = gate_facts.facts(workspace, resource)
            known[resource] = {"service": facts.service, "team": facts.team, "owner": facts.owner}
        severity = one.chief.finding.severity.name.lower()
        yield one, {"kind": "finding", "id": one.id, "severity": severity, **known[resource]}
