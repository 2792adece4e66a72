"""The watch over ingest: events → alerts, written down before the events are acknowledged → incidents.

Restart-safe: an alert's id follows from its rule and event, so events that come again after a crash give
the same alerts, which the journal keeps once; correlation looks at what the journal has, whoever wrote it.
"""

from __future__ import annotations

import gc
import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from lemnis import app
from lemnis.app.correlation import LOG, Running, joined
from lemnis.app.detection import Detection, detection
from lemnis.app.publish import publish
from lemnis.app.reloading import Reloading
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
_WRITTEN_AT_ONCE = 5000
_LOCK = "correlate.lock"


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
        self._grouping = load_grouping(self.library)
        self._folded = Folded(self._grouping)
        self._reloading: Reloading[Detection] | None = None
        self._given = detecting is not None
        self._running: Running | None = None

    def refresh(self) -> None:
        """Take over content that changed and is sound; from the first call on, also between batches."""
        if self._given:
            return
        if self._reloading is None:
            self._reloading = Reloading(self.library, self.detection, self.workspace.content, self._built)
        newer = self._reloading.newer()
        if newer is not None:
            self.library, self.detection = newer
            grouping = load_grouping(self.library)
            if grouping != self._grouping:
                self._grouping, self._folded = grouping, Folded(grouping)

    def _built(self, library: Library) -> Detection:
        load_grouping(library)  # it must be sound, too
        return detection(library, cache=self.workspace.state / "cache")

    def watch(self, batches: Sequence[EventBatch]) -> pa.Table | None:
        """Detect, and write the alerts down; the same events again write nothing.

        Returns the signals that correlations need, to be stored with the events.
        """
        if self._reloading is not None:
            self.refresh()
        signals: list[pa.Table | None] = []
        found = self._look(batches, signals)
        with _uncollected():
            while some := list(islice(found, _WRITTEN_AT_ONCE)):
                self.alerts += self._write(some)
        return joined(signals)

    def _look(self, batches: Sequence[EventBatch], signals: list[pa.Table | None]) -> Iterator[Alert]:
        """Yield the alerts of all batches, to be written together; add what they signal to ``signals``."""
        for batch in batches:
            found, new = self.detection.look(batch)
            signals.append(new)
            yield from found

    def _write(self, alerts: Sequence[Alert]) -> int:
        """Write alerts down, and what repeats one that folds; return how many are new."""
        new = sum(self.journal.write_all([writing.alert_entry(one) for one in alerts if not one.window]))
        folding = [alert for alert in alerts if alert.window]
        known = self.journal.append_all([writing.alert_entry(alert) for alert in folding])
        repeats = [
            repeat
            for alert, (entry, _) in zip(folding, known, strict=True)
            for repeat in writing.repeat_entries(alert, [entry])
        ]
        self.journal.write_all(repeats)
        return new + sum(first for _, first in known)

    def tell(self, alerts: Sequence[Alert]) -> int:
        """Write down alerts that were found otherwise, with their incidents; return how many are new."""
        with _uncollected():
            starts = range(0, len(alerts), _WRITTEN_AT_ONCE)
            new = sum(self._write(alerts[start : start + _WRITTEN_AT_ONCE]) for start in starts)
        self._settle()
        return new

    def finish(self) -> None:
        """Make alerts of correlations, and incidents of the alerts that the journal has."""
        self._correlate(everything=True)
        self._settle()

    def finish_for_now(self) -> None:
        """Do the same while more events come: alerts that only grow are written down now and then."""
        self.correlate_for_now()
        self.settle_for_now()

    def correlate_for_now(self) -> None:
        """Make alerts of correlations, while more events come."""
        self._correlate(everything=False)

    def settle_for_now(self) -> None:
        """Make incidents of the alerts that the journal has, while more come."""
        self._settle()

    def _settle(self) -> None:
        self.changes += settle(
            self.workspace, library=self.library, journal=self.journal, folded=self._folded
        )

    def _correlate(self, *, everything: bool) -> None:
        """Fold the signals that came into alerts, whoever wrote them down."""
        correlating = self.detection.correlating
        if correlating is None:
            return
        if self._running is None or self._running.correlating is not correlating:
            self._running = Running(self.workspace, correlating, self.journal, app.lake(self.workspace))
        with durable.exclusive(self.workspace.state / _LOCK), _uncollected():
            self.alerts += self._running.catch_up(
                self.library.digest, self.detection.alerts.entities, everything=everything
            )
        for sentence in self._running.news():
            LOG.warning("%s", sentence)


