"""What alerts say of findings: those of what is attacked come first, and exceptions there are void.

An alert is about a container; by the graph that is an image, a commit and a repository, whose findings it
raises. Which exception is void is what the gates say, in their words.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from heapq import nlargest
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.app.feedback_live import RUNNING, Living
from lemnis.contracts.alerts import Entity, Severity
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import ContentError, LemnisError
from lemnis.contracts.findings import Finding
from lemnis.contracts.handling import Priority
from lemnis.contracts.ids import Json

if TYPE_CHECKING:
    from lemnis.app.findings_life import Problem
    from lemnis.policy.decide import Exempt
    from lemnis.store.git import Repository

DAYS = 30
"""Alerts of so many days count."""
_DAY = 86_400_000
_ALERT = "alert"
_ENTITIES = 2_000
_BASE: Mapping[Severity, Priority] = {
    Severity.FATAL: Priority.CRITICAL, Severity.CRITICAL: Priority.CRITICAL, Severity.HIGH: Priority.HIGH,
    Severity.MEDIUM: Priority.MEDIUM,
}  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Touched:
    """The newest alert about something: its time (ms), its id, and what it was about."""

    at: int
    alert: str
    where: str


def prioritised(severity: Severity, *, exploited: bool, touched: Touched | None) -> tuple[Priority, str]:
    """Return how urgent a finding is, and why: its severity, a step more for each of the other two. Pure."""
    base = _BASE.get(severity, Priority.LOW)
    because = [severity.name.lower()]
    if exploited:
        because.append("known exploited")
    if touched is not None:
        because.append(f"an alert of {to_iso(touched.at)[:10]} on {touched.where} ({touched.alert})")
    return Priority(min(base + len(because) - 1, Priority.CRITICAL)), ", ".join(because)


class Newest:
    """The newest alert about each entity, for any number of threads: what was written since is read."""

    def __init__(self, workspace: app.Workspace) -> None:
        self._journal = app.journal(workspace)
        self._lock = threading.Lock()
        self._seq = 0
        self._known: dict[Entity, Touched] = {}

    def look(self) -> Mapping[Entity, Touched]:
        """Return what there is now."""
        with self._lock:
            newest = dict(self._known)
            for entry in self._journal.entries(kind=_ALERT, after=self._seq):
                payload: Mapping[str, Any] = entry.payload
                for text in payload.get("entities", ()):
                    entity = Entity.parse(str(text))
                    one = Touched(int(payload.get("time", 0)), entry.subject, str(entity))
                    newest[entity] = max(newest.get(entity, one), one)
                self._seq = entry.seq
            self._known = newest
            return newest


class Attacked:
    """What alerts of the last days were about, by the names under which scans know it."""

    def __init__(self, workspace: app.Workspace, *, days: int = DAYS, alerts: Newest | None = None) -> None:
        """``alerts`` is what was read of them before, if something was."""
        self._alerts = alerts or Newest(workspace)
        self._workspace = workspace
        self._since = workspace.clock.now() - days * _DAY

    def touched(self, names: Iterable[str]) -> Touched | None:
        """Return the newest alert about any of these names; None if there is none."""
        found = (self._by_name.get(name.lower()) for name in names if name)
        return max((one for one in found if one is not None), default=None)

    def row(self, told: Mapping[str, Any]) -> dict[str, Json]:
        """Return the priority of a finding as lists have it, and why."""
        known = told["vulnerability"] or {}
        names = (str(told[name] or "") for name in ("resource", "revision", "about"))
        level, because = prioritised(
            Severity[str(told["severity"]).upper()],
            exploited=bool((known.get("kev") or {}).get("exploited")),
            touched=self.touched(names),
        )
        return {"priority": level.name.lower(), "priority_because": because}

    def problem(self, one: Problem) -> dict[str, Json]:
        """Return the priority of a problem, and why: that of the most urgent of its findings."""
        level, because = max(self._of(row.finding, row.resource) for row in one.rows)
        return {"priority": level.name.lower(), "priority_because": because}

    def _of(self, finding: Finding, resource: str) -> tuple[Priority, str]:
        known = finding.vulnerability
        touched = self.touched((resource, resource.rpartition("@")[2], finding.resource))
        exploited = bool(known and known.exploited)
        return prioritised(finding.severity, exploited=exploited, touched=touched)

    @cached_property
    def _by_name(self) -> dict[str, Touched]:
        newest = {entity: one for entity, one in self._alerts.look().items() if one.at >= self._since}
        found: dict[str, Touched] = {}
        for entity, one in newest.items():
            _newer(found, entity.value, one)
        look = Living(self._workspace)
        running = (pair for pair in newest.items() if pair[0].kind in RUNNING) if look.knows else ()
        some = nlargest(_ENTITIES, running, key=lambda pair: pair[1].at)
        look.foresee(entity for entity, _ in some)
        for entity, one in some:
            for where, name in look.called([entity], one.at):
                _newer(found, name, Touched(one.at, one.alert, str(where)))
        return found


def _newer(found: dict[str, Touched], name: str, one: Touched) -> None:
    key = name.lower()
    if key not in found or found[key] < one:
        found[key] = one


def told(workspace: app.Workspace, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Json]]:
    """Return rows of findings with their priority, why, and the exception that is or was for them."""
    attacked, excused = Attacked(workspace), _Excused(workspace, rows)
    return [{**row, **attacked.row(row), "exception": excused.of(row)} for row in rows]


class _Excused:
    """The exceptions of a workspace as the gates judge them, for rows of findings."""

    def __init__(self, workspace: app.Workspace, rows: Sequence[Mapping[str, Any]]) -> None:
        self._workspace = workspace
        self._problem = ""
        self._by_resource: dict[str, tuple[Exempt, ...]] = {}
        if not (workspace.content / "exceptions").is_dir():
            return
        of: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            of.setdefault(str(row["resource"]), []).append(row)
        try:
            self._by_resource = {name: self._judged(name, some) for name, some in of.items()}
        except ContentError as error:
            self._problem = f"unknown: {error}"

    def of(self, row: Mapping[str, Any]) -> str:
        """Return the exception for a finding and until when, or why it does not count any more."""
        now = self._workspace.clock.now()
        where = f"{row['path']}:{row['line']}"
        fitting = [
            one
            for one in self._by_resource.get(str(row["resource"]), ())
            if (one.fingerprint and one.fingerprint == row["id"])
            or (one.where and row["path"] and fnmatchcase(where, one.where))
        ]
        ended = [one.ended(now) for one in fitting]
        held = next((o for o, end in zip(fitting, ended, strict=True) if not end), None)
        if held is not None:
            return f"{held.name} until {held.expires}"
        return "; ".join(ended) or self._problem

    def _judged(self, resource: str, rows: Sequence[Mapping[str, Any]]) -> tuple[Exempt, ...]:
        from lemnis.app import gate_facts, policies

        content = app.library(self._workspace)
        allowed = policies.exceptions(content)
        repository = _repository(self._workspace, resource)
        findings = [
            Finding(str(r["id"]), "", "", "", Severity.UNKNOWN, str(r["path"]), int(r["line"]), 0)
            for r in rows
        ]
        return gate_facts.exceptions(
            self._workspace, content, allowed, repository=repository, findings=findings
        )


def code_of(workspace: app.Workspace, name: str) -> tuple[Repository | None, list[Finding]]:
    """Return a repository of the settings, None if it is not here, and the findings that are kept of it."""
    from lemnis.app import findings_life

    rows = findings_life.store(workspace).rows(resource=name)
    return _repository(workspace, name), [row.finding for row in rows]


def _repository(workspace: app.Workspace, name: str) -> Repository | None:
    from lemnis.app import pipeline, settings

    try:
        return pipeline.open_repository(settings.repository(workspace, name).path)
    except LemnisError:  # an image, a folder, or a repository that is not here: no code to trace to
        return None
