"""Bytes to lines in one place: a block is read over the last, and its lines are only noted, not made.

A line becomes text when somebody asks for it. Who gets a block is done with it before the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lemnis.contracts.detection import Lines as Places
from lemnis.ingest.coded import ROOM
from lemnis.ingest.lines import Lines, sound
from lemnis.ingest.mapping_columns import Rows, flat
from lemnis.ingest.parsers import Start, Texts
from lemnis.ingest.streams import BOM, MAX_RECORD_BYTES, BrokenStreamError, Stream

BLOCK_BYTES = 4 * MAX_RECORD_BYTES
_LINES = 100_000
Fill = Callable[[memoryview], int]
"""Writes the next bytes and says how many; 0 at the end."""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that lie in ``raw``; ``position`` and ``offset`` say how far the stream is done with them."""

    name: str
    raw: npt.NDArray[np.uint8]
    starts: Rows
    ends: Rows
    numbers: Rows
    position: int
    offset: int

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self.starts)

    @property
    def records(self) -> _Records:
        """Return what makes texts of the lines."""
        return _Records(self)

    def take(self, rows: Rows) -> Texts:
        """Return some of the lines as texts."""
        some = self.records.take(rows)
        return Texts(self.name, some, self.numbers[rows], (), self.position, self.offset)

    def where(self, rows: Rows) -> Places:
        """Return where some of the lines lie."""
        return Places(self.raw, self.starts[rows], self.ends[rows])

    def lines(self) -> Lines:
        """Return all of the lines as texts, and as rejects those that are none."""
        every = np.arange(len(self))
        texts = self.records.take(every)
        sizes = (self.ends - self.starts).astype(np.int32)
        texts, numbers, rejects = sound(self.name, texts, self.numbers, sizes)
        return Lines(texts, numbers, rejects, self.position, self.offset)

    def sound(self) -> bool:
        """Say whether all of it is UTF-8; a block of blank lines is empty, and so it is."""
        if not len(self):
            return True
        first, last = int(self.starts[0]), int(self.ends[-1])
        offsets = _buffer(np.array([0, last - first], np.int32))
        try:
            pa.StringArray.from_buffers(1, offsets, _buffer(self.raw[first:last])).validate(full=True)
        except pa.ArrowInvalid:
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Records:
    """The lines of a block, as texts where they are taken."""

    block: Block

    def __len__(self) -> int:
        return len(self.block)

    def take(self, rows: Any) -> pa.StringArray:
        """Return some of them."""
        from lemnis.ingest import lines_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

        chosen = np.asarray(rows)
        starts, ends = self.block.starts[chosen], self.block.ends[chosen]
        offsets = np.concatenate(([0], np.cumsum(ends - starts))).astype(np.int32)
        data = np.empty(int(offsets[-1]), np.uint8)
        kernel.gather(self.block.raw.ctypes.data, starts, ends, data)
        made: pa.StringArray = flat(pa.StringArray.from_buffers(len(chosen), _buffer(offsets), _buffer(data)))
        return made


def _buffer(array: Any) -> Any:
    return pa.py_buffer(array)


class OverlongError(Exception):
    """A line is longer than a block; ``at`` says where it begins."""

    def __init__(self, at: Start) -> None:
        super().__init__("a line is too long")
        self.at = at


def blocks(stream: Stream, start: Start, *, end: int | None = None) -> Iterator[Block]:
    """Yield the lines of a stream that can be read again, from ``start`` on; ``end`` is that of a plain file.

    Raises OverlongError where a line does not fit, and BrokenStreamError where the stream breaks, after what
    was read before it.
    """
    if stream.plain:
        with stream.path.open("rb", buffering=0) as file:
            file.seek(start.offset)
            left = [None if end is None else end - start.offset]

            def fill(room: memoryview) -> int:
                read = file.readinto(room if left[0] is None else room[: left[0]])
                left[0] = None if left[0] is None else left[0] - read
                return read

            yield from _cut(stream, start, fill)
    else:
        yield from _cut(stream, start, _filler(stream, start.offset))


def cuts(stream: Stream, size: int) -> list[tuple[int, int]]:
    """Cut a plain file into parts of about ``size`` bytes, each up to the end of a line."""
    whole = stream.path.stat().st_size
    ends: list[int] = []
    with stream.path.open("rb") as file:
        for place in range(size, whole - size // 2, size):
            file.seek(max(place, ends[-1] if ends else 0))
            if file.readline(BLOCK_BYTES).endswith(b"\n"):
                ends.append(file.tell())
    ends = [end for end in dict.fromkeys(ends) if end < whole]
    return list(zip([0, *ends], [*ends, whole], strict=True))


def _filler(stream: Stream, skip: int) -> Fill:
    """Fill from pieces that come as they come."""
    pieces, held = stream.blocks(), memoryview(b"")

    def fill(room: memoryview) -> int:
        nonlocal held, skip
        while not held:
            piece = next(pieces, b"")
            if not piece:
                return 0
            held = memoryview(piece)[min(skip, len(piece)) :]
            skip -= min(skip, len(piece))
        size = min(len(held), len(room))
        room[:size] = held[:size]
        held = held[size:]
        return size

    return fill


def _cut(stream: Stream, start: Start, fill: Fill) -> Iterator[Block]:
    from lemnis.ingest import lines_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

    raw = np.zeros(BLOCK_BYTES + ROOM, np.uint8)
    room = memoryview(raw)  # type: ignore[arg-type]
    starts, ends, before = (np.empty(_LINES, np.int64) for _ in range(3))
    position, offset, size, ended = start.position, start.offset, 0, False
    broken: Exception | None = None
    while not ended or size:
        while not ended and size < BLOCK_BYTES:
            try:
                read = fill(room[size:BLOCK_BYTES])
            except BrokenStreamError as error:
                read, broken = 0, error
            size, ended = size + read, not read
        first = len(BOM) if offset == 0 and raw[:3].tobytes() == BOM else 0
        used, count, done = kernel.split(raw.ctypes.data, first, size, ended, starts, ends, before)
        if (used and int((ends[:used] - starts[:used]).max()) > MAX_RECORD_BYTES) or (not done and size):
            raise OverlongError(Start(position, offset))
        numbers = before[:used] + (position + 1)
        position, offset = position + count, offset + done
        yield Block(stream.name, raw, starts[:used], ends[:used], numbers, position, offset)
        raw[: size - done] = raw[done:size]
        size -= done
    if broken is not None:
        raise broken
