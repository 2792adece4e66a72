"""Correlations in a hunt: each piece of the input gives signals, and in the end all of them are looked at.

The files come in any order and are not in that of time, so nothing is decided before the last one is read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.app.correlation import Correlating, clocks, cuts, timed
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.clock import SystemClock, to_iso
from lemnis.contracts.correlations import Correlation
from lemnis.contracts.detection import Match
from lemnis.contracts.events import RawBatch
from lemnis.contracts.ids import Json
from lemnis.correlate.incremental import Told
from lemnis.detect import RuleSet
from lemnis.detect.signals import Events, Rows, together
from lemnis.ingest.frames import raw_frames
from lemnis.ingest.moments import moments
from lemnis.store.columns import uid_keys


@dataclass(frozen=True, slots=True)
class Signalled:
    """Signals of a batch: the file, and for each the number of its record, less ``base``.

    A record that does not name itself has no uid yet: it is called by its file and number.
    """

    file: str
    table: pa.Table
    records: pa.Int64Array
    base: int = 0
    cut: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Came:
    """What a correlation found: when, and where its last record is; ``event`` tells the rest."""

    rule: Correlation
    time: str
    file: str
    record: int
    event: dict[str, Any]


class Picker:
    """Picks the signals out of what matched."""

    def __init__(self, rules: RuleSet) -> None:
        """Prepare the correlations of the rules, if there are any."""
        self._correlating = Correlating.of(rules.rules, rules.correlations)
        self._now = SystemClock().now()

    @property
    def silent(self) -> frozenset[int]:
        """The rules that give no matches of their own."""
        return frozenset() if self._correlating is None else self._correlating.silent

    @property
    def waits(self) -> bool:
        """Say whether something depends on how far each source comes."""
        return self._correlating is not None and self._correlating.waits

    def of(
        self, pairs: Sequence[tuple[int, int]], batch: RawBatch, source: LoadedSource
    ) -> Iterator[Signalled]:
        """Yield the signals of rows and rules; ``batch`` holds these rows, perhaps others too."""
        if self._correlating is None:
            return
        extractor = self._correlating.extractor
        mine = [(row, rule) for row, rule in pairs if extractor.wants(rule)]
        if not mine:
            return
        numbered = np.array(mine, np.int64)
        rows, of = np.unique(numbered[:, 0], return_inverse=True)
        some = _taken(batch, rows)
        found = moments(some, source, now=self._now)

        def at(chosen: Rows) -> Events:
            return Events(found.times[chosen], found.known[chosen], named.take(_places(chosen)))

        # which record a signal is of is told by its place, until it has a uid
        named = pa.array([str(place) for place in range(len(rows))], pa.string())
        by_rule = {int(rule): np.sort(of[numbered[:, 1] == rule]) for rule in np.unique(numbered[:, 1])}
        tables = []
        for frame in raw_frames(some, source):
            matches = [
                Match(rule, places[np.isin(places, frame.rows)].tolist()) for rule, places in by_rule.items()
            ]
            tables += extractor.of(frame, matches, at, source=batch.source)
        whole = together(tables)
        if whole is None:
            return
        places: Any = whole.column("uid").combine_chunks().cast(pa.int64())
        whole = whole.set_column(whole.schema.get_field_index("uid"), "uid", found.named.take(places))
        numbers: Any = some.positions
        cut = {key: count for key, count in extractor.cut.items() if count}
        extractor.cut.clear()
        yield Signalled(batch.origin, whole, numbers.cast(pa.int64()).take(places), cut=cut)

    def clock(self, batch: RawBatch, source: LoadedSource) -> Iterator[Signalled]:
        """Yield how far a source comes with a batch, if that matters."""
        if not self.waits:
            return
        found = moments(batch, source, now=self._now)
        if found.known.any():
            latest = int(found.times[found.known].max())
            yield Signalled(batch.origin, timed(None, {batch.source: latest}), pa.array([], pa.int64()))


class Gathered:
    """Gathers signals, and says in the end what correlations find in them."""

    def __init__(self, rules: RuleSet) -> None:
        """Begin with nothing."""
        correlating = Correlating.of(rules.rules, rules.correlations)
        self._correlator = None if correlating is None else correlating.correlator()
        self._cut: Counter[str] = Counter()
        self._files: list[str] = []
        self._where: list[tuple[Rows, Rows, Rows]] = []

    def add(self, item: Signalled) -> None:
        """Take the signals of a batch."""
        if self._correlator is None:
            return
        self._cut.update(item.cut)
        far = clocks(item.table)
        if not item.table.num_rows:
            self._correlator.add(item.table, far)
            return
        if not self._files or self._files[-1] != item.file:
            self._files.append(item.file)
        records = item.records.to_numpy() + item.base
        uids = item.table.column("uid").to_pylist()
        named = [_named(uid, item.file, record) for uid, record in zip(uids, records.tolist(), strict=True)]
        column = pa.array(named, pa.string())
        index = item.table.schema.get_field_index("uid")
        self._correlator.add(item.table.set_column(index, "uid", column), far)
        keys, first = np.unique(uid_keys(column), return_index=True)
        self._where.append((keys, np.full(len(keys), len(self._files) - 1), records[first]))

    def found(self) -> Iterator[Came]:
        """Yield what correlations find, by time."""
        if self._correlator is None:
            return
        told = self._correlator.changes()
        if not told:
            return
        keys, files, records = (np.concatenate(parts) for parts in zip(*self._where, strict=True))
        order = np.argsort(keys, kind="stable")
        for one in told:
            last = one.final or one.evidence[-1]
            named = [*one.evidence, last]
            places = order[np.searchsorted(keys, uid_keys(pa.array([e.uid for e in named])), sorter=order)]
            where = [(self._files[int(files[p])], int(records[p])) for p in places.tolist()]
            yield Came(one.correlation, to_iso(one.last), *where[-1], _event(one, where[:-1]))

    def sentences(self) -> list[str]:
        """Say what could not be taken into account."""
        return [] if self._correlator is None else [*self._correlator.report.sentences(), *cuts(self._cut)]


def _event(one: Told, where: Sequence[tuple[str, int]]) -> dict[str, Any]:
    records: list[Json] = [{"file": file, "record": record} for file, record in where]
    group = dict(zip(one.correlation.group_by, one.group, strict=True))
    event: dict[str, Any] = {
        "group": group, "count": one.count, "value": one.value,
        "first": to_iso(one.first), "last": to_iso(one.last), "records": records,
    }  # fmt: skip
    return {**event, "new": one.term} if one.term else event


def _named(uid: str | None, file: str, record: int) -> str:
    if uid is not None:
        return uid
    return "ev-" + hashlib.sha256(f"{record}\0{file}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _taken(batch: RawBatch, rows: Rows) -> RawBatch:
    """Return some rows of a batch."""
    if len(rows) == len(batch):
        return batch
    places = _places(rows)
    records: Any = batch.records
    positions: Any = batch.positions
    return RawBatch(
        batch.source, batch.origin, records.take(places), batch.fields.take(places), positions.take(places)
    )


def _places(rows: Rows) -> Any:
    return pa.array(rows)
