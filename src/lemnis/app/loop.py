"""The loop of the last day: what flows through each stage, what is stuck there, and what was learnt.

Everything is counted from what is written down anyway: decisions of gates, attestations, findings, what
sources sent, incidents, runs, lessons. Nothing is asked of the lake's events.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import attest, gates, lessons
from lemnis.contracts import kinds
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.journal import Entry
from lemnis.contracts.watching import ALL, LISTENING
from lemnis.incidents import entries as lifecycle

if TYPE_CHECKING:
    from lemnis.app.access.seeing import Eyes
    from lemnis.app.board import View
    from lemnis.app.lessons import State
    from lemnis.respond.records import Run
    from lemnis.store.journal import SqlJournal

DAY = 86_400_000
STAGES = ("code", "build", "test", "release", "deploy", "operate", "monitor")
MOST = 30
"""So many things that are stuck are named."""
_CODE = frozenset({"editor", "commit", "pull_request"})
_GATES: Mapping[str, frozenset[str]] = {
    "code": _CODE,
    "build": frozenset({"build"}),
    "release": frozenset({"release"}),
    "deploy": frozenset({"deploy"}),
    "operate": frozenset({"runtime"}),
}
_GRAVE = Severity.HIGH
_TOLD = (gates.DECISION, attest.ATTESTATION)
"""The kinds of entries that are looked at one by one; others are counted."""
_LOOKED_AT = ("stage", "decision")


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that is stuck: what, why, since when (ms), and its kind and id, by which a page finds it."""

    title: str
    why: str
    at: int
    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: how much flowed through it within the day, of what, and what is stuck, some of it named."""

    name: str
    flow: int
    unit: str
    stuck: int
    stuck_unit: str
    things: tuple[Thing, ...] = ()
    told: tuple[tuple[str, int], ...] = ()
    """What else was counted, in words."""


@dataclass(frozen=True, slots=True)
class Taught:
    """Lessons that lead to the gate of a stage: how many, how many of them hold by proof."""

    stage: str
    count: int
    proven: int


@dataclass(frozen=True, slots=True)
class Loop:
    """The stages in their order, and the lessons that lead back."""

    since: int
    stages: tuple[Stage, ...]
    taught: tuple[Taught, ...] = ()
    problems: tuple[str, ...] = field(default=())

    def stage(self, name: str) -> Stage | None:
        """Return a stage by its name."""
        return next((one for one in self.stages if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the stages are counted from."""

    entries: Sequence[Entry]
    counts: Mapping[str, int]
    denied: Sequence[Entry]
    findings: Sequence[Thing]
    scans: int
    events: int
    silent: Sequence[Thing]
    breached: Sequence[Thing]
    waiting: Sequence[Thing]


@dataclass(frozen=True, slots=True)
class Slower:
    """What takes longest to look at, so that whoever looks again and again keeps it for some seconds.

    Events that came within the day, the sources that are silent, the grave findings that are open, how many
    scans looked, and the lessons, or why they cannot be told.
    """

    events: int
    silent: tuple[Thing, ...]
    findings: tuple[Thing, ...]
    scans: int
    lessons: tuple[State, ...] = ()
    taught: tuple[tuple[str, str, bool], ...] = ()
    """Of each lesson its incident, the stage that its gate is in, and whether it holds by proof."""
    wrong: str = ""


def slower(workspace: app.Workspace, silent: Iterable[str] | None = None) -> Slower:
    """Look at it; ``silent`` are the sources that are, where that is known."""
    since = workspace.clock.now() - DAY
    found, scans = _findings(workspace, since)
    events, quiet = _sources(workspace, since, silent)
    known: list[State] = []
    taught: list[tuple[str, str, bool]] = []
    wrong = ""
    try:
        known = lessons.list_(workspace)
        taught = [(one.written.lesson.incident, _stage_of(workspace, one), one.proven) for one in known]
    except LemnisError as error:
        wrong = f"lessons: {error}"
    return Slower(events, quiet, tuple(found), scans, tuple(known), tuple(taught), wrong)


class Past:
    """What the loop takes of the journal; who looks again and again reads only what was written since."""

    def __init__(self, workspace: app.Workspace) -> None:
        self._journal = app.journal(workspace)
        self._lock = threading.Lock()
        self._seq = self._first = 0
        self._denials: dict[tuple[str, str], Entry] = {}
        self._recent: list[Entry] = []
        self._late: tuple[View, Sequence[Thing]] | None = None

    def look(self, since: int) -> tuple[Sequence[Entry], Sequence[Entry], Mapping[str, int]]:
        """Return the entries that were looked at one by one since an instant (ms), denials, and counts.

        Counts are of the entries of each kind since then.
        """
        with self._lock:
            head = self._journal.head()[0]
            self._first = before(self._journal, since, low=self._first)
            new = [
                _slim(one)
                for kind in _TOLD
                for one in self._journal.entries(kind=kind, after=self._seq)
                if one.seq <= head  # what comes while this reads is read by the next look, of all kinds
            ]
            self._recent = [one for one in (*self._recent, *new) if one.seq > self._first]
            for one in new:
                if one.kind == gates.DECISION:
                    self._denials[one.subject, str(one.payload.get("stage"))] = one
            self._seq = head
            denied = standing_denials(self._denials.values())
            return self._recent, denied, self._journal.counts(self._first)

    def late(self, view: View) -> Sequence[Thing]:
        """Return the incidents that somebody should have done something about by now."""
        before = self._late
        if before is None or before[0] is not view:
            before = self._late = view, _late(view)
        return before[1]


