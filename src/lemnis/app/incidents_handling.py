"""Incidents as they are worked on: priority, phase, roles, tasks, links, timers; read and decided."""

from __future__ import annotations

import heapq
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import incidents
from lemnis.app.grouping_file import load_grouping
from lemnis.app.instants import instant
from lemnis.app.resting import uncollected
from lemnis.content import yaml
from lemnis.content.library import REFERENCE, Library
from lemnis.content.schemas.grouping import Risk
from lemnis.content.schemas.handling import Handling as Policy
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.handling import (
    Asset,
    Handling,
    Phase,
    Priority,
    Role,
    TaskState,
    Timer,
    Weighed,
)
from lemnis.contracts.incidents import AlertGroup, Incident
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.correlate.risk import Points
from lemnis.incidents import handling as writing
from lemnis.incidents import sla
from lemnis.incidents.handled import NOTHING, handled
from lemnis.incidents.priority import weigh
from lemnis.store.database import filled

if TYPE_CHECKING:
    from lemnis.app.assets import Known
    from lemnis.app.enriching import Enriching
    from lemnis.app.feedback_live import Living
    from lemnis.enrich import Tables
    from lemnis.store.journal import SqlJournal

POLICY = "default"
_AHEAD = re.compile(r"([1-9][0-9]{0,4})(m|h|d|w)")
_UNITS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_ENTITIES = 200
"""So many entities of an incident, the most frequent, are looked up: the others hardly change its worth."""
_ACTORS = frozenset({EntityKind.USER, EntityKind.PRINCIPAL, EntityKind.HOST, EntityKind.WORKLOAD,
                     EntityKind.ADDRESS, EntityKind.CONTAINER, EntityKind.CREDENTIAL})  # fmt: skip
"""Kinds whose single things can be at risk; all alerts of a commit or a file are so by their rule."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An incident with how it is worked on, as it stands now: what it weighs, what is due."""

    incident: Incident
    handling: Handling
    weighed: Weighed
    timers: tuple[Timer, ...]
    assets: tuple[Asset, ...]

    @property
    def breached(self) -> bool:
        """Say whether something that is not done should be by now."""
        return any(one.state == "breached" for one in self.timers)

    @property
    def next(self) -> Timer | None:
        """Return what is due next."""
        return sla.next_of(self.timers) if self.incident.open else None


class Desk:
    """What it takes to weigh incidents: the policy, the risks, what is known of assets; read once."""

    def __init__(
        self, workspace: app.Workspace, *, library: Library | None = None, journal: SqlJournal | None = None
    ) -> None:
        """Read the policy; raises ContentError with file, line and column."""
        self._workspace, self._journal = workspace, journal
        self._library = library = library or Library.open(workspace.content)
        self.policy = yaml.load(library.get("handling", POLICY).manifest, Policy)
        self._risk: Risk = load_grouping(library).risk
        self._enriching: Enriching | None = None
        self._counts = min(self.policy.priority.risk, default=sys.maxsize)

    def refresh(self) -> None:
        """Look again what is known of assets, and which findings are open."""
        self.__dict__.pop("_tables", None)
        if "_living" in self.__dict__:
            self._living.refresh()

    def foresee(self, incidents: Iterable[Incident]) -> None:
        """Read at once what weighing these incidents will ask of the graph."""
        self._living.foresee_incidents(incidents)

    def weigh(self, incident: Incident, handling: Handling = NOTHING) -> Weighed:
        """Return how severe and urgent an incident is."""
        return self._weigh(incident, handling, tuple(self.assets(incident)))

    def _weigh(self, incident: Incident, handling: Handling, assets: Sequence[Asset]) -> Weighed:
        counts = incident.risk >= self._counts  # no entity's risk is above the whole incident's
        risk = riskiest(incident, self._risk) if counts else ("", incident.risk)
        live = self._living.of_incident(incident)
        return weigh(incident, handling, assets, risk, self.policy, live=live)

    def stand(self, incident: Incident, handling: Handling = NOTHING) -> Standing:
        """Return how an incident stands now."""
        assets = tuple(self.assets(incident))
        weighed = self._weigh(incident, handling, assets)
        now = self._workspace.clock.now()
        timers = sla.timers(incident, handling, weighed.priority, self.policy, now)
        return Standing(incident, handling, weighed, timers, assets)

    def assets(self, incident: Incident) -> Iterator[Asset]:
        """Yield what was known of an incident's entities when it began."""
        if self._tables is None:
            return
        from lemnis.app.assets import known_of

        entities = list(incident.entities)[:_ENTITIES]
        for entity, known in known_of(self._tables, entities, incident.first_event).items():
            told = known.record
            yield Asset(
                str(entity), known.id, str(told.get("criticality") or ""), bool(told.get("privileged")),
                str(told.get("team") or told.get("owner") or ""),
                tuple(map(str, told.get("services") or ())),
            )  # fmt: skip

    @cached_property
    def _living(self) -> Living:
        from lemnis.app.feedback_live import Living

        return Living(self._workspace, self._journal)

    @cached_property
    def _tables(self) -> Tables | None:
        if not knows_assets(self._workspace, self._library):
            return None
        if self._enriching is None:
            from lemnis.app.enriching import Enriching

            self._enriching = Enriching(self._workspace)
        return self._enriching.tables()


