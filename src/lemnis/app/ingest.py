"""Into the lake: files are read, mapped, looked at by detection, and acknowledged with their cursor.

Events, rejects and cursor of a batch are one transaction, after the watcher has seen the events. A run that
is killed anywhere goes on from the last cursor: what was acknowledged is there, what comes again is known by
its id. A fault in one file or source is told, and the others go on; a fault of what all need (a full disk)
ends a run, and makes following wait until it is gone.
"""

from __future__ import annotations

import errno
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa

from lemnis import app
from lemnis.app.enriching import Enriching
from lemnis.app.normalising import Normalising
from lemnis.app.watching import Watching
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts import compiled
from lemnis.contracts.errors import LemnisError, Location, NotFoundError, ServiceError
from lemnis.contracts.events import Appended, Cursor, EventBatch, Reject
from lemnis.contracts.watching import Pulse
from lemnis.ingest import joining, origins, reading
from lemnis.ingest.health_fields import Sampler
from lemnis.ingest.held import Held
from lemnis.ingest.parsers import Parsed, Start
from lemnis.ingest.streams import STDIN, Stream, walk
from lemnis.store import memory
from lemnis.store.lake import Lake

LOG = logging.getLogger("lemnis.ingest")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_POLL_S = 0.5
_WAIT_S = (0.5, 10.0)
_AGAIN_S = 30.0
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
    """What was read, and what became of it: ``read`` is the sum of the other three.

    ``left`` are files that lay beside logs and were left out: by their names they are none.
    """

    read: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    files: int = 0
    left: list[str] = field(default_factory=list)
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
    faults: dict[str, str] = field(default_factory=dict)
    """What could not be read on, by the names of the files, and why: it was not acknowledged."""
    _given: frozenset[Path] = field(init=False, default=frozenset())
    _lake: Lake = field(init=False)
    _normalising: Normalising = field(init=False)
    _enriching: Enriching = field(init=False)
    _named: LoadedSource | None = field(init=False)
    _sampler: Sampler = field(init=False, default_factory=Sampler)
    _watching: Watching | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Open the lake and the sources; raises NotFoundError for a source that there is not."""
        memory.keep()
        self._normalising = Normalising(self.workspace.content)
        self._enriching = Enriching(self.workspace)
        self._named = None if self.source == reading.AUTO else self._normalising.sources.get(self.source)
        self._lake = app.lake(self.workspace)

    def run(self, paths: Sequence[Path]) -> Totals:
        """Read what is new in files and folders, to the end; raises NotFoundError for a path not there.

        Raises ServiceError, after all the others are read, where a file could not be read on.
        """
        for path in paths:
            if str(path) != STDIN and not path.exists():
                raise NotFoundError("no such file or folder", at=Location(str(path)))
        self._given = frozenset(paths)
        for files in joining.grouped(walk(paths)):
            with ExitStack() as opened:
                for stream in self._by_themselves(self._opened(files, opened)):
                    self.attempt(stream)
        self._finish()
        if self.faults:
            name, why = next(iter(self.faults.items()))
            raise ServiceError(
                f"{len(self.faults)} of the files could not be read on, first this one: {why}",
                at=Location(name), fix="everything else was read; run it again to try once more",
            )  # fmt: skip
        return self.totals

    def _opened(self, files: Sequence[Path], opened: ExitStack) -> list[Stream]:
        """Open files for as long as ``opened`` is; refuse what cannot be."""
        streams: list[Stream] = []
        for file in files:
            if str(file) == STDIN or not file.is_file():
                streams.append(Stream(file))
                continue
            try:
                streams.append(opened.enter_context(Held(file)))
            except OSError as error:
                self._refuse(Stream(file), f"cannot be read: {error.strerror}")
        return streams

    def _by_themselves(self, streams: Sequence[Stream]) -> Iterator[Stream]:
        """Read together what can be; yield what is to be read by itself, also where that went wrong."""
        by_source: dict[str, tuple[LoadedSource, list[Stream]]] = {}
        for stream in streams:
            source = None
            if len(streams) > 1 and not stream.once:
                source = self._named or self._normalising.sources.recognise(stream)
            if source is None or not joining.joinable(stream, source):
                yield stream
            else:
                by_source.setdefault(source.name, (source, []))[1].append(stream)
        for source, some in by_source.values():
            try:
                yield from self._read_together(source, some)
            except ServiceError:
                raise
            except BaseException as error:
                if not reading.defect(error) or (isinstance(error, OSError) and error.errno in _FULL):
                    raise
                LOG.debug("%d files cannot be read together", len(some), exc_info=True)
                yield from some

    def _read_together(self, source: LoadedSource, streams: Sequence[Stream]) -> list[Stream]:
        """Read what is new in streams of one source as one batch; return those that begin as another does."""
        opened: dict[str, joining.Opened] = {}
        known: dict[str, int] = {}
        left, seen = [], 0
        for stream in streams:
            key, cursor = self._origin(stream, source)
            if key in opened:  # whether it is the same file, or only begins so, shows when that one is read
                left.append(stream)
                continue
            seen += 1
            start = Start() if cursor is None else origins.resume(stream, cursor)
            if start is not None:
                opened[key] = joining.Opened(stream, key, start)
                known[key] = cursor.rejected if cursor else 0
        if opened:
            self._take_together(source, joining.gather(list(opened.values()), source), known)
        self.totals.files += seen
        return left

    def _take_together(self, source: LoadedSource, read: joining.Gathered, known: Mapping[str, int]) -> None:
        """Map, watch and acknowledge the records of several streams; ``known`` were rejected before."""
        now = self.workspace.clock.now()
        batches, refused = self._normalising.map(
            source, read.parsed, origin=read.pieces[0].stream.name, origin_key=read.joined, now=now
        )
        rejects = read.placed(refused)
        counts = Counter(reject.origin_key for reject in rejects)
        enriched = self._enriching(batches)
        signals = self.watcher.watch(enriched) if self.watcher is not None and enriched else None
        cursors = [
            Cursor(
                source.name, piece.key, piece.stream.name, piece.position, piece.offset,
                origins.prefix(piece.stream, piece.offset), known[piece.key] + counts[piece.key], now,
            )
            for piece in read.pieces
            if piece.read
        ]  # fmt: skip
        done = self._lake.append(
            enriched, rejects=rejects, cursors=cursors, signals=signals, source=source.name,
            content=source.digest, told=Pulse(samples=self._sampler.of(source.name, read.parsed.fields, now)),
        )  # fmt: skip
        self._count(done, rejects)
        for piece in read.pieces:
            self.progress(piece.stream.name, piece.offset, self.totals)

    def follow(self, paths: Sequence[Path], stop: Callable[[], bool]) -> Totals:
        """Read what is new, and what comes, until ``stop`` says so; files that appear are read too.

        A file that gives way to another of its name is read on for a while: its writer may not know yet.
        While lake or journal cannot be used, nothing is acknowledged, and it is tried again.
        """
        compiled.load()
        self._given = frozenset(paths)
        following = _Following(self, paths)
        wait = _WAIT_S[0]
        try:
            while not stop():
                try:
                    busy = following.round()
                    wait = _WAIT_S[0]
                except (ServiceError, OSError) as error:
                    LOG.error("nothing can be taken now, the next try is in %.1f s: %s", wait, error)  # noqa: TRY400 - it is told in full
                    following.look_again()
                    _pause(wait, stop)
                    wait = min(2 * wait, _WAIT_S[1])
                    continue
                if not busy:
                    time.sleep(_POLL_S)
            following.end()
        finally:
            following.close()
        self._finish()
        return self.totals

    def refresh(self) -> bool:
        """Take over content that changed and is sound; say whether a source did."""
        if isinstance(self.watcher, Refreshing):
            self.watcher.refresh()
        if not self._normalising.refresh():
            return False
        if self._named is not None:
            self._named = self._normalising.sources.by_name.get(self._named.name, self._named)
        return True

    def settle(self) -> None:
        """Have the watcher do what follows from the events so far, while more come."""
        if isinstance(self.watcher, Refreshing):
            self.watcher.finish_for_now()
        elif self.watcher is not None:
            self.watcher.finish()

    def flush(self) -> None:
        """Move what the spool holds into the tables, and look how the sources do."""
        self._lake.flush()
        if self._watching is None:
            self._watching = Watching(self.workspace)
        self._watching.look_if_due()

    def attempt(self, stream: Stream, *, whole: bool = True) -> bool:
        """Read what is new in a stream; say whether it could be. What cannot is told, and stops no other."""
        try:
            self.read(stream, whole=whole)
        except ServiceError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            why = str(error) if isinstance(error, LemnisError) else f"{type(error).__name__}: {error}"
            if self.faults.get(stream.name) != why:
                LOG.exception("%s cannot be read on; the others go on", stream.name)
            self.faults[stream.name] = why
            return False
        self.faults.pop(stream.name, None)
        return True

    def read(self, stream: Stream, *, whole: bool = True) -> None:
        """Read what is new in one stream."""
        source = self._named or self._normalising.sources.recognise(stream)
        if source is None:
            reason = reading.unreadable(stream)
            file = Path(stream.name)
            if reason is None and file not in self._given and reading.no_log(file):
                self._leave(stream.name)
            elif reason != "" and whole:
                self._refuse(stream, reason or reading.UNRECOGNISED)
            return
        self.totals.files += 1
        stream.encoding = source.file.encoding
        key, cursor = self._origin(stream, source)
        start = Start() if cursor is None or stream.once else origins.resume(stream, cursor)
        if start is None:
            return
        rejected = cursor.rejected if cursor else 0
        for _, parsed in reading.read(stream, self._normalising.sources, source, start, whole=whole):
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
        now = self.workspace.clock.now()
        batches, rejects = self._normalising.map(source, parsed, origin=stream.name, origin_key=key, now=now)
        enriched = self._enriching(batches)
        signals = self.watcher.watch(enriched) if self.watcher is not None and enriched else None
        cursor = Cursor(
            source.name, key, stream.name, parsed.position, parsed.offset,
            origins.prefix(stream, parsed.offset), rejected + len(rejects), now,
        )  # fmt: skip
        done = self._lake.append(
            enriched, rejects=rejects, cursor=cursor, signals=signals, content=source.digest,
            told=Pulse(samples=self._sampler.of(source.name, parsed.fields, now)),
        )  # fmt: skip
        self._count(done, rejects)
        self.progress(stream.name, parsed.offset, self.totals)
        return done.rejected

    def _count(self, done: Appended, rejects: Sequence[Reject]) -> None:
        totals = self.totals
        totals.read += done.accepted + done.duplicates + done.rejected
        totals.accepted += done.accepted
        totals.duplicates += done.duplicates
        totals.rejected += done.rejected
        totals.reject(rejects)

    def _leave(self, name: str) -> None:
        """Note that a file is no log."""
        if name not in self.totals.left:
            self.totals.left.append(name)

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
        self._enriching.settle()
        self._lake.flush()


class _Following:
    """The files that are followed: open, or fading since another has their name."""

    def __init__(self, run: Ingest, paths: Sequence[Path]) -> None:
        self._run, self._paths = run, paths
        self._held: dict[Path, Held] = {}
        self._fading: list[tuple[float, Held]] = []
        self._parked: dict[str, float] = {}
        self._flushed = time.monotonic()
        self._unsettled = False

    def round(self) -> bool:
        """Read what is new everywhere; say whether there was anything."""
        before = self._run.totals.read
        if self._run.refresh():
            self.look_again()
        there = list(walk(self._paths))
        gone = [self._held.pop(file) for file in self._held.keys() - set(there)]
        gone += [self._held.pop(file) for file in there if file in self._held and self._held[file].gave_way()]
        self._fading += [(time.monotonic() + _FADES_S, one) for one in gone]
        try:
            for file in there:
                self._keep_up(file)
            self._fading = [(until, one) for until, one in self._fading if self._still(one, until)]
        finally:
            busy = self._run.totals.read != before
            self._unsettled |= busy
        if self._unsettled:
            self._run.settle()
            self._unsettled = False
        if time.monotonic() - self._flushed > _FLUSH_EVERY_S:
            self._run.flush()
            self._flushed = time.monotonic()
        return busy

    def _keep_up(self, file: Path) -> None:
        """Read what is new in a file; one that could not be read on is left alone for a while."""
        if file not in self._held:
            try:
                self._held[file] = Held(file)
            except OSError:  # not there yet, or not readable; if it is later, it is read then
                return
        held = self._held[file]
        if self._parked.get(held.name, 0.0) > time.monotonic():
            return
        if (held.changed() or held.name in self._parked) and not self._run.attempt(held, whole=False):
            self._parked[held.name] = time.monotonic() + _AGAIN_S
        else:
            self._parked.pop(held.name, None)

    def _still(self, gone: Held, until: float) -> bool:
        """Read on in a file whose name another has, as its writer may do for a while; say if for longer."""
        last = time.monotonic() >= until
        self._run.attempt(gone, whole=last)
        if last:
            gone.close()
        return not last

    def look_again(self) -> None:
        """Read all of them on as if they had changed, also those that could not be read."""
        self._parked.clear()
        for one in self._held.values():
            one.look_again()

    def end(self) -> None:
        """Read what gave way to others to its end."""
        for _, one in self._fading:
            self._run.attempt(one)

    def close(self) -> None:
        """Let all of them go."""
        for one in (*self._held.values(), *(one for _, one in self._fading)):
            one.close()


def _pause(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():
        time.sleep(min(_POLL_S, seconds))


def watcher(workspace: app.Workspace) -> Watcher:
    """Return the watch of a workspace: its detections, alerts and incidents."""
    from lemnis.app.watch import Watch

    return Watch(workspace)


def sizes(paths: Iterable[Path]) -> Iterator[tuple[str, int]]:
    """Yield the files below ``paths`` with their sizes in bytes, for showing progress."""
    for file in walk(path for path in paths if str(path) != STDIN):
        if file.is_file():
            yield str(file), file.stat().st_size
