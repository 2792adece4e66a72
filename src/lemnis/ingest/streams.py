"""Bytes of files: folders walked in order, compressed files read within bounds, UTF-16 turned into UTF-8.

Nothing here knows what the bytes mean. A stream that breaks (a cut archive, a bomb) ends with its reason;
what was read before that stands.
"""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from lemnis.ingest import encodings

BLOCK = 1 << 20
MAX_RECORD_BYTES = 8_000_000
MAX_RATIO = 400
RATIO_FLOOR = 256_000_000
KEPT_RAW = MAX_RECORD_BYTES
"""So much of a rejected record is kept: all of it, so that it can be tried again."""
STDIN = "-"
_PACKED = 1024
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
BOM = b"\xef\xbb\xbf"


class BrokenStreamError(Exception):
    """A file that cannot be read on; the text says why."""


_NO_LOGS = frozenset({".git", ".lemnis"})


def walk(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the regular files at and below ``paths``, each folder's sorted by name; links are not followed.

    What git and Lemnis itself keep in a folder is left out, so that a workspace does not read its own lake.

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
            if entry.name not in _NO_LOGS:
                yield from _below(entry)
        elif entry.is_file():
            yield entry


class Stream:
    """One origin's bytes, decompressed, and as UTF-8; ``encoding`` is what a source says that they are in."""

    encoding = ""

    def __init__(self, path: Path) -> None:
        """Look at ``path`` (``-`` is the standard input); nothing is read yet."""
        self.path = path
        self.name = "<stdin>" if str(path) == STDIN else os.fsencode(path).decode("utf-8", "backslashreplace")
        self._input: io.BufferedReader[Any] | None = None

    @property
    def once(self) -> bool:
        """Whether it can be read only once: the standard input, a pipe."""
        if str(self.path) == STDIN:
            return True
        mode = self._mode()
        return mode is not None and not stat.S_ISREG(mode)

    def _mode(self) -> int | None:
        """Return what kind of file it is; None if it cannot be had."""
        try:
            return self.path.stat().st_mode
        except (OSError, ValueError):
            return None

    @property
    def plain(self) -> bool:
        """Whether the file is a regular one of plain bytes, so that others can read it by its path."""
        return self.coding == ""

    @property
    def coding(self) -> str | None:
        """What a regular, uncompressed file is written in (see ``encodings``); None for any other."""
        mode = None if str(self.path) == STDIN else self._mode()
        if mode is None or not stat.S_ISREG(mode):
            return None
        with self.path.open("rb", buffering=0) as file:
            start = file.read(encodings.LOOK)
        return None if start.startswith((_GZIP, _ZSTD)) else self.encoding or encodings.coding(start)

    def begins(self, magic: bytes) -> bool:
        """Say whether it is a regular file whose own bytes begin so: not a packed one."""
        mode = None if str(self.path) == STDIN else self._mode()
        if mode is None or not stat.S_ISREG(mode):
            return False
        try:
            with self.path.open("rb", buffering=0) as file:
                return file.read(len(magic)) == magic
        except OSError:
            return False

    def head(self, size: int = 65_536) -> bytes:
        """Return the first bytes, decompressed, without taking them from the stream; none if unreadable."""
        try:
            if self.once:
                seen = io.BufferedReader(io.BytesIO(self._open().peek(size)))
                return next(_decompressed(seen, size, self.encoding), b"")[:size]
            return next(self._read(self.path.open("rb"), size), b"")[:size]
        except (OSError, BrokenStreamError):
            return b""

    def blocks(self, *, size: int = BLOCK) -> Iterator[bytes]:
        """Yield the bytes in pieces of at most ``size``; raises BrokenStreamError when they cannot be had."""
        try:
            yield from self._read(self._open(), size)
        except OSError as error:
            raise BrokenStreamError(f"cannot be read: {error.strerror or error}") from error

    def _read(self, file: io.BufferedReader[Any], size: int) -> Iterator[bytes]:
        try:
            yield from _decompressed(file, size, self.encoding)
        finally:
            if str(self.path) != STDIN:
                file.close()

    def _open(self) -> io.BufferedReader[Any]:
        if not self.once:
            return self.path.open("rb")
        if self._input is None:
            raw = io.FileIO(0, closefd=False) if str(self.path) == STDIN else io.FileIO(str(self.path))
            self._input = io.BufferedReader(raw, BLOCK)
        return io.BufferedReader(io.BytesIO()) if self._input.closed else self._input


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

    def begins(self, magic: bytes) -> bool:  # noqa: ARG002 - as of a file
        """Say whether it is a file that begins so: it is none."""
        return False

    def blocks(self, *, size: int = BLOCK) -> Iterator[bytes]:
        """Yield the bytes that were read."""
        yield from (self.data[first : first + size] for first in range(0, len(self.data), size))

    def decoded(self, encoding: str) -> Head:
        """Return the same as UTF-8, if it is in this encoding."""
        return Head(self, encodings.as_utf8(self.data, encoding), whole=self.whole) if encoding else self

    def first_line(self) -> str:
        """Return the first line that is not blank."""
        lines = self.data.removeprefix(BOM).lstrip().split(b"\n", 1)
        return lines[0].decode("utf-8", "replace").rstrip("\r")


def _decompressed(file: io.BufferedReader[Any], size: int, encoding: str) -> Iterator[bytes]:
    """Yield a file's bytes unpacked and as UTF-8, in pieces of at most ``size``."""
    pieces = _unpacked(file, max(size, encodings.LOOK))
    first = next(pieces, b"")
    held = encodings.archive(first)
    if held:
        raise BrokenStreamError(held)
    name = encoding or encodings.coding(first[: encodings.LOOK])
    whole = chain((first,), pieces) if first else pieces
    if name:
        yield from encodings.recoded(whole, name, size)
        return
    for piece in whole:
        yield from (piece,) if len(piece) <= size else _cut(piece, size)


def _cut(piece: bytes, size: int) -> Iterator[bytes]:
    return (piece[first : first + size] for first in range(0, len(piece), size))


def _unpacked(file: io.BufferedReader[Any], size: int) -> Iterator[bytes]:
    start = file.peek(4)[:4]
    if start.startswith(_GZIP):
        packed = _Packed(file, lambda: zlib.decompressobj(wbits=31))
    elif start == _ZSTD:
        packed = _Packed(file, zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj)
    else:
        yield from iter(lambda: file.read(size), b"")
        return
    pieces, total, held, broken = packed.pieces(), 0, bytearray(), None
    while True:
        try:
            piece = next(pieces, b"")
        except (EOFError, zlib.error, zstandard.ZstdError) as error:
            piece, broken = b"", error
        room, total = max(0, RATIO_FLOOR - total), total + len(piece)
        if total > RATIO_FLOOR and total > MAX_RATIO * packed.taken:
            yield bytes(held + piece[:room])
            raise BrokenStreamError(f"it unpacks to more than {MAX_RATIO} times its size; unpack it yourself")
        held += piece
        if held and (not piece or len(held) >= size):
            yield bytes(held)
            held.clear()
        if broken is not None:
            raise BrokenStreamError(f"the compressed file is damaged: {broken}") from broken
        if not piece:
            return


@dataclass(slots=True)
class _Packed:
    """A compressed file, its members one after another; ``taken`` bytes of it are read."""

    file: BinaryIO
    make: Callable[[], Any]
    taken: int = 0

    def pieces(self) -> Iterator[bytes]:
        """Unpack from so little input at a time that a bomb stays small; raises EOFError if it is cut off."""
        unpacker, data, begun = self.make(), b"", False
        while data := (data or self._read()):
            if piece := unpacker.decompress(data):
                yield piece
            data, begun = b"", True
            if unpacker.eof:
                data, unpacker, begun = unpacker.unused_data, self.make(), False
                if data and not data.strip(b"\0"):  # padding after the last member
                    data = b""
        if begun:
            raise EOFError("it ends too early")

    def _read(self) -> bytes:
        data = self.file.read(_PACKED)
        self.taken += len(data)
        return data


class Bytes(Stream):
    """Bytes that are there already, as a stream; ``name`` is what people shall see."""

    def __init__(self, name: str, data: bytes) -> None:
        """Nothing is copied."""
        self.path = Path(name)
        self.name = name
        self._data = data

    @property
    def once(self) -> bool:
        """Whether it can be read only once: no."""
        return False

    @property
    def plain(self) -> bool:
        """Whether others can read it by its path: no."""
        return False

    def begins(self, magic: bytes) -> bool:  # noqa: ARG002 - as of a file
        """Say whether it is a file that begins so: it is none."""
        return False

    def head(self, size: int = 65_536) -> bytes:
        """Return the first bytes."""
        return self._data[:size]

    def blocks(self, *, size: int = BLOCK) -> Iterator[bytes]:
        """Yield the bytes in pieces of at most ``size``."""
        yield from (self._data[first : first + size] for first in range(0, len(self._data), size))
