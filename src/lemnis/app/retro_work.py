"""What is asked of history by rules: their alerts, and the signals that their correlations need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from lemnis.app import retro_pieces as pieces
from lemnis.app.correlation import Replaying
from lemnis.app.detection import Detection
from lemnis.contracts.alerts import Alert, merged
from lemnis.contracts.events import EventBatch
from lemnis.store.lakes import Readable


@dataclass(frozen=True, slots=True)
class Detecting:
    """Rules over batches: the very function that live detection calls."""

    detection: Detection

    def of(self, batch: EventBatch) -> Iterator[pieces.Piece]:
        """Yield the alerts of a batch, and its signals."""
        alerts, signals = self.detection.look(batch)
        for alert in alerts:
            yield pieces.ALERT, pieces.write_alert(alert)
        if signals is not None:
            yield pieces.SIGNALS, pieces.write_signals(signals)


@dataclass(slots=True)
class Alerted:
    """Alerts out of pieces, in whatever order these come: those that fold are one, by id."""

    detection: Detection
    alerts: dict[str, Alert] = field(default_factory=dict)
    _replaying: Replaying | None = None

    def __post_init__(self) -> None:
        """Begin with nothing."""
        if self.detection.correlating is not None:
            self._replaying = Replaying(self.detection.correlating)

    def add(self, some: pa.Table) -> None:
        """Take rows of ``retro_pieces.PIECES``."""
        for body in pieces.bodies(some, pieces.ALERT):
            alert = pieces.read_alert(body)
            known = self.alerts.get(alert.id)
            self.alerts[alert.id] = (
                alert if known is None else merged(known, alert) if alert.window else known
            )
        if self._replaying is not None:
            for body in pieces.bodies(some, pieces.SIGNALS):
                self._replaying.add(pieces.read_signals(body))

    def found(self, lake: Readable, *, whole: bool = True) -> list[Alert]:
        """Return the alerts by event time; those of correlations only if ``whole`` history was looked at."""
        found: Iterable[Alert] = self.alerts.values()
        if self._replaying is not None and whole:
            known = self.detection.alerts
            found = [*found, *self._replaying.alerts(lake, known.content_digest, known.entities)]
        return sorted(found, key=lambda alert: (alert.time, alert.id))