def knows_assets(workspace: app.Workspace, library: Library) -> bool:
    """Say whether anything is known of assets: what reads it is loaded only then."""
    return any(library.items(kind) for kind in REFERENCE) or filled(app.engine(workspace), "reference")


def known_entities(workspace: app.Workspace, incident: Incident) -> Mapping[Entity, Known]:
    """Return what was known of an incident's entities when it began."""
    if not knows_assets(workspace, app.library(workspace)):
        return {}
    from lemnis.app import assets

    return assets.of_entities(workspace, incident.entities, incident.first_event)


def riskiest(incident: Incident, risk: Risk) -> tuple[str, int]:
    """Return the entity about which an incident's alerts amount to most, and to how much.

    Where they amount to no more about any one than about the first, the whole incident's risk is meant.
    """
    about: dict[Entity, list[AlertGroup]] = {}
    for group in incident.groups:
        for entity in group.entities:
            if entity.kind in _ACTORS:
                about.setdefault(entity, []).append(group)
    totals: dict[tuple[int, ...], int] = {}
    found: dict[Entity, int] = {}
    for entity, groups in about.items():
        if len({group.rule_id for group in groups}) > 1:
            same = tuple(map(id, groups))  # many entities are in the same alerts
            if same not in totals:
                points = Points()
                for group in groups:
                    points.put(group.rule_id, int(group.severity), group.first, group.tags)
                totals[same] = points.total(risk)
            found[entity] = totals[same]
    if not found:
        return "", incident.risk
    entity = min(found, key=lambda one: (-found[one], one))
    return str(entity), found[entity]


def handling_of(journal: SqlJournal, incident: Incident) -> Handling:
    """Return how one incident is worked on, with what those that were merged into it bring."""
    subjects = [*incident.merged_from, incident.id]
    streams = [journal.entries(subject=one) for one in subjects]
    return handled(_in_order(streams)).get(incident.id, NOTHING)


def standing(workspace: app.Workspace, incident: Incident) -> Standing:
    """Return how one incident stands."""
    return Desk(workspace).stand(incident, handling_of(app.journal(workspace), incident))


def standings(workspace: app.Workspace, known: Iterable[Incident]) -> list[Standing]:
    """Return how incidents stand; the journal's entries about handling are read once for all."""
    journal, desk = app.journal(workspace), Desk(workspace)
    all_of_them = handlings(journal)
    with uncollected():
        some = list(known)
        desk.foresee(some)
        return [desk.stand(one, all_of_them.get(one.id, NOTHING)) for one in some]


def chosen(
    known: Iterable[Standing], *, mine: str = "", least: Priority | None = None, breached: bool = False
) -> list[Standing]:
    """Return those that someone owns or has a role in, of a priority at least, that ran out: as asked.

    The most urgent come first: by priority, by what ran out, by severity and risk.
    """
    found = [
        one
        for one in known
        if (not mine or mine == one.incident.owner or mine in one.handling.roles.values())
        and (least is None or one.weighed.priority >= least)
        and (not breached or (one.breached and one.incident.open))
    ]
    return sorted(found, key=_urgency)


def _urgency(one: Standing) -> tuple[object, ...]:
    incident, weighed = one.incident, one.weighed
    late = incident.open and one.breached
    return -weighed.priority, not late, -weighed.severity, -incident.risk, incident.opened, incident.id


def handlings(journal: SqlJournal) -> dict[str, Handling]:
    """Return how every incident is worked on."""
    return handled(_in_order([journal.entries(kind=kind) for kind in writing.KINDS]))


