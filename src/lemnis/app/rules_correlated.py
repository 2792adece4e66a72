"""Correlations over records that are there as a whole: a detection's samples, the file of an explanation.

On raw records times and uids are those of the events that the source's mapping makes of them, so that both
paths have the same signals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.detection import Frame, Match
from lemnis.contracts.events import EventBatch, RawBatch
from lemnis.correlate.incremental import Correlator, Told
from lemnis.detect import Matcher, RuleSet
from lemnis.detect.correlations import silenced
from lemnis.detect.signals import At, Events, Extractor, together
from lemnis.enrich.view import seen
from lemnis.ingest.frames import event_frames, raw_frames
from lemnis.ingest.identity import natural, uids
from lemnis.ingest.mapping_columns import RawColumns
from lemnis.store.columns import leaf

Rows = npt.NDArray[np.int64]


@dataclass(slots=True)
class Gathered:
    """What rules matched, how often each, and the signals that correlations have of it; and the clocks."""

    counts: dict[int, int]
    tables: list[pa.Table]
    clocks: dict[str, int]


class Correlating:
    """A set of rules and its correlations, over records read."""

    def __init__(self, loaded: RuleSet, matcher: Matcher, *, silent: frozenset[str] | None = None) -> None:
        """``matcher`` has the rules of ``loaded``; ``silent`` are keys of what has no alerts of its own."""
        self._loaded = loaded
        self._matcher = matcher
        self._silent = silenced(loaded.correlations) if silent is None else silent
        self.extractor = Extractor(loaded.correlations, loaded.rules)

    def alerts(self, gathered: Gathered) -> int:
        """Count the alerts: episodes of correlations, and matches of rules that have alerts of their own."""
        own = sum(
            count
            for rule, count in gathered.counts.items()
            if (self._loaded.rules[rule].id or self._loaded.rules[rule].title) not in self._silent
        )
        return own + len(self.told(gathered))

    def told(self, gathered: Gathered) -> list[Told]:
        """Return the episodes, by time, of correlations that have alerts of their own."""
        return self.correlator(gathered, silent=self._silent).changes()

    def correlator(self, gathered: Gathered, *, silent: frozenset[str] = frozenset()) -> Correlator:
        """Return a correlator that knows what was gathered and has not told of it yet."""
        made = Correlator(self._loaded.correlations, silent=silent)
        whole = together(gathered.tables)
        if whole is not None:
            made.add(whole, gathered.clocks)
        return made

    def raw(
        self, batches: Iterable[tuple[RawBatch, LoadedSource]], times: Mapping[str, int], key: str
    ) -> Gathered:
        """Gather from raw records; ``times`` are those of the events, by uid, ``key`` their origin's key."""
        gathered = Gathered({}, [], {})
        for batch, source in batches:
            names = record_uids(batch, source, key)
            at = _told_by(names, times)
            for frame in raw_frames(batch, source):
                self._take(gathered, frame, at, batch.source, 0)
            self._clock(gathered, batch.source, (times[name] for name in names if name in times))
        return gathered

    def events(self, batches: Iterable[tuple[EventBatch, LoadedSource]]) -> Gathered:
        """Gather from OCSF events."""
        gathered = Gathered({}, [], {})
        for batch, source in batches:
            names, times = event_uids(batch), event_times(batch)
            at = _told_by(names, times)
            for frame in seen(batch, event_frames(batch, source)):
                self._take(gathered, frame, at, batch.source, batch.class_uid)
            self._clock(gathered, batch.source, times.values())
        return gathered

    def _take(self, gathered: Gathered, frame: Frame, at: At, source: str, class_uid: int) -> None:
        matches: list[Match] = self._matcher.match(frame)
        for match in matches:
            gathered.counts[match.rule] = gathered.counts.get(match.rule, 0) + len(match.rows)
        gathered.tables += self.extractor.of(frame, matches, at, source=source, class_uid=class_uid)

    @staticmethod
    def _clock(gathered: Gathered, source: str, times: Iterable[int]) -> None:
        latest = max(times, default=None)
        if latest is not None:
            gathered.clocks[source] = max(latest, gathered.clocks.get(source, latest))


def event_uids(batch: EventBatch) -> list[str]:
    """Return the uid of each event."""
    column: Any = leaf(batch.table, "metadata.uid")
    found: list[str] = [] if column is None else column.to_pylist()
    return found


def event_times(batch: EventBatch) -> dict[str, int]:
    """Return the times of events by uid."""
    column: Any = leaf(batch.table, "time")
    return {} if column is None else dict(zip(event_uids(batch), column.to_pylist(), strict=True))


def record_uids(batch: RawBatch, source: LoadedSource, key: str) -> list[str]:
    """Return the uid of each raw record, as the mapping gives it."""
    columns = RawColumns(batch.fields)
    named_by = natural(columns, source.file.identity)
    found: list[str] = uids(batch.source, named_by, key, batch.positions, lambda: batch.records).to_pylist()
    return found


def _told_by(names: list[str], times: Mapping[str, int]) -> At:
    """Tell of rows what they are called and when they were, where that is known."""

    def at(rows: Rows) -> Events:
        mine = [names[row] for row in rows.tolist()]
        known = np.array([name in times for name in mine], bool)
        return Events(
            np.array([times.get(name, 0) for name in mine], np.int64), known, pa.array(mine, pa.string())
        )

    return at
