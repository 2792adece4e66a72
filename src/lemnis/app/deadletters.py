"""Dead letters of a workspace: which records were not taken and why, and taking them after a fix.

What is tried again has the identity that it would have had: of its origin, its place there and its bytes.
An event enters the lake and its letter leaves the table in one transaction, after detection has seen the
event, so a run that is killed anywhere is gone on with by the next, and a second one finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa

from lemnis import app
from lemnis.app import receiving
from lemnis.app.enriching import Enriching
from lemnis.app.ingest import Watcher
from lemnis.app.normalising import alone, guarded
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.events import Appended, EventBatch, RawBatch
from lemnis.ingest import encodings, parsers, reading
from lemnis.ingest.identity import Joined
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.parsers import Parsed
from lemnis.ingest.parsers._columns import table
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Bytes, Stream
from lemnis.store.deadletters import DAY_MS, DeadCount, DeadGroup, DeadLetter

_ODD = "it is not read as one record by itself: read the file again"


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies among the dead letters, by source and reason, and how much of each source there is."""

    groups: tuple[DeadGroup, ...]
    counts: tuple[DeadCount, ...]


@dataclass(slots=True)
class Replayed:
    """What became of dead letters: ``read`` were tried, ``left`` could not be, for want of their record."""

    read: int = 0
    done: Appended = field(default_factory=lambda: Appended(0, 0, 0))
    rejected: int = 0
    left: int = 0


Progress = Callable[[int, int], None]
"""Told how many letters are done, and of how many."""


def listing(workspace: app.Workspace, source: str | None = None, reason: str = "") -> Listing:
    """Return dead letters by source and reason, of one source, of reasons that contain a text."""
    lake = app.events(workspace)
    wanted = reason.casefold()
    groups = [one for one in lake.dead_groups(source) if wanted in one.reason.casefold()]
    counts = [one for one in lake.dead_counts() if source in (None, one.source)]
    return Listing(tuple(groups), tuple(counts))


def replay(
    workspace: app.Workspace,
    names: Sequence[str] = (),
    *,
    watcher: Watcher | None = None,
    progress: Progress | None = None,
) -> Replayed:
    """Run dead letters (of some sources) through the present content; what maps now enters the lake.

    Raises NotFoundError for a named source that there is not, ServiceError where lake or journal cannot be
    used.
    """
    with _box(workspace) as lake:
        return _replayed(_Replaying(workspace, watcher, lake), names, progress)


