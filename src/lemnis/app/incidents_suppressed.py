"""Suppressed alerts of a workspace: what exceptions held back, counted, listed, and reopened by a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.contracts.alerts import Alert
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.journal import Entry
from lemnis.incidents import entries as writing
from lemnis.incidents.view import views
from lemnis.store.suppressed import Suppressed

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Count:
    """What an exception held back: alerts in all, kept, reopened of those; its first and last day (ms)."""

    exception: str
    alerts: int
    kept: int
    reopened: int
    first: int
    last: int

    @property
    def not_kept(self) -> int:
        """Return how many were counted only."""
        return max(0, self.alerts - self.kept)


@dataclass(frozen=True, slots=True)
class Shown:
    """A suppressed alert: by which exceptions, when it was written down (ms), and who reopened it, if so."""

    alert: Alert
    exceptions: tuple[str, ...]
    recorded: int
    reopened: Entry | None


@dataclass(frozen=True, slots=True)
class Reopened:
    """How many alerts were reopened, how many of the chosen were before, and the incidents they are in."""

    alerts: int
    before: int
    incidents: tuple[str, ...]


def counts(workspace: app.Workspace) -> list[Count]:
    """Return what each exception held back, by its name; also of those that are gone."""
    journal = app.journal(workspace)
    reopened = Counter(
        name for entry in journal.entries(kind=writing.REOPENED) for name in writing.exceptions_of(entry)
    )
    found: dict[str, Count] = {}
    for one in Suppressed(app.engine(workspace)).every():
        name = one.exception
        before = found.get(name, Count(name, 0, 0, reopened[name], one.day, one.day))
        alerts, kept = before.alerts + one.alerts, before.kept + one.kept
        found[name] = replace(before, alerts=alerts, kept=kept, last=one.day)
    return list(found.values())


def listed(
    workspace: app.Workspace,
    *,
    exception: str = "",
    since: int | None = None,
    reopened: bool | None = None,
) -> Iterator[Shown]:
    """Yield suppressed alerts as they were written down, newest last: of an exception, from an event time on.

    ``reopened``: only those that were, or were not. Raises NotFoundError for an exception that held nothing.
    """
    journal = app.journal(workspace)
    if exception:
        _known(workspace, exception)
    for some in _chunks(_chosen(journal, exception, since)):
        done = journal.of_keys([f"{writing.REOPENED}:{entry.subject}" for entry in some])
        for entry in some:
            again = done.get(f"{writing.REOPENED}:{entry.subject}")
            if reopened is None or reopened is (again is not None):
                yield Shown(writing.read_alert(entry), writing.exceptions_of(entry), entry.at, again)


def reopen(
    workspace: app.Workspace,
    *,
    exception: str = "",
    alerts: Sequence[str] = (),
    since: int | None = None,
    actor: str,
    reason: str,
) -> Reopened:
    """Make alerts of suppressed ones, all of an exception (from an event time on) or some, and group them.

    They have the ids and times that they would have had without the exception. What was reopened before stays
    so. Raises UsageError without a reason or a choice, NotFoundError for what was not suppressed.
    """
    if not reason.strip():
        raise UsageError("to reopen takes a reason")
    if bool(exception) == bool(alerts):
        raise UsageError("nothing is chosen", fix="name an exception, or alerts: not both")
    journal = app.journal(workspace)
    chosen = _named(journal, alerts) if alerts else _chosen(journal, _known(workspace, exception), since)
    new = before = 0
    ids: set[str] = set()
    for some in _chunks(iter(chosen)):
        pairs = [writing.reopened_entries(entry, actor=actor, reason=reason) for entry in some]
        wrote = journal.write_all([entry for pair in pairs for entry in pair])[::2]
        new, before = new + sum(wrote), before + len(some) - sum(wrote)
        ids.update(entry.subject for entry in some)
    from lemnis.app import watch

    watch.settle(workspace, journal=journal)
    inside = [one.id for one in views(journal).values() if not one.merged_into and ids & {*one.alert_ids}]
    return Reopened(new, before, tuple(inside))


def _chosen(journal: SqlJournal, exception: str, since: int | None) -> Iterator[Entry]:
    for entry in journal.entries(kind=writing.SUPPRESSED):
        mine = not exception or exception in writing.exceptions_of(entry)
        if mine and (since is None or int(str(entry.payload["time"])) >= since):
            yield entry


def _named(journal: SqlJournal, alerts: Sequence[str]) -> list[Entry]:
    found = journal.of_keys([f"{writing.SUPPRESSED}:{alert}" for alert in alerts])
    for alert in alerts:
        if f"{writing.SUPPRESSED}:{alert}" not in found:
            fix = "`lemnis incident suppressed list` shows them"
            raise NotFoundError(f"no suppressed alert {alert}", fix=fix)
    return list(found.values())


def _known(workspace: app.Workspace, exception: str) -> str:
    """Return an exception's name; raises NotFoundError if it held nothing back."""
    names = {one.exception for one in Suppressed(app.engine(workspace)).every()}
    if exception not in names:
        fix = f"these did: {', '.join(sorted(names))}" if names else "no exception has"
        raise NotFoundError(f"the exception {exception!r} has held nothing back", fix=fix)
    return exception


def _chunks(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while some := list(islice(entries, _AT_ONCE)):
        yield some
