"""Deliveries of one source into the lake: read, mapped, looked at by detection, stored with what was refused.

What raises is looked for by halves, so that a record which nobody foresaw costs only itself: it becomes a
dead letter with its place. Where too much raises, whole deliveries are put aside.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app.enriching import Enriching
from lemnis.app.normalising import complete
from lemnis.app.stages import Stages
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import ServiceError
from lemnis.contracts.events import Appended, EventBatch, RawBatch, Reject
from lemnis.contracts.receiving import Delivery
from lemnis.contracts.watching import Pulse, Sample
from lemnis.ingest import reading, received
from lemnis.ingest.health_fields import Sampler
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.received import Piece
from lemnis.ingest.sources import Sources

if TYPE_CHECKING:
    from lemnis.app.watch import Watch

LOG = logging.getLogger("lemnis.receiving")
_FAILURES = 40
_ORIGINS = 8


@dataclass(slots=True)
class Stored:
    """What became of some deliveries of one source: ``dead`` are those put aside, when they came, and why."""

    done: Appended = field(default_factory=lambda: Appended(0, 0, 0))
    dead: list[tuple[Delivery, int, str]] = field(default_factory=list)
    lost: list[Reject] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    failures: int = 0

    def put_aside(self, piece: Piece, reason: str) -> None:
        """Keep a piece as it came, with the reason why nothing was done with it."""
        self.dead.append((piece.remains(), piece.at, reason))
        self.reasons.append(reason)


class _UnusableError(Exception):
    """What is not the records' fault: a full disk, a database that is away."""


class Storing:
    """Puts deliveries into a workspace's lake; ``stages`` are told how long each part took."""

    def __init__(self, workspace: app.Workspace, watch: Watch | None, stages: Stages) -> None:
        """``watch`` looks at events on their way."""
        self.lake = app.lake(workspace)
        self._clock, self._watch, self._stages = workspace.clock, watch, stages
        self._enriching = Enriching(workspace)
        self._mappers: dict[str, tuple[str, Mapper]] = {}
        self._sampler, self._samples = Sampler(), list[Sample]()

    def store(self, source: LoadedSource, pieces: Sequence[Piece]) -> Stored:
        """Put pieces of a source into the lake, and say what became of them.

        Raises ServiceError where lake or journal cannot be used.
        """
        stored = Stored()
        stored.lost += [piece.refused(piece.delivery.refused) for piece in pieces if piece.delivery.refused]
        encoding = source.file.encoding
        good = [piece.decoded(encoding) for piece in pieces if not piece.delivery.refused]
        try:
            self._try(stored, source, good)
            if stored.lost:
                stored.reasons += [reject.reason for reject in stored.lost[:3]]
                stored.done += self._kept(source, [], stored.lost, pieces)
        except _UnusableError as error:
            raise ServiceError(f"lake or journal cannot be used: {error.__cause__}") from error.__cause__
        return stored

    def _try(self, stored: Stored, source: LoadedSource, pieces: Sequence[Piece]) -> None:
        """Put pieces into the lake; what raises is parted until only what raises is left."""
        waiting = [list(pieces)] if pieces else []
        while waiting:
            some = waiting.pop()
            try:
                stored.done += self._whole(stored, source, some)
            except _UnusableError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is: it must cost only what caused it
                stored.failures += 1
                waiting += _parted(stored, source, some, error)

    def _whole(self, stored: Stored, source: LoadedSource, pieces: Sequence[Piece]) -> Appended:
        """Read, map, watch and store pieces of one source."""
        batches: list[EventBatch] = []
        rejects: list[Reject] = []
        self._samples.clear()
        for group in _groups(source, pieces):
            made, refused = self._read(source, group)
            batches += made
            rejects += refused
        stored.reasons += [reject.reason for reject in rejects[:3]]
        return self._kept(source, batches, rejects, pieces)

    def _kept(
        self,
        source: LoadedSource,
        batches: Sequence[EventBatch],
        rejects: Sequence[Reject],
        pieces: Sequence[Piece],
    ) -> Appended:
        try:
            return self._keep(source, batches, rejects, pieces)
        except (ServiceError, OSError) as error:
            raise _UnusableError from error

    def _keep(
        self,
        source: LoadedSource,
        batches: Sequence[EventBatch],
        rejects: Sequence[Reject],
        pieces: Sequence[Piece],
    ) -> Appended:
        """Enrich, watch and store events and rejects, in that order."""
        with self._stages.of("enrich"):
            batches = self._enriching(batches)
        with self._stages.of("detect"):
            signals = self._watch.watch(batches) if self._watch is not None and batches else None
        with self._stages.of("append"):
            return self.lake.append(
                batches,
                rejects=rejects,
                signals=signals,
                source=source.name,
                content=source.digest,
                told=Pulse(min(piece.at for piece in pieces), tuple(self._samples)),
            )

    def _read(self, source: LoadedSource, group: Sequence[Piece]) -> tuple[list[EventBatch], list[Reject]]:
        stream, joined = received.together(group)
        mapper = self._mapper(source)
        at = min(piece.at for piece in group)
        batches: list[EventBatch] = []
        rejects: list[Reject] = []
        only = Sources({source.name: source})
        for _, parsed in self._stages.each("parse", reading.read(stream, only, source)):
            rejects += parsed.rejects
            if len(parsed.records):
                raw = RawBatch(source.name, stream.name, parsed.records, parsed.fields, parsed.positions)
                self._samples += self._sampler.of(source.name, parsed.fields, self._clock.now())
                with self._stages.of("map"):
                    mapped = mapper.map(raw, origin_key=joined, now=at)
                batches += mapped.batches
                rejects += complete(mapped.rejects, parsed, source)
        return batches, received.placed(rejects, group, joined)

    def _mapper(self, source: LoadedSource) -> Mapper:
        digest, mapper = self._mappers.get(source.name, ("", None))
        if mapper is None or digest != source.digest:
            mapper = Mapper(source)
            self._mappers[source.name] = (source.digest, mapper)
        return mapper


def _parted(stored: Stored, source: LoadedSource, some: list[Piece], error: Exception) -> list[list[Piece]]:
    """Return what to try instead of pieces that raised; give up what cannot be parted."""
    why = f"{type(error).__name__}: {error}"
    LOG.debug("%d pieces: %s", len(some), why, exc_info=error)
    lined = _lined(some[0], source)
    if len(some) == 1 and lined and some[0].lines == 1:
        stored.lost.append(some[0].refused(f"a defect: {why}", line=some[0].ahead + 1))
        return []
    if stored.failures < _FAILURES:
        if len(some) > 1:
            middle = len(some) // 2
            return [some[middle:], some[:middle]]
        halves = some[0].halves() if lined else None
        if halves is not None:
            return [[halves[1]], [halves[0]]]
    for piece in some:
        stored.put_aside(piece, why)
    return []


def _lined(piece: Piece, source: LoadedSource) -> bool:
    """Say whether each line of a piece is a record; a parser that fails on it cannot tell."""
    try:
        return received.lined(piece, source)
    except Exception:  # noqa: BLE001 - it is the same that was told before, or as bad
        return False


def _groups(source: LoadedSource, pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Return pieces as they are read together: lines by their origin, unless there are many; others alone."""
    alone: list[list[Piece]] = []
    by_origin: dict[str, list[Piece]] = {}
    for piece in pieces:
        if received.lined(piece, source):
            by_origin.setdefault(piece.delivery.origin, []).append(piece)
        else:
            alone.append([piece])
    if len(by_origin) > _ORIGINS:
        by_origin = {"": [piece for some in by_origin.values() for piece in some]}
    return [*by_origin.values(), *alone]