def _slim(one: Entry) -> Entry:
    """Return an entry with that of its payload which is looked at here."""
    return replace(one, payload={name: one.payload[name] for name in _LOOKED_AT if name in one.payload})


def look(
    workspace: app.Workspace,
    view: View,
    eyes: Eyes | None = None,
    *,
    known: Slower | None = None,
    past: Past | None = None,
) -> Loop:
    """Return the loop as of now; what cannot be looked at is told, and the rest goes on.

    ``eyes`` are of somebody who does not see all: of incidents and what belongs to them, only what they see
    is counted, alerts by the time of their events. ``known`` and ``past`` are kept by whoever looks again and
    again.
    """
    since = workspace.clock.now() - DAY
    known = known or slower(workspace)
    past = past or Past(workspace)
    recent, denied, counts = past.look(since)
    gathered = Gathered(
        recent,
        {**counts, **(_seen(workspace, view, eyes, since, known.lessons) if eyes else {})},
        denied,
        known.findings,
        known.scans,
        known.events,
        known.silent,
        past.late(view),
        _waiting(workspace, eyes.run if eyes else None),
    )
    taught = [
        (stage, proven) for incident, stage, proven in known.taught if not (eyes and eyes.incident(incident))
    ]
    return Loop(since, stages(gathered), by_stage(taught), (known.wrong,) if known.wrong else ())


def _seen(
    workspace: app.Workspace, view: View, eyes: Eyes, since: int, taught: Iterable[State]
) -> dict[str, int]:
    """Return how many entries of each kind there were within the day about what somebody sees."""
    from lemnis.app import respond

    groups = [group for one in view.standings for group in one.incident.groups]
    groups += [one.group for one in view.loose]
    runs = [one for one in respond.runs(workspace) if not eyes.run(one)]
    journal = app.journal(workspace)
    known = {one.written.id: one.written.lesson.incident for one in taught}
    proofs = (one for one in journal.entries(kind=lessons.PROVED, after=before(journal, since)))
    return {
        lifecycle.ALERT: sum(at >= since for group in groups for _, at in group.alerts),
        lifecycle.OPENED: sum(one.incident.opened >= since for one in view.standings),
        kinds.STARTED: sum(one.started >= since for one in runs),
        kinds.FINISHED: sum((one.finished or 0) >= since for one in runs),
        lessons.PROVED: sum(not eyes.incident(known.get(one.subject, "")) for one in proofs),
    }


def before(journal: SqlJournal, instant: int, *, low: int = 0) -> int:
    """Return the number of the last entry before an instant, by halving: entries are in the order of time.

    ``low`` is an entry that is known to be so early.
    """
    after = journal.some(low, 1)
    if not after or after[0].at >= instant:
        return low
    high = journal.head()[0]
    while low < high:
        middle = (low + high + 1) // 2
        entry = next(iter(journal.some(middle - 1, 1)), None)
        if entry is None or entry.at >= instant:
            high = middle - 1
        else:
            low = middle
    return low


def stages(known: Gathered) -> tuple[Stage, ...]:
    """Count each stage. Pure."""
    decided = [one for one in known.entries if one.kind == gates.DECISION]
    by_gate = {stage: _subjects(decided, names) for stage, names in _GATES.items()}
    denied = {stage: _things(known.denied, names) for stage, names in _GATES.items()}
    of_kind = Counter(known.counts)
    built = len({one.subject for one in known.entries if one.kind == attest.ATTESTATION})
    runs, over = of_kind[kinds.STARTED], of_kind[kinds.FINISHED]
    proofs = of_kind[lessons.PROVED]
    return (
        _stage("code", by_gate["code"], "changes", denied["code"], "refused"),
        _stage("build", by_gate["build"], "builds", denied["build"], "refused", ("images attested", built)),
        _stage("test", known.scans, "scans", known.findings, "grave", ("lessons replayed", proofs)),
        _stage("release", by_gate["release"], "releases", denied["release"], "refused"),
        _stage("deploy", by_gate["deploy"], "deploys", denied["deploy"], "refused"),
        _stage(
            "operate", known.events, "events", [*known.silent, *known.waiting, *denied["operate"]], "stuck",
            ("runs begun", runs), ("runs ended", over),
        ),
        _stage(
            "monitor", of_kind[lifecycle.ALERT], "alerts", known.breached, "too late",
            ("incidents opened", of_kind[lifecycle.OPENED]),
        ),
    )  # fmt: skip


