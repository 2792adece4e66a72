"""Into the lake: files are read, mapped, looked at by detection, and acknowledged with their cursor.

Events, rejects and cursor of a batch are one transaction, after the watcher has seen the events. A run that
is killed anywhere goes on from the last cursor: what was acknowledged is there, what comes again is known by
its id.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import pyarrow as pa

from lemnis import app
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import Location, NotFoundError
from lemnis.contracts.events import Cursor, EventBatch, RawBatch, Reject
from lemnis.ingest import origins, reading
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.parsers import Parsed, Start
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import STDIN, Stream, walk
from lemnis.store.lake import Lake

_POLL_S = 0.5
_FLUSH_EVERY_S = 30.0
_FADES_S = 10.0


class Watcher(Protocol):
    """What looks at events on their way into the lake: detection, and what follows from it."""

    def watch(self, batches: Sequence[EventBatch]) -> pa.Table | None:
        """Look at events before they are acknowledged; they may come again after a crash.

        Returns what correlation needs of them, which is acknowledged with them.
        """
        ...

    def finish(self) -> None:
        """Do what remains when no more events come for now."""
        ...


@runtime_checkable
class Refreshing(Watcher, Protocol):
    """A watcher that takes over content which changes while it runs."""

    def refresh(self) -> None:
        """Look whether content changed; asked again and again, between events."""
        ...

    def finish_for_now(self) -> None:
        """Do what ``finish`` does that cannot wait until the last event has come."""
        ...


@dataclass(slots=True)
class Totals:
    """What was read, and what became of it: ``read`` is the sum of the other three."""

    read: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    files: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[Reject] = field(default_factory=list)

    def reject(self, rejects: Iterable[Reject], shown: int = 20) -> None:
        """Count rejects by their reasons, and keep the first ones to show."""
        for one in rejects:
            self.reasons[one.reason.partition(":")[0]] += 1
            if len(self.examples) < shown:
                self.examples.append(one)


Progress = Callable[[str, int, Totals], None]
"""Told of the file, how many bytes of it are done (0 if unknown), and the totals so far."""


def _quiet(file: str, done: int, totals: Totals) -> None:
    """Say nothing."""


@dataclass(slots=True)
class Ingest:
    """One run of ingesting into a workspace's lake."""

    workspace: app.Workspace
    source: str = reading.AUTO
    watcher: Watcher | None = None
    progress: Progress = _quiet
    totals: Totals = field(default_factory=Totals)
    _lake: Lake = field(init=False)
    _sources: Sources = field(init=False)
    _named: LoadedSource | None = field(init=False)
    _mappers: dict[str, Mapper] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Open the lake and the sources; raises NotFoundError for a source that there is not."""
        self._sources = Sources.load(Library.open(self.workspace.content))
        self._named = None if self.source == reading.AUTO else self._sources.get(self.source)
        self._lake = app.lake(self.workspace)

    def run(self, paths: Sequence[Path]) -> Totals:
        """Read what is new in files and folders, to the end; raises NotFoundError for a path not there."""
        for path in paths:
            if str(path) != STDIN and not path.exists():
                raise NotFoundError("no such file or folder", at=Location(str(path)))
        for file in walk(paths):
            if str(file) == STDIN or not file.is_file():
                self.read(Stream(file))
                continue
            try:
                held = _Held(file)
            except OSError as error:
                self._refuse(Stream(file), f"cannot be read: {error.strerror}")
                continue
            with held:
                self.read(held)
        self._finish()
        return self.totals

    def follow(self, paths: Sequence[Path], stop: Callable[[], bool]) -> Totals:
        """Read what is new, and what comes, until ``stop`` says so; files that appear are read too.

        A file that gives way to another of its name is read on for a while: its writer may not know yet.
        """
        held: dict[Path, _Held] = {}
        flushed = time.monotonic()
        fading: list[tuple[float, _Held]] = []
        try:
            while not stop():
                before = self.totals.read
                if isinstance(self.watcher, Refreshing):
                    self.watcher.refresh()
                there = list(walk(paths))
                gone = [held.pop(file) for file in held.keys() - set(there)]
                gone += [held.pop(file) for file in there if file in held and held[file].gave_way()]
                fading += [(time.monotonic() + _FADES_S, one) for one in gone]
                for file in there:
                    self._keep_up(file, held)
                fading = [(until, one) for until, one in fading if self._still(one, until)]
                if self.totals.read != before and self.watcher is not None:
                    if isinstance(self.watcher, Refreshing):
                        self.watcher.finish_for_now()
                    else:
                        self.watcher.finish()
                if time.monotonic() - flushed > _FLUSH_EVERY_S:
                    self._lake.flush()
                    flushed = time.monotonic()
                if self.totals.read == before:
                    time.sleep(_POLL_S)
            for _, one in fading:
                self.read(one)
        finally:
            for one in (*held.values(), *(one for _, one in fading)):
                one.close()
        self._finish()
        return self.totals

    def _keep_up(self, file: Path, held: dict[Path, _Held]) -> None:
        """Read what is new in a followed file."""
        if file not in held:
            try:
                held[file] = _Held(file)
            except OSError:  # not there yet, or not readable; if it is later, it is read then
                return
        if held[file].changed():
            self.read(held[file], whole=False)

    def _still(self, gone: _Held, until: float) -> bool:
        """Read on in a file whose name another has, as its writer may do for a while; say if for longer."""
        last = time.monotonic() >= until
        self.read(gone, whole=last)
        if last:
            gone.close()
        return not last

    def read(self, stream: Stream, *, whole: bool = True) -> None:
        """Read what is new in one stream."""
        source = self._named or self._sources.recognise(stream)
        if source is None:
            reason = reading.unreadable(stream)
            if reason != "" and whole:
                self._refuse(stream, reason or reading.UNRECOGNISED)
            return
        self.totals.files += 1
        key, cursor = self._origin(stream, source)
        start = Start() if cursor is None or stream.once else origins.resume(stream, cursor)
        if start is None:
            return
        rejected = cursor.rejected if cursor else 0
        for _, parsed in reading.read(stream, self._sources, source, start, whole=whole):
            rejected += self._take(stream, source, parsed, key, rejected)

    def _origin(self, stream: Stream, source: LoadedSource) -> tuple[str, Cursor | None]:
        """Return the name of a stream's origin, and how far it was read."""
        for key in origins.keys(stream, source):
            cursor = self._lake.cursor(source.name, key)
            if cursor is None or origins.continues(stream, cursor):
                return key, cursor
        raise AssertionError  # pragma: no cover - there is always another name

    def _take(self, stream: Stream, source: LoadedSource, parsed: Parsed, key: str, rejected: int) -> int:
        """Map, watch and acknowledge some records; return how many were rejected."""
        batches, rejects = self._map(stream, source, parsed, key)
        signals = self.watcher.watch(batches) if self.watcher is not None and batches else None
        now = self.workspace.clock.now()
        cursor = Cursor(
            source.name, key, stream.name, parsed.position, parsed.offset,
            origins.prefix(stream, parsed.offset), rejected + len(rejects), now,
        )  # fmt: skip
        done = self._lake.append(batches, rejects=rejects, cursor=cursor, signals=signals)
        totals = self.totals
        totals.read += done.accepted + done.duplicates + done.rejected
        totals.accepted += done.accepted
        totals.duplicates += done.duplicates
        totals.rejected += done.rejected
        totals.reject(rejects)
        self.progress(stream.name, parsed.offset, totals)
        return done.rejected

    def _map(
        self, stream: Stream, source: LoadedSource, parsed: Parsed, key: str
    ) -> tuple[tuple[EventBatch, ...], list[Reject]]:
        if not len(parsed.records):
            return (), list(parsed.rejects)
        raw = RawBatch(source.name, stream.name, parsed.records, parsed.fields, parsed.positions)
        mapper = self._mappers.setdefault(source.name, Mapper(source))
        mapped = mapper.map(raw, origin_key=key, now=self.workspace.clock.now())
        return mapped.batches, [*parsed.rejects, *mapped.rejects]

    def _refuse(self, stream: Stream, reason: str) -> None:
        """Put on record that a file could not be read at all."""
        reject = Reject(Location(stream.name), reason)
        self._lake.append([], rejects=[reject])
        self.totals.read += 1
        self.totals.rejected += 1
        self.totals.reject([reject])

    def _finish(self) -> None:
        if self.watcher is not None:
            self.watcher.finish()
        self._lake.flush()


class _Held(Stream):
    """A file that stays open, whatever becomes of its name: what is read and noted is of one file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.path = Path(f"/proc/self/fd/{self._descriptor}")
        self._size = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def gave_way(self) -> bool:
        """Say whether another file has its name now, or none."""
        mine = os.fstat(self._descriptor)
        try:
            now = self._file.stat()
        except OSError:
            return True
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)

    def changed(self) -> bool:
        """Say whether it has another size than when this was asked last."""
        before, self._size = self._size, os.fstat(self._descriptor).st_size
        return self._size != before

    def close(self) -> None:
        """Let it go; once is enough."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def watcher(workspace: app.Workspace) -> Watcher:
    """Return the watch of a workspace: its detections, alerts and incidents."""
    from lemnis.app.watch import Watch

    return Watch(workspace)


def sizes(paths: Iterable[Path]) -> Iterator[tuple[str, int]]:
    """Yield the files below ``paths`` with their sizes in bytes, for showing progress."""
    for file in walk(path for path in paths if str(path) != STDIN):
        if file.is_file():
            yield str(file), file.stat().st_size
