"""Raw input, read for detection alone: of each record only the fields that some rule asks for.

What the quick way does not take is read the complete way (``reading``), so both find the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.compiled import available
from lemnis.contracts.errors import Location
from lemnis.contracts.events import RawBatch, Reject
from lemnis.ingest import parsers
from lemnis.ingest.blocks import Block, OverlongError, blocks, cuts
from lemnis.ingest.coded import CodedBatch, CodedTexts, Coder, Held
from lemnis.ingest.frames import codable, raw_names
from lemnis.ingest.parsers import Start, Texts
from lemnis.ingest.reading import open_stream
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import BrokenStreamError, Stream

Batch = RawBatch | CodedBatch


SMALL = 4_000_000
"""Bytes of a file that is sooner read completely than the compiled passes are loaded."""


@dataclass(slots=True)
class Quick:
    """Reads only the fields that are wanted, where that can be had: see ``coded``.

    ``wanted`` gives the Sigma fields that are asked for of a source. Of one process and one thread.
    """

    sources: Sources
    wanted: Callable[[LoadedSource], Iterable[str]]
    _coders: dict[str, Coder] = field(default_factory=dict)
    _done: int = 0

    def open(self, stream: Stream, named: LoadedSource | None = None) -> Iterator[Batch | Reject]:
        """Yield what is in one stream, as ``open_stream`` does; a batch may be coded."""
        source = named or self.sources.recognise(stream)
        quick = None if source is None else parsers.get(source.file.parser)
        if source is None or not self._can(source, quick) or _small(stream):
            yield from open_stream(stream, self.sources, source)
            return
        parser: Any = quick
        start = Start()
        try:
            if not stream.once and parser.lined(stream, source.file.options):
                try:
                    yield from self.part(stream, source)
                except OverlongError as error:
                    start = error.at
                else:
                    return
            yield from self.rest(stream, source, start)
        except BrokenStreamError as error:
            yield Reject(Location(stream.name, record=self._done + 1), str(error))

    def part(
        self, stream: Stream, source: LoadedSource, begin: int = 0, end: int | None = None
    ) -> Generator[Batch | Reject, None, int]:
        """Yield what is in a part of a stream of lines, and return how many lines that was.

        Records are counted from the part's first. Raises OverlongError where a line is too long for it, and
        BrokenStreamError.
        """
        self._done = 0
        for block in blocks(stream, Start(0, begin), end=end):
            yield from self._block(source, block)
            self._done = block.position
        return self._done

    def rest(self, stream: Stream, source: LoadedSource, start: Start) -> Iterator[Batch | Reject]:
        """Yield what is in a stream from a record and byte on."""
        parser: Any = parsers.get(source.file.parser)
        self._done = start.position
        for texts in parser.texts(stream, source.file.options, start, whole=True):
            yield from self._texts(source, texts)
            self._done = texts.position

    def parts(self, stream: Stream, named: LoadedSource | None, size: int) -> list[tuple[int, int]]:
        """Cut a plain file of lines into parts of about ``size`` bytes, each up to a line's end; else none.

        Each can be read by itself.
        """
        source = named or self.sources.recognise(stream)
        parser: Any = None if source is None else parsers.get(source.file.parser)
        if source is None or not self._can(source, parser) or stream.once or not stream.plain:
            return []
        return cuts(stream, size) if parser.lined(stream, source.file.options) else []

    def _block(self, source: LoadedSource, block: Block) -> Iterator[Batch | Reject]:
        if not len(block):
            return
        if block.sound():
            yield self._batch(source, block, self._coder(source).rows(block.raw, block.starts, block.ends))
            return
        lines = block.lines()
        yield from self._texts(source, Texts(block.name, lines.texts, lines.numbers, lines.rejects,
                                             lines.position, lines.offset))  # fmt: skip

    def _texts(self, source: LoadedSource, texts: Texts) -> Iterator[Batch | Reject]:
        yield from texts.rejects
        if len(texts.numbers):
            yield self._batch(source, texts, self._coder(source).code(texts.texts))

    def _batch(self, source: LoadedSource, held: Held, coded: CodedTexts) -> CodedBatch:
        parser: Any = parsers.get(source.file.parser)
        options = source.file.options
        rows = np.flatnonzero(~coded.odd)
        codes = coded.columns
        if len(rows) < len(held.numbers):
            codes = {name: column.take(rows) for name, column in codes.items()}
        return CodedBatch(source.name, held, codes, rows, lambda some: parser.fielded(some, options))

    def _coder(self, source: LoadedSource) -> Coder:
        parser: Any = parsers.get(source.file.parser)
        options = source.file.options
        if source.name not in self._coders:
            names = raw_names(source, self.wanted(source))
            tangled = getattr(parser, "entangled", None)
            more = [other for name in names for other in tangled(name)] if tangled is not None else ()
            self._coders[source.name] = Coder({*names, *more}, lambda path: parser.named(path, options))
        return self._coders[source.name]

    def _can(self, source: LoadedSource, parser: Any) -> bool:
        return (
            available()
            and not source.file.encoding
            and hasattr(parser, "texts")
            and codable(source)
            and "texts" not in source.file.options
        )


def _small(stream: Stream) -> bool:
    return stream.plain and not stream.once and stream.path.stat().st_size < SMALL
