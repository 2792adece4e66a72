"""The watch over ingest: events → alerts, written down before the events are acknowledged → incidents.

Restart-safe: an alert's id follows from its rule and event, so events that come again after a crash give
the same alerts, which the journal keeps once; correlation looks at what the journal has, whoever wrote it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app.detection import Detection, detection
from lemnis.app.publish import publish
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.grouping import Grouping
from lemnis.contracts.alerts import Alert, IncidentChange
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import canonical, digest
from lemnis.contracts.incidents import Incident
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.correlate.fold import Fold, Known
from lemnis.incidents import entries as writing
from lemnis.incidents.view import fold
from lemnis.store import durable

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal

_GROUPING = "default"


class Watch:
    """Watches events on their way into the lake: ``watch`` before each append, ``finish`` after the last."""

    def __init__(
        self,
        workspace: app.Workspace,
        *,
        library: Library | None = None,
        detecting: Detection | None = None,
        journal: SqlJournal | None = None,
    ) -> None:
        """Load the workspace's content, unless it is given."""
        self.workspace = workspace
        self.library = library or Library.open(workspace.content)
        self.detection = detecting or detection(self.library, cache=workspace.state / "cache")
        self.journal = journal or app.journal(workspace)
        self.alerts = 0
        self.changes: list[IncidentChange] = []

    def watch(self, batches: Sequence[EventBatch]) -> None:
        """Detect, and write the alerts down; the same events again write nothing."""
        found = [writing.alert_entry(alert) for batch in batches for alert in self.detection.detect(batch)]
        self.alerts += sum(new for _, new in self.journal.append_all(found))

    def finish(self) -> None:
        """Make incidents of the alerts that the journal has."""
        self.changes += settle(self.workspace, library=self.library, journal=self.journal)


def settle(
    workspace: app.Workspace, *, library: Library | None = None, journal: SqlJournal | None = None
) -> tuple[IncidentChange, ...]:
    """Correlate every alert in the journal and write down what changes; returns that. Idempotent.

    One process at a time does it. If no alert came since the last time, it returns at once.
    """
    library = library or Library.open(workspace.content)
    journal = journal or app.journal(workspace)
    with durable.exclusive(workspace.state / "correlate.lock"):
        mark = _Mark(workspace, library)
        if next(journal.entries(kind=writing.ALERT, after=mark.read(journal)), None) is None:
            publish(workspace, journal, lambda: views(journal))
            return ()
        known = views(journal)
        alerts, last = _alerts(journal)
        folding = Fold(load_grouping(library))
        for alert in alerts:
            folding.add(alert)
        changes = folding.changes(_known(known))
        new: list[NewEntry] = []
        for change in changes:
            new += writing.change_entries(change, known.get(change.incident_id), library.digest)
        journal.append_all(new)
        publish(workspace, journal, lambda: views(journal))
        mark.write(last)
    return changes


def load_grouping(library: Library) -> Grouping:
    """Read how alerts are grouped; raises ContentError with file, line and column."""
    return yaml.load(library.get("correlations", _GROUPING).manifest, Grouping)


def views(journal: SqlJournal) -> dict[str, Incident]:
    """Return every incident as it stands, in the order in which they were opened."""
    streams = [journal.entries(kind=kind) for kind in writing.KINDS]
    return fold(heapq.merge(*streams, key=lambda entry: entry.seq))


def _known(incidents: Mapping[str, Incident]) -> Known:
    return Known(
        {
            incident.id: frozenset(alert for group in incident.groups for alert, _ in group.alerts)
            for incident in incidents.values()
            if not incident.merged_into
        }
    )


def _alerts(journal: SqlJournal) -> tuple[list[Alert], Entry]:
    """Return the journal's alerts by event time, without their events, and the last entry among them."""
    alerts: list[Alert] = []
    for entry in journal.entries(kind=writing.ALERT):
        alerts.append(writing.read_alert(entry, whole=False))
        last = entry
    return sorted(alerts, key=lambda alert: (alert.time, alert.id)), last


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far correlation has come: a note beside the journal, which may be lost."""

    workspace: app.Workspace
    library: Library

    def read(self, journal: SqlJournal) -> int:
        """Return the number of the last alert that was correlated by this grouping; 0 if it is not known."""
        try:
            last, by = self._path.read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return 0
        entry = journal.get(last) if by == self._by else None
        return entry.seq if entry else 0

    def write(self, last: Entry) -> None:
        """Note the last alert."""
        durable.write(self._path, f"{last.key} {self._by}".encode("ascii"))

    @property
    def _path(self) -> Path:
        return self.workspace.state / "cache" / "correlated"

    @property
    def _by(self) -> str:
        return digest(canonical(self.library.get("correlations", _GROUPING).manifest.read_text("utf-8")))
