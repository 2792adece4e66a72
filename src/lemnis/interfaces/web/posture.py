"""Posture: what checks found, what is new, which controls are met by what, which threats there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import findings_life
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.check import Check
from lemnis.content.schemas.policy import Policy
from lemnis.content.schemas.threat import Threat
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.findings import Kind
from lemnis.interfaces.web import asking, site
from lemnis.interfaces.web.asking import Column
from lemnis.store.findings import Row

DAY = 86_400_000
NEW_DAYS = 30
MOST = 5_000


@dataclass(frozen=True, slots=True)
class Control:
    """A control: which checks and gates look at it, and how many findings are open that violate it."""

    id: str
    checks: tuple[str, ...]
    gates: tuple[str, ...]
    open: int

    @property
    def state(self) -> str:
        """What is known of it: nothing is, where nothing looks."""
        return "failed" if self.open else "watched"


COLUMNS: tuple[Column[Control], ...] = (
    Column("id", "Control", lambda row: row.id),
    Column("open", "Open findings", lambda row: row.open, up=False, numeric=True),
    Column("checks", "Checks", lambda row: len(row.checks), up=False, numeric=True),
    Column("gates", "Gates", lambda row: len(row.gates), up=False, numeric=True),
)


def controls(
    checks: Mapping[str, Check], gates: Mapping[str, Policy], findings: Iterable[Row]
) -> list[Control]:
    """Return the controls that checks, gates or findings name. Pure."""
    by_check: dict[str, set[str]] = {}
    by_gate: dict[str, set[str]] = {}
    for name, check in checks.items():
        for one in check.controls:
            by_check.setdefault(one, set()).add(name)
    for name, policy in gates.items():
        for one in policy.controls:
            by_gate.setdefault(one, set()).add(name)
    counts: dict[str, int] = {}
    for row in findings:
        mine = set(row.finding.controls) | set(
            checks[row.finding.rule_id].controls if row.finding.rule_id in checks else ()
        )
        for one in mine:
            counts[one] = counts.get(one, 0) + 1
    names = by_check.keys() | by_gate.keys() | counts.keys()
    return [
        Control(
            one, tuple(sorted(by_check.get(one, ()))), tuple(sorted(by_gate.get(one, ()))), counts.get(one, 0)
        )
        for one in sorted(names)
    ]


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
        counts = {
            level: sum(row.finding.severity.name == level for row in some)
            for level in ("CRITICAL", "HIGH", "MEDIUM", "LOW")
        }
        new = sum(row.first_seen > now - NEW_DAYS * DAY for row in some)
        told.append(Resource(name, counts["CRITICAL"], counts["HIGH"], counts["MEDIUM"], counts["LOW"], new))
    return sorted(told, key=lambda one: (-one.critical, -one.high, -one.medium, one.name))


def page(request: Request) -> Response:
    """Show resources, controls and threats."""
    here = site.at(request)
    now = here.workspace.clock.now()
    store = findings_life.store(here.workspace)
    rows: list[Row] = here.keep("config-findings", lambda: list(store.rows(limit=MOST)), 15).get()
    config = [row for row in rows if row.finding.kind is Kind.CONFIG]
    checks, gates, threats, problems = here.keep(
        f"controls:{here.library.digest}", lambda: content(here.library), 3_600
    ).get()
    how = asking.asked(request.query_params, ("q",), sort="-open")
    found = [one for one in controls(checks, gates, rows) if how.of("q").lower() in one.id.lower()]
    in_order, how = asking.ordered(found, COLUMNS, how)
    return here.page(
        request,
        "posture.html",
        title="Posture",
        here="/posture",
        resources=resources(config, now),
        columns=COLUMNS,
        asked=how,
        controls=in_order[:300],
        total=len(found),
        threats=threats,
        problems=problems,
        checks=len(checks),
        new=sum(row.first_seen > now - NEW_DAYS * DAY for row in config),
        days=NEW_DAYS,
        open=len(config),
    )


def content(library: Library) -> tuple[dict[str, Check], dict[str, Policy], dict[str, Threat], list[str]]:
    """Read the checks, gates and threats of the content, and what is wrong with some."""
    problems: list[str] = []
    checks: dict[str, Check] = {}
    gates: dict[str, Policy] = {}
    threats: dict[str, Threat] = {}
    for kind, model, into in (
        ("checks", Check, checks),
        ("policies", Policy, gates),
        ("threats", Threat, threats),
    ):
        for name, item in library.items(kind).items():
            try:
                into[name] = yaml.load(item.manifest, model)  # type: ignore[assignment]
            except LemnisError as error:
                problems.append(str(error))
    return checks, gates, threats, problems


ROUTES = (site.shows("/posture", page, "posture.read"),)