class Box(Protocol):
    """What a replay needs of a lake; ``store.lake.Lake`` and ``cluster.letters.Letterbox`` have it."""

    alone: bool
    """Whether nobody else makes incidents of alerts."""

    def dead_counts(self) -> list[DeadCount]:
        """Return how many dead letters each source has."""
        ...

    def dead_letters(
        self, source: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> list[DeadLetter]:
        """Return dead letters with numbers above ``after``, by number: a bounded page."""
        ...

    def append(
        self, batches: Sequence[EventBatch], *, signals: pa.Table | None = None, source: str = "",
        content: str = "", settled: Sequence[int] = (),
    ) -> Appended:  # fmt: skip
        """Store what letters became, and let go of them."""
        ...

    def restate(self, reasons: Mapping[int, str], *, content: str) -> None:
        """Say anew why records are not taken."""
        ...

    def flush(self) -> int:
        """Move what was stored into the tables."""
        ...


@contextmanager
def _box(workspace: app.Workspace) -> Iterator[Box]:
    """Hold the letters of a workspace, or of its cluster."""
    if app.clustered(workspace):
        from lemnis.app.cluster import Setup
        from lemnis.app.cluster.letters import letterbox

        with letterbox(Setup.of(workspace)) as box:
            yield box
    else:
        yield app.lake(workspace)


def revive(workspace: app.Workspace, names: Sequence[str] = ()) -> int:
    """Have whole deliveries that were put aside (of some sources) worked on again; return how many."""
    if app.clustered(workspace):
        from lemnis.app.cluster import Setup
        from lemnis.app.cluster.letters import revive as revived

        return revived(Setup.of(workspace), names)
    return receiving.revive(workspace, names)


def _replayed(replaying: _Replaying, names: Sequence[str], progress: Progress | None) -> Replayed:
    lake, watcher = replaying.lake, replaying.watcher
    for name in names:
        replaying.sources.get(name)
    whole = sum(one.rows for one in lake.dead_counts() if not names or one.source in names)
    seen = 0
    for name in names or [one.source for one in lake.dead_counts() if one.rows]:
        after = 0
        while letters := lake.dead_letters(name, after=after):
            replaying.page(name, letters)
            after, seen = letters[-1].id, seen + len(letters)
            if progress is not None:
                progress(seen, whole)
    if watcher is not None and lake.alone:
        watcher.finish()
    lake.flush()
    return replaying.totals


class _Replaying:
    """One run over dead letters."""

    def __init__(self, workspace: app.Workspace, watcher: Watcher | None, lake: Box) -> None:
        self.lake, self.watcher = lake, watcher
        self.sources = Sources.load(Library.open(workspace.content))
        self.totals = Replayed()
        self._enriching = Enriching(workspace)
        self._mappers: dict[str, Mapper] = {}

    def page(self, name: str, letters: Sequence[DeadLetter]) -> None:
        """Try some letters of a source again, those of one day together: some times say no year."""
        source = self.sources.by_name.get(name)
        whole = [one for one in letters if one.whole and source is not None]
        self.totals.left += len(letters) - len(whole)
        if source is None:
            return
        by_day: dict[int, list[DeadLetter]] = {}
        for one in whole:
            by_day.setdefault(one.time // DAY_MS, []).append(one)
        for some in by_day.values():
            self._again(source, some)

    def _again(self, source: LoadedSource, letters: Sequence[DeadLetter]) -> None:
        self.totals.read += len(letters)
        reasons: dict[int, str] = {}
        settled: list[int] = []
        batches: list[EventBatch] = []
        for chosen, parsed in _read(source, letters, reasons):
            rows = np.arange(len(chosen), dtype=np.int64)
            positions: Any = pa.array(rows + 1)
            raw = RawBatch(source.name, chosen[0].at.file, parsed.records, parsed.fields, positions)
            ahead = np.array([one.at.record for one in chosen], np.int64) - 1
            keys = Joined([one.origin_key for one in chosen], rows, ahead)
            mapper = self._mappers.setdefault(source.name, Mapper(source))
            mapped = guarded(mapper, raw, origin_key=keys, now=max(one.time for one in chosen))
            batches += mapped.batches
            refused = {(reject.at.record or 1) - 1: reject.reason for reject in mapped.rejects}
            reasons |= {chosen[row].id: reason for row, reason in refused.items()}
            settled += [one.id for row, one in enumerate(chosen) if row not in refused]
        if settled:
            batches = list(self._enriching(batches))
            signals = self.watcher.watch(batches) if self.watcher is not None and batches else None
            self.totals.done += self.lake.append(
                batches, signals=signals, source=source.name, content=source.digest, settled=settled
            )
        self.totals.rejected += len(letters) - len(settled)
        now = {one.id: one.reason for one in letters}
        changed = {number: why for number, why in reasons.items() if now[number] != why}
        if changed:
            self.lake.restate(changed, content=source.digest)


Made = tuple[list[DeadLetter], Parsed]


def lined(stream: Stream, source: LoadedSource) -> bool:
    """Say whether each line of a stream is a record of its own; a parser that fails on it cannot tell."""
    by_stream = getattr(parsers.get(source.file.parser), "lined", None)
    try:
        return by_stream is None or bool(by_stream(stream, source.file.options))
    except Exception:  # noqa: BLE001 - what it fails with is told of each record
        return False


def _read(source: LoadedSource, letters: Sequence[DeadLetter], reasons: dict[int, str]) -> Iterator[Made]:
    """Yield letters with their records and fields, one record each; say of the others why not."""
    encoding = source.file.encoding
    if encoding:
        letters = [replace(one, raw=encodings.as_utf8(one.raw, encoding)) for one in letters]
    fielded = [one for one in letters if one.fields]
    if fielded:
        texts: Any = pa.array([one.raw.decode("utf-8", "backslashreplace") for one in fielded], pa.string())
        rows = [orjson.loads(one.fields) for one in fielded]
        nothing: Any = pa.array([], pa.int64())
        yield fielded, Parsed(texts, table(rows), nothing, (), 0, 0)
    rest = [one for one in letters if not one.fields]
    lines = [one for one in rest if alone(source) and b"\n" not in one.raw]
    joined = Bytes(letters[0].at.file, b"".join(one.raw + b"\n" for one in lines))
    done: set[int] = set()
    if lines and lined(joined, source):
        for chosen, parsed in _parsed(source, joined, lines, reasons):
            done |= {one.id for one in chosen}
            yield chosen, parsed
    for one in rest:
        if one.id not in done and one.id not in reasons:
            stream = Bytes(one.at.file, one.raw)
            made = list(_parsed(source, stream, [one], reasons))
            if made:
                yield made[0]
            else:
                reasons.setdefault(one.id, _ODD)


def _parsed(
    source: LoadedSource, stream: Stream, letters: Sequence[DeadLetter], reasons: dict[int, str]
) -> Iterator[Made]:
    """Parse a stream of letters, each a line of it, or of a single one; what gives its own text is taken."""
    single = len(letters) == 1
    for _, parsed in reading.read(stream, Sources({source.name: source}), source):
        for reject in parsed.rejects:
            place = 0 if single else (reject.at.record or 0) - 1
            if 0 <= place < len(letters):
                reasons[letters[place].id] = reject.reason
        places = [0 if single else int(number or 1) - 1 for number in parsed.positions.to_pylist()]
        kept = [
            (row, letters[place])
            for row, (place, text) in enumerate(zip(places, parsed.records.to_pylist(), strict=True))
            if place < len(letters) and str(text) == _text(letters[place])
        ]
        if kept:
            rows: Any = pa.array([row for row, _ in kept])
            some = replace(parsed, records=parsed.records.take(rows), fields=parsed.fields.take(rows))
            yield [letter for _, letter in kept], some


def _text(letter: DeadLetter) -> str:
    return letter.raw.decode("utf-8", "backslashreplace").removesuffix("\n").removesuffix("\r")
