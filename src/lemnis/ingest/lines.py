"""Bytes to lines: split natively, in batches of bounded size; what is no text is named and left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lemnis.contracts.compiled import ready
from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.streams import BOM, KEPT_RAW, MAX_RECORD_BYTES, BrokenStreamError, Stream

MAX_BATCH_BYTES = 32_000_000
MAX_BATCH_RECORDS = 50_000
_NEWLINE, _RETURN = 10, 13
_USUAL = 64
"""So few bytes a line does not have as a rule."""
SPARE = 8
"""Bytes behind the last text, where there is room for what reads eight at a time."""
_Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines without their ends: texts in UTF-8, the number of each, and where the last one ends.

    ``offset`` counts the stream's bytes and ``position`` its lines up to there, blank ones included.
    """

    texts: pa.StringArray
    numbers: _Offsets
    rejects: tuple[Reject, ...]
    position: int
    offset: int


def lines(stream: Stream, *, position: int = 0, offset: int = 0, whole: bool = True) -> Iterator[Lines]:
    """Yield the lines of a stream in bounded batches, from a line and byte on; blank lines only count.

    Lines that are not UTF-8, or longer than a record may be, are rejects. With ``whole`` a last line without
    an end is a line too, else it is left for later. A broken stream gives a last batch with its reason.
    """
    cutter = _Cutter(stream.name, position, offset)
    blank: Lines | None = None
    for batch in _cut(stream, cutter, offset, whole=whole):
        blank = None if len(batch.texts) or batch.rejects else batch
        if blank is None:
            yield batch
    if blank is not None:  # of many blank lines only how far they go
        yield blank


def _cut(stream: Stream, cutter: _Cutter, skip: int, *, whole: bool) -> Iterator[Lines]:
    try:
        for block in stream.blocks():
            piece = block[skip:] if skip else block
            skip = max(0, skip - len(block))
            yield from cutter.feed(piece)
    except BrokenStreamError as error:
        yield from cutter.end(whole=True)
        at = Location(stream.name, record=cutter.position + 1)
        yield _refused(Reject(at, str(error)), cutter.position, cutter.offset)
        return
    yield from cutter.end(whole=whole)


class _Cutter:
    """Gathers blocks until a batch is full, and cuts it into lines."""

    def __init__(self, name: str, position: int, offset: int) -> None:
        self.name, self.position, self.offset = name, position, offset
        self._held: list[bytes] = []
        self._size = 0
        self._overlong = 0
        self._room = memoryview(b"")

    def feed(self, block: bytes) -> Iterator[Lines]:
        if self._overlong:
            end = block.find(b"\n")
            self._overlong += len(block) if end < 0 else end + 1
            if end < 0:
                return
            yield self._too_long()
            block = block[end + 1 :]
        if not block:
            return
        self._held.append(block)
        self._size += len(block)
        if self._size >= MAX_BATCH_BYTES:
            yield from self._cut(whole=False)

    def end(self, *, whole: bool) -> Iterator[Lines]:
        if self._overlong:
            yield self._too_long()
        yield from self._cut(whole=whole)

    def _too_long(self) -> Lines:
        self.position += 1
        self.offset += self._overlong
        self._overlong = 0
        reject = Reject(Location(self.name, record=self.position), _LONG)
        return _refused(reject, self.position, self.offset)

    def _cut(self, *, whole: bool) -> Iterator[Lines]:
        """Make lines of what is gathered, up to the last line's end unless it is the ``whole``."""
        rest: list[bytes] = []
        while self._held and not whole:
            end = self._held[-1].rfind(b"\n") + 1
            if end:
                rest.insert(0, self._held[-1][end:])
                self._held[-1] = self._held[-1][:end]
                break
            rest.insert(0, self._held.pop())
        if self._held:
            yield from self._split(self._joined())
        size = sum(map(len, rest))
        self._held, self._size = [piece for piece in rest if piece], size
        if size > MAX_RECORD_BYTES:
            self._held, self._size, self._overlong = [], 0, size

    def _joined(self) -> memoryview:
        """Return what is held in one piece, in room that is used again."""
        if len(self._held) == 1:
            return memoryview(self._held[0])
        size, place = sum(map(len, self._held)), 0
        if len(self._room) < size:
            self._room = memoryview(bytearray(size))
        for piece in self._held:
            self._room[place : place + len(piece)] = piece
            place += len(piece)
        return self._room[:size]

    def _split(self, data: memoryview) -> Iterator[Lines]:
        """Cut bytes that end with a line's end, or with the stream's."""
        if self.offset == 0 and data[: len(BOM)] == BOM:
            data, self.offset = data[len(BOM) :], len(BOM)
        breaks = _breaks(np.frombuffer(data, np.uint8))
        if not len(breaks) or breaks[-1] != len(data) - 1:
            breaks = np.append(breaks, len(data))
        start = 0
        for first in range(0, len(breaks) if data else 0, MAX_BATCH_RECORDS):
            some = breaks[first : first + MAX_BATCH_RECORDS]
            end = min(int(some[-1]) + 1, len(data))
            yield self._batch(data[start:end], some - start)
            start = end

    def _batch(self, data: memoryview, breaks: _Offsets) -> Lines:
        """Make the batch of the lines that end at ``breaks``."""
        raw = np.frombuffer(data, np.uint8)
        returns = (breaks > 0) & (raw[breaks - 1] == _RETURN)
        starts = np.concatenate(([0], breaks[:-1] + 1))
        ends = breaks - returns
        offsets = np.concatenate(([0], np.cumsum(ends - starts))).astype(np.int32)
        texts = pa.StringArray.from_buffers(
            len(breaks), pa.py_buffer(offsets.data), pa.py_buffer(_gathered(data, starts, ends))
        )
        numbers = np.arange(self.position + 1, self.position + 1 + len(breaks), dtype=np.int64)
        self.position += len(breaks)
        self.offset += len(data)
        texts, numbers, rejects = sound(self.name, texts, numbers, np.diff(offsets))
        return Lines(texts, numbers, rejects, self.position, self.offset)


