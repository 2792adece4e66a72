"""Whether lessons prevent anything: each measured from the journal, git and the graph, and all told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lemnis import app
from lemnis.app import incidents, incidents_metrics, lesson_states, shelf
from lemnis.app.gates import DECISION
from lemnis.app.lesson_states import MERGED, PROVED, State
from lemnis.app.rates import limits
from lemnis.content import yaml
from lemnis.content.schemas.policy import Policy
from lemnis.contracts.alerts import EntityKind
from lemnis.contracts.clock import span
from lemnis.contracts.errors import LemnisError, NotFoundError
from lemnis.contracts.ids import Json
from lemnis.incidents.export import table
from lemnis.incidents.statistics import Share, share
from lemnis.lessons import measures as measuring
from lemnis.lessons.measures import RUNTIME, STAGES, Escape, Measures, Taught

_RUNS = frozenset(
    {
        EntityKind.WORKLOAD, EntityKind.HOST, EntityKind.ENDPOINT, EntityKind.CLOUD_RESOURCE,
        EntityKind.CLUSTER_OBJECT,
    }
)  # fmt: skip
"""Kinds that are exposed to a cause; images and containers of it come and go with what runs."""
_YEAR = 365.25
_TELLING = 7.0
"""Of fewer days nothing is said about a year."""


@dataclass(frozen=True, slots=True)
class Row:
    """A lesson as it stands, what was measured of it, and what its proof says of analysts' time a week."""

    state: State
    measures: Measures
    analyst: Mapping[str, Any] | None

    @property
    def precision(self) -> Share:
        """Return the share of its gate's blocks that were right, of those that came to an end."""
        return share(self.measures.right, self.measures.right + self.measures.wrong)


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause: how often it came again in how many days of an enforced gate; a year, with limits (95 %)."""

    name: str
    again: int
    days: float
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """All lessons, their causes, and the sums."""

    rows: tuple[Row, ...]
    causes: tuple[Cause, ...]

    @property
    def precision(self) -> Share:
        """Return the share of right blocks over all gates."""
        right = sum(one.measures.right for one in self.rows)
        return share(right, right + sum(one.measures.wrong for one in self.rows))

    def escaped(self, *, after: bool) -> Share:
        """Return the share of sightings that were only made where it runs, before or after the gates came."""
        found = [one.measures.after if after else one.measures.before for one in self.rows]
        return share(sum(one.escaped for one in found), sum(one.seen for one in found))


def report(workspace: app.Workspace) -> Report:
    """Measure every lesson as of now."""
    journal, now = app.journal(workspace), workspace.clock.now()
    states = lesson_states.list_(workspace)
    opened = {one.id: one.opened for one in incidents.incidents(workspace)}
    again: dict[str, dict[str, int]] = {}
    for repeat in incidents_metrics.table(workspace)[1]:
        again.setdefault(repeat.lesson, {})[repeat.incident] = opened[repeat.incident]
    enforced = {entry.subject: entry.at for entry in journal.entries(kind=MERGED)}
    proven: dict[str, int] = {}
    for entry in journal.entries(kind=PROVED):
        if entry.payload["proven"]:
            proven.setdefault(entry.subject, entry.at)
    stopped = measuring.blocks(journal.entries(kind=DECISION), {one.written.lesson.gate for one in states})
    rows = []
    for state in states:
        lesson = state.written.lesson
        taught = Taught(
            lesson=lesson.id, incident=lesson.incident, cause=_cause(state), gate=lesson.gate,
            state=state.state, opened=opened.get(lesson.incident), proven=proven.get(lesson.id),
            enforced=enforced.get(lesson.id), visible=visible_from(workspace, state),
            again=tuple(sorted(again.get(lesson.id, {}).items())),
        )  # fmt: skip
        runs = exposed(workspace, lesson.cause.commit, taught.opened, now)
        found = measuring.measure(taught, stopped[lesson.gate], now, exposed=runs)
        rows.append(Row(state, found, _analyst(state)))
    return Report(tuple(rows), causes(one.measures for one in rows))


def without(whole: Report, hidden: Callable[[str], object]) -> Report:
    """Return a report as who does not see some incidents is told: nothing in it counts one of these. Pure."""
    rows = []
    for one in whole.rows:
        taught = one.measures.taught
        if not hidden(taught.incident):
            again = tuple(pair for pair in taught.again if not hidden(pair[0]))
            rows.append(replace(one, measures=replace(one.measures, taught=replace(taught, again=again))))
    return Report(tuple(rows), causes(one.measures for one in rows))


def causes(found: Iterable[Measures]) -> tuple[Cause, ...]:
    """Return how often causes came again although there was a gate against them, the most frequent first."""
    made = []
    for name, (again, days) in measuring.recurrence(found).items():
        low, high = limits(again)
        scale = _YEAR / days if days > 0 else None
        rate, least, most = (None if scale is None else n * scale for n in (again, low, high))
        made.append(Cause(name, again, days, rate, least, most))
    return tuple(sorted(made, key=lambda one: (-one.again, one.name)))


def row(one: Row) -> dict[str, Json]:
    """Return what was measured of a lesson as JSON; times in ms."""
    found = one.measures
    return {
        "id": found.taught.lesson, "incident": found.taught.incident, "state": found.taught.state,
        "cause": found.taught.cause, "gate": found.taught.gate, "visible_from": found.taught.visible,
        "time_to_gate": found.to_gate, "recurrences": len(found.taught.again),
        "came_again": [name for name, _ in found.taught.again],
        "blocks": {"right": found.right, "wrong": found.wrong, "open": found.open},
        "precision": _share(one.precision), "developer_minutes": round(found.developer_minutes, 2),
        "escape": {"before": _escape(found.before), "after": _escape(found.after)},
        "exposure": {
            "before": found.exposed_before, "now": found.exposed_now, "removed": found.removed,
        },
        "analyst_minutes_a_week": None if one.analyst is None else dict(one.analyst),
    }  # fmt: skip


def document(whole: Report) -> dict[str, Json]:
    """Return a report as JSON."""
    return {
        "lessons": [row(one) for one in whole.rows],
        "causes": [
            {"cause": one.name, "came_again": one.again, "days": round(one.days, 2),
             "a_year": None if one.rate is None else {"rate": one.rate, "low": one.low, "high": one.high}}
            for one in whole.causes
        ],
        "precision": _share(whole.precision),
        "escape": {
            "before": _share(whole.escaped(after=False)), "after": _share(whole.escaped(after=True)),
        },
        "developer_minutes": round(sum(one.measures.developer_minutes for one in whole.rows), 2),
    }  # fmt: skip


COLUMNS = ("id", "state", "cause", "incident to gate", "came again", "blocks right, wrong, open",
           "developer minutes", "exposed before, now", "analyst minutes a week")  # fmt: skip


def cells(one: Row) -> tuple[str, ...]:
    """Return a lesson as people read it, by ``COLUMNS``."""
    found = one.measures
    was, now = ("?" if n is None else f"{n:,}" for n in (found.exposed_before, found.exposed_now))
    week = one.analyst
    return (
        found.taught.lesson, found.taught.state, found.taught.cause,
        "not yet" if found.to_gate is None else span(found.to_gate), str(len(found.taught.again)),
        f"{found.right}, {found.wrong}, {found.open}", f"{found.developer_minutes:,.3g}", f"{was}, {now}",
        "?" if week is None else f"{week['rate']:.3g} ({week['low']:.3g} to {week['high']:.3g})",
    )  # fmt: skip


def summary(whole: Report) -> list[str]:
    """Return what all lessons together did, a sentence each."""
    before, after = whole.escaped(after=False), whole.escaped(after=True)
    return [
        f"gate precision: {told(whole.precision)} of the blocks that came to an end were right",
        f"escape rate before the gates: {told(before)} of sightings only where it runs; after: {told(after)}",
        *(f"{one.name}: {_came_again(one)}" for one in whole.causes),
    ]


def _came_again(one: Cause) -> str:
    """Say how often a cause came again; by the year only where that many days say something of one."""
    often = {0: "never", 1: "once"}.get(one.again, f"{one.again:,} times")
    text = f"came again {often} in {f'{one.days:,.0f} days' if one.days >= _TELLING else 'less than a week'}"
    if one.rate is None or one.days < _TELLING:
        return text
    return f"{text}, {one.rate:.3g} times a year ({one.low:.3g} to {one.high:.3g}, 95 %)"


def markdown(whole: Report) -> str:
    """Return a report to keep and send."""
    lines = [f"- {line}" for line in summary(whole)]
    return "\n\n".join(
        ["# Lessons", table(COLUMNS, [cells(one) for one in whole.rows]), "\n".join(lines)]
    ) + "\n"  # fmt: skip


def told(one: Share) -> str:
    """Return a share for people, with the interval that it lies in."""
    if one.share is None:
        return "none yet"
    return f"{one.share:.0%} ({one.low:.0%} to {one.high:.0%}, {one.count} of {one.of})"


def _cause(state: State) -> str:
    """Return what a lesson's cause is called: that which its gate stops, else what the scanners said."""
    named = incidents_metrics.cause(state.proposed.payload) if state.proposed is not None else ""
    return named or ", ".join(state.written.lesson.cause.findings) or state.written.lesson.title


