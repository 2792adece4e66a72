"""Incidents of a workspace: seen, decided on, told, exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import grouping_file
from lemnis.app.resting import uncollected
from lemnis.contracts.alerts import Alert, IncidentStatus, Verdict
from lemnis.contracts.errors import NotFoundError, RefusedError
from lemnis.contracts.ids import canonical
from lemnis.contracts.incidents import Incident, Metrics, TimelineItem
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.incidents import entries as writing
from lemnis.incidents.metrics import measure
from lemnis.incidents.view import fold, views

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal


def incidents(workspace: app.Workspace) -> list[Incident]:
    """Return every incident as it stands, in the order in which they were opened.

    What an ingest that was killed left is correlated first.
    """
    journal = app.journal(workspace)
    _settle(workspace, journal)
    with uncollected():
        return list(views(journal).values())


def get(workspace: app.Workspace, incident: str) -> Incident:
    """Return an incident by its id, a beginning of it that no other has, or the id of an alert in it.

    Raises NotFoundError.
    """
    journal = app.journal(workspace)
    _settle(workspace, journal)
    if incident.startswith("al-"):
        found = incident_of(workspace, alert(workspace, incident).id)
        if found is None:
            raise NotFoundError(
                f"{incident} is in no incident", fix="alone it does not weigh enough to be one"
            )
        return found
    return by_id(journal, incident)


def loose(workspace: app.Workspace) -> int:
    """Return how many alerts are in no incident, because what they are tied to does not weigh enough."""
    return grouping_file.loose(workspace, app.library(workspace))


def alert(workspace: app.Workspace, alert_id: str) -> Alert:
    """Return an alert as it stands, with every event that was folded into it; raises NotFoundError."""
    entries = list(app.journal(workspace).entries(subject=alert_id))
    found = writing.tell(entries)
    if found is None and entries and entries[0].kind == writing.SUPPRESSED:
        names = ", ".join(writing.exceptions_of(entries[0]))
        fix = f'`lemnis incident suppressed reopen --alert {alert_id} --reason "…"` makes it an alert'
        raise NotFoundError(f"{alert_id} is suppressed by {names}", fix=fix)
    if found is None:
        raise NotFoundError(f"no alert {alert_id}", fix="`lemnis incident show ID` lists them")
    return found


def alerts_of(workspace: app.Workspace, subject: str) -> list[Alert]:
    """Return an incident's alerts by event time (of the one that took it in, if merged), or one alert."""
    if subject.startswith("al-"):
        return [alert(workspace, subject)]
    journal = app.journal(workspace)
    wanted = get(workspace, subject)
    while wanted.merged_into:
        wanted = by_id(journal, wanted.merged_into)
    told = (writing.tell(journal.entries(subject=one)) for one in wanted.alert_ids)
    return [one for one in told if one is not None]


def firsts(workspace: app.Workspace, incident: Incident) -> dict[str, Alert]:
    """Return the first of an incident's alerts that repeat one another, as they stand, by their ids."""
    journal = app.journal(workspace)
    told = (writing.tell(journal.entries(subject=group.alerts[0][0])) for group in incident.briefly)
    return {one.id: one for one in told if one is not None}


def incident_of(workspace: app.Workspace, alert_id: str) -> Incident | None:
    """Return the incident that an alert is in, if it is in one."""
    journal = app.journal(workspace)
    _settle(workspace, journal)
    for name in journal.subjects(writing.KINDS, mentioning=f'"{alert_id}"'):
        one = by_id(journal, name)
        while one.merged_into:
            one = by_id(journal, one.merged_into)
        if alert_id in one.alert_ids:
            return one
    return None


def metrics(workspace: app.Workspace, incident: Incident) -> Metrics:
    """Return when things happened in an incident, and how long they took."""
    from lemnis.app.incidents_handling import handling_of

    return measure(incident, handling_of(app.journal(workspace), incident).contained)


def refuse_merged(incident: Incident) -> None:
    """Raise RefusedError if an incident was merged into another: whoever acts means that one."""
    if incident.merged_into:
        raise RefusedError(f"{incident.id} was merged into {incident.merged_into}", fix="act on that one")


def timeline(workspace: app.Workspace, incident: Incident) -> list[TimelineItem]:
    """Return an incident's timeline: alerts, what was built and deployed, decisions, actions, notes."""
    from lemnis.app.incidents_timeline import opened

    with opened(workspace, incident) as one:
        return one.every()


def transition(
    workspace: app.Workspace,
    incident: str,
    to: IncidentStatus,
    *,
    actor: str,
    reason: str,
    verdict: Verdict | None = None,
) -> Incident:
    """Move an incident to a status; raises RefusedError if that is not legal from where it is."""
    journal = app.journal(workspace)
    known = by_id(journal, incident)
    return _write(journal, known, writing.transition(known, to, actor=actor, reason=reason, verdict=verdict))


def acknowledge(workspace: app.Workspace, incident: str, *, actor: str, reason: str = "") -> Incident:
    """Take an incident into work: in progress, and owned by ``actor`` if nobody owns it."""
    moved = transition(
        workspace, incident, IncidentStatus.IN_PROGRESS, actor=actor, reason=reason or "acknowledged"
    )
    return moved if moved.owner else assign(workspace, moved.id, actor, actor=actor)


