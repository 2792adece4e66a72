"""Replay, the primitive under every proof: the alerts that some content gives over a range of the lake."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from lemnis.app.correlation import Replaying
from lemnis.app.detection import Detection, detection
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert
from lemnis.detect.suppress import fold
from lemnis.store.lakes import Readable


def replay(
    lake: Readable,
    library: Library,
    *,
    start: int | None = None,
    end: int | None = None,
    rules: Sequence[Path] | None = None,
    sources: Collection[str] | None = None,
) -> list[Alert]:
    """Return the alerts of the events with ``time`` in [start, end), by event time: those of live detection.

    Depends on the lake's events and the library's content only; nothing is written. ``rules`` are files and
    folders of rules to use instead of the library's; ``sources`` limits the events to some sources.
    """
    return replayed(lake, detection(library, rules=rules), start=start, end=end, sources=sources)


def replayed(
    lake: Readable,
    detecting: Detection,
    *,
    start: int | None = None,
    end: int | None = None,
    sources: Collection[str] | None = None,
) -> list[Alert]:
    """Return the alerts of a detection, those of its correlations too, by event time."""
    replaying = None if detecting.correlating is None else Replaying(detecting.correlating)
    found = list(fold(_each(lake, detecting, replaying, start=start, end=end, sources=sources)))
    if replaying is not None:
        found += replaying.alerts(lake, detecting.alerts.content_digest, detecting.alerts.entities)
    return sorted(found, key=lambda alert: (alert.time, alert.id))


def each(
    lake: Readable,
    detecting: Detection,
    *,
    start: int | None = None,
    end: int | None = None,
    sources: Collection[str] | None = None,
) -> Iterator[Alert]:
    """Yield the alerts as the lake is scanned, those of correlations aside."""
    yield from _each(lake, detecting, None, start=start, end=end, sources=sources)


def _each(
    lake: Readable,
    detecting: Detection,
    replaying: Replaying | None,
    *,
    start: int | None,
    end: int | None,
    sources: Collection[str] | None,
) -> Iterator[Alert]:
    for source in [None] if sources is None else sorted(sources):
        for batch in lake.scan(start=start, end=end, source=source):
            alerts, signals = detecting.look(batch)
            if replaying is not None:
                replaying.add(signals)
            yield from alerts
