"""Hunting: rules over raw input, without a workspace."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import ContentError, Location, NotFoundError
from lemnis.contracts.events import RawBatch, Reject
from lemnis.detect import Matcher, Rule, RuleSet, load_rules
from lemnis.detect.rules import rule_files
from lemnis.ingest.frames import coded_frames, offered, raw_frames
from lemnis.ingest.quick import Batch, Quick
from lemnis.ingest.reading import AUTO, UNRECOGNISED
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import STDIN, Stream, walk

_LOGS = frozenset({".evtx", ".json", ".jsonl", ".ndjson", ".log", ".csv", ".gz", ".zst"})


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule matched a record: when (as the record says it), where, and the record's fields."""

    rule: Rule
    time: str
    file: str
    record: int
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the hunt is: the file it is in, the records read so far, the rules that such logs are for."""

    file: str
    records: int
    asked: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file in a folder that no source recognises and whose name does not say that it is a log."""

    file: str


def cache_folder() -> Path:
    """Return where compiled rules are kept: XDG_CACHE_HOME, or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lemnis"


def rules(paths: Sequence[Path]) -> RuleSet:
    """Load the rules in files and folders, or the built-in detections if none are given.

    Raises NotFoundError for a path that is not there.
    """
    for path in paths:
        if not path.exists():
            raise NotFoundError("no such file or folder", at=Location(str(path)))
    library = Library.open()
    chosen = list(paths) or [item.manifest for item in library.items("detections").values()]
    empty = tuple(
        ContentError("no rules in this folder", at=Location(str(path)), fix="rules are *.yml files")
        for path in paths
        if not rule_files([path])
    )
    loaded = load_rules(chosen, cache=cache_folder())
    return replace(loaded, problems=(*empty, *loaded.problems))


def hunt(
    paths: Sequence[Path], loaded: RuleSet, *, source: str = AUTO
) -> Iterator[Hit | Reject | Skipped | Progress]:
    """Yield what matched, what could not be read, and what was left out, in order of the input.

    Raises NotFoundError for a path or a source that is not there.
    """
    sources = Sources.load(Library.open())
    matcher = Matcher(loaded.rules, loaded.atoms)
    count = 0
    for path in paths:
        if str(path) != STDIN and not path.exists():
            raise NotFoundError("no such file or folder", at=Location(str(path)))
        if path.is_dir() and next(iter(walk([path])), None) is None:
            yield Reject(Location(str(path)), "the folder is empty")
    quick = Quick(sources, lambda one: matcher.fields(offered(one)))
    named = None if source == AUTO else sources.get(source)
    for file in walk(paths):
        for read in quick.open(Stream(file), named):
            if isinstance(read, Reject):
                yield Skipped(read.at.file) if _no_log(read, paths) else read
                continue
            yield from found(matcher, read, sources.get(read.source))
            count += len(read)
            yield Progress(read.origin, count, matcher.asked)


def found(matcher: Matcher, batch: Batch, source: LoadedSource) -> Iterator[Hit | Reject]:
    """Yield what matched in a batch, by record, after what of it could not be read."""
    if isinstance(batch, RawBatch):
        yield from hits(matcher, batch, source)
        return
    pairs = [
        (row, match.rule)
        for frame in coded_frames(batch, source)
        for match in matcher.match(frame)
        for row in match.rows
    ]
    there: list[Hit] = []
    if len(rows := batch.odd()):
        odd, rejects = batch.whole(rows)
        yield from rejects
        there += hits(matcher, odd, source)
    if pairs:
        hit = sorted({row for row, _ in pairs})
        whole, _ = batch.whole(np.array(hit))
        place = {row: number for number, row in enumerate(hit)}
        there += _hits(matcher, [(place[row], rule) for row, rule in pairs], whole, source)
    yield from sorted(there, key=lambda hit: hit.record)


def hits(matcher: Matcher, batch: RawBatch, source: LoadedSource) -> Iterator[Hit]:
    """Yield what matched in a batch of raw records, by record."""
    pairs = [
        (row, match.rule)
        for frame in raw_frames(batch, source)
        for match in matcher.match(frame)
        for row in match.rows
    ]
    if pairs:
        yield from _hits(matcher, pairs, batch, source)


def _hits(
    matcher: Matcher, pairs: list[tuple[int, int]], batch: RawBatch, source: LoadedSource
) -> Iterator[Hit]:
    """Yield the hits of rows and rules."""
    rows = sorted({row for row, _ in pairs})
    events = dict(zip(rows, map(_tidy, batch.fields.take(pa.array(rows)).to_pylist()), strict=True))
    times = time_fields(source)
    for row, rule in sorted(pairs):
        event = events[row]
        time = next((str(event[name]) for name in times if name in event), "")
        yield Hit(matcher.rules[rule], time, batch.origin, int(batch.positions[row].as_py()), event)


def _no_log(reject: Reject, paths: Sequence[Path]) -> bool:
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