class Folded:
    """The journal's alerts, folded; it reads only what is new since the last time."""

    def __init__(self, grouping: Grouping) -> None:
        """Begin before the journal's first entry."""
        self._fold = Fold(grouping)
        self._last: Entry | None = None

    def catch_up(self, journal: SqlJournal) -> Entry | None:
        """Read the alerts that are new in the journal; return the last one there is."""
        new: list[Alert] = []
        for entry in journal.entries(kind=writing.ALERT, after=self._last.seq if self._last else 0):
            if not entry.payload.get("revision"):  # one that is told again is there already
                new.append(writing.read_alert(entry, whole=False))
            self._last = entry
        for alert in sorted(new, key=lambda alert: (alert.time, alert.id)):
            self._fold.add(alert)
        return self._last

    def changes(self, incidents: Mapping[str, Incident]) -> tuple[IncidentChange, ...]:
        """Return what the alerts change in the incidents there are."""
        known = {
            incident.id: frozenset(alert for group in incident.groups for alert, _ in group.alerts)
            for incident in incidents.values()
            if not incident.merged_into
        }
        return self._fold.changes(Known(known))


def settle(
    workspace: app.Workspace,
    *,
    library: Library | None = None,
    journal: SqlJournal | None = None,
    folded: Folded | None = None,
) -> tuple[IncidentChange, ...]:
    """Correlate every alert in the journal and write down what changes; returns that. Idempotent.

    One process at a time does it. If no alert came since the last time, it returns at once. Whoever calls
    it again and again gives ``folded``, so that old alerts are not read every time.
    """
    library = library or Library.open(workspace.content)
    journal = journal or app.journal(workspace)
    with durable.exclusive(workspace.state / _LOCK), _uncollected():
        mark, grouping = _Mark(workspace, library), load_grouping(library)
        risks = {str(name): weight for name, weight in grouping.risk.severity.items()}
        if next(journal.entries(kind=writing.ALERT, after=mark.read(journal)), None) is None:
            publish(workspace, journal, lambda: views(journal), risks)
            return ()
        known = views(journal)
        folded = folded or Folded(grouping)
        last = folded.catch_up(journal)
        changes = folded.changes(known)
        new: list[NewEntry] = []
        for change in changes:
            new += writing.change_entries(change, known.get(change.incident_id), library.digest)
        journal.append_all(new)
        publish(workspace, journal, lambda: views(journal), risks)
        if last is not None:
            mark.write(last)
    return changes


def load_grouping(library: Library) -> Grouping:
    """Read how alerts are grouped; raises ContentError with file, line and column."""
    return yaml.load(library.get("correlations", _GROUPING).manifest, Grouping)


def views(journal: SqlJournal) -> dict[str, Incident]:
    """Return every incident as it stands, in the order in which they were opened."""
    streams = [journal.entries(kind=kind) for kind in writing.KINDS]
    return fold(heapq.merge(*streams, key=lambda entry: entry.seq))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector rest: nothing of 100,000 alerts is garbage; looking took half the time."""
    resting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if resting:
            gc.enable()


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far correlation has come: a note beside the journal, which may be lost."""

    workspace: app.Workspace
    library: Library

    def read(self, journal: SqlJournal) -> int:
        """Return the number of the last alert that was correlated by this grouping; 0 if it is not known."""
        try:
            last, seen, by = self._path.read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return 0
        entry = journal.get(last) if by == self._by else None
        return (
            entry.seq if entry and entry.hash == seen else 0
        )  # of this journal, not of one it was copied from

    def write(self, last: Entry) -> None:
        """Note the last alert."""
        durable.write(self._path, f"{last.key} {last.hash} {self._by}".encode("ascii"))

    @property
    def _path(self) -> Path:
        return self.workspace.state / "cache" / "correlated"

    @property
    def _by(self) -> str:
        return digest(canonical(self.library.get("correlations", _GROUPING).manifest.read_text("utf-8")))