def _breaks(raw: npt.NDArray[np.uint8]) -> _Offsets:
    """Return where lines end."""
    if not ready():
        return np.flatnonzero(raw == _NEWLINE)
    from lemnis.ingest import lines_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

    found = np.empty(max(1024, len(raw) // _USUAL), np.int64)
    count = kernel.breaks(raw.ctypes.data, len(raw), found)
    if count > len(found):  # shorter lines than usual
        found = np.empty(count, np.int64)
        kernel.breaks(raw.ctypes.data, len(raw), found)
    return found[:count]


def _gathered(data: memoryview, starts: _Offsets, ends: _Offsets) -> Any:
    """Return lines without what ends them."""
    if not ready():
        return b"".join(data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True))
    from lemnis.ingest import lines_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

    out = np.empty(int((ends - starts).sum()) + SPARE, np.uint8)
    kernel.gather(np.frombuffer(data, np.uint8).ctypes.data, starts, ends, out)
    return out.data


_LONG = f"longer than the {MAX_RECORD_BYTES:,} bytes that a record may have"


def sound(
    name: str, texts: pa.StringArray, numbers: _Offsets, lengths: npt.NDArray[np.int32]
) -> tuple[pa.StringArray, _Offsets, tuple[Reject, ...]]:
    """Take out blank lines, and as rejects those that are too long or not UTF-8."""
    rejects: list[Reject] = []
    keep = lengths > 0
    for row in np.flatnonzero(lengths > MAX_RECORD_BYTES):
        keep[row] = False
        rejects.append(Reject(Location(name, record=int(numbers[row])), _LONG))
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raws = texts.cast(pa.binary())
        for row in np.flatnonzero(keep):
            raw = raws[int(row)].as_py()
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                keep[row] = False
                reason = f"not UTF-8 at byte {error.start + 1}"
                rejects.append(Reject(Location(name, record=int(numbers[row])), reason, raw[:KEPT_RAW]))
    if not keep.all():
        texts, numbers = texts.filter(pa.array(keep)), numbers[keep]
    return texts, numbers, tuple(rejects)


def _refused(reject: Reject, position: int, offset: int) -> Lines:
    """Return what is read where a reject is all there is."""
    return Lines(pa.array([], pa.string()), np.empty(0, np.int64), (reject,), position, offset)