def visible_from(workspace: app.Workspace, state: State) -> str:
    """Return the earliest stage at which a lesson's gate looks."""
    written = state.written
    file = f"content/policies/{written.lesson.gate}/policy.yaml"
    try:
        text = shelf.repository(workspace).read(written.commit, file).decode(errors="replace")
        stages = yaml.load(text, Policy, file=file).stages
    except LemnisError:  # the gate is gone or broken, which `lesson check` tells
        return RUNTIME
    return min((one for one in stages if one in STAGES), key=STAGES.index, default=RUNTIME)


def exposed(
    workspace: app.Workspace, commit: str, opened: int | None, now: int
) -> tuple[int | None, int | None]:
    """Return how many things that run were exposed to a commit at an instant, and are now, by the graph."""
    if opened is None:
        return None, None
    from lemnis.app import graph

    def count(at: int) -> int:
        found = graph.impact(workspace, f"commit:{commit}", at, limit=0)
        own = next((one for one in found.causes if not one.way), None)
        return sum(n for kind, n in own.counts.items() if kind in _RUNS) if own is not None else 0

    try:
        return count(opened), count(now)
    except NotFoundError:
        return None, None


def _analyst(state: State) -> Mapping[str, Any] | None:
    """Return what the last proof says of the analysts' minutes a week."""
    if state.proved is None:
        return None
    history: Any = state.proved.payload.get("history") or {}
    found: Mapping[str, Any] | None = (history.get("cost") or {}).get("minutes_a_week")
    return found


def _share(one: Share) -> dict[str, Json]:
    return {"share": one.share, "count": one.count, "of": one.of, "low": one.low, "high": one.high}


def _escape(one: Escape) -> dict[str, Json]:
    return {
        "seen": one.seen, "escaped": one.escaped, "travelled": one.travelled,
        "rate": one.escaped / one.seen if one.seen else None,
    }  # fmt: skip