def close(workspace: app.Workspace, incident: str, verdict: Verdict, *, actor: str, reason: str) -> Incident:
    """Close an incident with a verdict; raises RefusedError without a review that the settings require."""
    from lemnis.app import incidents_review

    incidents_review.demand(workspace, by_id(app.journal(workspace), incident), verdict)
    return transition(workspace, incident, IncidentStatus.CLOSED, actor=actor, reason=reason, verdict=verdict)


def assign(workspace: app.Workspace, incident: str, name: str, *, actor: str) -> Incident:
    """Give an incident an owner."""
    journal = app.journal(workspace)
    known = by_id(journal, incident)
    return _write(journal, known, writing.owner(known.id, name, actor=actor, at=workspace.clock.now()))


def note(workspace: app.Workspace, incident: str, text: str, *, actor: str) -> Incident:
    """Write a note to an incident."""
    journal = app.journal(workspace)
    known = by_id(journal, incident)
    return _write(journal, known, writing.note(known.id, text, actor=actor, at=workspace.clock.now()))


def add_evidence(workspace: app.Workspace, incident: str, data: bytes, title: str, *, actor: str) -> str:
    """Put evidence of an incident into the vault, write that down, and return its digest."""
    journal = app.journal(workspace)
    known = by_id(journal, incident)
    digest = app.vault(workspace).put(data)
    journal.append(writing.evidence(known.id, digest, title, actor=actor))
    return digest


def export(workspace: app.Workspace, incident: str, form: str, *, tlp: str = "amber") -> str:
    """Return an incident whole, as ``json``, ``markdown``, ``ocsf`` or ``stix`` (marked with ``tlp``)."""
    from lemnis.app.incidents_handling import standing
    from lemnis.incidents import export as exporting

    one = get(workspace, incident)
    stands = standing(workspace, one)
    if form == "ocsf":
        from lemnis.incidents import findings

        last = app.journal(workspace).last([one.id])
        return canonical(findings.incident_finding(one, last, stands.weighed)).decode()
    if form == "stix":
        from lemnis.app import settings
        from lemnis.incidents import stix

        made, name = workspace.clock.now(), settings.load(workspace).name
        return stix.bundle(one, made=made, name=name, tlp=tlp, links=stands.handling.links)
    times, items = metrics(workspace, one), timeline(workspace, one)
    worked = (stands.handling, stands.weighed, stands.timers)
    from lemnis.app import incidents_review

    if form == "markdown":
        review = incidents_review.markdown(workspace, one)
        return exporting.markdown(one, times, items, worked) + (f"\n{review}" if review else "")
    whole = {
        **exporting.document(one, times), **exporting.handling(*worked),
        "review": incidents_review.told(workspace, one),
        "timeline": [exporting.item(item) for item in items],
    }  # fmt: skip
    return canonical(whole).decode()


def _settle(workspace: app.Workspace, journal: SqlJournal) -> None:
    """Correlate what an ingest that was killed left; where that is nothing, nothing is loaded for it."""
    if not workspace.settles:
        return
    library = app.library(workspace)
    if not grouping_file.settled(workspace, library, journal):
        from lemnis.app import watch

        watch.settle(workspace, library=library, journal=journal)


def by_id(journal: SqlJournal, incident: str) -> Incident:
    """Fold one incident and what was merged into it: nothing else is read. A beginning of its id will do."""
    own = list(journal.entries(subject=incident))
    if not own or own[0].kind != writing.OPENED:
        found = journal.subjects([writing.OPENED], beginning=incident) if incident else []
        if len(found) != 1:
            what = f"{len(found)} incidents begin with {incident!r}" if found else f"no incident {incident!r}"
            raise NotFoundError(what, fix="`lemnis incident list` shows them")
        incident, own = found[0], list(journal.entries(subject=found[0]))
    return fold(_with_merged(journal, own))[incident]


def _with_merged(journal: SqlJournal, own: list[Entry]) -> list[Entry]:
    """Add the entries of incidents that were merged into this one, and into those, in the journal's order."""
    found, todo = list(own), [own]
    while todo:
        for entry in todo.pop():
            if entry.kind == writing.MERGED and "from" in entry.payload:
                others = list(journal.entries(subject=str(entry.payload["from"])))
                found += others
                todo.append(others)
    return sorted({entry.seq: entry for entry in found}.values(), key=lambda entry: entry.seq)


def _write(journal: SqlJournal, known: Incident, entry: NewEntry) -> Incident:
    """Append a decision; raises RefusedError if someone else decided meanwhile."""
    written, new = journal.append(entry)
    if not new and (written.actor, written.reason, dict(written.payload)) != (
        entry.actor,
        entry.reason,
        dict(entry.payload),
    ):
        raise RefusedError(
            f"{written.actor} changed {known.id} meanwhile ({written.reason})", fix="look at it again"
        )
    return by_id(journal, known.id)
