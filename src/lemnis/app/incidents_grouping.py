"""What people decide of how alerts belong together: merge, split, unmerge; and why they do: explain."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import incidents
from lemnis.app.grouping import Grouped, whole
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert, Entity
from lemnis.contracts.errors import NotFoundError, RefusedError, UsageError
from lemnis.contracts.ids import Json
from lemnis.contracts.incidents import AlertGroup, Incident
from lemnis.contracts.journal import NewEntry
from lemnis.correlate.explain import Why, explain
from lemnis.correlate.risk import assess
from lemnis.incidents import entries as writing
from lemnis.incidents import parting

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal

EXPLAINED = 20_000


def merge(workspace: app.Workspace, one: str, other: str, *, actor: str, reason: str) -> Incident:
    """Merge two incidents; return the one that they are then: that of the earlier alert.

    Raises NotFoundError, RefusedError if one of them was merged before, UsageError without a reason.
    """
    with _grouped(workspace) as (grouped, journal):
        both = {found.id: found for found in (incidents.get(workspace, one), incidents.get(workspace, other))}
        for found in both.values():
            incidents.refuse_merged(found)
        if len(both) == 1:
            raise UsageError(f"{one} and {other} are one incident already", fix="name two")
        into, other = sorted(both, key=grouped.named)
        at = workspace.clock.now()
        entries = parting.merge(both[into], both[other], actor=actor, reason=reason, at=at)
        return _write(journal, grouped, entries, into)


def split(
    workspace: app.Workspace,
    incident: str,
    *,
    alerts: Collection[str] = (),
    rules: Collection[str] = (),
    entities: Collection[Entity] = (),
    actor: str,
    reason: str,
) -> Incident:
    """Part alerts from an incident; return the new one that they are.

    What both sides have in common does not tie these alerts to anything any more: they are joined again only
    if something else ties them, or someone merges the incidents.

    Raises NotFoundError, RefusedError, UsageError.
    """
    with _grouped(workspace) as (grouped, journal):
        one = incidents.get(workspace, incident)
        incidents.refuse_merged(one)
        out = parting.chosen(one, alerts, rules, entities)
        facts = _facts(grouped, journal, out, one.content_digest)
        at = workspace.clock.now()
        named = grouped.named(one.id)
        entries = parting.split(one, named, out, facts, actor=actor, reason=reason, at=at)
        return _write(journal, grouped, entries, entries[-1].subject)


def unmerge(workspace: app.Workspace, incident: str, *, actor: str, reason: str) -> Incident:
    """Take an incident out of the one that it was merged into, with the alerts that it had then; return it.

    Raises NotFoundError, RefusedError if it was not merged, or only goes on under another id.
    """
    with _grouped(workspace) as (grouped, journal):
        other = incidents.get(workspace, incident)
        if not other.merged_into:
            raise RefusedError(f"{other.id} was not merged into another", fix="`lemnis incident list --all`")
        into = whole(journal, other.merged_into)
        if into is None:
            raise NotFoundError(f"no incident {other.merged_into}", fix="`lemnis journal verify`")
        incidents.refuse_merged(into)
        at = workspace.clock.now()
        named = grouped.named(into.id)
        entries = parting.unmerge(into, named, other, actor=actor, reason=reason, at=at)
        return _write(journal, grouped, entries, other.id)


def why(workspace: app.Workspace, incident: str) -> tuple[Incident, list[Why]]:
    """Return an incident, and of each of its alerts why it is in it: by what it is tied to which others.

    Raises NotFoundError, RefusedError for one of more than 20,000 alerts.
    """
    with _grouped(workspace) as (grouped, journal):
        one = incidents.get(workspace, incident)
        if sum(group.count for group in one.groups) > EXPLAINED:
            raise RefusedError(
                f"{one.id} has more than {EXPLAINED:,} alerts",
                fix="`lemnis incident show` has the reasons that were written down when they joined",
            )
        return one, explain(grouped.grouping, _read(journal, one.groups), grouped.ignored())


@contextmanager
def _grouped(workspace: app.Workspace) -> Iterator[tuple[Grouped, SqlJournal]]:
    """Have a workspace's alerts grouped, up to the last one."""
    journal = app.journal(workspace)
    grouped = Grouped(workspace, Library.open(workspace.content), journal)
    try:
        grouped.settle()
        yield grouped, journal
    finally:
        grouped.close()


def _write(journal: SqlJournal, grouped: Grouped, entries: Sequence[NewEntry], incident: str) -> Incident:
    """Write a decision down and have it taken over; return an incident as it stands then."""
    journal.append_all(entries)
    grouped.settle()
    found = whole(journal, incident)
    if found is None:
        raise NotFoundError(f"no incident {incident}", fix="`lemnis journal verify`")
    return found


def _facts(
    grouped: Grouped, journal: SqlJournal, groups: Sequence[AlertGroup], content: str
) -> dict[str, Json]:
    """Return what alerts that are parted from others weigh together."""
    alerts = sorted(_read(journal, groups), key=lambda alert: (alert.time, alert.id))
    found = assess(alerts, grouped.grouping.risk)
    decisive = alerts[0].time if found.decisive is None else found.decisive
    return {
        "risk": found.total, "because": found.because, "decisive": decisive, "content_digest": content,
    }  # fmt: skip


def _read(journal: SqlJournal, groups: Sequence[AlertGroup]) -> list[Alert]:
    keys = [alert for group in groups for alert, _ in group.alerts]
    return [writing.read_alert(entry, whole=False) for entry in journal.get_all(keys)]