def _stage(
    name: str, flow: int, unit: str, stuck: Sequence[Thing], stuck_unit: str, *told: tuple[str, int]
) -> Stage:
    newest = sorted(stuck, key=lambda one: (-one.at, one.title))
    return Stage(name, flow, unit, len(stuck), stuck_unit, tuple(newest[:MOST]), told)


def _subjects(entries: Iterable[Entry], names: frozenset[str]) -> int:
    return len({one.subject for one in entries if one.payload.get("stage") in names})


def standing_denials(entries: Iterable[Entry]) -> list[Entry]:
    """Return the decisions by which something is refused until now: the last one about it says so. Pure."""
    last: dict[tuple[str, str], Entry] = {}
    for one in entries:
        last[one.subject, str(one.payload.get("stage"))] = one
    return [one for one in last.values() if one.payload.get("decision") != "allow"]


def _things(entries: Iterable[Entry], names: frozenset[str]) -> list[Thing]:
    return [
        Thing(
            f"{one.subject.partition(':')[0]} {short(one.subject)}",
            one.reason,
            one.at,
            "decision",
            str(one.seq),
        )
        for one in entries
        if one.payload.get("stage") in names
    ]


def short(subject: str) -> str:
    """Return the name of a commit or image as people know it. Pure."""
    value = subject.partition(":")[2]
    return value.removeprefix("sha256:")[:12]


def _findings(workspace: app.Workspace, since: int) -> tuple[list[Thing], int]:
    """Return the grave findings that are open, a problem once, and how many scans looked within the day."""
    from lemnis.app import findings_life

    store = findings_life.store(workspace)
    found: dict[str, Thing] = {}
    for row in store.rows(severity=int(_GRAVE), limit=2_000):
        one = row.finding
        where = f"{one.path}:{one.line}" if one.path else row.resource
        told = Thing(
            one.title,
            f"{one.severity.name.lower()}, {one.tool}: {where}",
            row.first_seen,
            "problem",
            row.problem,
        )
        found.setdefault(row.problem, told)
    return list(found.values()), store.scans_since(since)


def _sources(
    workspace: app.Workspace, since: int, silent: Iterable[str] | None
) -> tuple[int, tuple[Thing, ...]]:
    """Return how many events came within the day, and which sources are silent."""
    if silent is None:
        from lemnis.app.watching import silent_sources

        silent = silent_sources(workspace)
    events = 0
    last: dict[str, int] = {}
    for one in app.events(workspace).histories(before=0):  # no hosts
        if one.host != ALL or (one.source, one.host) == LISTENING:
            continue
        events += sum(beat.events for beat in one.beats if beat.at >= since)
        last[one.source] = max((beat.last for beat in one.beats), default=0)
    found = tuple(
        Thing(
            f"{name} is silent",
            "it does not send what it taught to expect",
            last.get(name, 0),
            "source",
            name,
        )
        for name in sorted(silent)
    )
    return events, found


def _late(view: View) -> list[Thing]:
    """Return the incidents that somebody should have done something about by now."""
    found = []
    for one in view.standings:
        timer = one.next
        if one.incident.open and one.breached and timer is not None:
            why = f"the time to {timer.name} ran out"
            found.append(Thing(one.incident.title, why, timer.due, "incident", one.incident.id))
    return found


def _waiting(workspace: app.Workspace, hides: Callable[[Run], object] | None) -> list[Thing]:
    """Return the runs that wait for an approval or an answer."""
    from lemnis.app import respond

    return [
        Thing(one.playbook.replace("_", " "), one.outcome, one.started, "run", one.id)
        for one in respond.runs(workspace)
        if one.finished is None and not (hides and hides(one))
    ]


def _stage_of(workspace: app.Workspace, one: State) -> str:
    """Return the stage of the loop that a lesson leads to."""
    from lemnis.app.lesson_report import visible_from

    return _place(visible_from(workspace, one))


def by_stage(known: Iterable[tuple[str, bool]]) -> tuple[Taught, ...]:
    """Return how many lessons lead to the gate of each stage; of each is known whether it holds. Pure."""
    counts: dict[str, list[bool]] = {}
    for stage, proven in known:
        counts.setdefault(stage, []).append(proven)
    return tuple(Taught(stage, len(some), sum(some)) for stage, some in sorted(counts.items()))


def _place(stage: str) -> str:
    """Return the stage of the loop that a gate's stage is in."""
    return next((name for name, names in _GATES.items() if stage in names), "code")
