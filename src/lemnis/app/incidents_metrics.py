"""How well a workspace's incidents are handled, from its journal: by detection, team and service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.app import incidents
from lemnis.app.incidents_handling import Desk, handlings
from lemnis.app.instants import instant
from lemnis.contracts.incidents import Incident
from lemnis.incidents.handled import NOTHING
from lemnis.incidents.statistics import Lesson, Measured, Repeat, Row, measured, repeated, rows

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal

PROPOSED, MERGED = "lesson.proposed", "lesson.merged"
_AGO = re.compile(r"([1-9][0-9]{0,4})(h|d|w)")
_UNITS = {"h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}


def table(
    workspace: app.Workspace, *, by: str = "", since: int | None = None
) -> tuple[list[Row], list[Repeat]]:
    """Return a row for each detection, team or service (``by``; empty: one for all), and what came again.

    Only incidents that were opened from a time (ms) on; those that were merged into others count with them.
    """
    known = {one.id: one for one in incidents.incidents(workspace)}
    journal, desk = app.journal(workspace), Desk(workspace)
    worked = handlings(journal)
    found: list[Measured] = [
        measured(one, worked.get(one.id, NOTHING), desk.assets(one))
        for one in known.values()
        if not one.merged_into and (since is None or one.opened >= since)
    ]
    lessons, causes = _lessons(journal, known)
    repeats = repeated(lessons, (one.incident for one in found), causes)
    return rows(found, by, repeats), repeats


def begin(text: str, now: int) -> int:
    """Read from when on: a time, or how long ago, as ``90d``; raises UsageError."""
    ago = _AGO.fullmatch(text)
    return now - int(ago[1]) * _UNITS[ago[2]] if ago else instant(text)


def _lessons(journal: SqlJournal, known: Mapping[str, Incident]) -> tuple[list[Lesson], dict[str, str]]:
    """Return the lessons that were closed, and the cause of each incident of which a lesson tells one."""
    proposed = {entry.subject: entry for entry in journal.entries(kind=PROPOSED)}
    causes = {str(entry.payload["incident"]): cause(entry.payload) for entry in proposed.values()}
    closed: list[Lesson] = []
    for entry in journal.entries(kind=MERGED):
        told = proposed.get(entry.subject)
        if told is not None:
            incident = str(told.payload["incident"])
            one = known.get(incident)
            rules = frozenset(group.rule_id for group in one.groups) if one else frozenset()
            closed.append(Lesson(entry.subject, entry.at, incident, rules, causes[incident]))
    return closed, causes


def cause(payload: Mapping[str, Any]) -> str:
    """Return what let an incident happen, as its lesson's gate names it: the weaknesses that it stops."""
    for gate in payload.get("gates") or ():
        if gate.get("chosen"):
            weaknesses = [f"CWE-{number}" for number in gate.get("weaknesses") or ()]
            return ", ".join(weaknesses or map(str, gate.get("rules") or [gate.get("scope", "")]))
    return ""
