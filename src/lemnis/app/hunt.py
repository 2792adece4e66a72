"""Hunting: rules over raw input, without a workspace."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import ContentError, Location, NotFoundError
from lemnis.contracts.events import RawBatch, Reject
from lemnis.detect import Matcher, Rule, RuleSet, load_rules
from lemnis.detect.rules import rule_files
from lemnis.ingest.frames import raw_frames
from lemnis.ingest.reading import AUTO, UNRECOGNISED, open_path
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import walk

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
        if path.is_dir() and next(iter(walk([path])), None) is None:
            yield Reject(Location(str(path)), "the folder is empty")
    for read in open_path(list(paths), sources, source=source):
        if isinstance(read, Reject):
            yield Skipped(read.at.file) if _no_log(read, paths) else read
            continue
        yield from hits(matcher, read, sources.get(read.source))
        count += len(read)
        yield Progress(read.origin, count, matcher.asked)


def hits(matcher: Matcher, batch: RawBatch, source: LoadedSource) -> Iterator[Hit]:
    """Yield what matched in a batch of raw records, by record."""
    found = [
        (row, match.rule)
        for frame in raw_frames(batch, source)
        for match in matcher.match(frame)
        for row in match.rows
    ]
    if not found:
        return
    rows = sorted({row for row, _ in found})
    events = dict(zip(rows, map(_tidy, batch.fields.take(pa.array(rows)).to_pylist()), strict=True))
    times = time_fields(source)
    for row, rule in sorted(found):
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
    """Leave out the fields that a record lacks."""
    return {name: value for name, value in event.items() if value is not None}
