"""What somebody sees of incidents and of what belongs to them: alerts, plans, runs, entries of the journal.

Rules of the stage ``access`` decide. What belongs to an incident is asked about as that incident first
(``incident.read``), then as itself, with the incident's owner, team and service. An incident that was merged
is seen by whoever sees the one that it went into too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from lemnis.app.access.permissions import Person, barred, concerning, looked_at
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import AccessError, NotFoundError
from lemnis.contracts.ids import Json

if TYPE_CHECKING:
    from lemnis.app.board import Board, Loose, View
    from lemnis.app.incidents_handling import Standing
    from lemnis.contracts.handling import Case
    from lemnis.contracts.incidents import AlertGroup
    from lemnis.contracts.journal import Entry
    from lemnis.respond.records import Run

_IDS = re.compile(rb"\b(?:in|al)-[0-9a-f]{16}\b")
_INCIDENT, _ALERT, _CASE = "in-", "al-", "case-"
_SHARED = ("owner", "team", "service")


def about_incident(one: Standing) -> dict[str, Json]:
    """Return what rules may know of an incident. Pure."""
    return {
        "kind": "incident", "id": one.incident.id, "owner": one.incident.owner,
        "team": next((asset.team for asset in one.assets if asset.team), ""),
        "service": next((name for asset in one.assets for name in asset.services), ""),
        "severity": one.weighed.severity.name.lower(),
    }  # fmt: skip


_READ = ("incident.read", "alert.read", "playbook.read")
"""What is asked here."""


@lru_cache(maxsize=200_000)
def _refused(person: Person, _rules: object, permission: str, about: tuple[tuple[str, Json], ...]) -> str:
    """Return why rules refuse: they decide the same of the same."""
    return barred(person, permission, dict(about))


def decided(person: Person, permission: str, about: Mapping[str, Json]) -> str:
    """Return why rules refuse somebody something about a thing; empty if none does.

    Asked once of all things that are alike in what the rules look at.
    """
    rules = concerning(person.rules, permission)
    if not rules:
        return ""
    alike = tuple((name, about.get(name, "")) for name in looked_at(rules))
    return _refused(person, person.rules, permission, alike)


class Eyes:
    """What one person sees, as things stand; made for one request: each incident is decided on once.

    What roles and tokens give is asked elsewhere (``require``): here is only what rules take away.
    """

    def __init__(self, person: Person, board: Board) -> None:
        """The board is brought up to date when something is asked of it first."""
        self.person, self._last = person, board
        self._looked = False
        self._known: dict[str, str] = {}
        self._cases: dict[str, str] = {}
        self._standing: dict[str, Standing | None] = {}
        self._all = not any(concerning(person.rules, one) for one in _READ)

    @property
    def all(self) -> bool:
        """Whether no rule can take anything away of incidents and what belongs to them."""
        return self._all

    @property
    def _board(self) -> Board:
        if not self._looked:
            self._looked = True
            self._last.look()
        return self._last

    # -- asked with an id: why it may not be seen, empty if it may ---------------------------------------

    def incident(self, name: str) -> str:
        """Return why an incident may not be seen; empty if it may, or if there is none of this id."""
        if self._all:
            return ""
        if name not in self._known:
            self._known[name] = ""  # so that what was merged in a ring ends
            one = self._stands(name)
            if one is not None:
                into = one.incident.merged_into
                self._known[name] = self._ask("incident.read", about_incident(one)) or (
                    self.incident(into) if into else ""
                )
        return self._known[name]

    def alert(self, name: str, severity: Severity) -> str:
        """Return why an alert may not be seen: its incidents may not, or it may not itself."""
        if self._all:
            return ""
        inside = self._board.holders(name)
        why = next(filter(None, map(self.incident, inside)), "")
        return why or self._ask(
            "alert.read",
            {"kind": "alert", "id": name, "severity": severity.name.lower(), **self._of(inside[:1])},
        )

    def plan(self, digest: str, incident: str, author: str) -> str:
        """Return why a plan may not be seen."""
        return self._response("plan", digest, incident, author)

    def run(self, one: Run) -> str:
        """Return why a run may not be seen."""
        return self._response("run", one.id, one.incident_id, one.actor)

    def about(self, kind: str, name: str, incident: str, author: str) -> dict[str, Json]:
        """Return what rules may know of a plan or run: what it has of its incident, too."""
        mine = self._stands(incident)
        severity = mine.weighed.severity.name.lower() if mine is not None else ""
        return {
            "kind": kind, "id": name, "author": author, "severity": severity, **self._of((incident,)),
        }  # fmt: skip

    def entry(self, one: Entry) -> str:
        """Return why an entry of the journal may not be seen: what it is about, or names, may not be."""
        if self._all:
            return ""
        named = {key: value for key, value in one.payload.items() if key != "event"}  # others wrote the event
        ids = set(_IDS.findall(f"{one.subject} {one.reason} ".encode() + orjson.dumps(named, default=str)))
        inside = {
            incident
            for name in map(bytes.decode, ids)
            for incident in ((name,) if name.startswith(_INCIDENT) else self._board.holders(name))
        }
        return self.subject(one) or next(filter(None, map(self.incident, sorted(inside))), "")

    def subject(self, one: Entry) -> str:
        """Return why what an entry is about may not be seen."""
        if one.subject.startswith(_ALERT):
            severity = one.payload.get("severity", 0)
            return self.alert(one.subject, Severity(severity) if isinstance(severity, int) else Severity(0))
        if one.subject.startswith(_CASE):
            return self._inside(one.subject)
        return self.incident(one.subject) if one.subject.startswith(_INCIDENT) else ""

    def case(self, one: Case) -> str:
        """Return why a case may not be seen: one of the incidents that it is over may not."""
        return next(filter(None, map(self.incident, one.incidents)), "")

    # -- of what there is ------------------------------------------------------------------------------

    def sees(self, one: Standing) -> bool:
        """Say whether an incident is seen."""
        return not self.incident(one.incident.id)

    def sees_alone(self, one: Loose) -> bool:
        """Say whether alerts that are in no incident are seen: they are asked about by the first."""
        return not self.alert(one.id, one.group.severity)

    def sees_group(self, incident: str, group: AlertGroup) -> bool:
        """Say whether alerts of one rule are seen; ``incident`` is empty where they are in none."""
        if incident and self.incident(incident):
            return False
        return not self.alert(group.alerts[0][0], group.severity)

    def view(self, view: View) -> View:
        """Return what there is without what may not be seen; the same where nothing is left out."""
        if self._all:
            return view
        standings = tuple(one for one in view.standings if self.sees(one))
        loose = tuple(one for one in view.loose if self.sees_alone(one))
        if len(standings) == len(view.standings) and len(loose) == len(view.loose):
            return view
        return type(view)(view.seq, standings, loose)

    # -- inside ----------------------------------------------------------------------------------------

    def _inside(self, case: str) -> str:
        """Return why what a case is over may not be seen."""
        if case not in self._cases:
            names = () if self._all else self._board.inside(case)
            self._cases[case] = next(filter(None, map(self.incident, names)), "")
        return self._cases[case]

    def _response(self, kind: str, name: str, incident: str, author: str) -> str:
        if self._all:
            return ""
        return self.incident(incident) or self._ask("playbook.read", self.about(kind, name, incident, author))

    def _stands(self, name: str) -> Standing | None:
        if name not in self._standing:
            try:
                self._standing[name] = self._board.standing(name)
            except NotFoundError:
                self._standing[name] = None
        return self._standing[name]

    def _of(self, incidents: tuple[str, ...]) -> dict[str, Json]:
        """Return what something has of the incident that it belongs to."""
        for one in filter(None, map(self._stands, incidents)):
            known = about_incident(one)
            return {name: known[name] for name in _SHARED}
        return {}

    def _ask(self, permission: str, about: Mapping[str, Json]) -> str:
        return decided(self.person, permission, about)


def shown(why: str) -> None:
    """Raise AccessError where there is a reason that something may not be seen."""
    if why:
        raise AccessError(why, fix="a rule of the stage access decides so; ask who wrote it")
