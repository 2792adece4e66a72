"""Small files of one source read as one batch: a few hundred records cost little more than a few.

That is for files which a parser knows by their first bytes and reads record by record (Windows event logs);
each of their records says which host it is of, so nothing depends on the file that it came in but its uid,
and that is the same as if the file were read by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest import parsers
from lemnis.ingest.identity import Joined
from lemnis.ingest.parsers import Parsed, Start, Texts
from lemnis.ingest.streams import Stream

SMALL = 4_000_000
"""A file of more bytes is read by itself."""
_BYTES, _FILES = 24_000_000, 256
_TEXTS = 1024
"""So many records are made a column at a time."""


def grouped(files: Iterable[Path]) -> Iterator[list[Path]]:
    """Yield files in their order: small ones that follow each other together, as many as a batch may hold."""
    some: list[Path] = []
    size = 0
    for file in files:
        own = file.stat().st_size if file.is_file() else SMALL
        if some and (own >= SMALL or size + own > _BYTES or len(some) >= _FILES):
            yield some
            some, size = [], 0
        if own >= SMALL:
            yield [file]
        else:
            some.append(file)
            size += own
    if some:
        yield some


def joinable(stream: Stream, source: LoadedSource) -> bool:
    """Say whether a stream can be read together with others of its source."""
    parser = parsers.get(source.file.parser)
    magic = getattr(parser, "MAGIC", None)
    if magic is None or not hasattr(parser, "blocks"):
        return False
    return stream.begins(magic) or (not stream.once and stream.head(len(magic)).startswith(magic))


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream, the key of its origin, and where to begin in it."""

    stream: Stream
    key: str
    start: Start


@dataclass(frozen=True, slots=True)
class Piece:
    """A stream that was read to its end: how far that is, and what was not taken as a record at all.

    ``read`` says whether there was anything in it.
    """

    stream: Stream
    key: str
    position: int
    offset: int
    rejects: tuple[Reject, ...]
    read: bool


@dataclass(frozen=True, slots=True)
class Gathered:
    """The records of several streams, numbered through; ``joined`` says which of them are of which stream."""

    parsed: Parsed
    pieces: tuple[Piece, ...]
    joined: Joined

    def placed(self, rejects: Sequence[Reject]) -> list[Reject]:
        """Return rejects of the whole as those of the streams, and what the streams themselves refused."""
        found = [one for piece in self.pieces for one in piece.rejects]
        if rejects:
            numbers = np.array([reject.at.record or 1 for reject in rejects], np.int64)
            which, own = self.joined.of(numbers)
            for reject, place, record in zip(rejects, which.tolist(), own.tolist(), strict=True):
                piece = self.pieces[place]
                at = Location(piece.stream.name, record=record)
                found.append(replace(reject, at=at, origin_key=piece.key))
        return found


def gather(opened: Sequence[Opened], source: LoadedSource) -> Gathered:
    """Read streams to their ends; raises what the parser raises where one cannot be read."""
    parser: Any = parsers.get(source.file.parser)
    pieces, before, texts, numbers, done = [], [], [], [], 0
    some: list[str] = []
    for one in opened:
        found = list(chain.from_iterable(parser.blocks(one.stream)))[one.start.position :]
        last = one.start.position + len(found)
        own = np.arange(done + 1, done + 1 + len(found), dtype=np.int64)
        rejects: list[Reject] = []
        if ValueError in set(map(type, found)):
            for place, fault in enumerate(found):
                if isinstance(fault, ValueError):
                    at = Location(one.stream.name, record=one.start.position + 1 + place)
                    rejects.append(Reject(at, str(fault), origin_key=one.key))
            own = own[[isinstance(record, str) for record in found]]
            found = [record for record in found if isinstance(record, str)]
        some += found
        numbers.append(own)
        before.append(done)
        done += last - one.start.position
        pieces.append(Piece(one.stream, one.key, last, 0, tuple(rejects), last > one.start.position))
        if len(some) >= _TEXTS:
            texts.append(pa.array(some, pa.string()))
            some = []
    texts.append(pa.array(some, pa.string()))
    whole: Any = pa.concat_arrays(texts) if len(texts) > 1 else texts[0]
    numbered = np.concatenate(numbers) if numbers else np.empty(0, np.int64)
    parsed = parser.fielded(Texts(opened[0].stream.name, whole, numbered, (), done, 0), source.file.options)
    keys, ahead = [one.key for one in opened], [one.start.position for one in opened]
    return Gathered(
        parsed, tuple(pieces), Joined(keys, np.array(before, np.int64), np.array(ahead, np.int64))
    )
