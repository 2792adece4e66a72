"""What a hunt is made of: rules over the records of files, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.app import exceptions
from lemnis.app.hunt_correlation import Picker, Signalled
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.clock import SystemClock
from lemnis.contracts.correlations import Correlation
from lemnis.contracts.detection import Match
from lemnis.contracts.errors import Location
from lemnis.contracts.events import RawBatch, Reject
from lemnis.detect import Matcher, Rule, RuleSet
from lemnis.ingest.blocks import OverlongError
from lemnis.ingest.coded import CodedBatch
from lemnis.ingest.flatten import TooWideError
from lemnis.ingest.frames import coded_frames, offered, raw_frames
from lemnis.ingest.mapping_columns import Rows
from lemnis.ingest.moments import moments
from lemnis.ingest.parsers import Start
from lemnis.ingest.quick import Batch, Quick
from lemnis.ingest.reading import AUTO, UNRECOGNISED
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import BrokenStreamError, Stream

_LOGS = frozenset({".evtx", ".json", ".jsonl", ".ndjson", ".log", ".csv", ".gz", ".zst"})


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule matched a record: when (as the record says it), where, and the record's fields."""

    rule: Rule | Correlation
    time: str
    file: str
    record: int
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the hunt is: the file it is in, the records read so far, the rules that such logs are for."""

    file: str
    records: int
    rules: frozenset[int]

    @property
    def asked(self) -> int:
        """How many rules such logs are for."""
        return len(self.rules)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file in a folder that no source recognises and whose name does not say that it is a log."""

    file: str


@dataclass(frozen=True, slots=True)
class Excepted:
    """An exception holds back so many matches of a batch."""

    exception: str
    count: int


@dataclass(frozen=True, slots=True)
class Task:
    """Files to look at; or a part of one, in bytes, that may follow another."""

    files: tuple[Path, ...]
    part: tuple[int, int] | None = None
    follows: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """A part ends: so many lines were in it; or it is no lines from some place on (``irregular``)."""

    start: Start
    irregular: bool = False


Found = Hit | Reject | Skipped | Progress | End | Signalled | Excepted
Pairs = list[tuple[int, int]]
"""Rows, and the rule that each matches."""


class Looker:
    """What is asked of records: rules, what exceptions take away from them, and signals for correlations."""

    def __init__(self, rules: RuleSet, made: Sequence[exceptions.Compiled] = ()) -> None:
        """Lay the exceptions over the rules."""
        self._over = exceptions.over(rules, made) if made else None
        self._count = len(rules.rules)
        self.matcher = Matcher(
            *((self._over.rules, self._over.atoms) if self._over else (rules.rules, rules.atoms))
        )
        self.picker = Picker(rules)
        self._now = SystemClock().now()

    @property
    def asked(self) -> frozenset[int]:
        """Which of the rules are for a log source that has come by."""
        return frozenset(rule for rule in self.matcher.asked if rule < self._count)

    def own(self, pairs: Pairs) -> Pairs:
        """Return the pairs of rules, without what exceptions would take away."""
        return [pair for pair in pairs if pair[1] < self._count]

    def kept(self, pairs: Pairs, batch: RawBatch, source: LoadedSource, held: list[Excepted]) -> Pairs:
        """Return the rows and rules of a batch that no exception holds back; ``held`` gets what one does."""
        own = self.own(pairs)
        if self._over is None or len(own) == len(pairs):
            return own
        by_rule: dict[int, list[int]] = {}
        for row, rule in pairs:
            by_rule.setdefault(rule, []).append(row)
        found = moments(batch, source, now=self._now)
        times = np.where(found.known, found.times, self._now)
        matches = [Match(rule, rows) for rule, rows in by_rule.items()]
        held += [Excepted(one.exception, len(one.match.rows)) for one in self._over.held(matches, times)]
        return [(row, match.rule) for match in self._over.kept(matches, times) for row in match.rows]


class Hunter:
    """Looks at pieces of the input, one after the other; of one process and one thread."""

    def __init__(
        self,
        rules: RuleSet,
        paths: tuple[Path, ...],
        source: str = AUTO,
        made: tuple[exceptions.Compiled, ...] = (),
    ) -> None:
        """``paths`` are what was asked for; raises NotFoundError for a source that there is not."""
        self.paths = paths
        self.source = source
        self.made = made
        self._sources = Sources.load(Library.open())
        self._named = None if source == AUTO else self._sources.get(source)
        self._last: tuple[str, LoadedSource | None] = ("", None)
        self._looker = Looker(rules, made)
        self._quick = Quick(self._sources, lambda one: self._looker.matcher.fields(offered(one)))

    def run(self, task: Task) -> Iterator[Found]:
        """Yield what is found in a piece; ``Progress`` tells of each batch by itself, ``End`` of a part."""
        if task.part is not None:
            yield from self._part(task.files[0], *task.part)
            return
        for file in task.files:
            for read in self._quick.open(Stream(file), self._named):
                yield from self._look(read)

    def parts(self, file: Path, size: int) -> list[tuple[int, int]]:
        """Cut a file into parts of about ``size`` bytes that can be looked at by themselves, if it can be."""
        if not file.is_file() or file.stat().st_size < 2 * size:
            return []
        return self._quick.parts(Stream(file), self._named, size)

    def rest(self, file: Path, start: Start) -> Iterator[Found]:
        """Yield what is found in a file from a record and byte on."""
        stream = Stream(file)
        source = self._recognise(stream)
        if source is not None:
            for read in self._quick.rest(stream, source, start):
                yield from self._look(read)

    def _part(self, file: Path, begin: int, end: int) -> Iterator[Found]:
        stream = Stream(file)
        source = self._recognise(stream)
        if source is None:  # it was recognised when it was cut: it is no longer what it was
            yield Reject(Location(stream.name), UNRECOGNISED)
            return
        reading = self._quick.part(stream, source, begin, end)
        try:
            while True:
                yield from self._look(next(reading))
        except StopIteration as stop:
            yield End(Start(stop.value, end))
        except OverlongError as error:
            yield End(error.at, irregular=True)
        except BrokenStreamError as error:
            yield Reject(Location(stream.name), str(error))

    def _recognise(self, stream: Stream) -> LoadedSource | None:
        """Return the source that a file is of; its parts come one after the other, so it is remembered."""
        if self._last[0] != stream.name:
            self._last = (stream.name, self._named or self._sources.recognise(stream))
        return self._last[1]

    def _look(self, read: Batch | Reject) -> Iterator[Found]:
        if isinstance(read, Reject):
            yield Skipped(read.at.file) if _no_log(read, self.paths) else read
            return
        yield from found(self._looker, read, self._sources.get(read.source))
        yield Progress(read.origin, len(read), self._looker.asked)


