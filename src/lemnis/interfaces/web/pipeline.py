"""The pipeline: what gates decided by service and stage, findings by priority, exceptions that end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import feedback_findings, findings_life, gates, policies
from lemnis.app.access import naming
from lemnis.app.loop import short
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import LemnisError, NotFoundError
from lemnis.contracts.journal import Entry
from lemnis.interfaces.web import asking, site
from lemnis.interfaces.web.asking import Column
from lemnis.policy.decide import Exempt

DAY = 86_400_000
SOON_DAYS = 30
FILTERS = ("q", "severity", "resource")
STAGES = ("editor", "commit", "pull_request", "build", "release", "deploy", "runtime")
SIZE, MOST = 100, 5_000


# -- what is shown, pure -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decided:
    """A gate's last word on something."""

    seq: int
    at: int
    stage: str
    subject: str
    name: str
    service: str
    effect: str
    why: str
    reasons: int


def decided(entry: Entry) -> Decided:
    """Return a decision as a line. Pure."""
    p: Mapping[str, Any] = entry.payload
    facts = p.get("attestation")
    service = p.get("repository") or (facts.get("repository") if isinstance(facts, Mapping) else "") or "?"
    return Decided(
        entry.seq, entry.at, str(p.get("stage", "")), entry.subject, short(entry.subject), str(service),
        str(p.get("decision", "")), entry.reason, len(p.get("reasons") or ()),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gate:
    """A service at a stage: how many things were judged there, how often no, and the last word."""

    allowed: int
    denied: int
    unknown: int
    last: Decided


def gates_by_service(found: Iterable[Decided]) -> dict[str, dict[str, Gate]]:
    """Return for each service and stage how its gate did; of each thing the last word counts. Pure."""
    last: dict[tuple[str, str, str], Decided] = {}
    for one in found:
        last[one.service, one.stage, one.subject] = one
    cells: dict[str, dict[str, list[Decided]]] = {}
    for one in last.values():
        cells.setdefault(one.service, {}).setdefault(one.stage, []).append(one)
    return {
        service: {stage: _gate(some) for stage, some in stages.items()}
        for service, stages in sorted(cells.items())
    }


def _gate(some: Sequence[Decided]) -> Gate:
    counts = {effect: sum(one.effect == effect for one in some) for effect in ("allow", "deny", "unknown")}
    return Gate(counts["allow"], counts["deny"], counts["unknown"], max(some, key=lambda one: one.seq))


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem that scanners found, as a line."""

    id: str
    title: str
    severity: str
    level: int
    priority: str
    because: str
    where: str
    resource: str
    tools: tuple[str, ...]
    first: int
    fix: str

    @property
    def text(self) -> str:
        """What the filter looks in."""
        return f"{self.id} {self.title} {self.where} {self.resource} {' '.join(self.tools)}".lower()


PRIORITIES = ("unknown", "low", "medium", "high", "critical")
COLUMNS: tuple[Column[Problem], ...] = (
    Column("priority", "Priority", lambda row: (PRIORITIES.index(row.priority), row.level), up=False),
    Column("title", "Finding", lambda row: row.title.lower()),
    Column("where", "Where", lambda row: (row.resource, row.where)),
    Column("first", "First seen", lambda row: row.first, up=False),
)


def problem(one: findings_life.Problem, priority: Mapping[str, Any]) -> Problem:
    """Return a problem as a line. Pure."""
    chief = one.chief.finding
    where = f"{chief.path}:{chief.line}" if chief.path else chief.resource
    return Problem(
        one.id,
        chief.title,
        chief.severity.name.lower(),
        int(chief.severity),
        str(priority.get("priority", "unknown")),
        str(priority.get("priority_because", "")),
        where,
        one.chief.resource,
        tuple(sorted({row.finding.tool for row in one.rows})),
        min(row.first_seen for row in one.rows),
        chief.fix,
    )


@dataclass(frozen=True, slots=True)
class Ending:
    """An exception, and how many days it still holds; below zero it is over."""

    name: str
    policy: str
    where: str
    expires: str
    days: int


def ending(found: Iterable[Exempt], now: int) -> list[Ending]:
    """Return exceptions, the next to end first. Pure."""
    today = datetime.fromtimestamp(now / 1000, UTC).date()
    told = []
    for one in found:
        left = (datetime.fromisoformat(one.expires).date() - today).days
        told.append(Ending(one.name, one.policy, one.where or one.fingerprint, one.expires, left))
    return sorted(told, key=lambda one: (one.days, one.name))


# -- pages -------------------------------------------------------------------------------------------------


def page(request: Request) -> Response:
    """Show gates, findings and exceptions."""
    here = site.at(request)
    journal = app.journal(here.workspace)
    every = [decided(one) for one in journal.entries(kind=gates.DECISION)]
    cells = gates_by_service(every)
    stages = [one for one in STAGES if any(one in row for row in cells.values())]
    how = asking.asked(request.query_params, FILTERS, sort="-priority")
    problems: list[Problem] = here.keep("problems", lambda: _problems(here.workspace), 15).get()
    some = [
        one
        for one in problems
        if all(word in one.text for word in how.of("q").lower().split())
        and how.of("severity") in {"", one.severity}
        and how.of("resource") in {"", one.resource}
    ]
    rows, how = asking.ordered(some, COLUMNS, how)
    exceptions, trouble = _exceptions(here)
    shown = asking.paged(rows, how, SIZE)
    recent = sorted(every, key=lambda one: -one.seq)[:20]
    said = [text for row in shown.rows for text in (row.title, row.because, row.where)]
    said += [text for one in recent for text in (one.why, one.name, one.service)]
    site.see(request, naming.addressed([*said, *cells, *(f"{one.name} {one.where}" for one in exceptions)]))
    return here.page(
        request,
        "pipeline.html",
        title="Pipeline",
        here="/pipeline",
        cells=cells,
        stages=stages,
        columns=COLUMNS,
        asked=how,
        page=shown,
        recent=recent,
        resources=sorted({one.resource for one in problems}),
        exceptions=exceptions,
        trouble=trouble,
        soon=SOON_DAYS,
        total=len(problems),
    )


def _problems(workspace: app.Workspace) -> list[Problem]:
    attacked = feedback_findings.Attacked(workspace)
    found = findings_life.problems(workspace, limit=MOST)
    return [problem(one, attacked.problem(one)) for one in found]


def _exceptions(here: site.Site) -> tuple[list[Ending], str]:
    try:
        return ending(policies.exceptions(here.library), here.workspace.clock.now()), ""
    except LemnisError as error:
        return [], str(error)


def decision(request: Request) -> Response:
    """Show one decision with its reasons, and what was said of the same thing before."""
    here = site.at(request)
    text = request.path_params["seq"]
    journal = app.journal(here.workspace)
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0  # noqa: PLR2004 - digits of 64 bits
    named = next(iter(journal.some(number - 1, 1)), None)
    entry = None
    if named is not None and named.seq == number and named.kind == gates.DECISION:
        entry = journal.get(named.key)
    if entry is None:
        raise NotFoundError(f"no decision {text!r}", fix="the pipeline lists them")
    p: Mapping[str, Any] = entry.payload
    before = [
        one for one in journal.entries(kind=gates.DECISION, subject=entry.subject) if one.seq != entry.seq
    ]
    site.see(request, naming.addressed([entry.reason, *naming.texts(p)]), about=entry.subject)
    return here.page(
        request,
        "decision.html",
        title=f"{decided(entry).stage} gate: {decided(entry).effect}",
        here="/pipeline",
        one=decided(entry),
        reasons=list(p.get("reasons") or ()),
        exceptions=list(p.get("exceptions") or ()),
        content=str(p.get("content", "")),
        before=[decided(one) for one in reversed(before)][:20],
    )


def finding(request: Request) -> Response:
    """Show one problem: what every tool says of it, how it came in, how to mend it."""
    here = site.at(request)
    one = findings_life.problem(here.workspace, request.path_params["id"])
    attacked = feedback_findings.Attacked(here.workspace)
    chief = one.chief.finding
    said = [chief.title, chief.message, chief.snippet, chief.fix, *(row.because for row in one.rows)]
    site.see(request, naming.addressed([*said, one.chief.resource, chief.path]), about=one.id)
    return here.page(
        request, "finding.html", title=one.chief.finding.title, here="/pipeline", one=one,
        shown=problem(one, attacked.problem(one)), severity=Severity,
    )  # fmt: skip


ROUTES = (
    site.shows("/pipeline", page, "gate.read"),
    site.shows("/pipeline/decision/{seq}", decision, "gate.read"),
    site.shows("/pipeline/problem/{id}", finding, "finding.read"),
)
