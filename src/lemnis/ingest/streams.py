"""Bytes of files: folders walked in order, compressed files read within bounds, lines split natively.

Nothing here knows what the bytes mean. A stream that breaks (a cut archive, a bomb) ends with its reason;
what was read before that stands.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject

BLOCK = 1 << 20
MAX_BATCH_BYTES = 32_000_000
MAX_BATCH_RECORDS = 50_000
MAX_RECORD_BYTES = 8_000_000
MAX_RATIO = 400
RATIO_FLOOR = 256_000_000
KEPT_RAW = 65_536
STDIN = "-"
_PACKED = 1024
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BOM8 = b"\xef\xbb\xbf"
_NEWLINE, _RETURN = 10, 13
_Offsets = npt.NDArray[np.int64]


class BrokenStreamError(Exception):
    """A file that cannot be read on; the text says why."""


def walk(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the regular files at and below ``paths``, each folder's sorted by name; links are not followed.

    A path that is named itself may be a link, or a pipe. Raises nothing: what is not there is yielded too,
    so that opening it says so.
    """
    for path in paths:
        if path.is_dir():
            yield from _below(path)
        else:
            yield path


def _below(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        yield folder
        return
    for entry in entries:
        if entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _below(entry)
        elif entry.is_file():
            yield entry


class Stream:
    """One origin's bytes, decompressed; ``suffix`` is the file's own, that of the compression taken off."""

    def __init__(self, path: Path) -> None:
        """Look at ``path`` (``-`` is the standard input); nothing is read yet."""
        self.path = path
        self.name = "<stdin>" if str(path) == STDIN else str(path)
        inner = path.with_suffix("") if path.suffix.lower() in {".gz", ".zst", ".zstd"} else path
        self.suffix = inner.suffix.lower()
        self._head = b""
        self._input: io.BufferedReader | None = None

    def head(self, size: int = 65_536) -> bytes:
        """Return the first bytes, decompressed, without taking them from the stream; none if unreadable."""
        if str(self.path) == STDIN:
            return self._stdin().peek(size)[:size]
        try:
            return next(self.blocks(size=size), b"")[:size]
        except BrokenStreamError:
            return b""

    def _stdin(self) -> io.BufferedReader:
        if self._input is None:
            self._input = io.BufferedReader(io.FileIO(0, closefd=False), BLOCK)
        return self._input

    @property
    def plain(self) -> bool:
        """Whether the file is a regular one and not compressed, so that others can read it by its path."""
        if str(self.path) == STDIN or not self.path.is_file():
            return False
        with self.path.open("rb") as file:
            start = file.read(4)
        return not (start.startswith((_GZIP, _ZSTD)))

    def blocks(self, *, size: int = BLOCK) -> Iterator[bytes]:
        """Yield the bytes in pieces of at most ``size``; raises BrokenStreamError when they cannot be had."""
        if str(self.path) == STDIN:
            source: BinaryIO = self._stdin()
            yield from iter(lambda: source.read(size), b"")
            return
        try:
            with self.path.open("rb") as file:
                yield from _decompressed(file, size)
        except OSError as error:
            raise BrokenStreamError(f"cannot be read: {error.strerror or error}") from error


class Head(Stream):
    """The first bytes of a stream as a stream of their own: for a look at the first records."""

    def __init__(self, stream: Stream, data: bytes, *, whole: bool) -> None:
        """``data`` is all there is unless it is not ``whole``."""
        super().__init__(stream.path)
        self.data = data
        self.whole = whole

    def head(self, size: int = 65_536) -> bytes:
        """Return the first bytes."""
        return self.data[:size]

    @property
    def plain(self) -> bool:
        """Whether others can read it by its path: never."""
        return False

    def blocks(self, *, size: int = BLOCK) -> Iterator[bytes]:
        """Yield the bytes that were read."""
        yield from (self.data[first : first + size] for first in range(0, len(self.data), size))

    def first_line(self) -> str:
        """Return the first line that is not blank."""
        lines = self.data.removeprefix(_BOM8).lstrip().split(b"\n", 1)
        return lines[0].decode("utf-8", "replace").rstrip("\r")


def _decompressed(file: BinaryIO, size: int) -> Iterator[bytes]:
    start = file.read(4)
    file.seek(0)
    pieces: Iterator[bytes]
    if start.startswith(_GZIP):
        pieces = _members(file, lambda: zlib.decompressobj(wbits=31))
    elif start == _ZSTD:
        pieces = _members(file, zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj)
    else:
        yield from iter(lambda: file.read(size), b"")
        return
    total, held, broken = 0, bytearray(), None
    while True:
        try:
            piece = next(pieces, b"")
        except (EOFError, zlib.error, zstandard.ZstdError) as error:
            piece, broken = b"", error
        total += len(piece)
        if total > RATIO_FLOOR and total > MAX_RATIO * max(1, file.tell()):
            raise BrokenStreamError(f"it unpacks to more than {MAX_RATIO} times its size; unpack it yourself")
        held += piece
        if held and (not piece or len(held) >= size):
            yield bytes(held)
            held.clear()
        if broken is not None:
            raise BrokenStreamError(f"the compressed file is damaged: {broken}") from broken
        if not piece:
            return


def _members(file: BinaryIO, make: Callable[[], Any]) -> Iterator[bytes]:
    """Unpack one member after another, from so little input at a time that a bomb stays small."""
    unpacker, data = make(), b""
    begun = False
    while data := (data or file.read(_PACKED)):
        if piece := unpacker.decompress(data):
            yield piece
        begun = True
        data = b""
        if unpacker.eof:
            data, unpacker, begun = unpacker.unused_data, make(), False
            if data and not data.strip(b"\0"):  # padding after the last member
                data = b""
    if begun:
        raise EOFError("it ends too early")


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
    skip = offset
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
        self._breaks = 0
        self._overlong = 0

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
        self._breaks += block.count(b"\n")
        if self._size >= MAX_BATCH_BYTES or self._breaks >= MAX_BATCH_RECORDS:
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
            yield from self._split(b"".join(self._held))
        size = sum(map(len, rest))
        self._held, self._size, self._breaks = [piece for piece in rest if piece], size, 0
        if size > MAX_RECORD_BYTES:
            self._held, self._size, self._overlong = [], 0, size

    def _split(self, data: bytes) -> Iterator[Lines]:
        """Cut bytes that end with a line's end, or with the stream's."""
        if self.offset == 0 and data.startswith(_BOM8):
            data, self.offset = data[len(_BOM8) :], len(_BOM8)
        raw = np.frombuffer(data, np.uint8)
        breaks = np.flatnonzero(raw == _NEWLINE)
        if not len(breaks) or breaks[-1] != len(raw) - 1:
            breaks = np.append(breaks, len(raw))
        start = 0
        for first in range(0, len(breaks) if data else 0, MAX_BATCH_RECORDS):
            some = breaks[first : first + MAX_BATCH_RECORDS]
            end = min(int(some[-1]) + 1, len(raw))
            yield self._batch(data[start:end], some - start)
            start = end

    def _batch(self, data: bytes, breaks: _Offsets) -> Lines:
        """Make the batch of the lines that end at ``breaks``."""
        raw = np.frombuffer(data, np.uint8)
        returns = (breaks > 0) & (raw[breaks - 1] == _RETURN)
        ends = breaks - np.arange(len(breaks)) - np.cumsum(returns)
        offsets = np.concatenate(([0], ends)).astype(np.int32)
        kept = data.replace(b"\r\n", b"\n") if returns.any() else data
        kept = kept.removesuffix(b"\r") if returns[-1] else kept
        texts = pa.StringArray.from_buffers(
            len(breaks), pa.py_buffer(offsets.data), pa.py_buffer(kept.replace(b"\n", b""))
        )
        numbers = np.arange(self.position + 1, self.position + 1 + len(breaks), dtype=np.int64)
        self.position += len(breaks)
        self.offset += len(data)
        texts, numbers, rejects = _sound(self.name, texts, numbers, np.diff(offsets))
        return Lines(texts, numbers, rejects, self.position, self.offset)


_LONG = f"longer than the {MAX_RECORD_BYTES:,} bytes that a record may have"


def _sound(
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
