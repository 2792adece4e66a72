"""Bytes of images as streams that end: decompressed as they come, never laid out, bounded in every way.

A layer of an image is a tar that somebody else wrote. Nothing of it is extracted, no link is followed, and
what it says of its own size is not believed.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, Final, cast

import zstandard

from lemnis.contracts.errors import RecordError

MAX_BYTES: Final = 32 << 30
"""Bytes of one layer, decompressed."""
MAX_RATIO: Final = 250
"""How much larger than compressed a layer may be, once it is large: real ones are below 30."""
_LARGE: Final = 1 << 30
MAX_ENTRIES: Final = 1_000_000
MAX_NAME: Final = 4096
_MAX_HEADER: Final = 1 << 20
"""Bytes of one extended header: it is held in memory."""
_DAMAGED: Final = (tarfile.TarError, EOFError, ValueError, OverflowError, OSError, RecursionError)
_CHUNK: Final = 1 << 18
_GZIP_FORMAT: Final = 31
"""What zlib calls a gzip file with the largest window."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_EXTENDED: Final = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, b"L", b"K"})


class _Counted:
    """A source with its first bytes put back; counts what is read of it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.head = source.read(4)
        self._first = self.head
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        first, self._first = self._first, b""
        data = first or self._source.read(size)
        self.count += len(data)
        return data


class Bounded(io.RawIOBase):
    """Reads a stream, decompressed if it is; raises RecordError where it goes beyond its bounds."""

    def __init__(self, source: IO[bytes], *, most: int = MAX_BYTES) -> None:
        """``most`` bounds the bytes that come out."""
        self._counted = _Counted(source)
        self._most = most
        self._out = 0
        self._held = memoryview(b"")
        self._zlib: Any = None
        self._reader: Any = self._counted
        if self._counted.head.startswith(_GZIP):
            self._zlib = zlib.decompressobj(_GZIP_FORMAT)
        elif self._counted.head.startswith(_ZSTD):
            whole = cast("IO[bytes]", self._counted)
            self._reader = zstandard.ZstdDecompressor().stream_reader(whole, read_across_frames=True)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end."""
        wanted = self._most + 1 if size < 0 else size
        parts: list[memoryview] = []
        while wanted > 0 and (self._held or self._fill()):
            parts.append(self._held[:wanted])
            self._held = self._held[wanted:]
            wanted -= len(parts[-1])
        return b"".join(parts)

    def _fill(self) -> bool:
        try:
            data = self._reader.read(_CHUNK) if self._zlib is None else self._inflated()
        except (zlib.error, zstandard.ZstdError, *_DAMAGED) as error:
            raise RecordError(f"cannot be read: {error}") from error
        self._held = memoryview(data)
        self._out += len(data)
        if self._out > self._most:
            raise RecordError(f"larger than {self._most:,} bytes")
        if self._out > _LARGE and self._out > self._counted.count * MAX_RATIO:
            raise RecordError(f"more than {MAX_RATIO} times larger than it is compressed: a bomb")
        return bool(data)

    def _inflated(self) -> bytes:
        """Return some bytes of a gzip stream, or of those that follow it; none at the end."""
        while True:
            if self._zlib.eof:
                rest = self._zlib.unused_data or self._counted.read(_CHUNK)
                if not rest.startswith(_GZIP):
                    return b""
                self._zlib = zlib.decompressobj(_GZIP_FORMAT)
            else:
                rest = self._zlib.unconsumed_tail or self._counted.read(_CHUNK)
                if not rest:
                    return b""
            if found := self._zlib.decompress(rest, _CHUNK):
                return cast("bytes", found)


class _Member(tarfile.TarInfo):
    """A tar's header: extended ones, which are held in memory, are bounded; maps of sparse files refused."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        if self.type in _EXTENDED and self.size > _MAX_HEADER:
            raise RecordError(f"an extended header of {self.size:,} bytes")
        if self.size < 0:
            raise RecordError("an entry of negative size")
        return super()._proc_member(tar)  # type: ignore[misc]

    def _proc_gnusparse_10(self, *_: Any) -> None:
        raise RecordError("a sparse file")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_sparse = _proc_gnusparse_10


def entries(stream: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Yield the entries of a tar stream with the tar to read each from, before the next is asked for.

    Raises RecordError for what is no tar, ends too early, or has too many entries.
    """
    try:
        bounded = cast("IO[bytes]", Bounded(stream))
        with tarfile.open(
            fileobj=bounded, mode="r|", tarinfo=_Member, encoding="utf-8", errors="replace"
        ) as tar:
            for number, one in enumerate(tar):
                if number >= MAX_ENTRIES:
                    raise RecordError(f"more than {MAX_ENTRIES:,} entries")
                yield one, tar
                tar.members = []  # type: ignore[attr-defined]  # it would keep them all
    except _DAMAGED as error:
        raise RecordError(f"no tar, or a damaged one: {error}") from error


def content(one: tarfile.TarInfo, tar: tarfile.TarFile, most: int) -> bytes:
    """Return up to ``most`` bytes of an entry; none for what is no regular file."""
    try:
        found = tar.extractfile(one) if one.isreg() else None
        return found.read(min(most, one.size)) if found is not None else b""
    except _DAMAGED as error:
        raise RecordError(f"{one.name[:200]}: cannot be read: {error}") from error
