"""The watch over ingest: events → alerts, written down before the events are acknowledged → incidents.

Restart-safe: an alert's id follows from its rule and event, so events that come again after a crash give
the same alerts, which the journal keeps once; correlation looks at what the journal has, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from lemnis import app
from lemnis.app.correlation import LOG, Running, joined
from lemnis.app.detection import Detection, detection
from lemnis.app.exceptions import Aside
from lemnis.app.grouping import Grouped
from lemnis.app.grouping_file import LOCK, load_grouping
from lemnis.app.reloading import Reloading
from lemnis.app.resting import uncollected
from lemnis.app.suppressing import Suppressing
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert
from lemnis.contracts.events import EventBatch
from lemnis.incidents import entries as writing
from lemnis.store import durable

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal

_WRITTEN_AT_ONCE = 5000


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
        self.changes = 0
        self._grouped = Grouped(workspace, self.library, self.journal)
        self._suppressing = Suppressing(workspace, self.journal)
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
            self._grouped.close()
            self._grouped = Grouped(self.workspace, self.library, self.journal)

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
        self._suppressing.begin()
        found = self._look(batches, signals)
        with uncollected():
            while some := list(islice(found, _WRITTEN_AT_ONCE)):
                self.alerts += self._write(some)
        self._suppressing.write()
        return joined(signals)

    def _look(self, batches: Sequence[EventBatch], signals: list[pa.Table | None]) -> Iterator[Alert]:
        """Yield the alerts of all batches, to be written together; add what they signal to ``signals``."""
        for batch in batches:
            aside: list[Aside] = []
            found, new = self.detection.look(batch, aside)
            self._suppressing.take(self.detection, batch, aside)
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
        with uncollected():
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
        self.changes += settle(self.workspace, grouped=self._grouped)

    def _correlate(self, *, everything: bool) -> None:
        """Fold the signals that came into alerts, whoever wrote them down."""
        correlating = self.detection.correlating
        if correlating is None:
            return
        if self._running is None or self._running.correlating is not correlating:
            self._running = Running(self.workspace, correlating, self.journal, app.lake(self.workspace))
        with durable.exclusive(self.workspace.state / LOCK), uncollected():
            self.alerts += self._running.catch_up(
                self.library.digest, self.detection.alerts.entities, everything=everything
            )
        for sentence in self._running.news():
            LOG.warning("%s", sentence)


def settle(
    workspace: app.Workspace,
    *,
    library: Library | None = None,
    journal: SqlJournal | None = None,
    grouped: Grouped | None = None,
) -> int:
    """Make incidents of every alert in the journal; return how many changes that were. Idempotent.

    Whoever calls it again and again gives ``grouped``, so that content is not read every time.
    """
    if grouped is not None:
        return grouped.settle()
    own = Grouped(workspace, library or Library.open(workspace.content), journal or app.journal(workspace))
    try:
        return own.settle()
    finally:
        own.close()
