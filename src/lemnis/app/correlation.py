"""Correlation in a workspace: signals of what is ingested, written with it, folded into alerts.

Restart-safe: the signals of events lie in the lake's spool from the transaction on that acknowledged the
events, until a checkpoint has them; what was told is what the journal says was told. A run that is killed
anywhere goes on from there: the outcome follows from the set of signals.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa

from lemnis import app
from lemnis.contracts.alerts import Alert, Entity, Severity
from lemnis.contracts.correlations import SIGNALS, Correlation, join
from lemnis.contracts.counting import counted
from lemnis.contracts.detection import Frame, Match
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import Json, canonical, stable_id
from lemnis.contracts.journal import Entry
from lemnis.correlate import checkpoint
from lemnis.correlate.incremental import UNBOUNDED, Before, Correlator, Limits, Told, facts
from lemnis.detect.alerts import LEVELS, MAX_EVENT, Entities, bounded
from lemnis.detect.correlations import silenced
from lemnis.detect.signals import Events, Extractor, Rows, together
from lemnis.incidents import entries as writing
from lemnis.store import durable
from lemnis.store.columns import leaf
from lemnis.store.rows import table_name

if TYPE_CHECKING:
    from lemnis.detect.ruleset import Rule
    from lemnis.store.journal import SqlJournal
    from lemnis.store.lake import Lake
    from lemnis.store.lakes import Readable

LOG = logging.getLogger("lemnis.correlate")
CLOCKS = b"clocks"
SHOWN = 3
"""So many events of an alert's evidence are read back from the lake, for its entities."""
_ASKED = 2_000
_WRITTEN = 5_000
_UNSAVED = 20_000
_FILE = "correlations.arrow"
_TOLD = '"correlation":{"digest":'
"""In an alert's payload, as canonical JSON, if a correlation gave it."""


@dataclass(frozen=True, slots=True)
class Correlating:
    """The correlations of loaded rules, and what of events they need. Pure."""

    correlations: tuple[Correlation, ...]
    extractor: Extractor
    keys: frozenset[str]
    silent: frozenset[int]

    @classmethod
    def of(cls, rules: Sequence[Rule], correlations: Sequence[Correlation]) -> Correlating | None:
        """Prepare correlations over a matcher's rules; None if there is none."""
        if not correlations:
            return None
        keys = silenced(correlations)
        silent = frozenset(n for n, rule in enumerate(rules) if (rule.id or rule.title) in keys)
        return cls(tuple(correlations), Extractor(correlations, rules), keys, silent)

    def correlator(self, limits: Limits = UNBOUNDED, *, patient: bool = True) -> Correlator:
        """Begin with nothing."""
        return Correlator(self.correlations, silent=self.keys, limits=limits, patient=patient)

    def loud(self, matches: Iterable[Match]) -> list[Match]:
        """Return the matches of rules that give alerts of their own."""
        return [match for match in matches if match.rule not in self.silent]

    def signals(self, batch: EventBatch, found: Iterable[tuple[Frame, Sequence[Match]]]) -> pa.Table | None:
        """Return the signals of what matched in a batch, and in the metadata how far its source has come."""
        times = batch.table.column("time").to_numpy()
        uids: Any = leaf(batch.table, "metadata.uid")
        if uids is None or not len(times):
            return None
        texts = uids.combine_chunks().cast(pa.string())

        def at(rows: Rows) -> Events:
            taken = texts.take(pa.array(rows))
            return Events(times[rows], taken.is_valid().to_numpy(zero_copy_only=False), taken)

        tables = [
            table
            for frame, matches in found
            for table in self.extractor.of(frame, matches, at, source=batch.source, class_uid=batch.class_uid)
        ]
        whole = together(tables)
        if not self.waits:
            return whole
        return timed(whole, {batch.source: int(np.max(times))})

    @property
    def waits(self) -> bool:
        """Say whether something depends on how far sources have come."""
        return any(one.kind in {"absence", "baseline"} for one in self.correlations)


def cuts(cut: Mapping[str, int]) -> list[str]:
    """Say of how many events lists of values were cut."""
    return [
        f"{counted(count, 'event')} had more values in a field than correlation {key} looks at"
        for key, count in sorted(cut.items())
        if count
    ]


def timed(signals: pa.Table | None, clocks: Mapping[str, int]) -> pa.Table:
    """Return signals with how far the sources have come."""
    table = SIGNALS.empty_table() if signals is None else signals
    return table.replace_schema_metadata({CLOCKS: orjson.dumps(clocks)})