def found(
    looker: Looker, batch: Batch, source: LoadedSource
) -> Iterator[Hit | Reject | Signalled | Excepted]:
    """Yield what matched in a batch, by record, after what of it could not be read."""
    if isinstance(batch, RawBatch):
        yield from hits(looker, batch, source)
        yield from looker.picker.clock(batch, source)
        return
    if looker.picker.waits:
        for _, whole, _ in _whole(batch, np.arange(len(batch))):
            yield from looker.picker.clock(whole, source)
    pairs = [
        (row, match.rule)
        for frame in coded_frames(batch, source)
        for match in looker.matcher.match(frame)
        for row in match.rows
    ]
    there: list[Hit] = []
    others: list[Signalled | Excepted] = []
    for _, odd, rejects in _whole(batch, batch.odd()):
        yield from rejects
        for item in hits(looker, odd, source):
            (there if isinstance(item, Hit) else others).append(item)  # type: ignore[arg-type]
    rows = sorted({row for row, _ in looker.own(pairs)})
    for kept, whole, rejects in _whole(batch, np.array(rows, np.int64)):
        yield from rejects
        place = {row: number for number, row in enumerate(kept.tolist())}
        within = [(place[row], rule) for row, rule in pairs if row in place]
        for item in _of(looker, within, whole, source):
            (there if isinstance(item, Hit) else others).append(item)  # type: ignore[arg-type]
    yield from sorted(there, key=lambda hit: hit.record)
    yield from others


def _whole(batch: CodedBatch, rows: Rows) -> Iterator[tuple[Rows, RawBatch, tuple[Reject, ...]]]:
    """Read rows completely, in parts if they are too wide; yield which could be, and what could not."""
    if not len(rows):
        return
    try:
        whole, rejects = batch.whole(rows)
    except TooWideError:
        middle = len(rows) // 2
        if not middle:
            raise
        yield from _whole(batch, rows[:middle])
        yield from _whole(batch, rows[middle:])
        return
    read = np.isin(batch.texts.numbers[rows], whole.positions.to_numpy())
    yield rows[read], whole, rejects


def hits(looker: Looker, batch: RawBatch, source: LoadedSource) -> Iterator[Hit | Signalled | Excepted]:
    """Yield what matched in a batch of raw records, by record, and what correlations need of it."""
    pairs = [
        (row, match.rule)
        for frame in raw_frames(batch, source)
        for match in looker.matcher.match(frame)
        for row in match.rows
    ]
    yield from _of(looker, pairs, batch, source)


def _of(
    looker: Looker, pairs: Pairs, batch: RawBatch, source: LoadedSource
) -> Iterator[Hit | Signalled | Excepted]:
    """Yield what comes of rows and rules of a batch, and what exceptions hold back."""
    held: list[Excepted] = []
    pairs = looker.kept(pairs, batch, source, held)
    if pairs:
        yield from _hits(looker, pairs, batch, source)
        yield from looker.picker.of(pairs, batch, source)
    yield from held


def _hits(looker: Looker, pairs: Pairs, batch: RawBatch, source: LoadedSource) -> Iterator[Hit]:
    """Yield the hits of rows and rules, of those that are to be told by themselves."""
    pairs = [(row, rule) for row, rule in pairs if rule not in looker.picker.silent]
    if not pairs:
        return
    rows = sorted({row for row, _ in pairs})
    events = dict(zip(rows, map(_tidy, batch.fields.take(pa.array(rows)).to_pylist()), strict=True))
    times = time_fields(source)
    for row, rule in sorted(pairs):
        event = events[row]
        time = next((str(event[name]) for name in times if name in event), "")
        yield Hit(looker.matcher.rules[rule], time, batch.origin, int(batch.positions[row].as_py()), event)


def _no_log(reject: Reject, paths: tuple[Path, ...]) -> bool:
    """Say whether a file came along in a folder of logs: a licence, a description."""
    file = Path(reject.at.file)
    return (
        reject.at.record is None
        and reject.reason == UNRECOGNISED
        and file not in paths
        and not _LOGS & set(file.suffixes)
    )


def time_fields(source: LoadedSource) -> list[str]:
    """Return the raw fields that the source's mapping takes a record's time from, in order."""
    mapping = source.mapping
    entries = (mapping.common, *mapping.events)
    lines = [line for entry in entries for line in entry.time or ()]
    return list(dict.fromkeys(name for line in lines for name in line.source))


def _tidy(event: dict[str, Any]) -> dict[str, Any]:
    """Leave out the fields that a record lacks; a list of one may be the batch's doing and is that one."""
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in event.items()
        if value is not None
    }
