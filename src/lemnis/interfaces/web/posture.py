"""Posture: which checks fail, where, and since when; the way to attack paths, drift, controls and risks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import controls as evidenced
from lemnis.app import findings_life
from lemnis.app.access import naming
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.findings import NOT_JUDGED, Kind
from lemnis.interfaces.web import asking, controls, paths, risk, site
from lemnis.interfaces.web.asking import Column
from lemnis.store.findings import Row

FILTERS = ("q", "severity")
LEVELS = ("critical", "high", "medium", "low")
DAY = 86_400_000
NEW_DAYS, MOST, SIZE = 30, 10_000, 100


@dataclass(frozen=True, slots=True)
class Failing:
    """A check, or a rule of another tool, that fails: where, and since when at the longest."""

    rule: str
    tool: str
    title: str
    severity: str
    level: int
    resources: int
    open: int
    new: int
    since: int
    ours: bool


COLUMNS: tuple[Column[Failing], ...] = (
    Column("severity", "Severity", lambda row: (row.level, row.open), up=False),
    Column("title", "Check", lambda row: row.title.lower()),
    Column("open", "Fails", lambda row: row.open, up=False, numeric=True),
    Column("resources", "In", lambda row: row.resources, up=False, numeric=True),
    Column("new", "New", lambda row: row.new, up=False, numeric=True),
    Column("since", "Since", lambda row: row.since),
)


def failing(rows: Iterable[Row], checks: Mapping[str, object], now: int) -> list[Failing]:
    """Return the checks that fail, each once; ``checks`` are those of the content. Pure."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.finding.rule_id != NOT_JUDGED:
            ours = row.finding.rule_id in checks
            found.setdefault((row.finding.rule_id, "" if ours else row.finding.tool), []).append(row)
    told = []
    for (rule, tool), some in found.items():
        worst = max(row.finding.severity for row in some)
        places, since = {row.resource for row in some}, min(row.first_seen for row in some)
        told.append(
            Failing(
                rule, tool, some[0].finding.title, worst.name.lower(), int(worst), len(places), len(some),
                _new(some, now), since, rule in checks,
            )
        )  # fmt: skip
    return told


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that was checked: how many findings are open on it by severity, and how many are new."""

    name: str
    critical: int
    high: int
    medium: int
    low: int
    new: int


def resources(findings: Sequence[Row], now: int) -> list[Resource]:
    """Return the resources with open findings of configuration, the worst first. Pure."""
    by_name: dict[str, list[Row]] = {}
    for row in findings:
        by_name.setdefault(row.resource, []).append(row)
    told = []
    for name, some in by_name.items():
        n = Counter(row.finding.severity for row in some)
        told.append(
            Resource(
                name, n[Severity.CRITICAL], n[Severity.HIGH], n[Severity.MEDIUM], n[Severity.LOW],
                _new(some, now),
            )
        )  # fmt: skip
    return sorted(told, key=lambda one: (-one.critical, -one.high, -one.medium, one.name))


def _new(rows: Iterable[Row], now: int) -> int:
    return sum(row.first_seen > now - NEW_DAYS * DAY for row in rows)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the other pages about posture would say; None is not known yet."""

    paths: int | None
    failed: int | None
    unseen: int | None
    risks: int
    overdue: int


def figures(here: site.Site) -> Figures:
    """Return how much the other pages have to say; what is worked out beside them is not waited for."""
    register = risk.register(here).risks
    try:
        known = paths.found(here)
    except LemnisError:  # that page says what is wrong
        known = None
    try:
        told = controls.known(here)
    except LemnisError:  # the same
        told = None
    states = [one.state for one in told[1]] if told else []
    return Figures(
        None if known is None else len(known.paths),
        states.count(evidenced.FAILED) if told else None,
        states.count(evidenced.UNSEEN) if told else None,
        len(register),
        sum(one.overdue for one in register),
    )


def config(here: site.Site) -> list[Row]:
    """Return the open findings of configuration, at most some seconds old."""
    rows: list[Row] = here.keep(
        "config-findings",
        lambda: list(findings_life.store(here.workspace).rows(kind=Kind.CONFIG, limit=MOST)),
        15,
    ).get()
    return rows


def page(request: Request) -> Response:
    """Show what fails, where, and where to look on."""
    here = site.at(request)
    now, rows = here.workspace.clock.now(), config(here)
    checks = here.library.items("checks")
    how = asking.asked(request.query_params, FILTERS, sort="-severity")
    every = failing(rows, checks, now)
    some = [
        one
        for one in every
        if all(word in f"{one.rule} {one.title} {one.tool}".lower() for word in how.of("q").lower().split())
        and how.of("severity") in {"", one.severity}
    ]
    in_order, how = asking.ordered(some, COLUMNS, how)
    unjudged = [row for row in rows if row.finding.rule_id == NOT_JUDGED]
    names = [text for row in rows for text in (row.resource, row.finding.title)]
    site.see(request, naming.addressed([*names, *(row.finding.message for row in unjudged)]))
    return here.page(
        request, "posture.html", title="Posture", here="/posture", resources=resources(rows, now)[:SIZE],
        columns=COLUMNS, asked=how, page=asking.paged(in_order, how, SIZE), failing=len(every), levels=LEVELS,
        figures=figures(here), new=_new(rows, now), days=NEW_DAYS, open=len(rows), most=MOST,
        unjudged=unjudged[:20], checks=len(checks),
    )  # fmt: skip


ROUTES = (site.shows("/posture", page, "posture.read"),)