def clocks(signals: pa.Table) -> dict[str, int]:
    """Return how far the sources had come with these signals."""
    said_: dict[str, int] = orjson.loads((signals.schema.metadata or {}).get(CLOCKS, b"{}"))
    return said_


def joined(tables: Iterable[pa.Table | None]) -> pa.Table | None:
    """Return the signals of several batches as those of one."""
    some = [table for table in tables if table is not None]
    if not some:
        return None
    far: dict[str, int] = {}
    for table in some:
        for source, time in clocks(table).items():
            far[source] = max(time, far.get(source, time))
    whole = together([table.replace_schema_metadata(None) for table in some])
    return timed(whole, far) if far else whole


class Running:
    """A workspace's correlations as they run; it is called under the lock of correlation."""

    def __init__(
        self, workspace: app.Workspace, correlating: Correlating, journal: SqlJournal, lake: Lake,
        limits: Limits | None = None,
    ) -> None:  # fmt: skip
        """Begin with what the checkpoint holds."""
        self.workspace, self.correlating = workspace, correlating
        self._journal, self._lake = journal, lake
        self._limits = limits or Limits()
        self._path = workspace.state / _FILE
        self._stamp: tuple[int, int] | None = None
        self._correlator = correlating.correlator(self._limits, patient=False)
        self._taken = self._entry = self._unsaved = 0
        self._fresh, self._said = True, set[str]()

    def news(self) -> list[str]:
        """Say what could not be taken into account since this was asked last."""
        now = [*self._correlator.report.sentences(), *cuts(self.correlating.extractor.cut)]
        new = [sentence for sentence in now if sentence not in self._said]
        self._said = set(now)
        return new

    def catch_up(self, content_digest: str, entities: Entities, *, everything: bool = True) -> int:
        """Fold what is new into alerts, and write them down; return how many entries are new.

        ``everything``: also what of an alert only grew a little.
        """
        if self._fresh or self._stamp != self._stamped():
            self._load()
        for number, signals in self._lake.signals(after=self._taken):
            self._correlator.add(signals, clocks(signals))
            self._taken, self._unsaved = number, self._unsaved + signals.num_rows + 1
        self._remember()
        told = self._correlator.changes(self.workspace.clock.now(), everything=everything)
        new = 0
        for start in range(0, len(told), _WRITTEN):
            some = told[start : start + _WRITTEN]
            events = Looked(self._lake, entities).events(some)
            alerts = [self._alert(one, events, content_digest, entities) for one in some]
            wrote = self._journal.append_all([writing.alert_entry(alert) for alert in alerts])
            new += sum(fresh for _, fresh in wrote)
        if self._unsaved > _UNSAVED:
            self.save()
        return new

    def save(self) -> None:
        """Write the checkpoint, and let go of the signals that it has."""
        place = {"taken": self._taken, "entry": self._entry}
        durable.write(self._path, checkpoint.dump(self._correlator, place))
        self._lake.forget_signals(self._taken)
        self._unsaved, self._stamp = 0, self._stamped()

    def _load(self) -> None:
        """Begin anew from the checkpoint: another process has written it, or this one has just begun."""
        self._correlator = self.correlating.correlator(self._limits, patient=False)
        self._taken = self._entry = self._unsaved = 0
        self._stamp, self._fresh = self._stamped(), False
        if self._path.exists():
            place = checkpoint.load(self._path.read_bytes(), self._correlator)
            self._taken, self._entry = int(place["taken"]), int(place["entry"])

    def _stamped(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _remember(self) -> None:
        """Learn from the journal what was told, by whomever."""
        head = self._journal.head()[0]
        if head == self._entry:
            return
        told = self._journal.mentioning(_TOLD, kind=writing.ALERT, after=self._entry, up_to=head)
        for found in map(before, told):
            if found is not None:
                self._correlator.know(*found)
        self._entry = head

    def _alert(
        self, told: Told, events: Mapping[str, Mapping[str, Any]], content_digest: str, entities: Entities
    ) -> Alert:
        if told.withdrawn:  # what it was about is what was told of it
            earlier = self._journal.get(writing.alert_key(told.id, told.revision - 1))
            if earlier is not None:
                return replace(writing.read_alert(earlier), revision=told.revision, withdrawn=True)
        return alert(told, events, content_digest, entities)


def before(entry: Entry) -> tuple[str, str, Before] | None:
    """Return what an entry tells of an episode: its correlation's digest, its id, and what was told."""
    event: Any = entry.payload.get("event")
    about = event.get("correlation") if isinstance(event, Mapping) else None
    if not isinstance(about, Mapping):
        return None
    told = writing.read_alert(entry)
    was = facts(
        first=told.began, last=told.ended, count=told.count, value=float(about["value"]), uids=told.event_uids
    )
    known = Before(str(about["key"]), told.time, told.revision, was, told.withdrawn)
    return str(about["digest"]), told.id, known


def alert(
    told: Told, events: Mapping[str, Mapping[str, Any]], content_digest: str, entities: Entities
) -> Alert:
    """Make the alert of an episode; ``events`` are those of its evidence that could be read back, by uid."""
    one = told.correlation
    about: set[Entity] = set()
    shown: list[Json] = []
    for named in told.evidence[:SHOWN]:
        event = events.get(named.uid)
        if event is not None:
            about.update(entities(named.class_uid, event))
            shown.append(bounded(event))
    told_of: dict[str, Json] = {
        "group": dict(zip(one.group_by, told.group, strict=True)), "count": told.count,
        "first": told.first, "last": told.last,
        "correlation": {
            "type": one.kind, "digest": one.digest, "key": join(told.group), "value": told.value,
            **({"new": told.term} if told.term else {}),
        },
        "records": [named.uid for named in told.evidence], "events": shown,
    }  # fmt: skip
    return Alert(
        id=told.id,
        rule_id=one.key,
        title=one.title,
        severity=LEVELS.get(one.level, Severity.UNKNOWN),
        time=told.opened,
        source=told.evidence[0].source if told.evidence else "",
        event_uids=tuple(named.uid for named in told.evidence),
        entities=tuple(sorted(about)),
        content_digest=content_digest,
        tags=one.tags,
        event=told_of if len(canonical(told_of)) <= 3 * MAX_EVENT else {**told_of, "events": []},
        revision=told.revision,
        withdrawn=told.withdrawn,
        count=told.count,
        first=told.first,
        last=told.last,
        rule_digest=one.digest,
        fingerprint=stable_id("fp", one.key, join(told.group)),
    )


@dataclass(frozen=True, slots=True)
class Looked:
    """Reads events back from the lake."""

    lake: Readable
    entities: Entities

    def events(self, told: Sequence[Told]) -> dict[str, Mapping[str, Any]]:
        """Return the first events of the evidence of episodes, by uid, as far as the lake has them."""
        by_class: dict[int, dict[str, int]] = {}
        for one in told:
            for named in one.evidence[:SHOWN]:
                by_class.setdefault(named.class_uid, {})[named.uid] = named.time
        there = self.lake.schemas()
        found: dict[str, Mapping[str, Any]] = {}
        for class_uid, wanted in by_class.items():
            name = table_name(class_uid)
            if name in there:
                found |= self._read(name, sorted(wanted.items(), key=lambda pair: (pair[1], pair[0])))
        return found

    def _read(self, name: str, wanted: Sequence[tuple[str, int]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for start in range(0, len(wanted), _ASKED):
            some = wanted[start : start + _ASKED]
            times = sorted({time for _, time in some})
            marks, uids = ", ".join("?" * len(times)), ", ".join("?" * len(some))
            table = self.lake.query(
                f'SELECT * FROM "{name}" WHERE "time" IN ({marks}) AND metadata.uid IN ({uids})',  # noqa: S608
                parameters=[*times, *(uid for uid, _ in some)],
                limit=len(some), start=times[0], end=times[-1] + 1,
            )  # fmt: skip
            yield from ((str(event["metadata"]["uid"]), event) for event in table.to_pylist())


class Replaying:
    """Correlations over signals that come one batch after the other and are all there in the end."""

    def __init__(self, correlating: Correlating) -> None:
        """Begin with nothing."""
        self._correlator = correlating.correlator()

    def add(self, signals: pa.Table | None) -> None:
        """Take the signals of a batch."""
        if signals is not None:
            self._correlator.add(signals, clocks(signals))

    def alerts(self, lake: Readable, content_digest: str, entities: Entities) -> list[Alert]:
        """Return the alerts of all signals: nothing is late."""
        told = self._correlator.changes()
        for sentence in self._correlator.report.sentences():
            LOG.warning("%s", sentence)
        found: list[Alert] = []
        for start in range(0, len(told), _WRITTEN):
            some = told[start : start + _WRITTEN]
            events = Looked(lake, entities).events(some)
            found += [alert(one, events, content_digest, entities) for one in some]
        return found


def replayed(
    correlating: Correlating, signals: Iterable[pa.Table | None], lake: Readable, content_digest: str,
    entities: Entities,
) -> list[Alert]:  # fmt: skip
    """Return the alerts of all signals at once."""
    replaying = Replaying(correlating)
    for some in signals:
        replaying.add(some)
    return replaying.alerts(lake, content_digest, entities)
