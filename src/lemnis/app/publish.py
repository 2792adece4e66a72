"""Alerts and incidents into the lake: what the journal says, as OCSF findings that anything can query."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.contracts.events import Cursor, EventBatch
from lemnis.contracts.handling import Weighed
from lemnis.contracts.ids import Json
from lemnis.contracts.incidents import Incident
from lemnis.incidents import entries as kinds
from lemnis.incidents import findings, handling
from lemnis.ocsf.alert_columns import Told, alert_table
from lemnis.ocsf.findings import DETECTION, evidence

if TYPE_CHECKING:
    from lemnis.contracts.alerts import Alert
    from lemnis.contracts.journal import Entry
    from lemnis.store.journal import SqlJournal

_ORIGIN = "journal"
_ROWS = 5000
_TOLD = (*kinds.KINDS, handling.SEVERITY, handling.PRIORITY)
Views = Callable[[Sequence[str]], Iterable[tuple[Incident, Weighed]]]
"""Gives incidents, named by their ids, as they stand, each with what it weighs."""


class Publishing:
    """Appends what the journal has gained since the last time, exactly once: what comes again is known.

    Whoever reads alerts anyway gives them to ``add``, in their order; ``finish`` reads the others.
    """

    def __init__(self, workspace: app.Workspace, journal: SqlJournal, risks: Mapping[str, int]) -> None:
        """``risks`` says what an alert of a severity weighs."""
        self._lake, self._journal, self._risks = app.lake(workspace), journal, risks
        known = self._lake.cursor(findings.SOURCE, _ORIGIN)
        self.after = known.position if known else 0
        self._seen = self.after
        self._told: list[Told] = []
        self._rows: list[dict[str, Json]] = []
        self.published = 0

    def add(self, entry: Entry, alert: Alert) -> None:
        """Publish an alert of an entry, which has its event, unless it was before: one finding."""
        if entry.seq <= self._seen:
            return
        self._seen = entry.seq
        self._told.append(Told(alert, entry.at, entry.seq, evidence(alert, kinds.event_of(entry))))
        self._bound()

    def _held_back(self, entry: Entry) -> None:
        """Publish an alert that exceptions held back."""
        alert, exceptions = kinds.read_alert(entry), kinds.exceptions_of(entry)
        finding = findings.alert_finding(
            alert, entry.at, risks=self._risks, sequence=entry.seq, exceptions=exceptions
        )
        self._rows.append(finding)
        self._bound()

    def _bound(self) -> None:
        """Append what waits, if it is much."""
        if len(self._told) + len(self._rows) >= _ROWS:
            self._append()

    def _append(self, cursor: Cursor | None = None) -> None:
        """Append what waits, and how far that is."""
        batches = findings.batches(self._rows)
        if self._told:
            table = alert_table(self._told, self._risks)
            batches.insert(0, EventBatch(DETECTION, findings.SOURCE, _ORIGIN, table))
        self.published += self._lake.append(batches, cursor=cursor).accepted
        self._told, self._rows = [], []

    def finish(self, views: Views) -> int:
        """Publish the rest; return how many findings there were in all.

        An alert that was repeated is one more finding, as it stands; an incident that changed, or on whose
        severity or priority someone decided, is one as ``views`` gives it.
        """
        journal, last = self._journal, self._seen
        streams = [journal.entries(kind=kinds.ALERT, after=self._seen)]
        streams.append(journal.entries(kind=kinds.SUPPRESSED, after=self.after))
        others = (kinds.REPEATED, *_TOLD)  # what they say is asked again, as it stands then
        streams += [journal.entries(kind=kind, after=self.after, bare=True) for kind in others]
        changed: dict[str, Entry] = {}
        repeated: dict[str, Entry] = {}
        for entry in heapq.merge(*streams, key=lambda entry: entry.seq):
            last = max(last, entry.seq)
            if entry.kind == kinds.ALERT:
                self.add(entry, kinds.read_alert(entry, whole=False))
            elif entry.kind == kinds.SUPPRESSED:
                self._held_back(entry)
            elif entry.kind == kinds.REPEATED:
                repeated[entry.subject] = entry
            else:
                changed[entry.subject] = entry
        for alert, entry in repeated.items():
            told = kinds.tell(one for one in journal.entries(subject=alert) if one.seq <= entry.seq)
            if told is not None:
                finding = findings.alert_finding(
                    told, entry.at, risks=self._risks, sequence=entry.seq, repeated=True
                )
                self._rows.append(finding)
        for incident, weighed in views(list(changed)) if changed else ():
            entry = changed[incident.id]
            finding = findings.incident_finding(replace(incident, updated=entry.at), entry.seq, weighed)
            self._rows.append(finding)
        if last > self.after:
            self._append(Cursor(findings.SOURCE, _ORIGIN, _ORIGIN, last))
        return self.published