def set_phase(workspace: app.Workspace, incident: str, to: Phase, *, actor: str, reason: str) -> Standing:
    """Set the phase of an incident; raises RefusedError if it is in that one."""
    journal, one = _open(workspace, incident)
    known = handling_of(journal, one)
    entry = writing.phase(one.id, to, known, actor=actor, at=workspace.clock.now(), reason=reason)
    return _write(workspace, journal, one, entry)


def set_severity(
    workspace: app.Workspace, incident: str, to: Severity | None, *, actor: str, reason: str
) -> Standing:
    """Decide on the severity of an incident; None lets it be computed again."""
    journal, one = _open(workspace, incident)
    entry = writing.severity(one.id, to, actor=actor, at=workspace.clock.now(), reason=reason)
    return _write(workspace, journal, one, entry)


def set_priority(
    workspace: app.Workspace, incident: str, to: Priority | None, *, actor: str, reason: str
) -> Standing:
    """Decide on the priority of an incident; None lets it be computed again."""
    journal, one = _open(workspace, incident)
    entry = writing.priority(one.id, to, actor=actor, at=workspace.clock.now(), reason=reason)
    return _write(workspace, journal, one, entry)


def set_role(workspace: app.Workspace, incident: str, which: Role, name: str, *, actor: str) -> Standing:
    """Give someone a role in an incident; an empty name takes it away."""
    journal, one = _open(workspace, incident)
    entry = writing.role(one.id, which, name, actor=actor, at=workspace.clock.now())
    return _write(workspace, journal, one, entry)


def add_task(
    workspace: app.Workspace, incident: str, title: str, *, actor: str, assignee: str = "", due: int | None
) -> Standing:
    """Write down something to do, until ``due`` (ms)."""
    journal, one = _open(workspace, incident)
    now = workspace.clock.now()
    entry = writing.task(one.id, title, actor=actor, at=now, assignee=assignee, due=due)
    return _write(workspace, journal, one, entry)


def change_task(
    workspace: app.Workspace,
    incident: str,
    wanted: str,
    *,
    actor: str,
    state: TaskState | None = None,
    assignee: str | None = None,
    due: int | None = None,
    reason: str = "",
) -> Standing:
    """Change a task, named by its number, its id or how that begins."""
    journal, one = _open(workspace, incident)
    known = writing.find_task(handling_of(journal, one), wanted)
    entry = writing.change_task(
        one.id, known, actor=actor, at=workspace.clock.now(), state=state, assignee=assignee, due=due,
        reason=reason,
    )  # fmt: skip
    return _write(workspace, journal, one, entry)


def add_link(
    workspace: app.Workspace, incident: str, url: str, *, actor: str, kind: str = "", title: str = ""
) -> Standing:
    """Write down where more about an incident is."""
    journal, one = _open(workspace, incident)
    entry = writing.link(one.id, url, kind=kind, title=title, actor=actor)
    known = {link.url for link in handling_of(journal, one).links}
    if entry.payload["url"] not in known and journal.get(entry.key):  # it was there, and was removed
        now = workspace.clock.now()
        entry = writing.link(one.id, url, kind=kind, title=title, actor=actor, again=now)
    return _write(workspace, journal, one, entry)


def remove_link(workspace: app.Workspace, incident: str, url: str, *, actor: str, reason: str) -> Standing:
    """Write down that something elsewhere is no more about an incident; raises NotFoundError."""
    journal, one = _open(workspace, incident)
    known = handling_of(journal, one)
    entry = writing.unlink(one.id, known, url, actor=actor, at=workspace.clock.now(), reason=reason)
    return _write(workspace, journal, one, entry)


def due(text: str, now: int) -> int:
    """Read until when it is to be done: a time, or how long from now on (``4h``). Raises UsageError."""
    ahead = _AHEAD.fullmatch(text)
    return now + int(ahead[1]) * _UNITS[ahead[2]] if ahead else instant(text)


def _open(workspace: app.Workspace, incident: str) -> tuple[SqlJournal, Incident]:
    """Return the journal and the incident; raises RefusedError for one that was merged into another.

    One that is there already does not wait until all that came since is grouped.
    """
    journal = app.journal(workspace)
    try:
        one = incidents.by_id(journal, incident)
    except NotFoundError:
        one = incidents.get(workspace, incident)
    incidents.refuse_merged(one)
    return journal, one


def _write(workspace: app.Workspace, journal: SqlJournal, one: Incident, entry: NewEntry) -> Standing:
    journal.append(entry)
    return standing(workspace, one)


def _in_order(streams: Sequence[Iterator[Entry]]) -> Iterator[Entry]:
    return heapq.merge(*streams, key=lambda entry: entry.seq)
